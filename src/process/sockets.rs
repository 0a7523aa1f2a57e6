//! Connections to unix sockets, as the kernel lists them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs;

/// `__SO_ACCEPTCON`: a socket that listens.
const LISTENS: u32 = 0x0001_0000;

/// How many connections there are to the socket that was bound to this path, taken up by the listener or waiting for
/// it; the listener itself is none. A rename of the socket does not change what it was bound to.
pub fn connections(bound: &Path) -> Result<usize> {
    Ok(connections_of(&[bound.to_owned()])?[0])
}

/// As [`connections`], for many sockets at the price of one.
pub fn connections_of(bound: &[PathBuf]) -> Result<Vec<usize>> {
    Ok(count(&fs::read(Path::new("/proc/net/unix"))?, bound))
}

/// Every path that a socket was bound to, with the number of its connections.
pub(crate) fn all_connections() -> HashMap<PathBuf, usize> {
    let mut counts = HashMap::new();
    for line in fs::read(Path::new("/proc/net/unix")).unwrap_or_default().split(|byte| *byte == b'\n').skip(1)
    {
        if let Some((flags, path)) = fields(line) {
            let count = counts.entry(PathBuf::from(OsStr::from_bytes(path))).or_default();
            *count += usize::from(flags & LISTENS == 0);
        }
    }
    counts
}

/// `Num RefCount Protocol Flags Type St Inode Path`
fn count(table: &[u8], bound: &[PathBuf]) -> Vec<usize> {
    let mut counts: HashMap<&[u8], usize> =
        bound.iter().map(|path| (path.as_os_str().as_bytes(), 0)).collect();
    for line in table.split(|byte| *byte == b'\n').skip(1) {
        let Some((flags, path)) = fields(line) else { continue };
        if flags & LISTENS == 0
            && let Some(count) = counts.get_mut(path)
        {
            *count += 1;
        }
    }
    bound.iter().map(|path| counts.get(path.as_os_str().as_bytes()).copied().unwrap_or_default()).collect()
}

/// The flags and the path of a line that has one.
fn fields(line: &[u8]) -> Option<(u32, &[u8])> {
    let mut rest = line;
    let mut flags = 0;
    for column in 0..7 {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        if column == 3 {
            flags = u32::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        }
        rest = &rest[end..];
    }
    rest.strip_prefix(b" ").filter(|path| !path.is_empty()).map(|path| (flags, path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn accepted_and_waiting_connections_count_and_the_listener_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a b.socket.7"), dir.path().join("a b.socket"));
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(connections(&path).unwrap(), 0);
        let first = UnixStream::connect(&path).unwrap();
        let second = UnixStream::connect(&path).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(connections(&path).unwrap(), 2);
        // By the path that it was bound to, whatever that is called now.
        fs::rename(&path, &other).unwrap();
        let third = UnixStream::connect(&other).unwrap();
        assert_eq!(connections_of(&[other.clone(), path.clone()]).unwrap(), [0, 3]);
        let waiting = [listener.accept().unwrap().0, listener.accept().unwrap().0];
        drop((first, second, third, accepted, waiting));
        assert_eq!(connections(&path).unwrap(), 0);
    }

    #[test]
    fn lines_without_a_path_and_odd_ones_are_passed_over() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000: 00000002 00000000 00010000 0001 01 457656 /a b\n\
            0000: 00000003 00000000 00000000 0001 02     0 /a b\n\
            0000: 00000003 00000000 00000000 0001 03   499\n\
            nonsense\n\
            0000: 00000003 00000000 00000000 0001 03 457658 /a b\n\
            0000: 00000003 00000000 00000000 0001 03 457659 /a bc\n";
        assert_eq!(count(table, &["/a b".into(), "/a".into()]), [2, 0]);
    }
}
