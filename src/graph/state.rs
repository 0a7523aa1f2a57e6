//! What is known of earlier runs: one file, `.mwp/state`, in the plugin's directory.
//!
//! Written to a temporary file and renamed, after a success only. A file that is damaged, or of another version, is
//! a state of nothing: everything is looked at again, and what is in the content store is restored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::snapshot::Snapshot;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;

/// Our own directory in the plugin's directory: state, logs, work in progress. Never shipped.
pub const STATE_DIR: &str = ".mwp";

const MAGIC: &[u8] = b"mwp-state-1\n";

/// What a task was made from and what it made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub fingerprint: Fingerprint,
    pub inputs: Snapshot,
    pub outputs: Snapshot,
    pub output_digest: Digest,
    /// `false` while the task runs again: what it made before is known, and vouches for nothing.
    pub finished: bool,
    /// Milliseconds that the task took when it last ran.
    pub duration_ms: u64,
}

/// The records of one plugin directory.
#[derive(Debug, Default)]
pub struct State {
    path: PathBuf,
    records: BTreeMap<String, Record>,
}

impl State {
    /// Of a directory that nobody has looked at yet.
    pub fn unknown() -> State {
        State::default()
    }

    pub fn load(plugin_dir: &Path) -> State {
        let path = plugin_dir.join(STATE_DIR).join("state");
        let records =
            fs::read_optional(&path).ok().flatten().and_then(|content| decode(&content)).unwrap_or_default();
        State { path, records }
    }

    pub fn get(&self, task: &str) -> Option<&Record> {
        self.records.get(task)
    }

    pub fn insert(&mut self, task: &str, record: Record) {
        self.records.insert(task.to_owned(), record);
    }

    /// Puts the records on the disk, less those of tasks that are no more.
    pub fn save(&mut self, tasks: &[&str]) -> Result<()> {
        self.records.retain(|name, _| tasks.contains(&name.as_str()));
        fs::write_atomic(&self.path, &encode(&self.records))
    }
}

fn encode(records: &BTreeMap<String, Record>) -> Vec<u8> {
    let body = postcard::to_stdvec(records).unwrap_or_default();
    let mut content = Vec::with_capacity(MAGIC.len() + 8 + body.len());
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(&checksum(&body));
    content.extend_from_slice(&body);
    content
}

fn decode(content: &[u8]) -> Option<BTreeMap<String, Record>> {
    let (sum, body) = content.strip_prefix(MAGIC)?.split_at_checked(8)?;
    (sum == checksum(body)).then(|| postcard::from_bytes(body).ok()).flatten()
}

/// Against truncation and bit rot, not against people.
fn checksum(body: &[u8]) -> [u8; 8] {
    xxhash_rust::xxh3::xxh3_64(body).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_state_is_a_miss() {
        let whole = encode(&BTreeMap::new());
        assert!(decode(&whole).is_some());
        assert!(decode(&whole[..whole.len() - 1]).is_none());
        let mut flipped = whole.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        assert!(decode(&flipped).is_none());
        assert!(decode(b"mwp-state-0\n").is_none());
        assert!(decode(b"").is_none());
    }
}
