//! Whether anybody has a file open for writing, or mapped so: the kernel knows, of every process of every user.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Which signal tells of somebody who wants to write; the C library has no name for it here.
const F_SETSIG: libc::c_int = 10;

/// `true` where it cannot be told. The file has to be open for reading alone.
pub(super) fn has_writers(file: &File) -> bool {
    // Whoever opens the file for writing while the lease is held waits, and we get a signal: this one does nothing.
    let asked = fcntl(file, F_SETSIG, libc::SIGURG) && fcntl(file, libc::F_SETLEASE, libc::F_RDLCK);
    // It is given where there is no writer.
    let is_held = asked && fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
    !is_held
}

#[allow(unsafe_code)]
fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> bool {
    // SAFETY: both commands take a number, and the descriptor is open for as long as the file is.
    unsafe { libc::fcntl(file.as_raw_fd(), command, argument) == 0 }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_writer_is_seen_for_as_long_as_it_has_the_file_open() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert!(has_writers(&reader));
        drop(writer);
        assert!(!has_writers(&reader));
        let appender = OpenOptions::new().append(true).open(&path).unwrap();
        assert!(has_writers(&reader));
        drop(appender);
        assert!(!has_writers(&reader));
    }
}
