//! Every member of a `.plugin` file with its size and digest. The file is read to its end: what is
//! truncated or damaged is told, and nothing is taken from its manifest.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::head::{Head, refuse};
use super::limits::Limits;
use super::manifest::{Entry, MemberKind};
use super::members::{Member, Members, Refusal, Type};
use super::metadata::hex;
use super::stream::{Extent, Stream};
use super::{FILES, MANIFEST, METADATA, ROOT};
use crate::error::Result;
use crate::text;

/// A text that is kept has at most this.
const MOST_TEXT: u64 = 4 << 20;

#[derive(Debug)]
pub struct Inventory {
    /// Relative to the plugin's directory. As they are there: to be escaped when printed.
    pub members: Vec<Entry>,
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
        // It has to be a plugin.
        reading.head.identity(file)?;
        Ok(Inventory { members: reading.entries, texts: reading.texts })
    }
}

fn is_generated(path: &str) -> bool {
    [METADATA, FILES, MANIFEST].contains(&path)
}

struct Reading {
    members: Members<Stream>,
    head: Head,
    entries: Vec<Entry>,
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
                    self.entries.push(Entry { path: path.clone(), kind: file(&member, &content) });
                }
                self.head.set(&path, content)?;
            } else if !path.is_empty() && !is_generated(&path) {
                let kind = self.kind(&member, &path, is_wanted)?;
                self.entries.push(Entry { path, kind });
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
