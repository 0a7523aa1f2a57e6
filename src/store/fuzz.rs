//! Whatever an entry of the store holds, it is restored inside or is a miss.

use std::path::Path;

use super::entry::{Read, read, write};
use super::*;
use crate::digest::{Digest, Hasher};
use crate::fuzz::Target;

/// Magic, key, digest of the rest.
const HEAD: usize = 12 + 32 + 32;

fn key() -> Digest {
    Digest::of(b"key")
}

fn entry() -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("out");
    fs::create_dir_all(&dir.join("deep")).unwrap();
    fs::write_atomic(&dir.join("deep/file"), b"content").unwrap();
    fs::symlink(Path::new("deep/file"), &dir.join("link")).unwrap();
    let path = root.path().join("entry");
    write(&path, &key(), root.path(), &Names::Whole(vec![Path::new("out")])).unwrap();
    fs::read(&path).unwrap()
}

/// An entry that says of itself that it is whole.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut digest = Hasher::new();
    digest.bytes(body);
    [b"mwp-entry-2\n", &key().bytes()[..], &digest.finish().bytes()[..], body].concat()
}

fn restored_inside_or_a_miss(entry: &[u8]) {
    let root = tempfile::tempdir().unwrap();
    let (path, into, precious) =
        (root.path().join("entry"), root.path().join("into"), root.path().join("precious"));
    fs::create_dir_all(&into).unwrap();
    fs::write_atomic(&path, entry).unwrap();
    fs::write_atomic(&precious, b"precious").unwrap();
    match read(&path, &key(), &into) {
        Ok(Read::Whole) => {}
        Ok(Read::Absent | Read::Damaged) => assert_eq!(fs::list(&into).unwrap().len(), 0),
        Err(error) => {
            crate::fuzz::has_words(&error);
            assert_eq!(fs::list(&into).unwrap().len(), 0);
        }
    }
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert_eq!(fs::list(root.path()).unwrap().len(), 3);
}

#[test]
fn a_damaged_entry_is_a_miss() {
    Target::new("store-entry").seed(entry()).cases(200).run(restored_inside_or_a_miss);
}

#[test]
fn an_entry_that_somebody_made_up_stays_inside() {
    let tar = zstd::decode_all(&entry()[HEAD..]).unwrap();
    let words = ["../", "/etc/passwd", "out", ".mwp-restored", "ustar"];
    Target::new("store-tar").seed(tar).words(&words).cases(200).run(|bytes| {
        let mut tar = bytes.to_vec();
        for block in tar.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
            let mut header = ::tar::Header::new_old();
            header.as_mut_bytes().copy_from_slice(block);
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        restored_inside_or_a_miss(&sealed(&zstd::encode_all(&tar[..], 1).unwrap()));
    });
}
