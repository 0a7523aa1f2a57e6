//! How much the store holds, and making room in it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Bucket, Store};
use crate::error::Result;
use crate::fs;

/// Entries that nobody used for so long go with the next `prune`.
const OLD: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Debug, Serialize)]
pub struct Usage {
    pub directory: PathBuf,
    /// Bytes above which the entries used longest ago go.
    pub limit: u64,
    pub size: u64,
    pub buckets: Vec<BucketUsage>,
}

#[derive(Debug, Serialize)]
pub struct BucketUsage {
    pub name: &'static str,
    pub entries: usize,
    pub size: u64,
}

struct File {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl Store {
    pub fn usage(&self) -> Result<Usage> {
        let mut buckets = Vec::new();
        for bucket in Bucket::ALL {
            let files = self.files(bucket)?;
            let size = files.iter().map(|file| file.size).sum();
            buckets.push(BucketUsage { name: bucket.name(), entries: files.len(), size });
        }
        let size = buckets.iter().map(|bucket| bucket.size).sum();
        Ok(Usage { directory: self.root.clone(), limit: self.limit, size, buckets })
    }

    /// Removes what nobody used for 30 days and what is above the limit; everything with `all`. Returns how many
    /// bytes that freed.
    pub fn prune(&self, all: bool) -> Result<u64> {
        let now = SystemTime::now();
        let mut freed = 0;
        for bucket in Bucket::ALL {
            for file in self.files(bucket)? {
                let age = now.duration_since(file.used).unwrap_or_default();
                if all || age > OLD {
                    fs::remove_tree(&file.path)?;
                    freed += file.size;
                }
            }
        }
        Ok(freed + self.shrink(self.limit)?)
    }

    /// Drops what was used longest ago where the store has grown above its limit; called after each new entry.
    pub fn make_room(&self) -> Result<()> {
        if self.usage()?.size > self.limit {
            // Well below, so that the next entries do not each pay for a look at all of them.
            self.shrink(self.limit / 10 * 9)?;
        }
        Ok(())
    }

    fn shrink(&self, limit: u64) -> Result<u64> {
        let mut files = Vec::new();
        for bucket in Bucket::ALL {
            files.extend(self.files(bucket)?);
        }
        files.sort_by_key(|file| file.used);
        let mut size: u64 = files.iter().map(|file| file.size).sum();
        let before = size;
        for file in files {
            if size <= limit {
                break;
            }
            fs::remove_tree(&file.path)?;
            size -= file.size;
        }
        Ok(before - size)
    }

    fn files(&self, bucket: Bucket) -> Result<Vec<File>> {
        let mut files = Vec::new();
        for dir in fs::list(&self.bucket_dir(bucket))? {
            for path in fs::list_swept(&dir)? {
                // Another process may prune at the same time.
                let Ok(metadata) = path.symlink_metadata() else { continue };
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(File { path, size: metadata.len(), used });
            }
        }
        Ok(files)
    }
}
