//! The frame store: compressed frames of earlier runs, by what went into them.
//!
//! It may be deleted at any time. An entry that cannot be read or is damaged is a miss, and one that cannot be
//! written is not missed: packing goes on without it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::frame::Frame;
use super::metadata::hex;
use crate::fs;

/// An entry is the SHA-256 of the rest, the checksum and the size of the piece, and the compressed bytes.
const DIGEST: usize = 32;
const HEAD: usize = DIGEST + 4 + 8;

pub(super) struct FrameStore {
    directory: Option<PathBuf>,
}

impl FrameStore {
    /// The store in `directory`, or one that never has anything.
    pub(super) fn new(directory: Option<&Path>) -> FrameStore {
        FrameStore { directory: directory.map(|directory| directory.join("v1")) }
    }

    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Frame> {
        let path = self.path(key)?;
        let mut entry = fs::read_optional(&path).ok()??;
        let (digest, rest) = entry.split_first_chunk::<DIGEST>()?;
        if Sha256::digest(rest).as_slice() != digest {
            return None;
        }
        let (checksum, rest) = rest.split_first_chunk()?;
        let (size, _) = rest.split_first_chunk()?;
        let (checksum, size) = (u32::from_le_bytes(*checksum), u64::from_le_bytes(*size));
        fs::touch(&path);
        entry.drain(..HEAD);
        Some(Frame { bytes: entry, checksum, size })
    }

    pub(super) fn put(&self, key: &[u8; 32], frame: &Frame) {
        let Some(path) = self.path(key) else { return };
        let mut entry = vec![0; DIGEST];
        entry.reserve_exact(HEAD - DIGEST + frame.bytes.len());
        entry.extend(frame.checksum.to_le_bytes());
        entry.extend(frame.size.to_le_bytes());
        entry.extend(&frame.bytes);
        let digest = Sha256::digest(&entry[DIGEST..]);
        entry[..DIGEST].copy_from_slice(&digest);
        let _ =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write_atomic(&path, &entry));
    }

    fn path(&self, key: &[u8; 32]) -> Option<PathBuf> {
        let name = hex(key);
        Some(self.directory.as_ref()?.join(&name[..2]).join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_is_a_miss() {
        let directory = tempfile::tempdir().unwrap();
        let store = FrameStore::new(Some(directory.path()));
        let frame = Frame { bytes: b"compressed".to_vec(), checksum: 7, size: 99 };
        let key = [1; 32];
        assert_eq!(store.get(&key), None);
        store.put(&key, &frame);
        assert_eq!(store.get(&key), Some(frame));
        let path = store.path(&key).unwrap();
        let whole = fs::read(&path).unwrap();
        for (position, length) in
            [(HEAD + 2, whole.len()), (3, whole.len()), (DIGEST, whole.len()), (0, 20), (0, 0)]
        {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            damaged.truncate(length);
            fs::write_atomic(&path, &damaged).unwrap();
            assert_eq!(store.get(&key), None, "{position} {length}");
        }
    }

    #[test]
    fn a_store_that_cannot_be_written_is_not_missed() {
        let store = FrameStore::new(Some(Path::new("/proc/nowhere")));
        store.put(&[2; 32], &Frame { bytes: Vec::new(), checksum: 0, size: 0 });
        assert_eq!(store.get(&[2; 32]), None);
    }
}
