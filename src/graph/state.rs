//! What is known of earlier runs: one file, `.mwp/state`, in the plugin's directory.
//!
//! Written to a temporary file and renamed, and a record only in exchange for the [`Proof`] that the task ran or
//! fitted. A file that is damaged, or of another version, is a state of nothing: everything is looked at again, and
//! what is in the content store is restored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entries::Entries;
use super::manifest::Manifest;
use super::snapshot::Snapshot;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs;

/// Our own directory in the plugin's directory: state, logs, work in progress. Never shipped.
pub const STATE_DIR: &str = ".mwp";

const MAGIC: &[u8] = b"mwp-state-4\n";

/// What a task was made from and what it made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub manifest: Manifest,
    pub inputs: Snapshot,
    pub outputs: Snapshot,
    pub output_digest: Digest,
    /// `false` while the task runs again: what it made before is known, and vouches for nothing.
    pub finished: bool,
    /// Milliseconds that the task took when it last ran.
    pub duration_ms: u64,
}

/// That the outputs which are there are what the facts say: had from a decision alone, and spent on a record.
pub(super) struct Proof(Record);

impl Proof {
    pub(super) fn new(
        manifest: Manifest,
        inputs: Snapshot,
        outputs: Snapshot,
        duration_ms: u64,
    ) -> Result<Proof> {
        let output_digest = outputs.digest()?;
        Ok(Proof(Record { manifest, inputs, outputs, output_digest, finished: true, duration_ms }))
    }
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
        let records = fs::read_optional(&path).ok().flatten().and_then(decode).unwrap_or_default();
        State { path, records }
    }

    pub fn get(&self, task: &str) -> Option<&Record> {
        self.records.get(task)
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = &Snapshot> {
        self.records.values().map(|record| &record.inputs)
    }

    /// Records a success; returns the digest of the outputs.
    pub(super) fn record(&mut self, task: &str, Proof(record): Proof) -> Result<Digest> {
        let digest = record.output_digest;
        self.records.insert(task.to_owned(), record);
        self.save()?;
        Ok(digest)
    }

    /// From now on the record vouches for nothing; what it says of the outputs is still known.
    pub(super) fn doubt(&mut self, task: &str) -> Result<()> {
        match self.records.get_mut(task) {
            Some(record) => {
                record.finished = false;
                self.save()
            }
            None => Ok(()),
        }
    }

    /// Forgets the tasks that no recipe of the plugin states any more, whatever they are for.
    pub(super) fn retain(&mut self, is_stated: impl Fn(&str) -> bool) {
        self.records.retain(|name, _| is_stated(name));
    }

    fn save(&self) -> Result<()> {
        fs::write_atomic(&self.path, &encode(&self.records)?)
    }
}

/// All records, and behind them the entries of each in the same order.
fn encode(records: &BTreeMap<String, Record>) -> Result<Vec<u8>> {
    let mut body = postcard::to_extend(records, Vec::new())
        .map_err(|error| Error::machine(format!("the records have no binary form: {error}")))?;
    for Record { inputs, outputs, .. } in records.values() {
        for entries in [&inputs.entries, &inputs.directories, &outputs.entries] {
            entries.write_to(&mut body)?;
        }
    }
    let mut content = Vec::with_capacity(MAGIC.len() + 4 + body.len());
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(&checksum(&body));
    content.extend_from_slice(&body);
    Ok(content)
}

fn decode(content: Vec<u8>) -> Option<BTreeMap<String, Record>> {
    let content = Arc::new(content);
    let (sum, body) = content.strip_prefix(MAGIC)?.split_at_checked(4)?;
    if sum != checksum(body) {
        return None;
    }
    let (mut records, lists): (BTreeMap<String, Record>, _) = postcard::take_from_bytes(body).ok()?;
    let mut at = content.len() - lists.len();
    for Record { inputs, outputs, .. } in records.values_mut() {
        for entries in [&mut inputs.entries, &mut inputs.directories, &mut outputs.entries] {
            *entries = Entries::read(&content, &mut at)?;
        }
    }
    Some(records)
}

/// Against truncation and bit rot, not against people.
fn checksum(body: &[u8]) -> [u8; 4] {
    crc32fast::hash(body).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Instant;
    use crate::graph::Patterns;
    use crate::graph::manifest::{Subject, Value};

    #[test]
    fn damaged_state_is_a_miss() {
        let whole = encode(&BTreeMap::new()).unwrap();
        assert!(decode(whole.clone()).is_some());
        assert!(decode(whole[..whole.len() - 1].to_vec()).is_none());
        let mut flipped = whole.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        assert!(decode(flipped).is_none());
        assert!(decode(b"mwp-state-0\n".to_vec()).is_none());
        assert!(decode(Vec::new()).is_none());
    }

    /// What is written of a task with inputs and outputs.
    fn written() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        fs::write_atomic(&dir.path().join("in"), b"x").unwrap();
        let patterns = Patterns { required: vec!["in".into()], ..Patterns::default() };
        let taken = Snapshot::take(dir.path(), &patterns, None, Instant::now(dir.path()).unwrap()).unwrap();
        let mut manifest = Manifest::new();
        manifest.add(Subject::Setting("a".into()), Value::List(vec!["b".into()]));
        manifest.add(Subject::Recipe("command".into()), Value::Table([("a".into(), "b".into())].into()));
        let Proof(record) = Proof::new(manifest, taken.snapshot.clone(), taken.snapshot, 7).unwrap();
        encode(&[("task".to_owned(), record)].into()).unwrap()
    }

    #[test]
    fn a_state_that_somebody_damaged_is_a_miss_or_one_that_can_be_used() {
        let target = crate::fuzz::Target::new("state").seed(written());
        let dir = tempfile::tempdir().unwrap();
        target.run(|bytes| {
            // With the right sum in front, or nothing behind it is ever read.
            let body = bytes.get(MAGIC.len() + 4..).unwrap_or_default();
            let sealed = [MAGIC, &checksum(body), body].concat();
            for records in [bytes.to_vec(), sealed].into_iter().filter_map(decode) {
                for record in records.values() {
                    let _ = record.manifest.key(&record.inputs);
                    let nothing = Snapshot::empty();
                    let _ = record.manifest.differences(&record.inputs, &Manifest::new(), &nothing);
                    let _ = record.outputs.digest();
                    let _ = record.outputs.look_at_names(dir.path(), &["out".into()], Instant::NEVER);
                }
            }
        });
    }
}
