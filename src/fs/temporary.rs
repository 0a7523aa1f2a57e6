//! What is not whole yet, and what killed processes left of it.
//!
//! Whoever makes such a file or directory holds a lock on it, which ends with the process, however that ends. So what
//! nobody holds was left behind, and [`sweep`] removes it, holding the lock: one that was just made and is not locked
//! yet may be taken for such, and its maker sees that and makes another.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat};
use rustix::io::Errno;

use super::{list, remove_tree};
use crate::error::Result;

/// What names begin with of what is not whole yet.
pub(super) const TEMPORARY: &str = ".mwp-tmp-";

/// Nothing takes that long to be made, where the file system has no locks.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// Locks what was just made; `false` where it is gone already, and another has to be made.
pub(super) fn claim(made: impl AsFd) -> io::Result<bool> {
    // Without locks, age decides.
    while flock(&made, FlockOperation::LockExclusive) == Err(Errno::INTR) {}
    Ok(fstat(&made)?.st_nlink > 0)
}

/// Removes from a directory what killed processes left in it.
pub fn sweep(dir: &Path) {
    let _ = list_swept(dir);
}

/// As [`list`], without what is not whole yet; what killed processes left of that is removed.
pub fn list_swept(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = list(dir)?;
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let is_whole = !name.starts_with(TEMPORARY.as_bytes());
        if !is_whole {
            // What cannot be removed harms nobody.
            let _ = sweep_one(path);
        }
        is_whole
    });
    Ok(paths)
}

fn sweep_one(path: &Path) -> Option<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(path, flags, Mode::empty()).ok()?.into();
    let is_left = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => true,
        Err(Errno::WOULDBLOCK | Errno::INTR) => false,
        Err(_) => file.metadata().ok()?.modified().ok()?.elapsed().is_ok_and(|age| age > LEFT_BEHIND),
    };
    if is_left { remove_tree(path).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fs::{AtomicFile, Staging};

    #[test]
    fn what_nobody_works_on_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path(".mwp-tmp-file"), "half").unwrap();
        fs::create_dir_all(path(".mwp-tmp-directory/below")).unwrap();
        fs::write(path("kept"), "").unwrap();
        std::os::unix::fs::symlink("kept", path(".mwp-tmp-link")).unwrap();
        let file = AtomicFile::create(&path("target"), 0o644).unwrap();
        let staging = Staging::claimed_in(directory.path()).unwrap();
        fs::write(staging.join("half"), "").unwrap();
        sweep(directory.path());
        assert!(!path(".mwp-tmp-file").exists() && !path(".mwp-tmp-directory").exists());
        assert!(path("kept").exists() && path(".mwp-tmp-link").is_symlink() && staging.join("half").exists());
        file.commit().unwrap();
        drop(staging);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[test]
    fn files_appear_whole_while_somebody_sweeps() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            crate::threads::start_in(scope, "sweeping", || {
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(directory.path());
                }
            })
            .unwrap();
            let written = (0..2000).try_for_each(|_| crate::fs::write_atomic(&target, b"whole"));
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
            written.unwrap();
        });
        assert_eq!(fs::read(&target).unwrap(), b"whole");
    }
}
