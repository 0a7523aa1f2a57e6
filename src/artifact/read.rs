//! Reading what a `.plugin` file says about itself: plain, gzip or zstd tar, told by content.
//!
//! Reading stops once label, metadata and list of files were seen: after the first frame of our own files. In
//! upstream's they may be anywhere, then the file is read through.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use super::members::{Member, Members, Refusal, Type};
use super::metadata::Metadata;
use super::{FILES, LABEL, METADATA, ROOT};
use crate::error::{At, Error, Result};
use crate::fs;
use crate::plugin::Label;
use crate::text;

/// How the tar within is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A `.plugin` file, opened.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    compression: Compression,
    label: Label,
    metadata: Metadata,
    files: Vec<String>,
}

impl Artifact {
    pub fn open(path: &Path) -> Result<Artifact> {
        let (file, compression) = open(path)?;
        let mut head = Head::default();
        head.read(Members::new(decoder(file, compression).at("read", path)?))
            .map_err(|refusal| refuse(path, refusal))?;
        let missing = |name: &str| refuse(path, Refusal::Content(format!("has no `{ROOT}/{name}`")));
        let within = |name: &str, error: &Error| {
            Error::input(format!("{}: `{ROOT}/{name}`: {error}", text::path(path))).hint(HINT)
        };
        let label = head.label.ok_or_else(|| missing(LABEL))?;
        let label = String::from_utf8_lossy(&label);
        let label = label.trim_end_matches(['\n', '\r']).parse().map_err(|error| within(LABEL, &error))?;
        let metadata = head.metadata.ok_or_else(|| missing(METADATA))?;
        let metadata = Metadata::parse(&metadata).map_err(|error| within(METADATA, &error))?;
        let files = head.files.ok_or_else(|| missing(FILES))?;
        let files = serde_json::from_slice(&files)
            .map_err(|error| within(FILES, &Error::input(text::visible(&error.to_string()))))?;
        Ok(Artifact { path: path.to_owned(), compression, label, metadata, files })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }

    pub fn label(&self) -> &Label {
        &self.label
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The paths of the plugin's files and links, each below `metwork_plugin/`. As the file has them: to be
    /// escaped when printed.
    pub fn files(&self) -> &[String] {
        &self.files
    }
}

/// The next step for whoever has a file that is not read.
pub(super) const HINT: &str = "get or build the file again; `mwp pack` makes one from a plugin's directory";

pub(super) fn refuse(path: &Path, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Content(reason) => {
            Error::input(format!("{}: the archive {reason}", text::path(path))).hint(HINT)
        }
        Refusal::Read(error) => Error::io("read", path, &error),
    }
}

/// Opens a file and tells what it is.
pub(super) fn open(path: &Path) -> Result<(File, Compression)> {
    let mut file = fs::open(path)?;
    let mut start = Vec::new();
    (&file).take(265).read_to_end(&mut start).at("read", path)?;
    file.rewind().at("read", path)?;
    let compression = match &start[..] {
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [0x1f, 0x8b, ..] => Compression::Gzip,
        plain if plain.get(257..262) == Some(b"ustar") => Compression::None,
        _ => {
            return Err(Error::input(format!(
                "{} is not a plugin file: it is no tar, gzip or zstd",
                text::path(path)
            ))
            .hint(HINT));
        }
    };
    Ok((file, compression))
}

/// The tar stream of a file.
pub(super) fn decoder(file: File, compression: Compression) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(BufReader::new(file)),
        Compression::Gzip => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file))),
        Compression::Zstd => Box::new(BufReader::with_capacity(128 * 1024, zstd::Decoder::new(file)?)),
    })
}

/// The members that describe a plugin.
#[derive(Default)]
struct Head {
    label: Option<Vec<u8>>,
    metadata: Option<Vec<u8>>,
    files: Option<Vec<u8>>,
}

impl Head {
    fn read(&mut self, mut members: Members<impl Read>) -> Result<(), Refusal> {
        let mut limit = Limit::default();
        while self.label.is_none() || self.metadata.is_none() || self.files.is_none() {
            let Some(member) = members.next()? else { break };
            limit.count(&member)?;
            let Some((slot, most)) = self.slot(&member) else { continue };
            if slot.is_some() {
                return Err(Refusal::content("has a member twice"));
            }
            if member.kind != Type::File || member.size > most {
                return Err(Refusal::content(
                    "has a label, metadata or list of files that is no file or too large",
                ));
            }
            let mut content = Vec::new();
            members.read_to_end(&mut content)?;
            *slot = Some(content);
        }
        Ok(())
    }

    /// Where the member goes, and how large it may be.
    fn slot(&mut self, member: &Member) -> Option<(&mut Option<Vec<u8>>, u64)> {
        let name = member.path.strip_prefix(ROOT.as_bytes())?.strip_prefix(b"/")?;
        match std::str::from_utf8(name).ok()? {
            LABEL => Some((&mut self.label, 4 * 1024)),
            METADATA => Some((&mut self.metadata, 1024 * 1024)),
            FILES => Some((&mut self.files, 64 * 1024 * 1024)),
            _ => None,
        }
    }
}

/// A file that never shows its metadata is not read forever.
#[derive(Default)]
struct Limit {
    members: usize,
    bytes: u64,
}

impl Limit {
    fn count(&mut self, member: &Member) -> Result<(), Refusal> {
        self.members += 1;
        self.bytes = self.bytes.saturating_add(member.size);
        if self.members > 200_000 || self.bytes > 16 << 30 {
            return Err(Refusal::content("is larger than any plugin, and no metadata were found so far"));
        }
        Ok(())
    }
}
