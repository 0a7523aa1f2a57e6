//! The frame store: compressed frames of earlier runs, by what went into them.
//!
//! It may be deleted at any time. An entry that cannot be read or is damaged is a miss, and one that cannot be
//! written is not missed: packing goes on without it. A CRC is enough against accidents: the directory is the
//! user's own, and whoever reads the `.plugin` file checks every member's SHA-256.

use std::io::Write;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::frame::Frame;
use super::metadata::hex;
use crate::error::{At, Result};
use crate::fs::{self, AtomicFile};

/// An entry is the CRC of its key and of the rest, the checksum and the size of the piece, and the compressed bytes.
const CRC: usize = 4;
const HEAD: usize = CRC + 4 + 8;

/// The digest of what went into a frame.
pub(super) type Key = [u8; 32];

pub(super) struct FrameStore {
    directory: Option<PathBuf>,
}

impl FrameStore {
    /// The store in `directory`, or one that never has anything.
    pub(super) fn new(directory: Option<&Path>) -> FrameStore {
        FrameStore { directory: directory.map(Path::to_owned) }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Frame> {
        let path = self.path(key)?;
        let mut entry = fs::read_optional(&path).ok()??;
        let (crc, rest) = entry.split_first_chunk::<CRC>()?;
        // With its key, so that no entry stands in for another.
        let mut whole = Hasher::new();
        whole.update(key);
        whole.update(rest);
        if whole.finalize() != u32::from_le_bytes(*crc) {
            return None;
        }
        let (checksum, rest) = rest.split_first_chunk()?;
        let (size, _) = rest.split_first_chunk()?;
        let (checksum, size) = (u32::from_le_bytes(*checksum), u64::from_le_bytes(*size));
        fs::touch(&path);
        entry.drain(..HEAD);
        Some(Frame { bytes: entry, checksum, size })
    }

    pub(super) fn put(&self, key: &Key, frame: &Frame) {
        if let Some(path) = self.path(key) {
            let _ = write(&path, key, frame);
        }
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        let name = hex(key);
        Some(self.directory.as_ref()?.join(&name[..2]).join(name))
    }
}

fn write(path: &Path, key: &Key, frame: &Frame) -> Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut head = [0; HEAD];
    head[CRC..8].copy_from_slice(&frame.checksum.to_le_bytes());
    head[8..].copy_from_slice(&frame.size.to_le_bytes());
    let mut crc = Hasher::new();
    crc.update(key);
    crc.update(&head[CRC..]);
    crc.update(&frame.bytes);
    head[..CRC].copy_from_slice(&crc.finalize().to_le_bytes());
    let mut file = AtomicFile::create(path, 0o666)?;
    file.write_all(&head).and_then(|()| file.write_all(&frame.bytes)).at("write", path)?;
    file.commit_without_sync()
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
        for (position, length) in [(HEAD + 2, whole.len()), (3, whole.len()), (CRC, whole.len()), (1, 10)] {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            damaged.truncate(length);
            fs::write_atomic(&path, &damaged).unwrap();
            assert_eq!(store.get(&key), None, "{position} {length}");
        }
    }

    #[test]
    fn an_entry_in_the_place_of_another_is_a_miss() {
        let directory = tempfile::tempdir().unwrap();
        let store = FrameStore::new(Some(directory.path()));
        store.put(&[1; 32], &Frame { bytes: b"compressed".to_vec(), checksum: 7, size: 99 });
        store.put(&[2; 32], &Frame { bytes: b"other".to_vec(), checksum: 8, size: 9 });
        fs::rename(&store.path(&[1; 32]).unwrap(), &store.path(&[2; 32]).unwrap()).unwrap();
        assert_eq!(store.get(&[2; 32]), None);
    }

    #[test]
    fn a_store_that_cannot_be_written_is_not_missed() {
        let store = FrameStore::new(Some(Path::new("/proc/nowhere")));
        store.put(&[2; 32], &Frame { bytes: Vec::new(), checksum: 0, size: 0 });
        assert_eq!(store.get(&[2; 32]), None);
    }
}
