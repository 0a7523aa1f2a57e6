//! One entry of the store: its key, its own digest, and a tar in a zstd frame.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{Archive, Builder, EntryType, Header};

use super::Names;
use crate::digest::{Digest, Hasher};
use crate::error::{At, Error, Result};
use crate::fs::{self, AtomicFile, Beneath};

/// Speed over size: an entry is written once and read on each restore.
const LEVEL: i32 = 1;

const MAGIC: &[u8; 12] = b"mwp-entry-2\n";

/// Magic, key, digest of the rest.
const HEAD: usize = MAGIC.len() + 32 + 32;

/// Where an entry is unpacked before it is whole, each beside the others.
const UNPACKED: &str = ".mwp-restored";

pub(super) enum Read {
    Whole,
    Absent,
    Damaged,
}

/// Writes an entry; links stay links, `__pycache__` and anything that is no file, link or directory is left out.
pub(super) fn write(path: &Path, key: &Digest, dir: &Path, names: &Names<'_>) -> Result<()> {
    let mut file = AtomicFile::create(path, 0o600)?;
    file.write_all(&[0; HEAD]).at("write", path)?;
    let mut encoder =
        zstd::Encoder::new(Digesting { file: &mut file, digest: Hasher::new() }, LEVEL).at("write", path)?;
    encoder.include_checksum(true).at("write", path)?;
    let mut builder = Builder::new(encoder);
    let (names, whole) = match names {
        Names::Whole(names) => (names, true),
        Names::Each(names) => (names, false),
    };
    for name in names {
        append(&mut builder, dir, name, whole)?;
    }
    let written = builder.into_inner().and_then(zstd::Encoder::finish).at("write", path)?;
    let digest = written.digest.finish();
    let head = [&MAGIC[..], key.bytes(), digest.bytes()].concat();
    let target = file.as_file_mut();
    target.seek(SeekFrom::Start(0)).and_then(|_| target.write_all(&head)).at("write", path)?;
    file.commit_without_sync()
}

/// Passes what is written on, and counts it.
struct Digesting<'a> {
    file: &'a mut AtomicFile,
    digest: Hasher,
}

impl Write for Digesting<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.digest.bytes(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append<W: Write>(builder: &mut Builder<W>, dir: &Path, name: &Path, whole: bool) -> Result<()> {
    let path = dir.join(name);
    let metadata = path.symlink_metadata().at("read", &path)?;
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header.set_size(0);
    if metadata.is_dir() {
        header.set_entry_type(EntryType::Directory);
        builder.append_data(&mut header, name, io::empty()).at("store", &path)?;
        let entries = if whole { fs::list(&path)? } else { Vec::new() };
        for entry in entries {
            let Some(file_name) = entry.file_name().filter(|name| *name != "__pycache__") else { continue };
            append(builder, dir, &name.join(file_name), whole)?;
        }
    } else if metadata.is_symlink() {
        let target = std::fs::read_link(&path).at("read", &path)?;
        header.set_entry_type(EntryType::Symlink);
        builder.append_link(&mut header, name, target).at("store", &path)?;
    } else if metadata.is_file() {
        header.set_size(metadata.size());
        let file = fs::open(&path)?;
        builder.append_data(&mut header, name, file.take(metadata.size())).at("store", &path)?;
    }
    Ok(())
}

/// Reads a whole entry into `into`, all or nothing. Whatever wrote it, nothing is written outside, through a link or
/// over something that is there.
pub(super) fn read(path: &Path, key: &Digest, into: &Path) -> Result<Read> {
    let Ok(mut file) = fs::open_no_follow(path) else { return Ok(Read::Absent) };
    if !is_whole(&mut file, key) {
        return Ok(Read::Damaged);
    }
    let unpacked = into.join(format!("{UNPACKED}-{key}"));
    let read = unpack(file, &unpacked).and_then(|last| match last {
        Some(last) => hand_over(&unpacked, into, &last).map(|()| Read::Whole),
        None => Ok(Read::Damaged),
    });
    fs::remove_tree(&unpacked)?;
    read
}

/// Whether the entry is that of the key, as it was written.
fn is_whole(file: &mut File, key: &Digest) -> bool {
    let mut head = [0; HEAD];
    let mut digest = Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) || file.read_exact(&mut head).is_err() {
        return false;
    }
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => digest.bytes(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    head == *[&MAGIC[..], key.bytes(), digest.finish().bytes()].concat()
        && file.seek(SeekFrom::Start(HEAD as u64)).is_ok()
}

/// The modes that are set last, of directories and of what runs as its owner; `None` where the entry is not one that we write.
fn unpack(file: File, into: &Path) -> Result<Option<Vec<(PathBuf, u32)>>> {
    let mut place = Beneath::create(into)?;
    let mut last = Vec::new();
    let Ok(decoder) = zstd::Decoder::new(BufReader::new(file)) else { return Ok(None) };
    let mut archive = Archive::new(decoder);
    let Ok(entries) = archive.entries() else { return Ok(None) };
    for entry in entries {
        let Ok(mut entry) = entry else { return Ok(None) };
        let Ok(name) = entry.path().map(std::borrow::Cow::into_owned) else { return Ok(None) };
        let Some(name) = plain(&name) else { return Ok(None) };
        let mode = entry.header().mode().unwrap_or(0o644) & 0o7777;
        match entry.header().entry_type() {
            EntryType::Directory => {
                place.directory(name, mode | 0o700)?;
                last.push((PathBuf::from(name), mode));
            }
            EntryType::Symlink => {
                let Ok(Some(link)) = entry.link_name() else { return Ok(None) };
                place.link(name, &link)?;
            }
            EntryType::Regular => {
                let modified = i64::try_from(entry.header().mtime().unwrap_or(0)).unwrap_or(0);
                let file = place.file(name)?;
                let mut target = file.create(mode)?;
                io::copy(&mut entry, &mut target).at("write", file.path())?;
                file.finish(&target, modified)?;
                if mode & 0o7000 != 0 {
                    last.push((PathBuf::from(name), mode));
                }
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(last))
}

/// A name that stays inside, as it can be made piece by piece.
fn plain(name: &Path) -> Option<&OsStr> {
    let bytes = name.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    let is_plain =
        |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.starts_with(UNPACKED.as_bytes());
    bytes.split(|byte| *byte == b'/').all(is_plain).then(|| OsStr::from_bytes(bytes))
}

fn hand_over(from: &Path, into: &Path, last: &[(PathBuf, u32)]) -> Result<()> {
    let entries = fs::list(from)?;
    let target = |path: &Path| into.join(path.file_name().unwrap_or_default());
    if let Some(taken) = entries.iter().map(|path| target(path)).find(|path| fs::exists(path)) {
        return Err(Error::io("create", &taken, &io::ErrorKind::AlreadyExists.into()));
    }
    for path in &entries {
        fs::rename(path, &target(path))?;
    }
    // Those below first: a directory may be without permission to look into it.
    last.iter().rev().try_for_each(|(name, mode)| fs::set_mode(&into.join(name), *mode))
}
