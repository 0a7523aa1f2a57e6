//! Packing: a plugin's directory becomes a `.plugin` file, or nothing does.
//!
//! The head of the file (metadata, manifest) depends on every byte of the tree, yet each file is read only once:
//! the tree's frames are made first, side by side, and wait in a file without a name until the head is known.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::description::Description;
use super::exclude::Exclusions;
use super::frame::{Encoder, Envelope, Format, Frame};
use super::frame_store::FrameStore;
use super::group::{self, Group};
use super::manifest::{Entry, Manifest, MemberKind};
use super::metadata::{Metadata, hex};
use super::source::Source;
use super::spool::{Piece, Spool};
use super::tree::{Kind, Node, Tree};
use super::{FILES, LABEL, MANIFEST, METADATA, ROOT, header, secrets};
use crate::error::{At, Error, Problem, Result};
use crate::fs::{self, AtomicFile};

pub struct Options<'a> {
    pub format: Format,
    /// The directory that the file is written to.
    pub output: &'a Path,
    /// Seconds since 1970: the time of every member and of the build, so that the same tree yields the same file.
    pub source_date_epoch: Option<i64>,
    /// Who builds; not told where the build is to be reproducible.
    pub build_host: &'a str,
    /// Where compressed frames are kept from one run to the next.
    pub frame_store: Option<&'a Path>,
    /// Paths, relative to the plugin, that are made anew after the installation; a directory stands for all below.
    pub excluded: &'a (dyn Fn(&Path) -> bool + Sync),
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Packed {
    pub file: PathBuf,
    /// Of the `.plugin` file, in bytes.
    pub file_size: u64,
    pub metadata: Metadata,
    /// Files and links that are shipped.
    pub files: usize,
    pub frames: usize,
    /// How many of the frames were in the frame store.
    pub frames_reused: usize,
    pub warnings: Vec<Problem>,
}

/// Packs the plugin in `dir`.
pub fn pack(dir: &Path, description: &Description, options: &Options<'_>) -> Result<Packed> {
    description.check()?;
    let exclusions = Exclusions::read(dir, options.excluded)?;
    let tree = Tree::walk(dir, &exclusions)?;
    fs::create_dir_all(options.output)?;
    let packer = Packer {
        dir,
        options,
        store: FrameStore::new(options.frame_store),
        spool: Spool::new(options.output),
        reused: AtomicUsize::new(0),
    };
    let (label, label_entry, label_warning) = packer.read_label(&tree.label)?;
    let tail = packer.frames(&tree.nodes)?;

    let mut files: Vec<&Node> = tree.nodes.iter().filter(|node| node.kind != Kind::Directory).collect();
    files.push(&tree.label);
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let size = files.iter().map(|node| node.size()).sum();
    let file_count = files.len();
    let list: Vec<String> = files.into_iter().map(|node| format!("{ROOT}/{}", node.path)).collect();

    let mut manifest = Manifest::new(vec![label_entry]);
    let mut warnings = tree.warnings;
    warnings.extend(label_warning);
    let mut pieces = Vec::new();
    for part in tail {
        manifest.members.extend(part.entries);
        warnings.extend(part.warnings);
        pieces.extend(part.pieces);
    }
    let metadata = packer.metadata(description, &manifest, size)?;
    let head = packer.head(&tree.label, &label, &metadata, &list, &mut manifest)?;
    let file = options.output.join(description.file_name());
    let frames = pieces.len();
    let file_size = packer.write(&file, &head, pieces)?;
    Ok(Packed {
        file,
        file_size,
        metadata,
        files: file_count,
        frames,
        frames_reused: packer.reused.load(Ordering::Relaxed),
        warnings,
    })
}

impl Node {
    fn size(&self) -> u64 {
        match &self.kind {
            Kind::File { stat, .. } => stat.size,
            Kind::Directory | Kind::Link { .. } => 0,
        }
    }
}

/// What a thread keeps from group to group: fresh memory is dear.
#[derive(Default)]
struct Worker {
    encoder: Option<Encoder>,
    content: Vec<u8>,
}

/// What a group of members gave.
struct Part {
    entries: Vec<Entry>,
    warnings: Vec<Problem>,
    pieces: Vec<Piece>,
}

struct Packer<'a> {
    dir: &'a Path,
    options: &'a Options<'a>,
    store: FrameStore,
    spool: Spool,
    reused: AtomicUsize,
}

impl Packer<'_> {
    /// Makes the frames of the tree; the parts are in the order of the members.
    fn frames(&self, nodes: &[Node]) -> Result<Vec<Part>> {
        let groups = group::plan(nodes);
        // Large members first, one at a time: each keeps all processors busy by itself.
        let mut large = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            if let Group::Large(node) = group {
                large.push((index, self.large(&nodes[*node])?));
            }
        }
        let small = groups.iter().enumerate().filter_map(|(index, group)| match group {
            Group::Members(range) => Some((index, &nodes[range.clone()])),
            Group::Large(_) => None,
        });
        let mut parts = self.side_by_side(&small.collect::<Vec<_>>())?;
        parts.extend(large);
        parts.sort_unstable_by_key(|(index, _)| *index);
        Ok(parts.into_iter().map(|(_, part)| part).collect())
    }

    /// Makes the frames of small members, a thread per processor; the first failure ends them all.
    fn side_by_side(&self, groups: &[(usize, &[Node])]) -> Result<Vec<(usize, Part)>> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Part)>> {
            let mut worker = Worker::default();
            let mut parts = Vec::new();
            while let Some((index, nodes)) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.members(&mut worker, nodes) {
                    Ok(part) => parts.push((*index, part)),
                    Err(error) => {
                        next.store(groups.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            Ok(parts)
        };
        let threads = rayon::current_num_threads().min(groups.len());
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut parts = Vec::with_capacity(groups.len());
        for result in results {
            parts.extend(result.map_err(|_| Error::machine("packing failed: a thread panicked"))??);
        }
        Ok(parts)
    }

    /// Members that share a frame.
    fn members(&self, worker: &mut Worker, nodes: &[Node]) -> Result<Part> {
        let mut part =
            Part { entries: Vec::with_capacity(nodes.len()), warnings: Vec::new(), pieces: Vec::new() };
        let Worker { encoder, content } = worker;
        content.clear();
        content.reserve(group::capacity(nodes));
        let mut key = self.key();
        for node in nodes {
            let start = content.len();
            header::append_node(content, node, self.time_of(node));
            key.update(&content[start..]);
            let Kind::File { executable, stat } = &node.kind else {
                part.entries.push(entry_of(node));
                continue;
            };
            let start = content.len();
            self.open(node)?.whole(stat, content)?;
            let digest = Sha256::digest(&content[start..]);
            key.update(digest);
            part.warnings.extend(secrets::inspect(&node.path, &content[start..]));
            part.entries.push(file_entry(&node.path, *executable, stat.size, &digest));
            header::pad(content, stat.size);
        }
        part.pieces.push(self.frame(encoder, key, content)?);
        Ok(part)
    }

    /// A member that is larger than a frame: the file is read and hashed once, its pieces are compressed side by
    /// side, as many at a time as there are processors.
    fn large(&self, node: &Node) -> Result<Part> {
        let Kind::File { executable, stat } = &node.kind else {
            return Ok(Part { entries: vec![entry_of(node)], warnings: Vec::new(), pieces: Vec::new() });
        };
        let source = self.open(node)?;
        let mut digest = Sha256::new();
        let mut part = Part { entries: Vec::new(), warnings: Vec::new(), pieces: Vec::new() };
        let mut first = Vec::new();
        header::append_node(&mut first, node, self.time_of(node));
        let mut left = stat.size;
        while left > 0 {
            let mut batch = Vec::new();
            while left > 0 && batch.len() < rayon::current_num_threads() {
                let mut content = std::mem::take(&mut first);
                let start = content.len();
                let length = left.min(group::MOST);
                source.next(length, &mut content)?;
                if left == stat.size {
                    part.warnings.extend(secrets::inspect(&node.path, &content[start..]));
                }
                left -= length;
                let end = content.len();
                if left == 0 {
                    header::pad(&mut content, stat.size);
                }
                batch.push((content, start..end));
            }
            let hash_all =
                || batch.iter().for_each(|(content, range)| digest.update(&content[range.clone()]));
            let compress_all = || -> Result<Vec<Piece>> {
                let compress = |encoder: &mut Option<Encoder>, (content, _): &(Vec<u8>, _)| {
                    let mut key = self.key();
                    key.update(Sha256::digest(content));
                    self.frame(encoder, key, content)
                };
                batch.par_iter().map_init(|| None, compress).collect()
            };
            let (pieces, ()) = rayon::join(compress_all, hash_all);
            part.pieces.extend(pieces?);
        }
        source.check(stat)?;
        part.entries.push(file_entry(&node.path, *executable, stat.size, &digest.finalize()));
        Ok(part)
    }

    /// Compresses, unless the store has the frame.
    fn frame(&self, encoder: &mut Option<Encoder>, key: Sha256, content: &[u8]) -> Result<Piece> {
        let key: [u8; 32] = key.finalize().into();
        if let Some(frame) = self.store.get(&key).filter(|frame| frame.size == content.len() as u64) {
            self.reused.fetch_add(1, Ordering::Relaxed);
            return self.spool.add(frame);
        }
        let frame = compress(encoder, self.options.format, content)?;
        self.store.put(&key, &frame);
        self.spool.add(frame)
    }

    /// What every frame's key starts with.
    fn key(&self) -> Sha256 {
        Sha256::new_with_prefix(format!("{}\n", self.options.format.identity()))
    }

    fn read_label(&self, node: &Node) -> Result<(Vec<u8>, Entry, Option<Problem>)> {
        let Kind::File { stat, .. } = &node.kind else {
            return Err(
                Error::input(format!("`{LABEL}` is no file")).hint("put the label's one line in a file")
            );
        };
        let mut content = Vec::new();
        self.open(node)?.whole(stat, &mut content)?;
        let entry = file_entry(LABEL, false, stat.size, &Sha256::digest(&content));
        let warning = secrets::inspect(LABEL, &content);
        Ok((content, entry, warning))
    }

    fn metadata(&self, description: &Description, manifest: &Manifest, size: u64) -> Result<Metadata> {
        let date = Timestamp::from_second(self.build_time())
            .map_err(|_| {
                Error::input(format!("`SOURCE_DATE_EPOCH` is {}, which is no date", self.build_time()))
                    .hint("set it to seconds since 1970, or unset it")
            })?
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let host = match self.options.source_date_epoch {
            // The host would differ from machine to machine, and without it the plugin's hash would not tell
            // two trees of the same size apart.
            Some(_) => format!("reproducible-{}", &hex(&Sha256::digest(manifest.to_bytes()?))[..12]),
            None => self.options.build_host.to_owned(),
        };
        Ok(Metadata::new(description, &host, &date, size))
    }

    /// The first two frames, before compression. Completes the manifest.
    fn head(
        &self,
        label_node: &Node,
        label: &[u8],
        metadata: &Metadata,
        list: &[String],
        manifest: &mut Manifest,
    ) -> Result<[Vec<u8>; 2]> {
        let json =
            |value: serde_json::Result<Vec<u8>>| value.map_err(|error| Error::input(error.to_string()));
        let metadata = json(serde_json::to_vec_pretty(metadata))?;
        let list = json(serde_json::to_vec_pretty(list))?;
        let now = self.build_time();
        let root_time = self.dir.metadata().at("read", self.dir)?.mtime();
        let mut first = Vec::new();
        header::append_directory(&mut first, "", self.options.source_date_epoch.unwrap_or(root_time));
        header::append_content(&mut first, LABEL, label, self.time_of(label_node));
        for (path, content) in [(METADATA, &metadata), (FILES, &list)] {
            header::append_content(&mut first, path, content, now);
            manifest.members.push(file_entry(path, false, content.len() as u64, &Sha256::digest(content)));
        }
        let mut second = Vec::new();
        header::append_content(&mut second, MANIFEST, &manifest.to_bytes()?, now);
        Ok([first, second])
    }

    /// Puts everything together.
    fn write(&self, target: &Path, head: &[Vec<u8>; 2], pieces: Vec<Piece>) -> Result<u64> {
        let mut file = AtomicFile::create_nameless(target, 0o666)?;
        let mut envelope = Envelope::new(self.options.format);
        let mut encoder = None;
        let mut written = envelope.start().len() as u64;
        file.write_all(envelope.start()).at("write", target)?;
        for content in head {
            let frame = compress(&mut encoder, self.options.format, content)?;
            envelope.add(frame.checksum, frame.size);
            file.write_all(&frame.bytes).at("write", target)?;
            written += frame.bytes.len() as u64;
        }
        for piece in pieces {
            envelope.add(piece.checksum, piece.size);
            written += self.spool.take(piece, &mut file, target)?;
        }
        let end = compress(&mut encoder, self.options.format, &header::END_MARKER)?;
        envelope.add(end.checksum, end.size);
        let rest = [end.bytes, envelope.end()].concat();
        file.write_all(&rest).at("write", target)?;
        file.commit()?;
        Ok(written + rest.len() as u64)
    }

    fn time_of(&self, node: &Node) -> i64 {
        self.options.source_date_epoch.unwrap_or(node.modified)
    }

    fn build_time(&self) -> i64 {
        self.options.source_date_epoch.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(0)
        })
    }

    fn open(&self, node: &Node) -> Result<Source> {
        Source::open(self.dir.join(&node.path))
    }
}

fn compress(encoder: &mut Option<Encoder>, format: Format, content: &[u8]) -> Result<Frame> {
    let failed = |error: io::Error| Error::machine(format!("cannot compress: {error}"));
    let encoder = match encoder {
        Some(encoder) => encoder,
        None => encoder.insert(Encoder::new(format).map_err(failed)?),
    };
    encoder.frame(content).map_err(failed)
}

fn entry_of(node: &Node) -> Entry {
    let kind = match &node.kind {
        Kind::Link { target } => MemberKind::Link { target: target.clone() },
        Kind::Directory | Kind::File { .. } => MemberKind::Directory,
    };
    Entry { path: node.path.clone(), kind }
}

fn file_entry(path: &str, executable: bool, size: u64, digest: &[u8]) -> Entry {
    let mode = format!("{:04o}", header::file_mode(executable));
    Entry { path: path.to_owned(), kind: MemberKind::File { size, mode, sha256: hex(digest) } }
}
