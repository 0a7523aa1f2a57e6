//! Whole files: written beside the target, renamed over it when complete.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::temporary::{TEMPORARY, claim};
use crate::error::{At, Error, Result};

/// A file that appears under its name only when [`commit`](AtomicFile::commit) is called.
pub struct AtomicFile {
    temporary: Temporary,
    target: PathBuf,
}

enum Temporary {
    Named(NamedTempFile),
    /// Gone with the process, however that ends.
    Nameless(File),
}

impl AtomicFile {
    /// Starts a file that is to become `target` with `mode`.
    pub fn create(target: &Path, mode: u32) -> Result<AtomicFile> {
        AtomicFile::create_in(parent_of(target), target, mode)
    }

    fn create_in(dir: &Path, target: &Path, mode: u32) -> Result<AtomicFile> {
        loop {
            let temporary = tempfile::Builder::new()
                .prefix(TEMPORARY)
                .permissions(std::fs::Permissions::from_mode(mode))
                .tempfile_in(dir)
                .at("write", target)?;
            if claim(temporary.as_file()).at("write", target)? {
                return Ok(AtomicFile { temporary: Temporary::Named(temporary), target: target.to_owned() });
            }
        }
    }

    /// As [`create`](AtomicFile::create), for large files: where the file system can, not even a kill leaves
    /// anything. Whoever watches the directory sees nothing but the file under its name, where there is a `.mwp/` for
    /// what is temporary.
    pub fn create_nameless(target: &Path, mode: u32) -> Result<AtomicFile> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, aside(target), flags, Mode::from_raw_mode(mode)) {
            Ok(file) if Path::new("/proc/self/fd").is_dir() => {
                Ok(AtomicFile { temporary: Temporary::Nameless(file.into()), target: target.to_owned() })
            }
            Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                AtomicFile::create_in(&aside(target), target, mode)
            }
            Err(errno) => Err(Error::io("write", target, &errno.into())),
        }
    }

    pub fn as_file_mut(&mut self) -> &mut File {
        match &mut self.temporary {
            Temporary::Named(file) => file.as_file_mut(),
            Temporary::Nameless(file) => file,
        }
    }

    /// Gives it exactly this mode, and this time in seconds since the epoch, when everything is written.
    pub fn set(&mut self, mode: u32, modified: i64) -> Result<()> {
        let target = self.target.clone();
        let file = self.as_file_mut();
        file.set_permissions(std::fs::Permissions::from_mode(mode)).at("change the mode of", &target)?;
        super::beneath::set_modified(file, modified).at("set the time of", &target)
    }

    /// Makes the content durable and puts the file in place, over what was there.
    pub fn commit(mut self) -> Result<()> {
        self.as_file_mut().sync_data().at("write", &self.target)?;
        self.place(false)
    }

    /// As [`commit`](AtomicFile::commit), for what can be made again: complete, yet not waiting for the disk.
    pub fn commit_without_sync(self) -> Result<()> {
        self.place(true)
    }

    fn place(self, may_exchange: bool) -> Result<()> {
        let target = &self.target;
        let failed = |error: &io::Error| Error::io("write", target, error);
        match self.temporary {
            Temporary::Named(file) => {
                file.persist(target).map(drop).map_err(|persist| failed(&persist.error))
            }
            Temporary::Nameless(file) => match link(&file, target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Not to be swept away; without a name it is no less ours.
                    claim(&file).at("write", target)?;
                    // A link cannot replace anything, a rename can.
                    let named = tempfile::Builder::new()
                        .prefix(TEMPORARY)
                        .make_in(aside(target), |path| link(&file, path))
                        .map_err(|error| failed(&error))?;
                    if may_exchange && exchange(named.path(), target) {
                        // That is the old one now. Where it cannot be removed, the next sweep does.
                        drop(named);
                        return Ok(());
                    }
                    named.persist(target).map(drop).map_err(|persist| failed(&persist.error))
                }
                // Where there are no second names, a copy gets the first.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => copied(file, aside(target))
                    .map_err(|error| failed(&error))?
                    .persist(target)
                    .map(drop)
                    .map_err(|persist| failed(&persist.error)),
                result => result.map_err(|error| failed(&error)),
            },
        }
    }
}

/// Gives two files each other's name. As a rename over the target, except that ext4 does not begin at once to write all of
/// the new one to the disk.
fn exchange(new: &Path, target: &Path) -> bool {
    target.symlink_metadata().is_ok_and(|it| it.is_file())
        && renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE).is_ok()
}

fn parent_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Our own directory beside the target, where there is one on the same file system; else the target's directory.
fn aside(target: &Path) -> PathBuf {
    own_in(parent_of(target))
}

/// As [`aside`], for what is to be in this directory.
pub(super) fn own_in(parent: &Path) -> PathBuf {
    let own = parent.join(".mwp");
    let device =
        |path: &Path| path.symlink_metadata().ok().filter(std::fs::Metadata::is_dir).map(|it| it.dev());
    if device(&own).is_some_and(|own| parent.metadata().is_ok_and(|it| it.dev() == own)) {
        own
    } else {
        parent.to_owned()
    }
}

/// The same content under a temporary name, on the disk.
fn copied(mut file: File, dir: PathBuf) -> io::Result<NamedTempFile> {
    let permissions = file.metadata()?.permissions();
    let mut named = tempfile::Builder::new().prefix(TEMPORARY).permissions(permissions).tempfile_in(dir)?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut file, &mut named)?;
    named.as_file().sync_data()?;
    Ok(named)
}

/// Gives a file without a name one.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

impl Write for AtomicFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.as_file_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_file_mut().flush()
    }
}

/// Replaces a file in one step (mode 0644 less the umask).
pub fn write_atomic(target: &Path, content: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(target, 0o666)?;
    file.write_all(content).at("write", target)?;
    file.commit_without_sync()
}

/// As [`write_atomic`], with exactly this mode, from the first byte on.
pub fn write_atomic_with_mode(target: &Path, content: &[u8], mode: u32) -> Result<()> {
    let mut file = AtomicFile::create(target, mode & 0o600)?;
    file.write_all(content).at("write", target)?;
    file.as_file_mut()
        .set_permissions(std::fs::Permissions::from_mode(mode))
        .at("change the mode of", target)?;
    file.commit_without_sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameless_file_appears_when_committed_and_replaces_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("file");
        let commits = [AtomicFile::commit, AtomicFile::commit_without_sync, AtomicFile::commit];
        for (content, commit) in ["new", "first", "second"].into_iter().zip(commits) {
            let mut file = AtomicFile::create_nameless(&target, 0o644).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            commit(file).unwrap();
            assert_eq!(std::fs::read_to_string(&target).unwrap(), content);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        }
        let mut abandoned = AtomicFile::create_nameless(&target, 0o644).unwrap();
        abandoned.write_all(b"third").unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(abandoned);
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "second");
    }
}
