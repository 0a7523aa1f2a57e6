//! What files became in an earlier run, by what the file system says of them: they are not read again.
//!
//! A record vouches for files of which size, inode and both times are what they were when they were read. None is
//! made for a file that was changed in the clock tick in which it was read, or later: an edit within that tick would
//! leave the same times; nor for one that was written to within the last minute, as whoever has it mapped may go on without
//! another time. A record is in the frame store, under the digest of what it vouches for; like a frame it may be
//! deleted at any time, and one that is damaged is a miss.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::frame::Frame;
use super::frame_store::{FrameStore, Key};
use super::tree::{Node, NodeKind};
use super::{header, manifest};
use crate::error::Problem;
use crate::fs::{Instant, Stat};

/// Changes with what is recorded and with what is looked for in a file.
const VERSION: u32 = 5;

/// What members that share a frame became; their lines of the manifest follow.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Members {
    /// The key of the frame.
    pub(super) frame: Key,
    pub(super) warnings: Vec<Problem>,
}

/// What a large file became.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Large {
    /// The keys of the frames, in the order of the pieces.
    pub(super) frames: Vec<Key>,
    pub(super) digest: Key,
    pub(super) warning: Option<Problem>,
}

/// Where records are, and which files they may be made of.
pub(super) struct Records<'a> {
    pub(super) store: &'a FrameStore,
    /// Before any file was read, by the clock of their file system.
    pub(super) read_at: Instant,
}

/// A record is a line of JSON, and what follows it.
impl Records<'_> {
    pub(super) fn get<T: for<'de> Deserialize<'de>>(&self, key: &Key) -> Option<(T, Vec<u8>)> {
        let mut content = self.store.get(key)?;
        let follows = content.split_off(memchr::memchr(b'\n', &content)? + 1);
        Some((serde_json::from_slice(&content).ok()?, follows))
    }

    pub(super) fn put<'s, T: Serialize>(
        &self,
        key: &Key,
        files: impl IntoIterator<Item = &'s Stat>,
        record: &T,
        follows: &[u8],
    ) {
        let may_change = |stat: &Stat| stat.is_racy(self.read_at) || stat.may_be_dirty(self.read_at);
        if files.into_iter().any(may_change) {
            return;
        }
        if let Ok(mut content) = serde_json::to_vec(record) {
            content.push(b'\n');
            content.extend(follows);
            self.store.put(key, &Frame { size: content.len() as u64, bytes: &content, checksum: 0 });
        }
    }
}

/// The key of a record: what is recorded, how, and of which files.
pub(super) struct Vouched(Sha256);

impl Vouched {
    pub(super) fn new(what: &str, format: &str) -> Vouched {
        let (header, manifest) = (header::VERSION, manifest::VERSION);
        let versions = format!("record {VERSION}\n{what}\n{format}\nheader {header}\nmanifest {manifest}\n");
        Vouched(Sha256::new_with_prefix(versions))
    }

    /// All that the member's header is made of, and the file behind it.
    pub(super) fn member(&mut self, node: &Node, modified: i64) {
        self.text(&node.path);
        self.0.update(modified.to_le_bytes());
        match &node.kind {
            NodeKind::Directory { mode } => {
                self.0.update([b'd']);
                self.0.update(mode.to_le_bytes());
            }
            NodeKind::File { mode, stat } => {
                self.0.update([b'f']);
                self.0.update(mode.to_le_bytes());
                self.file(stat);
            }
            NodeKind::Link { target } => {
                self.0.update([b'l']);
                self.text(target);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text);
    }

    pub(super) fn file(&mut self, stat: &Stat) {
        let Stat { modified, changed, size, inode, mode } = stat;
        for field in
            [&modified.to_le_bytes(), &changed.to_le_bytes(), &size.to_le_bytes(), &inode.to_le_bytes()]
        {
            self.0.update(field);
        }
        self.0.update(mode.to_le_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    pub(super) fn key(self) -> Key {
        self.0.finalize().into()
    }
}
