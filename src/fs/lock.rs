//! Advisory locks on files, with the holder's name for whoever waits.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::error::{At, Error, Result};
use crate::text;

/// Between two tries.
const INTERVAL: Duration = Duration::from_millis(20);

/// A holder writes its name after it took the lock: until then the one before it stands there.
const NAMING: Duration = Duration::from_millis(60);

/// Held until dropped; the kernel releases it when the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock on `path` (created where absent). While another process holds it, `on_wait` is told once
    /// who that is; after `timeout` the error says so too.
    pub fn acquire(path: &Path, doing: &str, timeout: Duration, on_wait: impl FnOnce(&str)) -> Result<Lock> {
        Lock::wait(path, doing, timeout, on_wait)?.map_err(|holder| {
            Error::machine(format!("{} is still held by {holder}", text::path(path)))
                .hint("wait for that process to end, or end it, then run the same command again")
        })
    }

    /// As [`acquire`](Lock::acquire) without a word; `None` where it was held all the time.
    pub fn acquire_within(path: &Path, doing: &str, timeout: Duration) -> Result<Option<Lock>> {
        Lock::wait(path, doing, timeout, |_| {}).map(std::result::Result::ok)
    }

    /// As [`acquire_within`](Lock::acquire_within) with no time at all, unless the holder is `doing` the same, which is
    /// waited for: afterwards it may be done.
    pub fn acquire_after_same(path: &Path, doing: &str, timeout: Duration) -> Result<Option<Lock>> {
        let begun = Instant::now();
        loop {
            let holder = match Lock::wait(path, doing, Duration::ZERO, |_| {})? {
                Ok(lock) => return Ok(Some(lock)),
                Err(holder) => holder,
            };
            let timeout =
                if holder.ends_with(&format!("(mwp {doing})")) { timeout } else { NAMING.min(timeout) };
            if begun.elapsed() >= timeout {
                return Ok(None);
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// The lock, or who held it to the end.
    fn wait(
        path: &Path,
        doing: &str,
        timeout: Duration,
        on_wait: impl FnOnce(&str),
    ) -> Result<std::result::Result<Lock, String>> {
        let deadline = Instant::now() + timeout;
        let mut on_wait = Some(on_wait);
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                // What stands there instead of a lock is neither followed, waited for nor written to.
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(path)
                .map_err(|error| cannot_open(path, &error))?;
            let metadata = file.metadata().at("read", path)?;
            if !metadata.is_file() || metadata.nlink() > 1 {
                return Err(not_ours(path));
            }
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // The holder may have removed the file while we waited: a lock counts only under its name.
                Ok(()) if is_same_file(&file, path) => {
                    let holder = format!("process {} (mwp {doing})\n", std::process::id());
                    // To cut a file is work for its file system: only where something longer stands there.
                    if file.metadata().is_ok_and(|old| old.len() > holder.len() as u64) {
                        let _ = file.set_len(0);
                    }
                    let _ = file.rewind().and_then(|()| file.write_all(holder.as_bytes()));
                    return Ok(Ok(Lock { file, path: path.to_owned() }));
                }
                Ok(()) => continue,
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(errno) => return Err(Error::io("lock", path, &errno.into())),
            }
            let holder = holder_of(&mut file);
            if Instant::now() >= deadline {
                return Ok(Err(holder));
            }
            if let Some(tell) = on_wait.take() {
                tell(&holder);
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Removes the lock's file and lets go, for a directory that is to be left clean.
    pub fn remove(self) {
        let _ = std::fs::remove_file(&self.path);
        drop(self.file);
    }
}

fn cannot_open(path: &Path, error: &std::io::Error) -> Error {
    let is_odd = path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file());
    if is_odd { not_ours(path) } else { Error::io("open the lock", path, error) }
}

fn not_ours(path: &Path) -> Error {
    Error::machine(format!("the lock {} is a link or no file; mwp makes neither", text::path(path)))
        .hint("look at who made it, remove it, and run the same command again")
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn holder_of(file: &mut File) -> String {
    let mut content = String::new();
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut content));
    match content.trim() {
        "" => "another process".to_owned(),
        holder => text::visible(holder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_the_same_is_waited_for_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let patience = Duration::from_secs(600);
        let held = Lock::acquire(&path, "install", Duration::ZERO, |_| {}).unwrap();
        assert!(Lock::acquire_after_same(&path, "recover", patience).unwrap().is_none());
        drop(held);
        let held = Lock::acquire(&path, "recover", Duration::ZERO, |_| {}).unwrap();
        assert!(Lock::acquire_after_same(&path, "recover", Duration::ZERO).unwrap().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::acquire_after_same(&path, "recover", patience).unwrap());
            std::thread::sleep(NAMING * 3);
            assert!(!waiting.is_finished());
            drop(held);
            assert!(waiting.join().unwrap().is_some());
        });
    }

    #[test]
    fn a_lock_names_its_holder_alone_whatever_stood_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        for old in ["", "process 1 (mwp build)\n", &"process 4194304 (mwp something longer)\n".repeat(3)] {
            crate::fs::write_atomic(&path, old.as_bytes()).unwrap();
            let _lock = Lock::acquire(&path, "build", Duration::ZERO, |_| {}).unwrap();
            let expected = format!("process {} (mwp build)\n", std::process::id());
            assert_eq!(crate::fs::read_text(&path).unwrap(), expected);
        }
    }
}
