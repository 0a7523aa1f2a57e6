//! The content store: outputs of tasks and wheels, per user, limited in size.
//!
//! An entry is one compressed tar file under the digest of everything that the output depends on, put in place by a
//! rename. So an entry is whole or absent, a restore is all or nothing, an edited working copy never reaches the
//! store, and thousands of small files cost one. Each entry carries its key and its own digest: one that is damaged or that
//! stands in another's place is a miss. So is whatever cannot be read or restored. A cache that others can write to has
//! nothing to offer: what is restored may be run.

mod entry;
#[cfg(test)]
mod fuzz;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
            Bucket::Tasks => "tasks-v2",
            Bucket::Wheels => "wheels-v2",
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
    /// Whether nobody else can write there.
    is_own: bool,
    /// An entry could not be kept: nobody has to be told again.
    is_full: Arc<AtomicBool>,
}

impl Store {
    /// The size above which the entries used longest ago go: 5 GB, or `MWP_CACHE_SIZE` in bytes.
    pub const DEFAULT_LIMIT: u64 = 5_000_000_000;

    pub fn new(root: &Path, limit: Option<u64>) -> Store {
        let limit = limit.unwrap_or(Store::DEFAULT_LIMIT);
        let is_own = !fs::exists(root) || fs::is_own(root);
        Store { root: root.to_owned(), limit, is_own, is_full: Arc::default() }
    }

    /// Whether it is used: nobody else can write there.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    pub fn bucket_dir(&self, bucket: Bucket) -> PathBuf {
        self.root.join(bucket.name())
    }

    fn entry_path(&self, bucket: Bucket, key: &Digest) -> PathBuf {
        let key = key.to_string();
        self.bucket_dir(bucket).join(&key[..2]).join(format!("{key}.tar.zst"))
    }

    pub fn holds(&self, bucket: Bucket, key: &Digest) -> bool {
        self.is_own && self.entry_path(bucket, key).is_file()
    }

    /// Unpacks an entry into `into`, all or nothing. `false` where there is none that can be used.
    pub fn restore(&self, bucket: Bucket, key: &Digest, into: &Path) -> bool {
        let path = self.entry_path(bucket, key);
        if !self.is_own || !fs::is_own(&path) {
            return false;
        }
        match entry::read(&path, key, into) {
            Ok(entry::Read::Whole) => {
                // The entry's time says when it was last used.
                fs::touch(&path);
                true
            }
            Ok(entry::Read::Absent) => false,
            // Whoever comes next shall not trip over it again.
            Ok(entry::Read::Damaged) => {
                let _ = fs::remove_file(&path);
                false
            }
            // What is wrong with the place is told by whoever makes the outputs there.
            Err(_) => false,
        }
    }

    /// Keeps files and directories of `dir`, then makes room where the store has grown too large. A store that failed
    /// once is not tried again, and nobody is told twice.
    pub fn keep(&self, bucket: Bucket, key: &Digest, dir: &Path, names: &Names<'_>) -> Result<()> {
        if !self.is_own || self.is_full.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = self.entry_path(bucket, key);
        let kept = path.parent().map_or(Ok(()), fs::create_dir_all);
        let kept = kept.and_then(|()| entry::write(&path, key, dir, names)).and_then(|()| self.make_room());
        match kept {
            // Of several at the same time, one tells.
            Err(_) if self.is_full.swap(true, Ordering::Relaxed) => Ok(()),
            kept => kept,
        }
    }
}
