//! Packing: a plugin's directory becomes a `.plugin` file, or nothing does.
//!
//! The head of the file (metadata, manifest) depends on every byte of the tree, yet each file is read only once:
//! the tree's [frames](super::compress) are made first, and [wait](super::spool) until the head is known.
//!
//! The file is whole as soon as it has its name, whatever becomes of the process. It is not waited for until it is on
//! the disk: a release can be made again, and whoever installs it checks every byte.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::compress::{Compression, file_entry};
use super::description::Description;
use super::exclude::Exclusions;
use super::frame::{Envelope, Format};
use super::frame_store::FrameStore;
use super::limits::Limits;
use super::manifest::{Lines, ManifestEntry};
use super::metadata::{Metadata, hex};
use super::source::Source;
use super::spool::{Piece, Spool};
use super::tree::{Node, NodeKind, Survey, Tree};
use super::{FILES, LABEL, MANIFEST, METADATA, ROOT, header, secrets};
use crate::error::{At, Error, Problem, Result};
use crate::fs::{self, AtomicFile, Instant};
use crate::text;
use crate::threads;

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
    pub limits: &'a Limits,
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
    // Where it cannot be told, no file counts as untouched.
    let read_at = Instant::now(dir).unwrap_or(Instant::NEVER);
    let tree = Tree::walk(dir, &exclusions, options.limits)?;
    fs::create_dir_all(options.output)?;
    let packer = Packer { dir, description, options, read_at };
    let packed = match packer.pack(&tree, &FrameStore::new(options.frame_store))? {
        // The store lost something meanwhile: without one, everything is made anew.
        None => packer.pack(&tree, &FrameStore::new(None))?,
        packed => packed,
    };
    packed.ok_or_else(|| Error::machine("packing failed: a frame is missing"))
}

/// What packing the plugin in `dir` would refuse and warn of, and what its `.releaseignore` says that may not be meant.
/// Nothing is read but names, and nothing is written.
pub fn inspect(dir: &Path, limits: &Limits, excluded: &(dyn Fn(&Path) -> bool + Sync)) -> Result<Inspection> {
    let exclusions = Exclusions::read(dir, excluded)?;
    let Survey { nodes, mut problems, mut warnings } = Survey::of(dir, &exclusions, limits)?;
    warnings.extend(exclusions.notes());
    problems.extend(closed_files(dir, &nodes));
    Ok(Inspection { problems, warnings })
}

/// Files that this user may not read; those that everybody may are not asked for.
fn closed_files(dir: &Path, nodes: &[Node]) -> Vec<Problem> {
    let is_closed = |node: &&Node| match &node.kind {
        NodeKind::File { stat, .. } => {
            let is_open = stat.mode & 0o444 == 0o444;
            !is_open
                && access(dir.join(&node.path), Access::READ_OK).is_err_and(|error| error == Errno::ACCESS)
        }
        NodeKind::Directory { .. } | NodeKind::Link { .. } => false,
    };
    let problem = |node: &Node| Problem {
        message: format!("cannot read {}: permission denied", text::path(&dir.join(&node.path))),
        hint: Some("check its owner and its permissions, or leave it out with `.releaseignore`".to_owned()),
    };
    nodes.iter().filter(is_closed).take(MOST_CLOSED).map(problem).collect()
}

/// More are no help.
const MOST_CLOSED: usize = 20;

/// What [`inspect`] found.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

struct Packer<'a> {
    dir: &'a Path,
    description: &'a Description,
    options: &'a Options<'a>,
    /// Before any file of the tree is read, by the clock of its file system.
    read_at: Instant,
}

impl Packer<'_> {
    /// Nothing where a frame is gone from the store, or damaged there, when it is needed.
    fn pack(&self, tree: &Tree, store: &FrameStore) -> Result<Option<Packed>> {
        let Packer { dir, description, options, read_at } = *self;
        let spool = Spool::new(store, options.output);
        let (label, label_entry, label_warning) = self.read_label(&tree.label)?;
        let (format, source_date_epoch) = (options.format, options.source_date_epoch);
        let compression = Compression { dir, format, source_date_epoch, store, spool: &spool, read_at };
        let (tail, list) = threads::both(|| compression.run(&tree.nodes), || list_of(tree));
        let (tail, list) = (tail?, json(list)?);

        let size = tree.files().map(Node::size).sum();
        let mut lines = vec![Lines::of([&label_entry])?];
        lines.extend(tail.lines);
        let metadata = self.metadata(description, &lines, size)?;
        let head = self.head(&tree.label, &label, &metadata, &list, lines)?;
        let (frames, frames_reused) = (tail.pieces.len(), tail.reused);
        let mut pieces = Vec::with_capacity(frames + 3);
        for content in head {
            pieces.extend(compression.text(&content)?);
        }
        pieces.extend(tail.pieces);
        pieces.extend(compression.text(&header::END_MARKER)?);
        let file = options.output.join(description.file_name());
        let Some(file_size) = self.write(&file, pieces, &spool)? else { return Ok(None) };

        let secrets = secrets::few(label_warning.into_iter().chain(tail.warnings).collect());
        let warnings = [tree.warnings.clone(), secrets].concat();
        let files = tree.files().count();
        Ok(Some(Packed { file, file_size, metadata, files, frames, frames_reused, warnings }))
    }

    fn read_label(&self, node: &Node) -> Result<(Vec<u8>, ManifestEntry, Option<Problem>)> {
        let NodeKind::File { stat, .. } = &node.kind else {
            return Err(
                Error::input(format!("`{LABEL}` is no file")).hint("put the label's one line in a file")
            );
        };
        let mut content = Vec::new();
        Source::open(self.dir.join(LABEL))?.whole(stat, &mut content)?;
        let entry = file_entry(LABEL, 0o644, stat.size, hex(&Sha256::digest(&content)));
        let warning = secrets::inspect(LABEL, &content);
        Ok((content, entry, warning))
    }

    fn metadata(&self, description: &Description, lines: &[Lines], size: u64) -> Result<Metadata> {
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
            Some(_) => format!("reproducible-{}", &hex(&Sha256::digest(Lines::whole(lines)))[..12]),
            None => self.options.build_host.to_owned(),
        };
        Ok(Metadata::new(description, &host, &date, size))
    }

    /// What comes first in the file: the label and what describes the plugin, then the manifest, completed.
    fn head(
        &self,
        label_node: &Node,
        label: &[u8],
        metadata: &Metadata,
        list: &[u8],
        mut lines: Vec<Lines>,
    ) -> Result<[Vec<u8>; 2]> {
        let metadata = json(serde_json::to_vec_pretty(metadata))?;
        let now = self.build_time();
        let root_time = self.dir.metadata().at("read", self.dir)?.mtime();
        let mut first = Vec::with_capacity(list.len() + 16 * 1024);
        header::append_directory(&mut first, "", 0o755, self.options.source_date_epoch.unwrap_or(root_time));
        header::append_content(&mut first, LABEL, label, self.time_of(label_node));
        for (path, content) in [(METADATA, metadata.as_slice()), (FILES, list)] {
            header::append_content(&mut first, path, content, now);
            let (size, digest) = (content.len() as u64, hex(&Sha256::digest(content)));
            lines.push(Lines::of([&file_entry(path, 0o644, size, digest)])?);
        }
        let manifest = Lines::whole(&lines);
        if list.len().max(manifest.len()) as u64 > Limits::DESCRIPTION {
            let size = text::size(list.len().max(manifest.len()) as u64);
            return Err(Error::input(format!(
                "the names of all files come to {size}; at most {} are installed",
                text::size(Limits::DESCRIPTION)
            ))
            .hint("leave files out with `.releaseignore`"));
        }
        let mut second = Vec::with_capacity(manifest.len() + 1024);
        header::append_content(&mut second, MANIFEST, &manifest, now);
        Ok([first, second])
    }

    /// Puts everything together, and tells how long that is; nothing where a frame is lost.
    fn write(&self, target: &Path, pieces: Vec<Piece>, spool: &Spool<'_>) -> Result<Option<u64>> {
        let mut envelope = Envelope::new(self.options.format);
        let start = envelope.start();
        let mut length = start.len() as u64;
        let mut placed = Vec::with_capacity(pieces.len());
        for piece in pieces {
            envelope.add(piece.checksum, piece.size);
            let at = length;
            length += piece.length();
            placed.push((at, piece));
        }
        let end = envelope.end();

        let mut atomic = AtomicFile::create_nameless(target, 0o666)?;
        let file: &File = atomic.as_file_mut();
        file.write_all_at(start, 0).at("write", target)?;
        let taken = threads::try_map(placed, 1, |(at, piece)| spool.take(piece, file, at, target))?;
        if taken.contains(&false) {
            return Ok(None);
        }
        file.write_all_at(&end, length).at("write", target)?;
        atomic.commit_without_sync()?;
        Ok(Some(length + end.len() as u64))
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
}

/// `.files.json`, as it is indented upstream, in byte order of the paths.
fn list_of(tree: &Tree) -> serde_json::Result<Vec<u8>> {
    struct Listed<'a>(&'a Node);
    impl Serialize for Listed<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("{ROOT}/{}", self.0.path))
        }
    }
    let mut files: Vec<Listed<'_>> = tree.files().map(Listed).collect();
    files.sort_unstable_by_key(|file| file.0.path.as_str());
    let length: usize = files.iter().map(|file| file.0.path.len() + ROOT.len() + 8).sum();
    let mut list = Vec::with_capacity(length);
    serde_json::to_writer_pretty(&mut list, &files)?;
    Ok(list)
}

fn json(value: serde_json::Result<Vec<u8>>) -> Result<Vec<u8>> {
    value.map_err(|error| Error::input(error.to_string()))
}

/// The file of the plugin in `dir`, in `output`, with this time for all its files.
#[cfg(test)]
pub(super) fn pack_stand_in(dir: &Path, output: &Path, format: Format, time: i64) -> PathBuf {
    let text = |text: &str| text.to_owned();
    let description = Description {
        label: crate::plugin::Label::read(dir).unwrap(),
        version: text("1"),
        release: text("1"),
        summary: text("s"),
        license: text("BSD"),
        packager: text("me"),
        vendor: text("v"),
        url: text("u"),
    };
    let options = Options {
        limits: &Limits::default(),
        format,
        output,
        source_date_epoch: Some(time),
        build_host: "box",
        frame_store: None,
        excluded: &|_| false,
    };
    pack(dir, &description, &options).unwrap().file
}
