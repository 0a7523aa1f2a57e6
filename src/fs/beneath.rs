//! A new directory filled with names that nobody vouches for.
//!
//! Every name is created relative to an open directory, one component at a time, never through a link and never
//! over something that is there. Whatever the names are, nothing outside is touched.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::error::{Error, Result};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub struct Beneath {
    path: PathBuf,
    root: Arc<OwnedFd>,
    /// The directories on the way to the one used last, by name.
    open: Vec<(OsString, Arc<OwnedFd>)>,
    /// Of a mode that is asked for, what a new file gets: the umask, or what the directory hands down, takes the rest.
    granted: u32,
}

/// A file that is about to be created; may be sent to another thread.
#[derive(Debug)]
pub struct NewFile {
    directory: Arc<OwnedFd>,
    name: OsString,
    shown: PathBuf,
    granted: u32,
}

impl Beneath {
    /// Makes the directory, which must not exist, yet its parent must.
    pub fn create(path: &Path) -> Result<Beneath> {
        let failed = |errno: Errno| Error::io("create directory", path, &errno.into());
        rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).map_err(failed)?;
        let root = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(failed)?;
        let granted = rustix::fs::fstat(&root).map_err(failed)?.st_mode & 0o755;
        rustix::fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(failed)?;
        Ok(Beneath { path: path.to_owned(), root: Arc::new(root), open: Vec::new(), granted })
    }

    /// The same directory, for another thread.
    pub fn share(&self) -> Beneath {
        Beneath { path: self.path.clone(), root: Arc::clone(&self.root), open: Vec::new(), ..*self }
    }

    /// Whether names that differ in case alone are one name here.
    pub fn folds_case(&self) -> Result<bool> {
        const PROBE: [&str; 2] = [".mwp-tmp-case", ".MWP-TMP-CASE"];
        let failed = |errno: Errno| Error::io("create directory", &self.path.join(PROBE[0]), &errno.into());
        rustix::fs::mkdirat(&self.root, PROBE[0], Mode::from_raw_mode(0o700)).map_err(failed)?;
        let folds = rustix::fs::statat(&self.root, PROBE[1], AtFlags::SYMLINK_NOFOLLOW).is_ok();
        rustix::fs::unlinkat(&self.root, PROBE[0], AtFlags::REMOVEDIR).map_err(failed)?;
        Ok(folds)
    }

    /// How many bytes there is room for; `None` where the file system does not tell.
    pub fn free_space(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(&self.root).ok()?;
        // Some count nothing at all.
        (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Makes a directory and those above it; one that is there already only gets the mode.
    pub fn directory(&mut self, path: impl AsRef<OsStr>, mode: u32) -> Result<()> {
        let path = path.as_ref();
        let directory = self.enter(path)?;
        let mode = Mode::from_raw_mode(mode & 0o777);
        rustix::fs::fchmod(&directory, mode).map_err(|errno| self.failed("create directory", path, errno))
    }

    /// Prepares a file; its directory is made where needed.
    pub fn file(&mut self, path: impl AsRef<OsStr>) -> Result<NewFile> {
        let path = path.as_ref();
        let (parent, name) = split(path);
        let directory = self.enter(parent)?;
        Ok(NewFile { directory, name: name.to_owned(), shown: self.path.join(path), granted: self.granted })
    }

    pub fn symlink(&mut self, path: impl AsRef<OsStr>, target: &str) -> Result<()> {
        self.link(path, Path::new(target))
    }

    /// As [`symlink`](Beneath::symlink), to a path of this machine.
    pub fn link(&mut self, path: impl AsRef<OsStr>, target: &Path) -> Result<()> {
        let path = path.as_ref();
        let (parent, name) = split(path);
        let directory = self.enter(parent)?;
        rustix::fs::symlinkat(target, &directory, name)
            .map_err(|errno| self.failed("create link", path, errno))
    }

    /// Gives the file at `original`, made before, a second name.
    pub fn hard_link(&mut self, path: &str, original: &str) -> Result<()> {
        let (path, original) = (OsStr::new(path), OsStr::new(original));
        let (original_parent, original_name) = split(original);
        let from = self.enter(original_parent)?;
        let (parent, name) = split(path);
        let to = self.enter(parent)?;
        rustix::fs::linkat(&from, original_name, &to, name, AtFlags::empty())
            .map_err(|errno| self.failed("create link", path, errno))
    }

    /// Opens a directory, making it and those above it where needed.
    fn enter(&mut self, path: &OsStr) -> Result<Arc<OwnedFd>> {
        let names = path.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        let wanted: Vec<&OsStr> = names.map(OsStr::from_bytes).collect();
        let common = self.open.iter().zip(&wanted).take_while(|((name, _), wanted)| name == *wanted).count();
        self.open.truncate(common);
        for name in &wanted[common..] {
            let above = self.open.last().map_or(&self.root, |(_, directory)| directory);
            match rustix::fs::mkdirat(above, *name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.failed("create directory", path, errno)),
            }
            let directory = rustix::fs::openat(above, *name, DIRECTORY, Mode::empty())
                .map_err(|errno| self.failed("open directory", path, errno))?;
            self.open.push(((*name).to_owned(), Arc::new(directory)));
        }
        Ok(Arc::clone(self.open.last().map_or(&self.root, |(_, directory)| directory)))
    }

    fn failed(&self, verb: &str, path: &OsStr, errno: Errno) -> Error {
        Error::io(verb, &self.path.join(path), &errno.into())
    }
}

/// Of smaller files, asking takes longer than it saves.
const WORTH_WRITE_BACK: u64 = 256 << 10;

impl NewFile {
    /// Creates the file, whole.
    pub fn write(&self, content: &[u8], mode: u32, modified: i64) -> Result<()> {
        let mut file = self.create(mode)?;
        file.write_all(content).map_err(|error| Error::io("write", &self.shown, &error))?;
        begin_write_back(&file, content.len() as u64);
        self.finish(&file, modified)
    }

    /// As [`write`](NewFile::write), with the time of now.
    pub fn write_new(self, content: &[u8], mode: u32) -> Result<()> {
        let mut file = self.create(mode)?;
        file.write_all(content).map_err(|error| Error::io("write", &self.shown, &error))
    }

    /// Creates the file, to be written by the caller and then [finished](NewFile::finish).
    pub fn create(&self, mode: u32) -> Result<File> {
        let failed = |errno: Errno| Error::io("create", &self.shown, &errno.into());
        let mode = mode & 0o777;
        let wanted = Mode::from_raw_mode(mode);
        let file =
            rustix::fs::openat(&self.directory, OsStr::new(&self.name), NEW_FILE, wanted).map_err(failed)?;
        if mode & !self.granted != 0 {
            rustix::fs::fchmod(&file, wanted).map_err(failed)?;
        }
        Ok(file.into())
    }

    /// Sets the time after everything was written.
    pub fn finish(&self, file: &File, modified: i64) -> Result<()> {
        set_modified(file, modified).map_err(|errno| Error::io("set the time of", &self.shown, &errno.into()))
    }

    /// Whether the two are about to be made in the same directory.
    pub fn is_beside(&self, other: &NewFile) -> bool {
        Arc::ptr_eq(&self.directory, &other.directory)
    }

    /// The open directory, and the name in it.
    pub(super) fn place(&self) -> (&OwnedFd, &OsStr) {
        (&self.directory, &self.name)
    }

    /// For messages.
    pub fn path(&self) -> &Path {
        &self.shown
    }
}

/// Has the kernel put a large file of so many bytes on the disk from now on, while others are made: whoever waits in the
/// end until all are there waits less.
pub fn begin_write_back(file: &File, size: u64) {
    if size >= WORTH_WRITE_BACK {
        // Pages that are not on the disk yet stay in memory; they are written. Where that cannot be, it is done later.
        let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    }
}

/// In seconds since the epoch.
pub(super) fn set_modified(file: &File, modified: i64) -> rustix::io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modified, tv_nsec: 0 },
    };
    rustix::fs::futimens(file, &times)
}

fn split(path: &OsStr) -> (&OsStr, &OsStr) {
    let bytes = path.as_bytes();
    match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (OsStr::from_bytes(&bytes[..slash]), OsStr::from_bytes(&bytes[slash + 1..])),
        None => (OsStr::new(""), path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn nothing_is_made_through_a_link_or_over_something() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let inside = root.path().join("inside");
        let mut beneath = Beneath::create(&inside).unwrap();
        beneath.symlink("way-out", "../outside").unwrap();
        beneath.symlink("file-out", "../outside/file").unwrap();
        assert!(beneath.file("way-out/file").is_err());
        assert!(beneath.directory("way-out/dir", 0o755).is_err());
        assert!(beneath.directory("way-out", 0o700).is_err());
        assert!(beneath.file("file-out").unwrap().write(b"x", 0o644, 0).is_err());
        beneath.file("a/b/file").unwrap().write(b"x", 0o4755, 1000).unwrap();
        assert!(beneath.file("a/b/file").unwrap().write(b"y", 0o644, 0).is_err());
        assert!(beneath.hard_link("a/b/file", "a/b/file").is_err());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        let metadata = inside.join("a/b/file").metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
        assert_eq!(std::os::unix::fs::MetadataExt::mtime(&metadata), 1000);
        assert!(Beneath::create(&inside).is_err());
    }
}
