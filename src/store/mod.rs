//! The content store: outputs of tasks and wheels, per user, limited in size.
//!
//! An entry is one compressed tar file under the digest of everything that the output depends on, put in place by a
//! rename. So an entry is whole or absent, a restore is all or nothing, an edited working copy never reaches the
//! store, and thousands of small files cost one. Each entry carries a checksum: damage is a miss.

mod entry;
mod usage;

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::Result;
use crate::fs;

pub use usage::{BucketUsage, Usage};

/// The kinds of entries. The number is the version of their form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Outputs of tasks, by fingerprint.
    Tasks,
    /// Wheels, by pin, interpreter and index.
    Wheels,
    /// Compressed frames of releases, by content.
    Frames,
}

impl Bucket {
    pub const ALL: [Bucket; 3] = [Bucket::Tasks, Bucket::Wheels, Bucket::Frames];

    /// The directory's name, and the one that people see.
    pub fn name(self) -> &'static str {
        match self {
            Bucket::Tasks => "tasks-v1",
            Bucket::Wheels => "wheels-v1",
            Bucket::Frames => "frames-v1",
        }
    }
}

/// What to keep of a directory.
pub enum Names<'a> {
    /// These, with all that is in them.
    Whole(Vec<&'a Path>),
    /// These alone: of a directory its being there and its mode, before what is in it.
    Each(Vec<&'a Path>),
}

#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    limit: u64,
}

impl Store {
    /// The size above which the entries used longest ago go: 5 GB, or `MWP_CACHE_SIZE` in bytes.
    pub const DEFAULT_LIMIT: u64 = 5_000_000_000;

    pub fn new(root: &Path, limit: Option<u64>) -> Store {
        Store { root: root.to_owned(), limit: limit.unwrap_or(Store::DEFAULT_LIMIT) }
    }

    pub fn bucket_dir(&self, bucket: Bucket) -> PathBuf {
        self.root.join(bucket.name())
    }

    fn entry_path(&self, bucket: Bucket, key: &Digest) -> PathBuf {
        let key = key.to_string();
        self.bucket_dir(bucket).join(&key[..2]).join(format!("{key}.tar.zst"))
    }

    pub fn holds(&self, bucket: Bucket, key: &Digest) -> bool {
        self.entry_path(bucket, key).is_file()
    }

    /// Unpacks an entry into `into`, which the caller owns and has just made. `false` where there is no whole entry;
    /// what is then in `into` is to be thrown away.
    pub fn restore(&self, bucket: Bucket, key: &Digest, into: &Path) -> Result<bool> {
        let path = self.entry_path(bucket, key);
        match entry::read(&path, into)? {
            entry::Read::Whole => {
                // The entry's time says when it was last used.
                fs::touch(&path);
                Ok(true)
            }
            entry::Read::Absent => Ok(false),
            entry::Read::Damaged => {
                // Whoever comes next shall not trip over it again.
                let _ = fs::remove_file(&path);
                Ok(false)
            }
        }
    }

    /// Keeps files and directories of `dir`, then makes room where the store has grown too large.
    pub fn keep(&self, bucket: Bucket, key: &Digest, dir: &Path, names: &Names<'_>) -> Result<()> {
        let path = self.entry_path(bucket, key);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        entry::write(&path, dir, names)?;
        self.make_room()
    }
}
