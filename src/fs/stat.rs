//! What the file system says about a file, to tell without reading it that nobody touched it.

use std::ffi::CStr;
use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use serde::{Deserialize, Serialize};

use super::AtomicFile;
use crate::error::{At, Error, Result};

/// Compared as a whole and for equality: a file that went *back* in time has changed as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Nanoseconds since the epoch.
    pub modified: i64,
    pub changed: i64,
    pub size: u64,
    pub inode: u64,
    pub mode: u32,
}

/// Nanoseconds after which changed pages are on the disk: twice what Linux takes by default.
const WRITTEN_BACK: i64 = 70 * 1_000_000_000;

impl Stat {
    /// Stands for a link that leads nowhere.
    pub const NOWHERE: Stat = Stat { modified: 0, changed: 0, size: 0, inode: 0, mode: 0 };

    /// Of the path itself, not of what a link points to; `None` where there is nothing. That nobody can tell is an
    /// error: what cannot be looked at is not absent.
    pub fn of(path: &Path) -> Result<Option<Stat>> {
        found(path.symlink_metadata().as_ref().map(Stat::from), path)
    }

    /// Of what a link at the end of the path points to; `None` where that is nothing.
    pub fn behind(path: &Path) -> Result<Option<Stat>> {
        found(path.metadata().as_ref().map(Stat::from), path)
    }

    /// As [`of`](Stat::of) or [`behind`](Stat::behind), for a path relative to an open directory: tens of thousands go
    /// faster so. `shown` is the whole path, for messages.
    pub fn at(
        above: impl AsFd,
        path: &CStr,
        behind_link: bool,
        shown: impl Fn() -> PathBuf,
    ) -> Result<Option<Stat>> {
        let flags = if behind_link { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        match rustix::fs::statat(above, path, flags) {
            Ok(stat) => Ok(Some(Stat::from(&stat))),
            Err(errno) => found(Err(&errno.into()), &shown()),
        }
    }

    /// Equal but for what a new name for the file changes.
    pub fn is_as_written(&self, other: &Stat) -> bool {
        Stat { changed: other.changed, ..*self } == *other
    }

    pub fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    pub fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }

    /// A file, a directory or a link: all that counts as an input or an output.
    pub fn is_plain(&self) -> bool {
        self.is_file() || self.is_dir() || self.is_link()
    }

    pub fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }

    /// Whether a later edit could leave this very record behind: the file was changed in the clock tick in which
    /// it was read, or after.
    pub fn is_racy(&self, read_at: Instant) -> bool {
        self.modified >= read_at.0 || self.changed >= read_at.0
    }

    /// Whether the file may change and keep its times: a page that was written to through a mapping can be written to once
    /// more, unnoticed, until the kernel has put it on the disk.
    pub fn may_be_dirty(&self, read_at: Instant) -> bool {
        self.modified >= read_at.0.saturating_sub(WRITTEN_BACK)
    }
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Stat {
        Stat {
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            size: metadata.size(),
            inode: metadata.ino(),
            mode: metadata.mode(),
        }
    }
}

impl From<&rustix::fs::Stat> for Stat {
    fn from(stat: &rustix::fs::Stat) -> Stat {
        Stat {
            modified: nanoseconds(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            changed: nanoseconds(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino,
            mode: stat.st_mode,
        }
    }
}

fn found(stat: std::result::Result<Stat, &io::Error>, path: &Path) -> Result<Option<Stat>> {
    match stat {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if is_absent(error) => Ok(None),
        Err(error) => Err(Error::io("look at", path, error)),
    }
}

/// Nothing is there, or a link that leads nowhere or round and round.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// A moment by the clock of a file system, which is not that of the process: it ticks every few milliseconds, and
/// on a network mount it is another machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instant(i64);

impl Instant {
    /// Before everything: each file counts as racy.
    pub const NEVER: Instant = Instant(i64::MIN);

    /// Now, by the file system of `dir`.
    pub fn now(dir: &Path) -> Result<Instant> {
        let path = dir.join("clock");
        // Without a name: several threads may ask at the same time.
        let mut file = AtomicFile::create_nameless(&path, 0o600)?;
        let metadata = file.as_file_mut().metadata().at("read", &path)?;
        Ok(Instant(nanoseconds(metadata.mtime(), metadata.mtime_nsec())))
    }
}
