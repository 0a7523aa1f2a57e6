//! Whole directories: made in a staging directory, put in place in one step.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempDir;

use super::{create_dir_all, exists, open, remove_tree, rename, set_mode};
use crate::error::{At, Error, Result};

/// A directory for work in progress, removed when dropped.
pub struct Staging {
    directory: TempDir,
    is_left: bool,
}

impl Staging {
    /// Makes a staging directory in `parent`, which must be on the file system of the final place.
    pub fn new_in(parent: &Path) -> Result<Staging> {
        create_dir_all(parent)?;
        let directory =
            tempfile::Builder::new().prefix("stage-").tempdir_in(parent).at("create in", parent)?;
        Ok(Staging { directory, is_left: false })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Lets the directory be, for whoever comes next.
    pub fn leave(mut self) {
        self.directory.disable_cleanup(true);
        self.is_left = true;
    }

    /// A path inside.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // TempDir gives up on directories without write permission; we do not.
        if !self.is_left {
            let _ = remove_tree(self.directory.path());
        }
    }
}

/// Puts `staged` (a file or a directory) at `target` in one step. What was at `target` is removed afterwards:
/// at every instant either the old or the new is there, complete.
pub fn put_in_place(staged: &Path, target: &Path) -> Result<()> {
    // A directory that moves has to be writable, because its `..` is.
    let mode = directory_mode(staged);
    for (path, mode) in [(staged, mode), (target, directory_mode(target))] {
        if let Some(mode) = mode.filter(|mode| mode & 0o200 == 0) {
            set_mode(path, mode | 0o700)?;
        }
    }
    swap(staged, target)?;
    match mode.filter(|mode| mode & 0o200 == 0) {
        Some(mode) => set_mode(target, mode),
        None => Ok(()),
    }
}

fn directory_mode(path: &Path) -> Option<u32> {
    let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some(metadata.mode() & 0o7777)
}

fn swap(staged: &Path, target: &Path) -> Result<()> {
    if !exists(target) {
        return rename(staged, target);
    }
    match renameat_with(CWD, staged, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => remove_tree(staged),
        // A file system without exchange (some network mounts): aside, then in, the shortest gap possible.
        Err(Errno::INVAL | Errno::NOSYS) => {
            let aside = staged.with_extension("old");
            rename(target, &aside)?;
            if let Err(error) = rename(staged, target) {
                rename(&aside, target)?;
                return Err(error);
            }
            remove_tree(&aside)
        }
        Err(errno) => Err(Error::io("put in place", target, &errno.into())),
    }
}

/// Exchanges two directories, files or links in one step.
pub fn exchange(one: &Path, other: &Path) -> Result<()> {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).at("exchange", other)
}

/// Makes the names in a directory durable.
pub fn sync_directory(dir: &Path) -> Result<()> {
    open(dir)?.sync_all().at("write to the disk of", dir)
}

/// Makes everything that was written to the file system of `path` durable, in one call.
pub fn sync_filesystem(path: &Path) -> Result<()> {
    let directory = open(path)?;
    rustix::fs::syncfs(&directory).at("write to the disk of", path)
}
