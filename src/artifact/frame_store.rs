//! The frame store: compressed frames of earlier runs, by what went into them.
//!
//! It may be deleted at any time. An entry that cannot be read or is damaged is a miss, and one that cannot be
//! written is not missed: packing goes on without it. A CRC is enough against accidents: the directory is the
//! user's own, and whoever reads the `.plugin` file checks every member's SHA-256.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use super::frame::Frame;
use super::metadata::hex;
use crate::error::{At, Result};
use crate::fs::{self, AtomicFile};

/// An entry is the CRC of its key and of the rest, the checksum and the size of the piece, and the compressed bytes.
const CRC: usize = 4;
const HEAD: usize = CRC + 4 + 8;
/// How much of a frame is copied at once: what stays in a processor's cache, and lets the kernel take its pages many at
/// a time.
const STEP: usize = 256 * 1024;

/// The digest of what went into a frame.
pub(super) type Key = [u8; 32];

pub(super) struct FrameStore {
    directory: Option<PathBuf>,
}

/// A frame that is there, by what the head of its entry says: whether it is whole is found when it is
/// [copied](FrameStore::copy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) key: Key,
    head: [u8; HEAD],
    /// In bytes, compressed.
    pub(super) length: u64,
}

impl Stored {
    /// Of the piece before compression.
    pub(super) fn checksum(&self) -> u32 {
        u32::from_le_bytes(self.head[CRC..8].try_into().unwrap_or_default())
    }

    /// Of the piece before compression, in bytes.
    pub(super) fn size(&self) -> u64 {
        u64::from_le_bytes(self.head[8..].try_into().unwrap_or_default())
    }
}

impl FrameStore {
    /// The store in `directory`, or one that never has anything.
    pub(super) fn new(directory: Option<&Path>) -> FrameStore {
        FrameStore { directory: directory.map(Path::to_owned) }
    }

    /// What was [put](FrameStore::put) there.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key)?;
        let mut entry = fs::read_optional(&path).ok()??;
        let (head, content) = entry.split_first_chunk::<HEAD>()?;
        let mut whole = checksum_of(key, head);
        whole.update(content);
        if whole.finalize() != crc_in(head) {
            return None;
        }
        fs::touch(&path);
        entry.drain(..HEAD);
        Some(entry)
    }

    /// Whether there is such a frame. It is not read yet.
    pub(super) fn find(&self, key: &Key) -> Option<Stored> {
        let path = self.path(key)?;
        let file = fs::open(&path).ok()?;
        let mut head = [0; HEAD];
        file.read_exact_at(&mut head, 0).ok()?;
        let length = file.metadata().ok()?.size().checked_sub(HEAD as u64)?;
        let _ = file.set_modified(std::time::SystemTime::now());
        Some(Stored { key: *key, head, length })
    }

    /// Copies a frame to its place in `target`, which is open as `to`. False where it is not whole any more: then it is
    /// not in the store any more either, and what was written there is worth nothing.
    pub(super) fn copy(&self, stored: &Stored, to: &File, at: u64, target: &Path) -> Result<bool> {
        let Some(path) = self.path(&stored.key) else { return Ok(false) };
        let whole = match fs::open(&path) {
            Ok(entry) => copy(stored, entry, to, at).at("write", target)?,
            Err(_) => false,
        };
        if !whole {
            let _ = fs::remove_file(&path);
        }
        Ok(whole)
    }

    /// Keeps a frame, where that can be.
    pub(super) fn put(&self, key: &Key, frame: &Frame<'_>) -> Option<Stored> {
        let head = write(&self.path(key)?, key, frame).ok()?;
        Some(Stored { key: *key, head, length: frame.bytes.len() as u64 })
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        let name = hex(key);
        Some(self.directory.as_ref()?.join(&name[..2]).join(name))
    }
}

/// The CRC as far as it is of the key and of the head. With the key, so that no entry stands in for another.
fn checksum_of(key: &Key, head: &[u8; HEAD]) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(&head[CRC..]);
    hasher
}

fn crc_in(head: &[u8; HEAD]) -> u32 {
    u32::from_le_bytes(head[..CRC].try_into().unwrap_or_default())
}

/// False where the entry is not what it says; an error where `to` cannot be written.
fn copy(stored: &Stored, mut entry: File, to: &File, mut at: u64) -> io::Result<bool> {
    let mut head = [0; HEAD];
    if entry.read_exact(&mut head).is_err() || head != stored.head {
        return Ok(false);
    }
    let end = at + stored.length;
    let mut whole = checksum_of(&stored.key, &head);
    let mut buffer = vec![0; STEP];
    loop {
        let Ok(count) = entry.read(&mut buffer) else { return Ok(false) };
        if count == 0 {
            return Ok(at == end && whole.finalize() == crc_in(&head));
        }
        // Longer than it was: what follows in `to` is not ours.
        if at + count as u64 > end {
            return Ok(false);
        }
        whole.update(&buffer[..count]);
        to.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
}

/// Returns the entry's head.
fn write(path: &Path, key: &Key, frame: &Frame<'_>) -> Result<[u8; HEAD]> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut head = [0; HEAD];
    head[CRC..8].copy_from_slice(&frame.checksum.to_le_bytes());
    head[8..].copy_from_slice(&frame.size.to_le_bytes());
    let mut crc = checksum_of(key, &head);
    crc.update(frame.bytes);
    head[..CRC].copy_from_slice(&crc.finalize().to_le_bytes());
    let mut file = AtomicFile::create(path, 0o666)?;
    file.write_all(&head).and_then(|()| file.write_all(frame.bytes)).at("write", path)?;
    file.commit_without_sync()?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_is_a_miss() {
        let directory = tempfile::tempdir().unwrap();
        let store = FrameStore::new(Some(directory.path()));
        let frame = Frame { bytes: b"compressed", checksum: 7, size: 99 };
        let key = [1; 32];
        assert_eq!(store.get(&key), None);
        assert_eq!(store.find(&key), None);
        let put = store.put(&key, &frame);
        assert_eq!(put, store.find(&key));
        assert_eq!(store.get(&key).as_ref(), Some(&frame.bytes.to_vec()));
        let stored = store.find(&key).unwrap();
        assert_eq!((stored.length, stored.checksum(), stored.size()), (10, 7, 99));
        let target = directory.path().join("target");
        let to = fs::create_file(&target).unwrap();
        assert!(store.copy(&stored, &to, 3, &target).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"\0\0\0compressed");
        let path = store.path(&key).unwrap();
        let whole = fs::read(&path).unwrap();
        for (position, length) in [(HEAD + 2, whole.len()), (3, whole.len()), (CRC, whole.len()), (1, 10)] {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            damaged.truncate(length);
            fs::write_atomic(&path, &damaged).unwrap();
            assert_eq!(store.get(&key), None, "{position} {length}");
            assert!(!store.copy(&stored, &to, 3, &target).unwrap(), "{position} {length}");
            assert!(!path.exists(), "{position} {length}");
        }
    }

    #[test]
    fn an_entry_in_the_place_of_another_is_a_miss() {
        let directory = tempfile::tempdir().unwrap();
        let store = FrameStore::new(Some(directory.path()));
        // As long as the other, and made from as much.
        for (key, bytes) in [([1; 32], b"compressed"), ([2; 32], b"otherwise!")] {
            store.put(&key, &Frame { bytes, checksum: 7, size: 99 });
        }
        fs::rename(&store.path(&[1; 32]).unwrap(), &store.path(&[2; 32]).unwrap()).unwrap();
        assert_eq!(store.get(&[2; 32]), None);
        let stored = store.find(&[2; 32]).unwrap();
        let target = directory.path().join("target");
        let to = fs::create_file(&target).unwrap();
        assert!(!store.copy(&stored, &to, 0, &target).unwrap());
        assert_eq!(store.find(&[2; 32]), None);
    }

    #[test]
    fn a_store_that_cannot_be_written_is_not_missed() {
        let store = FrameStore::new(Some(Path::new("/proc/nowhere")));
        assert_eq!(store.put(&[2; 32], &Frame { bytes: b"", checksum: 0, size: 0 }), None);
        assert_eq!(store.get(&[2; 32]), None);
    }
}
