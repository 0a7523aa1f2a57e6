//! The frames of the tree: files are read, hashed and compressed, a thread per processor.

use std::cmp::Reverse;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use super::frame::{Encoder, Format, Frame};
use super::frame_store::{FrameStore, Key};
use super::group::{self, Group, PIECE};
use super::large::{Known, Large};
use super::manifest::{Lines, ManifestEntry, MemberKind};
use super::metadata::hex;
use super::record::{self, Records, Vouched};
use super::source::Source;
use super::spool::{Piece, Spool};
use super::tree::{Node, NodeKind};
use super::{header, secrets};
use crate::error::{Error, Problem, Result};
use crate::fs::{Instant, Stat};
use crate::threads;

pub(super) struct Compression<'a> {
    pub(super) dir: &'a Path,
    pub(super) format: Format,
    pub(super) source_date_epoch: Option<i64>,
    pub(super) store: &'a FrameStore,
    pub(super) spool: &'a Spool<'a>,
    /// Before any file of the tree is read, by the clock of its file system.
    pub(super) read_at: Instant,
}

/// What the tree became, in the order of its members.
#[derive(Default)]
pub(super) struct Compressed {
    /// Of the manifest.
    pub(super) lines: Vec<Lines>,
    pub(super) pieces: Vec<Piece>,
    pub(super) warnings: Vec<Problem>,
    /// How many of the frames were in the store.
    pub(super) reused: usize,
}

/// A unit of work, none of it large.
enum Task<'a> {
    Members(&'a [Node]),
    /// The piece of the large file that starts there.
    Piece(&'a Large<'a>, u64),
}

/// What a task gave.
enum Made {
    Members(Compressed),
    Piece(MadePiece),
}

struct MadePiece {
    piece: Piece,
    reused: bool,
    frame: Key,
    /// Of the file, up to the end of the piece.
    digest: Key,
    warning: Option<Problem>,
}

/// What a thread keeps from task to task: it reuses the allocation.
#[derive(Default)]
struct Worker {
    encoder: Option<Encoder>,
    content: Vec<u8>,
}

impl Compression<'_> {
    pub(super) fn run(&self, nodes: &[Node]) -> Result<Compressed> {
        let groups = group::plan(nodes);
        let large: Vec<Large<'_>> = groups.iter().filter_map(|group| large_of(nodes, group)).collect();
        let mut made = self.side_by_side(&tasks(nodes, &groups, &large))?.into_iter();
        let mut large = large.iter();
        let mut all = Compressed::default();
        for group in &groups {
            let made = match group {
                Group::Members(_) => match made.next() {
                    Some(Made::Members(members)) => Some(members),
                    _ => None,
                },
                Group::Large(_) => match large.next() {
                    Some(large) => self.whole(large, &mut made)?,
                    None => None,
                },
            };
            all.add(made.ok_or_else(|| Error::machine("packing failed: a result is missing"))?);
        }
        Ok(all)
    }

    /// Compresses text, in frames that end where lines end: of a long list in which little has changed, most are in the
    /// store.
    pub(super) fn text(&self, content: &[u8]) -> Result<Vec<Piece>> {
        threads::try_map(group::cut(content), 1, |range| {
            let content = &content[range];
            let mut key = self.key();
            key.update(Sha256::digest(content));
            let (piece, _) = self.frame(&mut None, &key.finalize().into(), content)?;
            Ok(piece)
        })
    }

    /// Does the tasks, a thread per processor; the first failure ends them all.
    fn side_by_side(&self, tasks: &[Task<'_>]) -> Result<Vec<Made>> {
        // What was touched last is what has to be compressed: begun first, it keeps no thread busy when all else is done.
        // Pieces of a file stay in their order: each waits for the one before it.
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.sort_by_cached_key(|index| Reverse(tasks[*index].last_touched()));
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Made)>> {
            let mut worker = Worker::default();
            let mut results = Vec::new();
            loop {
                let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)).copied() else {
                    return Ok(results);
                };
                match self.perform(&tasks[index], &mut worker) {
                    Ok(Some(made)) => results.push((index, made)),
                    // Another thread failed, and says why.
                    Ok(None) => return Ok(results),
                    Err(error) => {
                        next.store(tasks.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        };
        let mut all = Vec::with_capacity(tasks.len());
        for result in threads::together(threads::processors().min(tasks.len()), "packing", work) {
            all.extend(result?);
        }
        all.sort_unstable_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, made)| made).collect())
    }

    /// Nothing where the work of another thread is missing for it.
    fn perform(&self, task: &Task<'_>, worker: &mut Worker) -> Result<Option<Made>> {
        match task {
            Task::Members(nodes) => Ok(Some(Made::Members(self.members(worker, nodes)?))),
            Task::Piece(large, start) => Ok(self.piece(worker, large, *start)?.map(Made::Piece)),
        }
    }

    /// Members that share a frame.
    fn members(&self, worker: &mut Worker, nodes: &[Node]) -> Result<Compressed> {
        let record_key = self.record_of_members(nodes);
        if let Some(known) = self.known_members(&record_key) {
            return Ok(known);
        }
        let (mut entries, mut warnings) = (Vec::with_capacity(nodes.len()), Vec::new());
        let Worker { encoder, content } = worker;
        content.clear();
        content.reserve(group::capacity(nodes));
        let mut key = self.key();
        for node in nodes {
            let start = content.len();
            header::append_node(content, node, self.time_of(node));
            key.update(&content[start..]);
            let NodeKind::File { mode, stat } = &node.kind else {
                entries.push(entry_of(node));
                continue;
            };
            let start = content.len();
            self.open(node)?.whole(stat, content)?;
            let digest = Sha256::digest(&content[start..]);
            key.update(digest);
            warnings.extend(secrets::inspect(&node.path, &content[start..]));
            entries.push(file_entry(&node.path, *mode, stat.size, hex(&digest)));
            header::pad(content, stat.size);
        }
        let frame: Key = key.finalize().into();
        let (piece, reused) = self.frame(encoder, &frame, content)?;
        let lines = Lines::of(&entries)?;
        let record = record::Members { frame, warnings: warnings.clone() };
        self.records().put(&record_key, nodes.iter().filter_map(stat_of), &record, lines.as_bytes());
        Ok(Compressed { lines: vec![lines], pieces: vec![piece], warnings, reused: usize::from(reused) })
    }

    fn record_of_members(&self, nodes: &[Node]) -> Key {
        let mut vouched = Vouched::new("members", &self.format.identity());
        for node in nodes {
            vouched.member(node, self.time_of(node));
        }
        vouched.key()
    }

    /// What the members became in an earlier run, where nobody touched them since.
    fn known_members(&self, key: &Key) -> Option<Compressed> {
        let (record::Members { frame, warnings }, lines) = self.records().get(key)?;
        let frame = self.store.find(&frame)?;
        Some(Compressed {
            lines: vec![Lines::from_bytes(lines)],
            pieces: vec![frame.into()],
            warnings,
            reused: 1,
        })
    }

    fn records(&self) -> Records<'_> {
        Records { store: self.store, read_at: self.read_at }
    }

    /// A frame of a large file: the first begins with the header, the last ends with the padding. Nothing where a piece
    /// before it is missing.
    fn piece(&self, worker: &mut Worker, large: &Large<'_>, start: u64) -> Result<Option<MadePiece>> {
        if let Some(known) = large.known.get_or_init(|| self.known_large(large)) {
            return Ok(known_piece(known, start));
        }
        let turn = large.turn(start);
        let Worker { encoder, content } = worker;
        content.clear();
        if start == 0 {
            header::append_node(content, large.node, self.time_of(large.node));
        }
        let mut key = self.key();
        key.update("piece\n");
        key.update(&*content);
        let before = content.len();
        let source = self.open(large.node)?;
        source.part(start, large.length(start), content)?;
        source.check(large.stat)?;
        let Some(digest) = turn.hash(&content[before..]) else { return Ok(None) };
        key.update(digest);
        let warning = if start == 0 { secrets::inspect(&large.node.path, &content[before..]) } else { None };
        if start + large.length(start) == large.stat.size {
            header::pad(content, large.stat.size);
        }
        let frame: Key = key.finalize().into();
        let (piece, reused) = self.frame(encoder, &frame, content)?;
        Ok(Some(MadePiece { piece, reused, frame, digest, warning }))
    }

    /// The large file whose pieces come next; nothing where one is missing.
    fn whole(&self, large: &Large<'_>, made: &mut impl Iterator<Item = Made>) -> Result<Option<Compressed>> {
        let mut all = Compressed::default();
        let mut record = record::Large { frames: Vec::new(), digest: Key::default(), warning: None };
        for _ in large.starts() {
            let Some(Made::Piece(MadePiece { piece, reused, frame, digest, warning })) = made.next() else {
                return Ok(None);
            };
            all.pieces.push(piece);
            all.reused += usize::from(reused);
            record.frames.push(frame);
            record.digest = digest;
            record.warning = record.warning.or(warning);
        }
        let Large { node, mode, stat, known, .. } = large;
        all.lines.push(Lines::of([&file_entry(&node.path, *mode, stat.size, hex(&record.digest))])?);
        all.warnings.extend(record.warning.clone());
        if !matches!(known.get(), Some(Some(_))) {
            self.records().put(&self.record_of_large(large), [*stat], &record, &[]);
        }
        Ok(Some(all))
    }

    fn record_of_large(&self, large: &Large<'_>) -> Key {
        let mut vouched = Vouched::new("large", &self.format.identity());
        vouched.number(PIECE);
        vouched.member(large.node, self.time_of(large.node));
        vouched.key()
    }

    /// What a large file became in an earlier run, where nobody touched it since.
    fn known_large(&self, large: &Large<'_>) -> Option<Known> {
        let (record::Large { frames, digest, warning }, _) =
            self.records().get(&self.record_of_large(large))?;
        let frames = frames.iter().map(|frame| self.store.find(frame)).collect::<Option<Vec<_>>>()?;
        (frames.len() == large.starts().count()).then_some(Known { frames, digest, warning })
    }

    /// Compresses, unless the store has the frame; tells which.
    fn frame(&self, encoder: &mut Option<Encoder>, key: &Key, content: &[u8]) -> Result<(Piece, bool)> {
        if let Some(frame) = self.store.find(key).filter(|frame| frame.size() == content.len() as u64) {
            return Ok((frame.into(), true));
        }
        let frame = compress(encoder, self.format, content)?;
        let piece = match self.store.put(key, &frame) {
            Some(stored) => stored.into(),
            None => self.spool.add(&frame)?,
        };
        Ok((piece, false))
    }

    /// What every frame's key starts with.
    fn key(&self) -> Sha256 {
        Sha256::new_with_prefix(format!("{}\n", self.format.identity()))
    }

    fn time_of(&self, node: &Node) -> i64 {
        self.source_date_epoch.unwrap_or(node.modified)
    }

    fn open(&self, node: &Node) -> Result<Source> {
        Source::open(self.dir.join(&node.path))
    }
}

impl Compressed {
    fn add(&mut self, other: Compressed) {
        self.lines.extend(other.lines);
        self.pieces.extend(other.pieces);
        self.warnings.extend(other.warnings);
        self.reused += other.reused;
    }
}

impl Task<'_> {
    fn last_touched(&self) -> Option<i64> {
        match self {
            Task::Members(nodes) => nodes.iter().filter_map(stat_of).map(|stat| stat.changed).max(),
            Task::Piece(large, _) => Some(large.stat.changed),
        }
    }
}

/// The work for the groups, of a large file the pieces.
fn tasks<'a>(nodes: &'a [Node], groups: &[Group], large: &'a [Large<'a>]) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    let mut large = large.iter();
    for group in groups {
        match group {
            Group::Members(range) => tasks.push(Task::Members(&nodes[range.clone()])),
            Group::Large(_) => {
                if let Some(large) = large.next() {
                    tasks.extend(large.starts().map(|start| Task::Piece(large, start)));
                }
            }
        }
    }
    tasks
}

fn large_of<'a>(nodes: &'a [Node], group: &Group) -> Option<Large<'a>> {
    match group {
        Group::Members(_) => None,
        Group::Large(index) => Large::of(&nodes[*index]),
    }
}

fn known_piece(known: &Known, start: u64) -> Option<MadePiece> {
    let stored = known.frames.get(usize::try_from(start / PIECE).ok()?)?.clone();
    let warning = known.warning.clone().filter(|_| start == 0);
    Some(MadePiece { frame: stored.key, piece: stored.into(), reused: true, digest: known.digest, warning })
}

fn compress<'a>(encoder: &'a mut Option<Encoder>, format: Format, content: &[u8]) -> Result<Frame<'a>> {
    let failed = |error: io::Error| Error::machine(format!("cannot compress: {error}"));
    let encoder = match encoder {
        Some(encoder) => encoder,
        None => encoder.insert(Encoder::new(format).map_err(failed)?),
    };
    encoder.frame(content).map_err(failed)
}

fn stat_of(node: &Node) -> Option<&Stat> {
    match &node.kind {
        NodeKind::File { stat, .. } => Some(stat),
        NodeKind::Directory { .. } | NodeKind::Link { .. } => None,
    }
}

fn entry_of(node: &Node) -> ManifestEntry {
    let kind = match &node.kind {
        NodeKind::Link { target } => MemberKind::Link { target: target.clone() },
        NodeKind::Directory { mode } | NodeKind::File { mode, .. } => MemberKind::directory(*mode),
    };
    ManifestEntry { path: node.path.clone(), kind }
}

pub(super) fn file_entry(path: &str, mode: u32, size: u64, sha256: String) -> ManifestEntry {
    let mode = format!("{mode:04o}");
    ManifestEntry { path: path.to_owned(), kind: MemberKind::File { size, mode, sha256 } }
}

#[cfg(test)]
mod tests;
