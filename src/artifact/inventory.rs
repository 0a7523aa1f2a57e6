//! Every member of a `.plugin` file, or of a directory, with its size and digest. A file is read to its end: what is
//! truncated or damaged is told, and nothing is taken from its manifest.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::description::Description;
use super::exclude::Exclusions;
use super::frame_list;
use super::head::{Head, refuse};
use super::limits::Limits;
use super::manifest::{ManifestEntry, MemberKind};
use super::members::{Member, Members, Refusal, Type};
use super::metadata::{Metadata, hex};
use super::stream::{Extent, Stream};
use super::tree::{Node, NodeKind, Tree};
use super::{FILES, MANIFEST, METADATA, ROOT, describe};
use crate::error::Result;
use crate::{fs, text, threads};

/// A text that is kept has at most this.
const MOST_TEXT: u64 = 4 << 20;

#[derive(Debug)]
pub struct Inventory {
    /// Relative to the plugin's directory. As they are there: to be escaped when printed.
    pub members: Vec<ManifestEntry>,
    pub metadata: Option<Metadata>,
    /// The contents that were asked for.
    pub texts: BTreeMap<String, String>,
}

impl Inventory {
    /// Of a `.plugin` file, with the texts whose paths are wanted.
    pub fn of_file(file: &Path, limits: &Limits, is_wanted: &dyn Fn(&str) -> bool) -> Result<Inventory> {
        let (stream, _) = Stream::open(file, Extent::Whole, limits)?;
        let mut reading = Reading {
            members: Members::new(stream),
            head: Head::default(),
            entries: Vec::new(),
            texts: BTreeMap::new(),
        };
        reading.run(limits, is_wanted).map_err(|refusal| refuse(file, refusal))?;
        let identity = reading.head.identity(file)?;
        Ok(Inventory { members: reading.entries, metadata: Some(identity.metadata), texts: reading.texts })
    }

    /// Of a list of members alone, such as a manifest has.
    pub fn of_members(mut members: Vec<ManifestEntry>) -> Inventory {
        members.retain(|entry| !is_generated(&entry.path));
        Inventory { members, metadata: None, texts: BTreeMap::new() }
    }

    /// Of all that is in a directory, less the names at its top that are left out.
    pub fn of_directory(
        dir: &Path,
        left_out: &[&str],
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Inventory> {
        let mut members = Vec::new();
        for path in fs::list(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !is_generated(&name) && !left_out.contains(&name.as_str()) {
                members.extend(describe(dir, &name)?);
            }
        }
        let metadata = fs::read_optional(&dir.join(METADATA))?;
        let metadata = metadata.map(|content| Metadata::parse(&content)).transpose()?;
        Ok(Inventory { texts: texts(dir, &members, is_wanted)?, members, metadata })
    }

    /// Of what packing the plugin in `dir` would ship.
    pub fn of_sources(
        dir: &Path,
        description: &Description,
        limits: &Limits,
        excluded: &(dyn Fn(&Path) -> bool + Sync),
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Inventory> {
        let tree = Tree::walk(dir, &Exclusions::read(dir, excluded)?, limits)?;
        let size = tree.nodes.iter().map(Node::size).sum();
        let nodes: Vec<Node> = [vec![tree.label], tree.nodes].concat();
        let member = |node: Node| match node.kind {
            NodeKind::Directory { mode } => {
                Ok(vec![ManifestEntry { path: node.path, kind: MemberKind::directory(mode) }])
            }
            NodeKind::Link { target } => {
                Ok(vec![ManifestEntry { path: node.path, kind: MemberKind::Link { target } }])
            }
            NodeKind::File { .. } => describe(dir, &node.path),
        };
        let members = threads::try_map(nodes, 1, member)?.concat();
        let metadata = Metadata::new(description, "", "", size);
        Ok(Inventory { texts: texts(dir, &members, is_wanted)?, members, metadata: Some(metadata) })
    }
}

fn texts(
    dir: &Path,
    members: &[ManifestEntry],
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>> {
    let is_text = |entry: &&ManifestEntry| {
        matches!(entry.kind, MemberKind::File { size, .. } if size <= MOST_TEXT) && is_wanted(&entry.path)
    };
    let read = |entry: &ManifestEntry| {
        let content = fs::read(&dir.join(&entry.path))?;
        Ok((entry.path.clone(), String::from_utf8_lossy(&content).into_owned()))
    };
    members.iter().filter(is_text).map(read).collect()
}

fn is_generated(path: &str) -> bool {
    [METADATA, FILES, MANIFEST, frame_list::FILE].contains(&path)
}

struct Reading {
    members: Members<Stream>,
    head: Head,
    entries: Vec<ManifestEntry>,
    texts: BTreeMap<String, String>,
}

impl Reading {
    fn run(&mut self, limits: &Limits, is_wanted: &dyn Fn(&str) -> bool) -> Result<(), Refusal> {
        while let Some(member) = self.members.next()? {
            if self.entries.len() > limits.members {
                return Err(Refusal::Content(format!("has more than {} members", limits.members)));
            }
            let Some(path) = member.path.strip_prefix(ROOT.as_bytes()) else { continue };
            let path = String::from_utf8_lossy(path.strip_prefix(b"/").unwrap_or(path)).into_owned();
            let path = path.trim_end_matches('/').to_owned();
            if Head::wants(&path, &member)? {
                let content = self.members.whole(member.size)?;
                if !is_generated(&path) {
                    self.entries.push(ManifestEntry { path: path.clone(), kind: file(&member, &content) });
                }
                self.head.set(&path, content)?;
            } else if !path.is_empty() && !is_generated(&path) {
                let kind = self.kind(&member, &path, is_wanted)?;
                self.entries.push(ManifestEntry { path, kind });
            }
        }
        Ok(())
    }

    fn kind(
        &mut self,
        member: &Member,
        path: &str,
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Result<MemberKind, Refusal> {
        Ok(match &member.kind {
            Type::Directory => MemberKind::directory(member.mode),
            Type::Link { target } | Type::HardLink { target } => {
                MemberKind::Link { target: String::from_utf8_lossy(target).into_owned() }
            }
            Type::Other(what) => {
                return Err(Refusal::Content(format!("holds {what}: `{}`", text::visible(path))));
            }
            Type::File if member.size <= MOST_TEXT && is_wanted(path) => {
                let content = self.members.whole(member.size)?;
                let kind = file(member, &content);
                self.texts.insert(path.to_owned(), String::from_utf8_lossy(&content).into_owned());
                kind
            }
            Type::File => {
                let mut digest = Sha256::new();
                loop {
                    let piece = self.members.content()?;
                    if piece.is_empty() {
                        break;
                    }
                    digest.update(piece);
                    let length = piece.len();
                    self.members.take(length);
                }
                MemberKind::File {
                    size: member.size,
                    mode: mode(member.mode),
                    sha256: hex(&digest.finalize()),
                }
            }
        })
    }
}

fn file(member: &Member, content: &[u8]) -> MemberKind {
    MemberKind::File { size: member.size, mode: mode(member.mode), sha256: hex(&Sha256::digest(content)) }
}

fn mode(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}
