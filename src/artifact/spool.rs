//! Frames that wait until the head of the file is known: in the frame store, where they stay, or, where that cannot keep
//! them, in memory up to a limit, then in a file without a name.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frame::Frame;
use super::frame_store::{FrameStore, Stored};
use crate::error::{At, Result};
use crate::fs;

/// Memory is faster than a file, and there is little of it.
const MEMORY: u64 = 128 * 1024 * 1024;

pub(super) struct Spool<'a> {
    store: &'a FrameStore,
    directory: PathBuf,
    in_memory: AtomicU64,
    file: OnceLock<File>,
    length: AtomicU64,
}

/// A frame that waits.
pub(super) struct Piece {
    pub(super) checksum: u32,
    pub(super) size: u64,
    place: Place,
}

enum Place {
    Memory(Vec<u8>),
    File { offset: u64, length: usize },
    Store(Stored),
}

impl Piece {
    /// In bytes, compressed.
    pub(super) fn length(&self) -> u64 {
        match &self.place {
            Place::Memory(bytes) => bytes.len() as u64,
            Place::File { length, .. } => *length as u64,
            Place::Store(stored) => stored.length,
        }
    }
}

impl From<Stored> for Piece {
    fn from(stored: Stored) -> Piece {
        Piece { checksum: stored.checksum(), size: stored.size(), place: Place::Store(stored) }
    }
}

impl Spool<'_> {
    /// What is too much for the memory goes to `directory`.
    pub(super) fn new<'a>(store: &'a FrameStore, directory: &Path) -> Spool<'a> {
        let (in_memory, length) = (AtomicU64::new(0), AtomicU64::new(0));
        Spool { store, directory: directory.to_owned(), in_memory, file: OnceLock::new(), length }
    }

    pub(super) fn add(&self, frame: &Frame<'_>) -> Result<Piece> {
        let Frame { bytes, checksum, size } = *frame;
        let length = bytes.len() as u64;
        if self.in_memory.fetch_add(length, Ordering::Relaxed) + length <= MEMORY {
            return Ok(Piece { checksum, size, place: Place::Memory(bytes.to_vec()) });
        }
        let offset = self.length.fetch_add(length, Ordering::Relaxed);
        self.file()?.write_all_at(bytes, offset).at("write in", &self.directory)?;
        Ok(Piece { checksum, size, place: Place::File { offset, length: bytes.len() } })
    }

    /// Moves a frame to its place in `target`, which is open as `to`. False where the store does not have it any more.
    pub(super) fn take(&self, piece: Piece, to: &File, at: u64, target: &Path) -> Result<bool> {
        let bytes = match piece.place {
            Place::Memory(bytes) => bytes,
            Place::Store(stored) => return self.store.copy(&stored, to, at, target),
            Place::File { offset, length } => {
                let mut bytes = vec![0; length];
                self.file()?.read_exact_at(&mut bytes, offset).at("read in", &self.directory)?;
                bytes
            }
        };
        to.write_all_at(&bytes, at).at("write", target)?;
        Ok(true)
    }

    fn file(&self) -> Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = fs::unnamed_file_in(&self.directory)?;
        // Another thread may have been faster; its file is the one.
        Ok(self.file.get_or_init(|| file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole_from_memory_and_from_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = FrameStore::new(None);
        let spool = Spool::new(&store, directory.path());
        let add = |byte: u8| spool.add(&Frame { bytes: &[byte; 1000], checksum: 0, size: 0 }).unwrap();
        let first = add(1);
        spool.in_memory.store(MEMORY, Ordering::Relaxed);
        let second = add(2);
        let third = add(3);
        assert!(matches!(second.place, Place::File { .. }));
        let target = directory.path().join("file");
        let file = fs::create_file(&target).unwrap();
        for (piece, at) in [(first, 1000), (third, 0), (second, 2000)] {
            assert_eq!(piece.length(), 1000);
            assert!(spool.take(piece, &file, at, &target).unwrap());
        }
        assert_eq!(fs::read(&target).unwrap(), [[3; 1000], [1; 1000], [2; 1000]].concat());
    }
}
