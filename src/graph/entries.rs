//! The entries of a snapshot: as a list, as they are written, or both.
//!
//! A build with nothing to do looks at tens of thousands of files and needs no list of them: each line is compared with the
//! disk where it is written, in the content of the state's file. The list is made when somebody asks for it.
//!
//! What is written is the number of entries, the length of each piece, and the pieces, which can be read by several threads.
//! A piece has a digest for each entry, then a line for each. A line says how many bytes of its name are those of the line
//! before and how many follow, whether what a link points to is meant, and the stat record. Numbers are little-endian.

use std::ffi::CStr;
use std::fs::File;
use std::ops::{Deref, Range};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::name::Name;
use super::snapshot::{Entry, FileKind};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Instant, Stat};
use crate::threads;

/// How many entries a piece has, and a thread takes at once.
const PIECE: usize = 256;
/// Fewer pieces are looked at sooner than threads are started for them.
const WORTH_THREADS: usize = 8;

/// Sorted by name; shared, because untouched ones are passed on as they are.
#[derive(Debug, Clone, Default)]
pub struct Entries(Arc<Forms>);

/// At least one is there, or there are no entries.
#[derive(Debug, Default)]
struct Forms {
    list: OnceLock<Vec<Entry>>,
    written: OnceLock<Written>,
}

impl From<Vec<Entry>> for Entries {
    fn from(list: Vec<Entry>) -> Entries {
        Entries(Arc::new(Forms { list: list.into(), written: OnceLock::new() }))
    }
}

/// The list. What somebody damaged and gave the right sum has none; [`Entries::changed`] tells.
impl Deref for Entries {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        let read = || self.0.written.get().and_then(Written::list).unwrap_or_default();
        self.0.list.get_or_init(read)
    }
}

impl Entries {
    /// Takes entries from `content`, where they begin at `at`; none of them is looked at.
    pub(super) fn read(content: &Arc<Vec<u8>>, at: &mut usize) -> Option<Entries> {
        let written = Written::read(content, at)?;
        Some(Entries(Arc::new(Forms { list: OnceLock::new(), written: written.into() })))
    }

    pub(super) fn write_to(&self, content: &mut Vec<u8>) -> Result<()> {
        let written = self.written()?;
        content.extend_from_slice(&written.content[written.place.clone()]);
        Ok(())
    }

    /// They are the same ones, shared.
    pub(super) fn are(&self, other: &Entries) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Changes the list; whoever shares it keeps it as it was.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Vec<Entry>)) {
        let own = Arc::get_mut(&mut self.0).and_then(|forms| forms.list.take());
        let mut list = own.unwrap_or_else(|| self.to_vec());
        change(&mut list);
        *self = Entries::from(list);
    }

    /// Calls `each` with every name, for whoever needs no list.
    pub(super) fn each_name(&self, mut each: impl FnMut(&Path)) {
        match (self.0.list.get(), self.0.written.get()) {
            (None, Some(written)) => {
                for piece in &written.pieces {
                    let mut lines = written.lines(piece);
                    while let Some(line) = lines.next() {
                        each(Name::path(line.name()));
                    }
                }
            }
            _ => self.iter().for_each(|entry| each(entry.name.as_path())),
        }
    }

    /// Those for which the record, read at that moment, no longer tells the content: their places in order, with the
    /// record now, or `None` for what is gone. `None` where what is written cannot be read.
    pub(super) fn changed(&self, dir: &Path, read_at: Instant) -> Result<Option<Vec<Changed>>> {
        Ok(self.looked_at(dir, &[], read_at)?.map(|found| found.changed))
    }

    /// As [`changed`](Entries::changed), and which directories at and below `outputs` are links now: what is below them
    /// may well have its record, and is somewhere else. That takes no time for a file.
    pub(super) fn looked_at(
        &self,
        dir: &Path,
        outputs: &[PathBuf],
        read_at: Instant,
    ) -> Result<Option<Found>> {
        let written = self.written()?;
        if written.pieces.is_empty() {
            return Ok(Some(Found::default()));
        }
        let next = AtomicUsize::new(0);
        let work = || {
            // One for each thread: a shared one has a count that they would take from each other for every file.
            let mut way = Way::new(dir, outputs)?;
            let mut changed = Vec::new();
            while let Some(piece) = written.pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut lines = written.lines(piece);
                for index in piece.entries.clone() {
                    let Some(line) = lines.next() else { return Ok(None) };
                    let stat = way.look(&line)?;
                    if !stat.is_some_and(|stat| stat == line.stat && !stat.is_racy(read_at)) {
                        changed.push((index, stat));
                    }
                }
            }
            Ok(Some((changed, way.linked)))
        };
        let most = if written.pieces.len() < WORTH_THREADS { 1 } else { threads::processors() };
        let parts: Result<Option<Vec<_>>> =
            threads::together(most, "looking at files", work).into_iter().collect();
        Ok(parts?.map(|parts| {
            let mut found = Found::default();
            for (changed, linked) in parts {
                found.changed.extend(changed);
                found.linked.extend(linked);
            }
            found.changed.sort_unstable_by_key(|(index, _)| *index);
            // The first line of a piece tells of directories that the piece before has told of.
            found.linked.sort_unstable();
            found.linked.dedup();
            found
        }))
    }

    fn written(&self) -> Result<&Written> {
        match self.0.written.get() {
            Some(written) => Ok(written),
            None => {
                let written = Written::of(self)?;
                Ok(self.0.written.get_or_init(|| written))
            }
        }
    }
}

/// The place of an entry in its list, and its record now.
pub(super) type Changed = (usize, Option<Stat>);

/// What became of entries.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changed: Vec<Changed>,
    /// Directories that are links now.
    pub(super) linked: Vec<Name>,
}

/// More directories of one path are not open at once: there is one path for each thread.
const MOST_OPEN: usize = 8;

/// The directories of outputs on the way to the line looked at last. They are open, so that what is in one is found
/// without the way there, which pays for the look at the directory itself.
struct Way<'a> {
    root: File,
    dir: &'a Path,
    outputs: &'a [PathBuf],
    /// Each with where its name ends; nothing for one that is none, or is not open.
    open: Vec<(usize, Option<OwnedFd>)>,
    linked: Vec<Name>,
}

impl<'a> Way<'a> {
    fn new(dir: &'a Path, outputs: &'a [PathBuf]) -> Result<Way<'a>> {
        Ok(Way { root: fs::open(dir)?, dir, outputs, open: Vec::new(), linked: Vec::new() })
    }

    /// The record of what is at the line, now.
    fn look(&mut self, line: &Line<'_>) -> Result<Option<Stat>> {
        if self.outputs.is_empty() {
            return line.look(&self.root, self.dir, 0);
        }
        let still_open = self.open.iter().take_while(|(end, _)| *end < line.shared).count();
        self.open.truncate(still_open);
        let mut parent = self.open.last().map_or(0, |(end, _)| *end);
        for end in line.entered() {
            parent = end;
            self.enter(&line.name[..end])?;
        }
        match self.open.last() {
            Some((end, Some(directory))) if *end == parent => line.look(directory, self.dir, end + 1),
            _ => line.look(&self.root, self.dir, 0),
        }
    }

    /// Opens a directory, where it is at or below an output: what is above may well be a link.
    fn enter(&mut self, name: &[u8]) -> Result<()> {
        let path = Name::path(name);
        if !self.outputs.iter().any(|output| path.starts_with(output)) {
            return Ok(());
        }
        let opened = match self.open.last() {
            _ if self.open.len() >= MOST_OPEN => None,
            Some((end, Some(above))) => fs::open_directory_at(above, Name::path(&name[end + 1..])),
            Some((_, None)) => None,
            None => fs::open_directory_at(&self.root, path),
        };
        if opened.is_none() && Stat::of(&self.dir.join(path))?.is_some_and(|stat| stat.is_link()) {
            self.linked.push(Name::new(path));
        }
        self.open.push((name.len(), opened));
        Ok(())
    }
}

/// Where in the content of a file the entries are.
#[derive(Debug)]
struct Written {
    content: Arc<Vec<u8>>,
    place: Range<usize>,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    /// Their places in the list.
    entries: Range<usize>,
    bytes: Range<usize>,
}

impl Written {
    fn of(list: &[Entry]) -> Result<Written> {
        let pieces: Vec<Vec<u8>> = list.chunks(PIECE).map(write_piece).collect::<Result<_>>()?;
        let mut content = length::<4>(list.len())?.to_vec();
        for piece in &pieces {
            content.extend(length::<4>(piece.len())?);
        }
        pieces.iter().for_each(|piece| content.extend_from_slice(piece));
        Written::read(&Arc::new(content), &mut 0).ok_or_else(cannot_write)
    }

    fn read(content: &Arc<Vec<u8>>, at: &mut usize) -> Option<Written> {
        let start = *at;
        let mut rest = content.get(start..)?;
        let count = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
        let mut lengths = Vec::new();
        for _ in 0..count.div_ceil(PIECE) {
            lengths.push(usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?);
        }
        let mut end = content.len() - rest.len();
        let mut pieces = Vec::with_capacity(lengths.len());
        for (number, length) in lengths.into_iter().enumerate() {
            let entries = number * PIECE..count.min((number + 1) * PIECE);
            let bytes = end..end.checked_add(length).filter(|end| *end <= content.len())?;
            end = bytes.end;
            pieces.push(Piece { entries, bytes });
        }
        *at = end;
        Some(Written { content: content.clone(), place: start..end, pieces })
    }

    fn lines(&self, piece: &Piece) -> Lines<'_> {
        let (_, lines) = self.halves(piece);
        Lines { rest: lines, left: piece.entries.len(), name: Vec::new() }
    }

    /// The digests of a piece, and its lines.
    fn halves(&self, piece: &Piece) -> (&[u8], &[u8]) {
        let bytes = &self.content[piece.bytes.clone()];
        bytes.split_at_checked(piece.entries.len() * size_of::<Digest>()).unwrap_or_default()
    }

    fn list(&self) -> Option<Vec<Entry>> {
        let pieces = self.pieces.iter().collect();
        let lists = threads::map(pieces, WORTH_THREADS, |piece| self.list_of(piece));
        Some(lists.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn list_of(&self, piece: &Piece) -> Option<Vec<Entry>> {
        let (mut digests, mut lines) = (self.halves(piece).0, self.lines(piece));
        let mut list = Vec::with_capacity(piece.entries.len());
        for _ in piece.entries.clone() {
            let line = lines.next()?;
            let (name, digest) = (Name::new(Name::path(line.name())), Digest::from(take(&mut digests)?));
            list.push(Entry { name, behind_link: line.behind_link, stat: line.stat, digest });
        }
        Some(list)
    }
}

fn write_piece(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| bytes.extend_from_slice(entry.digest.bytes()));
    let mut before: &[u8] = &[];
    for Entry { name, behind_link, stat, .. } in entries {
        let name = name.as_path().as_os_str().as_encoded_bytes();
        let shared = before.iter().zip(name).take_while(|(before, now)| before == now).count();
        bytes.extend(length::<2>(shared)?);
        bytes.extend(length::<2>(name.len() - shared)?);
        bytes.push(u8::from(*behind_link));
        bytes.extend(stat.modified.to_le_bytes());
        bytes.extend(stat.changed.to_le_bytes());
        bytes.extend(stat.size.to_le_bytes());
        bytes.extend(stat.inode.to_le_bytes());
        bytes.extend(stat.mode.to_le_bytes());
        bytes.extend_from_slice(&name[shared..]);
        before = name;
    }
    Ok(bytes)
}

/// A length as a number of so many bytes.
fn length<const N: usize>(length: usize) -> Result<[u8; N]> {
    let bytes = length.to_le_bytes();
    let (low, high) = bytes.split_first_chunk::<N>().ok_or_else(cannot_write)?;
    if high.iter().any(|byte| *byte != 0) { Err(cannot_write()) } else { Ok(*low) }
}

fn cannot_write() -> Error {
    Error::machine("the records have no binary form: a name or a list is too long")
}

/// The first bytes, of which there are that many.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// The lines of a piece, one after the other.
struct Lines<'a> {
    rest: &'a [u8],
    left: usize,
    /// Of the line before, and a zero behind it.
    name: Vec<u8>,
}

/// An entry without its digest.
struct Line<'a> {
    /// With the zero that the kernel wants.
    name: &'a [u8],
    /// How much of the name is that of the line before.
    shared: usize,
    behind_link: bool,
    stat: Stat,
}

impl Lines<'_> {
    /// `None` after the last one, and for what nobody has written so.
    fn next(&mut self) -> Option<Line<'_>> {
        self.left = self.left.checked_sub(1)?;
        let rest = &mut self.rest;
        let shared = usize::from(u16::from_le_bytes(take(rest)?));
        let length = usize::from(u16::from_le_bytes(take(rest)?));
        let [behind_link] = take(rest)?;
        let stat = Stat {
            modified: i64::from_le_bytes(take(rest)?),
            changed: i64::from_le_bytes(take(rest)?),
            size: u64::from_le_bytes(take(rest)?),
            inode: u64::from_le_bytes(take(rest)?),
            mode: u32::from_le_bytes(take(rest)?),
        };
        let (name, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        self.name.truncate(shared);
        self.name.extend_from_slice(name);
        self.name.push(0);
        Some(Line { name: &self.name, shared, behind_link: behind_link != 0, stat })
    }
}

impl Line<'_> {
    fn name(&self) -> &[u8] {
        self.name.strip_suffix(b"\0").unwrap_or_default()
    }

    /// The directories that it is in and the line before is not: where in the name each ends.
    fn entered(&self) -> impl Iterator<Item = usize> {
        let new = self.name.get(self.shared..).unwrap_or_default();
        new.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| self.shared + at)
    }

    /// Its record now; `None` where it is gone, or is no longer what can be an entry.
    /// `above` is the directory that the name up to `start` leads to.
    fn look(&self, above: impl AsFd, dir: &Path, start: usize) -> Result<Option<Stat>> {
        // No file has a name with a zero in it.
        let Ok(name) = CStr::from_bytes_with_nul(&self.name[start..]) else { return Ok(None) };
        let kind = FileKind::of(&self.stat);
        let shown = || dir.join(Name::path(self.name()));
        let stat = Stat::at(above, name, self.behind_link, shown)?;
        Ok(match stat {
            None if kind == FileKind::Dangling => Some(Stat::NOWHERE),
            Some(stat) if stat.is_dir() && kind != FileKind::Directory => None,
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn entry(number: usize) -> Entry {
        let name = format!("in/{number:05}");
        let stat = Stat { modified: -1, inode: number as u64, mode: 0o100_644, ..Stat::NOWHERE };
        let digest = Digest::of(name.as_bytes());
        Entry { name: Name::new(Path::new(&name)), behind_link: number.is_multiple_of(7), stat, digest }
    }

    fn written(list: &[Entry]) -> Vec<u8> {
        let mut content = Vec::new();
        Entries::from(list.to_vec()).write_to(&mut content).unwrap();
        content
    }

    #[test]
    fn entries_of_any_number_come_back_in_their_order() {
        for number in [0, 1, PIECE, PIECE + 1, PIECE * (WORTH_THREADS + 3) + 7] {
            let list: Vec<Entry> = (0..number).map(entry).collect();
            let content = Arc::new([b"before", &written(&list)[..], b"behind"].concat());
            let mut at = 6;
            let read = Entries::read(&content, &mut at).unwrap();
            let mut names = Vec::new();
            read.each_name(|name| names.push(name.to_owned()));
            assert!(names.iter().map(PathBuf::as_path).eq(list.iter().map(|entry| entry.name.as_path())));
            assert_eq!((&content[at..], read.to_vec()), (&b"behind"[..], list));
        }
    }

    #[test]
    fn one_damaged_line_is_damage() {
        let list: Vec<Entry> = (0..PIECE * 3).map(entry).collect();
        let mut content = written(&list);
        // The length of the first name, behind the number of entries, three lengths, the digests, and what the name shares.
        let at = 4 + 3 * 4 + PIECE * 32 + 2;
        assert_eq!(content[at..at + 2], [8, 0]);
        content[at + 1] = 0xff;
        let read = Entries::read(&Arc::new(content), &mut 0).unwrap();
        assert!(read.is_empty());
        let dir = tempfile::tempdir().unwrap();
        assert!(read.changed(dir.path(), Instant::NEVER).unwrap().is_none());
    }

    #[test]
    fn what_changed_is_found_in_order_whichever_thread_looked_at_it() {
        let dir = tempfile::tempdir().unwrap();
        let name = |number: usize| dir.path().join(format!("{number:05}"));
        let number = PIECE * (WORTH_THREADS + 1);
        for number in 0..number {
            fs::write_atomic(&name(number), b"x").unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        let now = Instant::now(dir.path()).unwrap();
        let list: Vec<Entry> = fs::list(dir.path())
            .unwrap()
            .iter()
            .map(|path| Entry {
                name: Name::new(path.strip_prefix(dir.path()).unwrap()),
                behind_link: false,
                stat: Stat::of(path).unwrap().unwrap(),
                digest: Digest::of(b"x"),
            })
            .collect();
        let entries = Entries::from(list);
        assert_eq!(entries.changed(dir.path(), now).unwrap(), Some(Vec::new()));
        let mut changed = vec![PIECE - 1, PIECE, number / 2, number - 1];
        for number in &changed {
            fs::write_atomic(&name(*number), b"y").unwrap();
        }
        fs::remove_file(&name(3)).unwrap();
        changed.insert(0, 3);
        let found = entries.changed(dir.path(), now).unwrap().unwrap();
        assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), changed);
        assert!(found.iter().all(|(index, stat)| stat.is_none() == (*index == 3)));
        // What was read before it was written vouches for nothing.
        assert_eq!(entries.changed(dir.path(), Instant::NEVER).unwrap().unwrap().len(), number);
    }

    #[test]
    fn a_directory_of_outputs_that_became_a_link_is_found_wherever_its_first_line_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut names: Vec<String> =
            ["above/in/x", "above/out/a-b/x", "above/out/a.txt", "above/out/a/b/x", "above/out/a/c"]
                .map(str::to_owned)
                .into();
        names.extend((0..PIECE * 2).map(|number| format!("above/out/a/z/{number:05}")));
        let deep = ["above/out/deep", &"/d".repeat(MOST_OPEN + 2)].concat();
        names.extend([format!("{deep}/x"), format!("{deep}/y/x"), "above/out/z/x".to_owned()]);
        for name in &names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, b"x").unwrap();
        }
        let stat = |name: &str| Stat::of(&dir.path().join(name)).unwrap().unwrap();
        let list = names.iter().map(|name| Entry {
            name: Name::new(Path::new(name)),
            behind_link: false,
            stat: stat(name),
            digest: Digest::of(b"x"),
        });
        let entries = Entries::from(list.collect::<Vec<_>>());
        std::thread::sleep(std::time::Duration::from_millis(20));
        let now = Instant::now(dir.path()).unwrap();
        let found = |outputs: &[&str]| {
            let outputs: Vec<PathBuf> = outputs.iter().map(PathBuf::from).collect();
            let found = entries.looked_at(dir.path(), &outputs, now).unwrap().unwrap();
            assert_eq!(found.changed, []);
            found.linked
        };
        let aside = dir.path().join("aside");
        for (directory, is_of_outputs) in [
            ("above", false),
            ("above/in", false),
            ("above/out", true),
            ("above/out/a", true),
            ("above/out/a-b", true),
            ("above/out/a/b", true),
            ("above/out/a/z", true),
            ("above/out/deep", true),
            ("above/out/deep/d/d", true),
            (&deep, true),
            (&[&deep, "/y"].concat(), true),
            ("above/out/z", true),
        ] {
            assert_eq!(found(&["above/out"]), []);
            let place = dir.path().join(directory);
            fs::rename(&place, &aside).unwrap();
            fs::symlink(&aside, &place).unwrap();
            let expected: Vec<Name> =
                is_of_outputs.then(|| Name::new(Path::new(directory))).into_iter().collect();
            assert_eq!(found(&["other", "above/out"]), expected, "{directory}");
            assert_eq!(found(&[]), []);
            fs::remove_file(&place).unwrap();
            fs::rename(&aside, &place).unwrap();
        }
    }

    #[test]
    fn a_name_that_no_file_can_have_is_refused() {
        let mut long = entry(1);
        long.name = Name::new(Path::new(&"x".repeat(1 << 16)));
        assert!(Entries::from(vec![long]).write_to(&mut Vec::new()).is_err());
    }

    #[test]
    fn who_shares_a_list_keeps_it_when_another_changes_it() {
        let mut entries = Entries::from(vec![entry(1), entry(2)]);
        let shared = entries.clone();
        entries.change(|list| list.truncate(1));
        assert_eq!((entries.len(), shared.len()), (1, 2));
        assert!(!entries.are(&shared));
    }
}
