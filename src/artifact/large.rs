//! Large files: cut into pieces, each of which becomes a frame of its own, side by side.
//!
//! A file is read once. Its pieces are hashed one after the other, each by the thread that goes on to compress it, which
//! takes much longer: hardly any thread waits. A piece is known again by the digest of the file up to its end, so what
//! comes after an edit is compressed anew.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::frame_store::{Key, Stored};
use super::group::PIECE;
use super::tree::{Node, NodeKind};
use crate::error::Problem;
use crate::fs::Stat;

pub(super) struct Large<'a> {
    pub(super) node: &'a Node,
    pub(super) mode: u32,
    pub(super) stat: &'a Stat,
    /// Looked up by whoever comes first.
    pub(super) known: OnceLock<Option<Known>>,
    hashed: Mutex<Hashed>,
    turned: Condvar,
}

/// What the file became in an earlier run.
pub(super) struct Known {
    /// In the order of the pieces.
    pub(super) frames: Vec<Stored>,
    pub(super) digest: Key,
    pub(super) warning: Option<Problem>,
}

/// How far the file is hashed.
#[derive(Default)]
struct Hashed {
    digest: Sha256,
    length: u64,
    /// A piece will never come, so what is after it cannot be hashed.
    is_broken: bool,
}

impl<'a> Large<'a> {
    /// Nothing where it is no file.
    pub(super) fn of(node: &'a Node) -> Option<Large<'a>> {
        let NodeKind::File { mode, stat } = &node.kind else { return None };
        let (known, hashed, turned) = (OnceLock::new(), Mutex::default(), Condvar::new());
        Some(Large { node, mode: *mode, stat, known, hashed, turned })
    }

    /// Where its pieces start.
    pub(super) fn starts(&self) -> impl Iterator<Item = u64> {
        (0..self.stat.size.div_ceil(PIECE)).map(|piece| piece * PIECE)
    }

    /// How long the piece is that starts there.
    pub(super) fn length(&self, start: u64) -> u64 {
        (self.stat.size - start).min(PIECE)
    }

    /// To be held from before the piece that starts there is read.
    pub(super) fn turn(&self, start: u64) -> Turn<'_> {
        Turn { hashed: &self.hashed, turned: &self.turned, start }
    }
}

/// The turn of a piece to be hashed. Whoever drops it instead ends the waiting for those after it.
pub(super) struct Turn<'a> {
    hashed: &'a Mutex<Hashed>,
    turned: &'a Condvar,
    start: u64,
}

impl Turn<'_> {
    /// The digest of the file up to the end of this piece, when those before it are hashed; nothing where one of them never
    /// will be.
    pub(super) fn hash(self, piece: &[u8]) -> Option<Key> {
        let is_early = |hashed: &mut Hashed| hashed.length < self.start && !hashed.is_broken;
        let hashed = self.turned.wait_while(self.lock(), is_early);
        let mut hashed = hashed.unwrap_or_else(PoisonError::into_inner);
        if hashed.is_broken {
            return None;
        }
        hashed.digest.update(piece);
        hashed.length += piece.len() as u64;
        Some(hashed.digest.clone().finalize().into())
    }

    fn lock(&self) -> MutexGuard<'_, Hashed> {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut hashed = self.lock();
        hashed.is_broken |= hashed.length <= self.start;
        drop(hashed);
        self.turned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64) -> Node {
        let kind = NodeKind::File { mode: 0o644, stat: Stat { size, ..Stat::NOWHERE } };
        Node { path: "large".to_owned(), kind, modified: 0 }
    }

    #[test]
    fn pieces_are_hashed_in_their_order_whoever_comes_first() {
        let node = file(3 * PIECE);
        let large = Large::of(&node).unwrap();
        let digests: Vec<Key> = std::thread::scope(|scope| {
            let hash = |start: u64| large.turn(start).hash(&start.to_le_bytes().repeat(PIECE as usize / 8));
            let threads: Vec<_> = large
                .starts()
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .map(|start| crate::threads::start_in(scope, "hashing", move || hash(start)).unwrap())
                .collect();
            threads.into_iter().rev().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        let mut expected = Sha256::new();
        for (start, digest) in large.starts().zip(digests) {
            expected.update(start.to_le_bytes().repeat(PIECE as usize / 8));
            assert_eq!(digest, Key::from(expected.clone().finalize()));
        }
    }

    #[test]
    fn nobody_waits_for_a_piece_that_never_comes() {
        let node = file(2 * PIECE);
        let large = Large::of(&node).unwrap();
        drop(large.turn(0));
        assert_eq!(large.turn(PIECE).hash(b"x"), None);
    }
}
