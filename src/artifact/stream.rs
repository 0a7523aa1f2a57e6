//! From a file to its tar stream: told by content, bounded in length, several frames at a time where it can be.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use super::frames::{Frames, Mark, Position};
use super::limits::{Limits, TooLarge};
use crate::error::{At, Error, Result};
use crate::fs;
use crate::plugin::LABEL_FILE;
use crate::text;

/// How the tar within is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// How much of the file will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The first members: nothing is decompressed ahead.
    Start,
    Whole,
    /// Frame by frame, each with its mark, where there are several.
    Frames,
}

/// The next step for whoever has a file that is not read.
pub(super) const HINT: &str = "get or build the file again; `mwp pack` makes one from a plugin's directory";

pub(super) struct Stream {
    source: Source,
    left: u64,
    limit: u64,
}

enum Source {
    Frames(Frames),
    Plain(Box<dyn BufRead + Send>),
}

impl Stream {
    pub(super) fn open(path: &Path, extent: Extent, limits: &Limits) -> Result<(Stream, Compression)> {
        if !fs::exists(path) {
            return Err(Error::usage(format!("{} does not exist", text::path(path)))
                .hint("give the path of a `.plugin` file"));
        }
        let mut file = fs::open(path)?;
        let metadata = file.metadata().at("read", path)?;
        if !metadata.is_file() {
            return Err(of_no_file(path));
        }
        let mut start = Vec::new();
        (&file).take(265).read_to_end(&mut start).at("read", path)?;
        file.rewind().at("read", path)?;
        let compression = compression_of(&start).ok_or_else(|| {
            Error::input(format!("{} is not a plugin file: it is no tar, gzip or zstd", text::path(path)))
                .hint(HINT)
        })?;
        let source = decoder(file, compression, extent).at("read", path)?;
        let limit = limits.stream(metadata.len());
        Ok((Stream { source, left: limit, limit }, compression))
    }

    /// Allows for a longer stream, of which it is now known what it holds.
    pub(super) fn extend(&mut self, limit: u64) {
        if limit > self.limit {
            self.left += limit - self.limit;
            self.limit = limit;
        }
    }

    /// Where the next byte is.
    pub(super) fn position(&mut self) -> io::Result<Position> {
        match &mut self.source {
            Source::Frames(frames) => frames.position(),
            Source::Plain(_) => Ok(Position::Elsewhere),
        }
    }

    /// Has frames with these marks left packed, until somebody reads them.
    pub(super) fn leave_packed(&self, marks: HashSet<Mark>) {
        if let Source::Frames(frames) = &self.source {
            frames.leave_packed(marks);
        }
    }

    /// The marks of the frames up to the one that is being read, where there are any.
    pub(super) fn marks(&self) -> &[Mark] {
        match &self.source {
            Source::Frames(frames) => frames.marks(),
            Source::Plain(_) => &[],
        }
    }

    /// Passes over the frame that begins here, and over `further` ones.
    pub(super) fn pass(&mut self, further: usize) -> io::Result<()> {
        if let Source::Frames(frames) = &mut self.source {
            self.left = self.left.saturating_sub(frames.pass(further)?);
        }
        Ok(())
    }

    /// How long the stream may be.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }
}

fn compression_of(start: &[u8]) -> Option<Compression> {
    match start {
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        plain if plain.get(257..262) == Some(b"ustar") => Some(Compression::None),
        _ => None,
    }
}

fn decoder(file: File, compression: Compression, extent: Extent) -> io::Result<Source> {
    const BUFFER: usize = 128 * 1024;
    if compression == Compression::Zstd
        && extent != Extent::Start
        && let Some(frames) = Frames::of(&file, extent == Extent::Frames)?
    {
        return Ok(Source::Frames(frames));
    }
    Ok(Source::Plain(match compression {
        Compression::None => Box::new(BufReader::with_capacity(BUFFER, file)),
        Compression::Gzip => {
            Box::new(BufReader::with_capacity(BUFFER, flate2::read::MultiGzDecoder::new(file)))
        }
        Compression::Zstd => Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::new(file)?)),
    }))
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let read = available.len().min(buffer.len());
        buffer[..read].copy_from_slice(&available[..read]);
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = match &mut self.source {
            Source::Frames(frames) => frames.fill_buf()?,
            Source::Plain(plain) => plain.fill_buf()?,
        };
        if available.len() as u64 > self.left {
            return Err(io::Error::other(TooLarge { limit: self.limit }));
        }
        Ok(available)
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        match &mut self.source {
            Source::Frames(frames) => frames.consume(amount),
            Source::Plain(plain) => plain.consume(amount),
        }
    }
}

/// A directory is what one has at hand before a release.
fn of_no_file(path: &Path) -> Error {
    let shown = text::path(path);
    if !path.join(LABEL_FILE).is_file() {
        return Error::input(format!("{shown} is not a plugin file: it is no file")).hint(HINT);
    }
    let plain = shown.trim_matches('`');
    Error::input(format!("{shown} is not a plugin file: it is a plugin's directory")).hint(format!(
        "`mwp release {plain}` makes a file of it, `mwp develop -C {plain}` puts it into service as it is"
    ))
}
