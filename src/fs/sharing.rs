//! Files that an older tree and a newer one have in common: by a name in each, or, where the file system can, as clones,
//! which are files of their own that have the same place on the disk until somebody writes to one of them.
//!
//! One file with two names is safe for as long as nobody writes to it in place. That is found out, not hoped for: a
//! file is shared only with its owner, mode, time and content, and afterwards it is [unharmed](Shared::is_unharmed) only
//! where it still has the same time and nobody has it open for writing.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};

use super::beneath::NewFile;
use super::stat::Stat;
use super::writers::has_writers;
use crate::error::{Error, Result};

/// A tree that files are taken from. Its names are never followed through a link, nor out of it.
#[derive(Debug)]
pub struct OlderTree {
    root: OwnedFd,
    user: u32,
    group: u32,
}

/// What a file of a newer tree has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Relative to either tree.
    pub path: String,
    pub size: u64,
    pub mode: u32,
    /// Seconds since the epoch.
    pub modified: i64,
}

/// A file that has a name in both trees.
#[derive(Debug, Clone)]
pub struct Shared {
    pub wanted: Wanted,
    inode: u64,
}

/// A file of the older tree that may be what is wanted: all but its content is, as far as that matters.
pub struct Candidate<'a> {
    tree: &'a OlderTree,
    wanted: &'a Wanted,
    file: File,
    found: Stat,
}

impl OlderTree {
    /// `None` where files cannot be taken from there, or where it cannot be told whether somebody writes to them. What is
    /// new belongs to the owner of `newer`.
    pub fn open(path: &Path, newer: &Path) -> Option<OlderTree> {
        let newer = newer.symlink_metadata().ok()?;
        let root = open_directory(path)?;
        let probe = File::from(root.try_clone().ok()?);
        if probe.metadata().ok()?.dev() != newer.dev() {
            return None;
        }
        Some(OlderTree { root, user: newer.uid(), group: newer.gid() })
    }

    /// For a [link](Candidate::link).
    pub fn to_link<'a>(&'a self, wanted: &'a Wanted) -> Option<Candidate<'a>> {
        // With a third name it could be changed from anywhere.
        self.candidate(wanted, |found| {
            (found.uid(), found.gid()) == (self.user, self.group) && found.nlink() == 1
        })
    }

    /// For a [clone](Candidate::clone_as).
    pub fn to_clone<'a>(&'a self, wanted: &'a Wanted) -> Option<Candidate<'a>> {
        self.candidate(wanted, |_| true)
    }

    fn candidate<'a>(
        &'a self,
        wanted: &'a Wanted,
        is_fit: impl Fn(&Metadata) -> bool,
    ) -> Option<Candidate<'a>> {
        let file = open_file(&self.root, &wanted.path)?;
        let found = file.metadata().ok()?;
        let is_candidate = wanted.is_met_by(&found) && is_fit(&found) && !has_writers(&file);
        is_candidate.then(|| Candidate { tree: self, wanted, found: Stat::from(&found), file })
    }
}

/// Whether files in `dir` can be clones of each other.
pub fn has_clones(dir: &Path) -> bool {
    let file = || super::unnamed_file_in(dir).ok();
    file().zip(file()).is_some_and(|(one, other)| rustix::fs::ioctl_ficlone(one, other).is_ok())
}

impl Candidate<'_> {
    /// Whether it has exactly this content.
    pub fn holds(&mut self, content: &[u8]) -> bool {
        let mut found = vec![0; content.len()];
        self.file.read_exact(&mut found).is_ok() && found == content
    }

    /// Its content, from the start.
    pub fn content(&mut self) -> &mut impl Read {
        &mut self.file
    }

    /// Gives the file its name in the newer tree. Where that cannot be, or it is no more what it was, nothing is there.
    pub fn link(self, new: &NewFile) -> io::Result<Option<Shared>> {
        let (directory, name) = new.place();
        rustix::fs::linkat(&self.tree.root, self.wanted.path.as_str(), directory, name, AtFlags::empty())?;
        let found = self.file.metadata()?;
        // Somebody may have put another file there meanwhile, or written to this one.
        if found.nlink() == 2 && self.wanted.is_met_by(&found) {
            return Ok(Some(Shared { wanted: self.wanted.clone(), inode: self.found.inode }));
        }
        rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
        Ok(None)
    }

    /// Makes the newer tree's file a clone of it. Where that cannot be, or it is no more what it was, nothing is there.
    pub fn clone_as(self, new: &NewFile) -> Result<bool> {
        let clone = new.create(self.wanted.mode)?;
        let is_cloned = rustix::fs::ioctl_ficlone(&clone, &self.file).is_ok();
        // Whoever wrote to it since it was looked at has it open still, or left another time.
        let is_same = self.file.metadata().is_ok_and(|now| Stat::from(&now) == self.found);
        if is_cloned && is_same && !has_writers(&self.file) {
            new.finish(&clone, self.wanted.modified)?;
            return Ok(true);
        }
        let (directory, name) = new.place();
        rustix::fs::unlinkat(directory, name, AtFlags::empty())
            .map_err(|errno| Error::io("remove", new.path(), &errno.into()))?;
        Ok(false)
    }
}

impl Wanted {
    fn is_met_by(&self, found: &Metadata) -> bool {
        found.is_file()
            && found.size() == self.size
            && found.mode() & 0o7777 == self.mode
            && (found.mtime(), found.mtime_nsec()) == (self.modified, 0)
    }
}

impl Shared {
    /// Whether the file of the newer tree is as it was shared, while the older tree has it as well. What is another file
    /// there by now is none of ours, and nothing is wrong with it. Whether somebody is about to write to it is found by a
    /// [later look](Shared::is_unharmed).
    pub fn is_shared_still(&self, newer: &NewerTree) -> bool {
        match newer.path.join(&self.wanted.path).symlink_metadata() {
            Ok(found) => found.ino() != self.inode || (found.nlink() == 2 && self.wanted.is_met_by(&found)),
            Err(_) => true,
        }
    }

    /// As [`is_shared_still`](Shared::is_shared_still) when the older tree is gone, and nobody can be writing to it.
    pub fn is_unharmed(&self, newer: &NewerTree) -> bool {
        let Some(file) = open_file(&newer.root, &self.wanted.path) else { return true };
        match file.metadata() {
            Ok(found) if found.ino() != self.inode => true,
            Ok(found) => found.nlink() == 1 && self.wanted.is_met_by(&found) && !has_writers(&file),
            Err(_) => false,
        }
    }
}

/// The tree that files were taken into.
#[derive(Debug)]
pub struct NewerTree {
    root: OwnedFd,
    path: PathBuf,
}

impl NewerTree {
    pub fn open(path: &Path) -> Option<NewerTree> {
        Some(NewerTree { root: open_directory(path)?, path: path.to_owned() })
    }
}

fn open_directory(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).ok()
}

fn open_file(root: &OwnedFd, path: &str) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Some(rustix::fs::openat2(root, path, flags, Mode::empty(), resolve).ok()?.into())
}
