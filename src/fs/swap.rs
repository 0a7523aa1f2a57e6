//! Whole directories: made in a staging directory, put in place in one step.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, IFlags, RenameFlags, ioctl_getflags, ioctl_setflags, renameat_with};
use rustix::io::Errno;
use tempfile::TempDir;

use super::temporary::{TEMPORARY, claim};
use super::{
    copy_tree, create_dir_all, exists, list, open, refuse_mounts, remove_tree, rename, set_mode, set_owner,
    try_exists,
};
use crate::error::{At, Error, Result};

/// How something came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In one step; nobody ever saw anything but the old or the new.
    AtOnce,
    /// The old one was renamed first, because the file system cannot exchange.
    InTwoSteps,
    /// The old one was copied first, because the file system cannot rename it: a directory of a container image.
    ByCopy,
}

impl Way {
    /// For whoever wants to know more.
    pub fn words(self) -> &'static str {
        match self {
            Way::AtOnce => "in one step",
            Way::InTwoSteps => "in two steps, because the file system cannot exchange",
            Way::ByCopy => "by a copy, because the file system cannot rename a directory of a lower layer",
        }
    }
}

/// A directory for work in progress, removed when dropped.
pub struct Staging {
    directory: TempDir,
    is_left: bool,
    /// Open and locked, where others may sweep.
    _claim: Option<File>,
}

impl Staging {
    /// Makes a staging directory in `parent`, which must be on the file system of the final place.
    pub fn new_in(parent: &Path) -> Result<Staging> {
        create_dir_all(parent)?;
        spread_directories(parent);
        let directory =
            tempfile::Builder::new().prefix("stage-").tempdir_in(parent).at("create in", parent)?;
        Ok(Staging { directory, is_left: false, _claim: None })
    }

    /// As [`new_in`](Staging::new_in), in a directory that is not ours alone: what a kill leaves there is known by its
    /// name, and the next [`sweep`](super::sweep) removes it.
    pub fn claimed_in(parent: &Path) -> Result<Staging> {
        create_dir_all(parent)?;
        loop {
            let directory =
                tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(parent).at("create in", parent)?;
            let claimed = File::open(directory.path()).and_then(|file| Ok((claim(&file)?, file)));
            match claimed.at("open", directory.path()) {
                Ok((true, file)) => return Ok(Staging { directory, is_left: false, _claim: Some(file) }),
                Err(error) if exists(directory.path()) => return Err(error),
                // Somebody swept it away.
                _ => {}
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Lets the directory be, for whoever comes next.
    pub fn leave(mut self) {
        self.directory.disable_cleanup(true);
        self.is_left = true;
    }

    /// Removes the directory; what cannot be removed stays.
    pub fn remove(mut self) -> Result<()> {
        self.directory.disable_cleanup(true);
        self.is_left = true;
        remove_tree(self.directory.path())
    }

    /// A path inside.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Has ext4 put each directory that is made in this one elsewhere on the disk, as it does in the root of a file system:
/// by itself it would put them beside what was removed there just now, and pass over every inode that was in use within
/// the last minutes. Installing again takes a fifth of the time so. Other file systems have no such mark.
fn spread_directories(parent: &Path) {
    let Ok(directory) = File::open(parent) else { return };
    if let Ok(flags) = ioctl_getflags(&directory)
        && !flags.contains(IFlags::TOPDIR)
    {
        let _ = ioctl_setflags(&directory, flags | IFlags::TOPDIR);
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

/// Puts `staged` (a file or a directory) at `target` in one step, or in the safest that the file system has. What was
/// at `target` is removed afterwards; a directory that a file system is mounted in stays as it is.
pub fn put_in_place(staged: &Path, target: &Path) -> Result<Way> {
    if directory_mode(target).is_some() {
        refuse_mounts("replace", target)?;
    }
    // A directory that moves has to be writable, because its `..` is.
    let mode = directory_mode(staged);
    for (path, mode) in [(staged, mode), (target, directory_mode(target))] {
        if let Some(mode) = mode.filter(|mode| mode & 0o200 == 0) {
            set_mode(path, mode | 0o700)?;
        }
    }
    let way = if try_exists(target)? {
        let aside = beside(staged, ".old");
        let way = replace(staged, target, &aside)?;
        remove_tree(if way == Way::AtOnce { staged } else { &aside })?;
        way
    } else {
        rename(staged, target)?;
        Way::AtOnce
    };
    if let Some(mode) = mode.filter(|mode| mode & 0o200 == 0) {
        set_mode(target, mode)?;
    }
    Ok(way)
}

fn directory_mode(path: &Path) -> Option<u32> {
    let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some(metadata.mode() & 0o7777)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Puts `new` at `place`, where something is. That is then at `new` after [`Way::AtOnce`], else at `aside`; whole in
/// either case. After an error in between it is at `aside`, whole, or back at `place`.
pub fn replace(new: &Path, place: &Path, aside: &Path) -> Result<Way> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => return Ok(Way::AtOnce),
        Err(Errno::INVAL | Errno::NOSYS | Errno::XDEV | Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(Error::io("put in place", place, &errno.into())),
    }
    let way = move_out(place, aside)?;
    if let Err(error) = rename(new, place) {
        rename(aside, place)?;
        return Err(error);
    }
    Ok(way)
}

/// Moves what is at `place` to `aside`, where nothing is. A directory that the file system cannot rename is copied: only
/// a whole copy ever has the name `aside`.
pub fn move_out(place: &Path, aside: &Path) -> Result<Way> {
    match rustix::fs::rename(place, aside) {
        Ok(()) => return Ok(Way::InTwoSteps),
        Err(Errno::XDEV) => {}
        Err(errno) => return Err(Error::io("rename to", aside, &errno.into())),
    }
    let part = beside(aside, ".part");
    remove_tree(&part)?;
    copy_tree(place, &part)?;
    copy_owners(place, &part)?;
    sync_filesystem(&part)?;
    rename(&part, aside)?;
    remove_tree(place)?;
    Ok(Way::ByCopy)
}

/// A copy belongs to whoever made it; only root can change that.
fn copy_owners(from: &Path, to: &Path) -> Result<()> {
    let (Ok(metadata), Ok(copied)) = (from.symlink_metadata(), to.symlink_metadata()) else { return Ok(()) };
    if rustix::process::geteuid().is_root()
        && (metadata.uid(), metadata.gid()) != (copied.uid(), copied.gid())
    {
        set_owner(to, metadata.uid(), metadata.gid())?;
        if !metadata.is_symlink() {
            set_mode(to, metadata.mode() & 0o7777)?;
        }
    }
    if metadata.is_dir() {
        for entry in list(from)? {
            if let Some(name) = entry.file_name() {
                copy_owners(&entry, &to.join(name))?;
            }
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_staged_is_not_put_beside_what_was_just_removed() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("parent");
        let _staging = Staging::new_in(&parent).unwrap();
        let open = |path: &Path| File::open(path).unwrap();
        let is_marked =
            |path: &Path| ioctl_getflags(open(path)).is_ok_and(|flags| flags.contains(IFlags::TOPDIR));
        // Where the file system has such a mark.
        let _ = ioctl_getflags(open(root.path()))
            .and_then(|flags| ioctl_setflags(open(root.path()), flags | IFlags::TOPDIR));
        assert_eq!(is_marked(&parent), is_marked(root.path()));
    }
}
