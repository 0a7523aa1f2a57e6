//! Reads a tar stream member by member, strictly: whatever is not plainly right is refused with a reason.
//!
//! The `tar` crate decodes headers; the sequence of members is read here, because the crate lets pass what an
//! archive from elsewhere must not do: end in the middle, go on after its end, or give one member two names.
//! Sizes in extension headers are bounded before anything is allocated.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

use super::header::{BLOCK, padding};
use super::limits::TooLarge;
use crate::error::Error;

/// An extension header (a long name, a set of attributes) holds at most this.
const MAX_EXTENSION: u64 = 64 * 1024;
/// More of them before one member than any writer makes.
const MAX_EXTENSIONS: usize = 8;

/// The end of the year 9999; some file systems refuse later times.
const LATEST: i64 = 253_402_300_799;

/// Why an archive is not read on.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The content is at fault; the text completes "the archive …".
    Content(String),
    /// So it is, and this is what to do about it.
    Hinted {
        reason: String,
        hint: &'static str,
    },
    Read(io::Error),
    /// Something else went wrong meanwhile.
    Other(Error),
}

impl Refusal {
    pub(super) fn content(reason: impl Into<String>) -> Refusal {
        Refusal::Content(reason.into())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Other(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        if let Some(large) = error.get_ref().and_then(|inner| inner.downcast_ref::<TooLarge>()) {
            return Refusal::Content(large.to_string());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Refusal::content("is truncated"),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                Refusal::Content(format!("is damaged: {}", crate::text::io_reason(&error)))
            }
            _ => Refusal::Read(error),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    /// As the archive has it: nothing is checked yet.
    pub(super) path: Vec<u8>,
    pub(super) kind: Type,
    pub(super) size: u64,
    pub(super) mode: u32,
    /// In seconds since 1970.
    pub(super) modified: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Type {
    Directory,
    File,
    Link {
        target: Vec<u8>,
    },
    HardLink {
        target: Vec<u8>,
    },
    /// What a plugin cannot have, by its name.
    #[serde(skip)]
    Other(String),
}

pub(super) struct Members<R> {
    source: R,
    /// What is left of the current member: content, then padding.
    content_left: u64,
    padding_left: usize,
    ended: bool,
}

/// What extension headers said about the next member.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
    any: bool,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(source: R) -> Members<R> {
        Members { source, content_left: 0, padding_left: 0, ended: false }
    }

    pub(super) fn source(&self) -> &R {
        &self.source
    }

    pub(super) fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// The next member; its content is read from `self`. `None` at the proper end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Refusal> {
        if self.ended {
            return Ok(None);
        }
        self.settle()?;
        let mut extensions = Extensions::default();
        for _ in 0..MAX_EXTENSIONS {
            let Some(header) = self.header()? else {
                if extensions.any {
                    return Err(Refusal::content(
                        "has a long name or attributes without a member that they belong to",
                    ));
                }
                self.ended = true;
                return Ok(None);
            };
            let size = header.entry_size().map_err(|_| Refusal::content("has a header with a bad size"))?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    let name = self.long_value(size)?;
                    set_once(&mut extensions.path, name, "two long names")?;
                }
                EntryType::GNULongLink => {
                    let link = self.long_value(size)?;
                    set_once(&mut extensions.link, link, "two long link targets")?;
                }
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    extensions.read(&records)?;
                }
                EntryType::XGlobalHeader => {
                    let records = self.extension(size)?;
                    let mut global = Extensions::default();
                    global.read(&records)?;
                    if global.path.is_some() || global.link.is_some() || global.size.is_some() {
                        return Err(Refusal::content(
                            "sets a name, a link or a size for all members at once",
                        ));
                    }
                    continue;
                }
                _ => return self.member(&header, size, extensions).map(Some),
            }
            extensions.any = true;
        }
        Err(Refusal::content("has more extension headers before one member than any writer makes"))
    }

    fn member(&mut self, header: &Header, size: u64, extensions: Extensions) -> Result<Member, Refusal> {
        let size = extensions.size.unwrap_or(size);
        let path = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let target = extensions
            .link
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        let is_directory_by_name = path.ends_with(b"/");
        let kind = match header.entry_type() {
            EntryType::Directory => Type::Directory,
            // Before POSIX, a directory was a file with a slash at the end.
            EntryType::Regular | EntryType::Continuous if is_directory_by_name => Type::Directory,
            EntryType::Regular | EntryType::Continuous => Type::File,
            EntryType::Symlink => Type::Link { target },
            EntryType::Link => Type::HardLink { target },
            EntryType::Char | EntryType::Block => Type::Other("a device".to_owned()),
            EntryType::Fifo => Type::Other("a named pipe".to_owned()),
            EntryType::GNUSparse => Type::Other("a sparse file".to_owned()),
            _ => Type::Other("a member of unknown type".to_owned()),
        };
        // Only files have content; some writers give hard links the size of what they link to.
        let content = if kind == Type::File { size } else { 0 };
        if matches!(kind, Type::Directory | Type::Link { .. }) && size != 0 {
            return Err(Refusal::content("has a directory or link with content"));
        }
        self.content_left = content;
        self.padding_left = padding(content);
        let mode = header.mode().map_err(|_| Refusal::content("has a header with a bad mode"))?;
        let modified =
            extensions.modified.or_else(|| header.mtime().ok().and_then(|time| i64::try_from(time).ok()));
        let modified = modified.unwrap_or(0).clamp(0, LATEST);
        Ok(Member { path, kind, size: content, mode, modified })
    }

    /// The next header, or `None` at the end marker, after which only padding may follow.
    fn header(&mut self) -> Result<Option<Header>, Refusal> {
        let mut header = Header::new_old();
        if read_block(&mut self.source, header.as_mut_bytes())? == 0 {
            return Err(Refusal::content("is truncated: it has no end marker"));
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.after_the_end()?;
            return Ok(None);
        }
        let sum = header.as_bytes()[..148]
            .iter()
            .chain(&header.as_bytes()[156..])
            .map(|byte| u32::from(*byte))
            .sum::<u32>();
        if header.cksum().ok() != Some(sum + 8 * u32::from(b' ')) {
            return Err(Refusal::content("is damaged: a header has a wrong checksum"));
        }
        Ok(Some(header))
    }

    fn after_the_end(&mut self) -> Result<(), Refusal> {
        // Record padding is at most some kilobytes; more is a bomb.
        const MAX_PADDING: usize = 2 * 1024 * 1024;
        let mut buffer = [0; 16 * BLOCK];
        let mut seen = 0;
        loop {
            let read = read_block(&mut self.source, &mut buffer)?;
            if read == 0 {
                break;
            }
            seen += read;
            if buffer[..read].iter().any(|byte| *byte != 0) {
                return Err(Refusal::content("goes on after its end marker"));
            }
            if seen > MAX_PADDING {
                return Err(Refusal::content("has more padding after its end than any writer adds"));
            }
        }
        if seen < BLOCK {
            Err(Refusal::content("is truncated: its end marker is not complete"))
        } else {
            Ok(())
        }
    }

    fn long_value(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        let mut value = self.extension(size)?;
        if value.last() == Some(&0) {
            value.pop();
        }
        Ok(value)
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        if size > MAX_EXTENSION {
            return Err(Refusal::Content(format!("has an extension header of {}", crate::text::size(size))));
        }
        let length = usize::try_from(size).unwrap_or(0);
        let mut value = vec![0; length + padding(size)];
        self.source.read_exact(&mut value)?;
        value.truncate(length);
        Ok(value)
    }

    /// The next bytes of the current member's content; empty when all was [taken](Members::take).
    pub(super) fn content(&mut self) -> Result<&[u8], Refusal> {
        if self.content_left == 0 {
            return Ok(&[]);
        }
        let available = self.source.fill_buf()?;
        if available.is_empty() {
            return Err(Refusal::content("is truncated"));
        }
        let wanted =
            usize::try_from(self.content_left).map_or(available.len(), |left| left.min(available.len()));
        Ok(&available[..wanted])
    }

    pub(super) fn take(&mut self, amount: usize) {
        self.content_left = self.content_left.saturating_sub(amount as u64);
        self.source.consume(amount);
    }

    /// The whole content of the current member, which the caller knows to be small.
    pub(super) fn whole(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        loop {
            let piece = self.content()?;
            if piece.is_empty() {
                return Ok(content);
            }
            content.extend_from_slice(piece);
            let taken = piece.len();
            self.take(taken);
        }
    }

    /// Goes to where the next member begins.
    pub(super) fn settle(&mut self) -> Result<(), Refusal> {
        loop {
            let skipped = self.content()?.len();
            if skipped == 0 {
                break;
            }
            self.take(skipped);
        }
        let mut rest = [0; BLOCK];
        self.source.read_exact(&mut rest[..self.padding_left])?;
        self.padding_left = 0;
        Ok(())
    }
}

impl Extensions {
    /// Records of the form `{length} {key}={value}\n`.
    fn read(&mut self, mut records: &[u8]) -> Result<(), Refusal> {
        let bad = || Refusal::content("has an extension header that cannot be read");
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length =
                std::str::from_utf8(&records[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
            let length =
                length.filter(|length| (space + 2..=records.len()).contains(length)).ok_or_else(bad)?;
            let (record, rest) = records.split_at(length);
            let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            records = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let number = || std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        match key {
            b"path" => set_once(&mut self.path, value.to_vec(), "two names"),
            b"linkpath" => set_once(&mut self.link, value.to_vec(), "two link targets"),
            b"size" => {
                let size = number().ok_or_else(|| Refusal::content("has a member with a bad size"))?;
                set_once(&mut self.size, size, "two sizes")
            }
            b"mtime" => {
                // Seconds, with a fraction that is not ours to keep.
                let seconds = value.split(|byte| *byte == b'.').next().unwrap_or_default();
                self.modified = std::str::from_utf8(seconds).ok().and_then(|digits| digits.parse().ok());
                Ok(())
            }
            _ if key.starts_with(b"GNU.sparse") => Err(Refusal::content("has a sparse file")),
            // Owners, access times, extended attributes: not taken over.
            _ => Ok(()),
        }
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T, what: &str) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::Content(format!("gives one member {what}"))),
    }
}

/// Fills the buffer as far as the stream goes; a piece of a block is an error, nothing at all is not.
fn read_block(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Refusal> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    if filled % BLOCK == 0 { Ok(filled) } else { Err(Refusal::content("is truncated")) }
}
