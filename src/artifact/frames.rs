//! Decompresses a file of several zstd frames on several threads, a few frames ahead of the reader.
//!
//! Only the outline of the frames is read here; what is in them is judged by the reader of the one stream that
//! they add up to. A file whose outline is not as we write it is left to the ordinary decoder.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use zstd::bulk::Decompressor;

use crate::threads;

/// The largest frame that is decompressed in memory.
const MOST: u64 = 16 << 20;
/// More frames than this are not ours.
const MOST_FRAMES: usize = 1 << 16;
/// Threads, beyond which memory grows and speed does not.
const MOST_THREADS: usize = 4;

/// Where a frame is and how large it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outline {
    offset: u64,
    compressed: usize,
    size: usize,
}

/// Tells frames from each other by their bytes, though not from those that somebody made to be mistaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Mark {
    crc32: u32,
    compressed: usize,
    size: usize,
}

impl Mark {
    fn of(outline: Outline, compressed: &[u8]) -> Mark {
        let Outline { compressed: length, size, .. } = outline;
        Mark { crc32: crc32fast::hash(compressed), compressed: length, size }
    }

    /// Of the frame with this number, in tests.
    #[cfg(test)]
    pub(super) fn stand_in(number: u32) -> Mark {
        Mark { crc32: number, compressed: 1, size: 1 }
    }
}

/// The stream that the frames add up to.
pub(super) struct Frames {
    shared: Arc<Shared>,
    count: usize,
    /// How many frames were taken from `shared`.
    taken: usize,
    current: Vec<u8>,
    position: usize,
    /// Of the frames that were taken, where they are wanted.
    marks: Vec<Mark>,
    /// The frame taken last was not decompressed.
    is_packed: bool,
}

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Before the first byte of a frame.
    Frame {
        /// From 0.
        number: usize,
        /// It is one of those that were to be [left packed](Frames::leave_packed).
        is_packed: bool,
    },
    Elsewhere,
}

struct Shared {
    file: File,
    outlines: Vec<Outline>,
    /// Whether the marks of the frames are wanted.
    with_marks: bool,
    ahead: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The next frame that a thread takes.
    next: usize,
    /// How many frames the reader took.
    taken: usize,
    ready: BTreeMap<usize, io::Result<Frame>>,
    /// Frames that need not be decompressed.
    packed: Arc<HashSet<Mark>>,
    /// Used buffers, whose allocations are used again.
    spare: Vec<Vec<u8>>,
    abandoned: bool,
}

struct Frame {
    mark: Option<Mark>,
    /// `None` where it was left packed.
    content: Option<Vec<u8>>,
}

impl Frames {
    /// The frames of the file, or `None` where it is not made of several small ones, or no thread can be started.
    pub(super) fn of(file: &File, with_marks: bool) -> io::Result<Option<Frames>> {
        let Some(outlines) = outline(file)? else { return Ok(None) };
        let threads = threads::processors().min(MOST_THREADS);
        let count = outlines.len();
        let shared = Arc::new(Shared {
            file: file.try_clone()?,
            outlines,
            with_marks,
            ahead: threads + 1,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let start = |_| {
            let shared = Arc::clone(&shared);
            threads::start("decompressing", move || shared.work()).ok()
        };
        // The ordinary decoder needs no thread.
        if (0..threads).map_while(start).count() == 0 {
            return Ok(None);
        }
        Ok(Some(Frames {
            shared,
            count,
            taken: 0,
            current: Vec::new(),
            position: 0,
            marks: Vec::new(),
            is_packed: false,
        }))
    }

    /// From now on frames with these marks are not decompressed, but for those that are already, until somebody reads
    /// them.
    pub(super) fn leave_packed(&self, frames: HashSet<Mark>) {
        self.shared.lock().packed = Arc::new(frames);
    }

    /// Where the reader stands; at the end of one frame that is before the next.
    pub(super) fn position(&mut self) -> io::Result<Position> {
        if self.is_packed || self.position < self.current.len() || !self.advance()? {
            return Ok(Position::Elsewhere);
        }
        Ok(Position::Frame { number: self.taken - 1, is_packed: self.is_packed })
    }

    /// Of the frames up to the one that is being read; none where they were not asked for.
    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Passes over the frame before which the reader stands, and over `further` ones; returns their length, decompressed.
    pub(super) fn pass(&mut self, further: usize) -> io::Result<u64> {
        let mut length = 0;
        for number in 0..=further {
            if number > 0 && !self.advance()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.is_packed = false;
            self.position = self.current.len();
            length += self.shared.outlines[self.taken - 1].size as u64;
        }
        Ok(length)
    }

    /// Takes the next frame; `false` where there is none.
    fn advance(&mut self) -> io::Result<bool> {
        if self.taken == self.count {
            return Ok(false);
        }
        let mut state = self.shared.lock();
        let frame = loop {
            match state.ready.remove(&self.taken) {
                Some(frame) => break frame,
                None => state = self.shared.wait(state),
            }
        };
        self.taken += 1;
        state.taken = self.taken;
        state.spare.push(std::mem::take(&mut self.current));
        drop(state);
        self.shared.changed.notify_all();
        self.position = 0;
        let Frame { mark, content } = frame?;
        self.marks.extend(mark);
        self.is_packed = content.is_none();
        self.current = content.unwrap_or_default();
        Ok(true)
    }

    /// Decompresses the frame that was left packed.
    fn unpack(&mut self) -> io::Result<()> {
        let outline = self.shared.outlines[self.taken - 1];
        let mut compressed = Vec::new();
        self.shared.read(outline, &mut compressed)?;
        self.current = decompress(&mut Decompressor::new()?, outline, &compressed, Vec::new())?;
        self.is_packed = false;
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Decompresses frame after frame, never too far ahead of the reader.
    fn work(&self) {
        let mut decompressor = Decompressor::new();
        let mut compressed = Vec::new();
        loop {
            let mut state = self.lock();
            while !state.abandoned
                && state.next < self.outlines.len()
                && state.next >= state.taken + self.ahead
            {
                state = self.wait(state);
            }
            if state.abandoned || state.next >= self.outlines.len() {
                return;
            }
            let index = state.next;
            state.next += 1;
            let buffer = state.spare.pop().unwrap_or_default();
            drop(state);
            let frame = match &mut decompressor {
                Ok(decompressor) => self.frame(self.outlines[index], decompressor, &mut compressed, buffer),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            self.lock().ready.insert(index, frame);
            self.changed.notify_all();
        }
    }

    fn frame(
        &self,
        outline: Outline,
        decompressor: &mut Decompressor<'_>,
        compressed: &mut Vec<u8>,
        buffer: Vec<u8>,
    ) -> io::Result<Frame> {
        self.read(outline, compressed)?;
        let mark = self.with_marks.then(|| Mark::of(outline, compressed));
        if let Some(mark) = mark {
            let packed = Arc::clone(&self.lock().packed);
            if packed.contains(&mark) {
                return Ok(Frame { mark: Some(mark), content: None });
            }
        }
        let content = decompress(decompressor, outline, compressed, buffer)?;
        Ok(Frame { mark, content: Some(content) })
    }

    fn read(&self, outline: Outline, compressed: &mut Vec<u8>) -> io::Result<()> {
        compressed.resize(outline.compressed, 0);
        self.file.read_exact_at(compressed, outline.offset)
    }
}

fn decompress(
    decompressor: &mut Decompressor<'_>,
    outline: Outline,
    compressed: &[u8],
    mut buffer: Vec<u8>,
) -> io::Result<Vec<u8>> {
    buffer.clear();
    buffer.reserve(outline.size);
    decompressor.decompress_to_buffer(compressed, &mut buffer)?;
    Ok(buffer)
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.shared.lock().abandoned = true;
        self.shared.changed.notify_all();
    }
}

impl BufRead for Frames {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position == self.current.len() {
            if self.is_packed {
                self.unpack()?;
            } else if !self.advance()? {
                break;
            }
        }
        Ok(&self.current[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position = (self.position + amount).min(self.current.len());
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let read = available.len().min(buffer.len());
        buffer[..read].copy_from_slice(&available[..read]);
        self.consume(read);
        Ok(read)
    }
}

/// The outline of all frames, or `None` where the file is not made of several small ones.
fn outline(file: &File) -> io::Result<Option<Vec<Outline>>> {
    let length = file.metadata()?.len();
    let mut source = BufReader::with_capacity(512, file);
    source.rewind()?;
    let mut outlines = Vec::new();
    let mut offset = 0;
    while offset < length {
        let frame = match frame_outline(&mut source, offset, length) {
            Ok(Some(frame)) if outlines.len() < MOST_FRAMES => frame,
            Ok(_) => {
                outlines.clear();
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                outlines.clear();
                break;
            }
            Err(error) => return Err(error),
        };
        offset = frame.offset + frame.compressed as u64;
        outlines.push(frame);
    }
    source.rewind()?;
    Ok((outlines.len() > 1).then_some(outlines))
}

/// Reads headers of a frame and of its blocks (RFC 8878, 3.1.1), and seeks to what follows.
fn frame_outline(source: &mut BufReader<&File>, offset: u64, length: u64) -> io::Result<Option<Outline>> {
    let head: [u8; 5] = read(source)?;
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor] = head else { return Ok(None) };
    let single_segment = descriptor & 0x20 != 0;
    let mut end = offset + 5;
    if !single_segment {
        read::<1>(source)?;
        end += 1;
    }
    // A dictionary, or a reserved bit.
    if descriptor & 0x0b != 0 {
        return Ok(None);
    }
    let (size, bytes) = match descriptor >> 6 {
        0 if single_segment => (u64::from(read::<1>(source)?[0]), 1),
        0 => return Ok(None),
        1 => (u64::from(u16::from_le_bytes(read(source)?)) + 256, 2),
        2 => (u64::from(u32::from_le_bytes(read(source)?)), 4),
        _ => (u64::from_le_bytes(read(source)?), 8),
    };
    end += bytes;
    loop {
        let [a, b, c] = read(source)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let content = match (header >> 1) & 3 {
            0 | 2 => header >> 3,
            1 => 1,
            _ => return Ok(None),
        };
        source.seek_relative(i64::from(content))?;
        end += 3 + u64::from(content);
        if end - offset > MOST + MOST / 4 || end > length {
            return Ok(None);
        }
        if header & 1 != 0 {
            break;
        }
    }
    if descriptor & 0x04 != 0 {
        read::<4>(source)?;
        end += 4;
    }
    let (Ok(compressed), Ok(size)) = (usize::try_from(end - offset), usize::try_from(size)) else {
        return Ok(None);
    };
    Ok((size as u64 <= MOST).then_some(Outline { offset, compressed, size }))
}

fn read<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::artifact::frame::{Encoder, Format};

    fn file(content: &[u8]) -> File {
        let mut file = crate::fs::unnamed_file_in(&std::env::temp_dir()).unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn frames(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut encoder = Encoder::new(Format::Zstd).unwrap();
        pieces.iter().flat_map(|piece| encoder.frame(piece).unwrap().bytes.to_vec()).collect()
    }

    #[test]
    fn frames_are_read_in_order_whatever_their_sizes() {
        let pieces: Vec<Vec<u8>> =
            (0..40_usize).map(|n| (0..n * n * 900).map(|i| (i * n % 251) as u8).collect()).collect();
        let mut frames = Frames::of(&file(&frames(&pieces)), false).unwrap().unwrap();
        let mut all = Vec::new();
        frames.read_to_end(&mut all).unwrap();
        assert!(all == pieces.concat());
    }

    #[test]
    fn a_damaged_frame_is_an_error_and_a_reader_may_leave_early() {
        let pieces: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n; 5000]).collect();
        let mut bytes = frames(&pieces);
        let position = bytes.len() / 2;
        bytes[position] ^= 0x55;
        if let Some(mut frames) = Frames::of(&file(&bytes), false).unwrap() {
            assert!(frames.read_to_end(&mut Vec::new()).is_err());
        }
        drop(Frames::of(&file(&frames_of_zeros()), false).unwrap());
    }

    fn frames_of_zeros() -> Vec<u8> {
        frames(&vec![vec![0; 100_000]; 50])
    }

    #[test]
    fn anything_else_is_left_to_the_ordinary_decoder() {
        let whole = frames_of_zeros();
        let one = zstd::encode_all(&[7; 100_000][..], 3).unwrap();
        let large = frames(&[vec![0; 20 << 20], vec![1; 10]]);
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &whole].concat();
        for other in [&whole[..whole.len() - 3], &one, &large, &skippable, b"\x28\xb5\x2f\xfd", b"hello"] {
            assert!(Frames::of(&file(other), false).unwrap().is_none());
        }
    }
}
