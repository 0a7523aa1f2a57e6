//! Removing a large tree with several threads: each name that goes may wait for the disk, and so they wait at the same
//! time.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, unlinkat};

use crate::threads;

/// As the standard library's, which also tells what could not be removed, and why.
pub(super) fn remove_dir_all(path: &Path) -> io::Result<()> {
    if let Some(directory) = open(CWD, path) {
        empty(&directory);
    }
    std::fs::remove_dir_all(path)
}

/// Removes what it can, and follows no link.
fn empty(directory: &OwnedFd) {
    let Ok(entries) = Dir::read_from(directory) else { return };
    let mut below: Vec<CString> = Vec::new();
    for entry in entries.flatten() {
        match (entry.file_type(), entry.file_name().to_bytes()) {
            (_, b"." | b"..") | (FileType::Unknown, _) => {}
            (FileType::Directory, _) => below.push(entry.file_name().to_owned()),
            _ => drop(unlinkat(directory, entry.file_name(), AtFlags::empty())),
        }
    }
    threads::map(below, 1, |name| {
        if let Some(inner) = open(directory, &name) {
            empty(&inner);
            let _ = unlinkat(directory, &name, AtFlags::REMOVEDIR);
        }
    });
}

fn open(above: impl AsFd, name: impl rustix::path::Arg) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(above, name, flags, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_goes_and_what_its_links_point_to_stays() {
        let root = tempfile::tempdir().unwrap();
        let (tree, outside) = (root.path().join("tree"), root.path().join("outside"));
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("file"), "precious").unwrap();
        for number in 0..20 {
            let below = tree.join(format!("{number}/below"));
            std::fs::create_dir_all(&below).unwrap();
            std::fs::write(below.join("file"), "content").unwrap();
            std::os::unix::fs::symlink(&outside, below.join("link")).unwrap();
        }
        remove_dir_all(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "precious");
        std::os::unix::fs::symlink(&outside, &tree).unwrap();
        let _ = remove_dir_all(&tree);
        assert!(outside.join("file").exists());
    }
}
