//! One entry of the store: a tar in a zstd frame with a checksum.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use tar::{Archive, Builder, EntryType, Header};

use super::Names;
use crate::error::{At, Result};
use crate::fs::{self, AtomicFile};

/// Speed over size: an entry is written once and read on each restore.
const LEVEL: i32 = 1;

pub(super) enum Read {
    Whole,
    Absent,
    Damaged,
}

/// Writes an entry; links stay links, `__pycache__` and anything that is no file, link or directory is left out.
pub(super) fn write(path: &Path, dir: &Path, names: &Names<'_>) -> Result<()> {
    let mut file = AtomicFile::create(path, 0o600)?;
    {
        let mut encoder = zstd::Encoder::new(&mut file, LEVEL).at("write", path)?;
        encoder.include_checksum(true).at("write", path)?;
        let mut builder = Builder::new(encoder);
        let (names, whole) = match names {
            Names::Whole(names) => (names, true),
            Names::Each(names) => (names, false),
        };
        for name in names {
            append(&mut builder, dir, name, whole)?;
        }
        let encoder = builder.into_inner().at("write", path)?;
        encoder.finish().at("write", path)?;
    }
    file.flush().at("write", path)?;
    file.commit_without_sync()
}

fn append<W: Write>(builder: &mut Builder<W>, dir: &Path, name: &Path, whole: bool) -> Result<()> {
    let path = dir.join(name);
    let metadata = path.symlink_metadata().at("read", &path)?;
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o777);
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

/// Reads a whole entry into `into`. The entries are our own, written above, in a directory that only the user can
/// write; still, a name that leaves `into` counts as damage.
pub(super) fn read(path: &Path, into: &Path) -> Result<Read> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(_) => return Ok(Read::Absent),
    };
    let Ok(decoder) = zstd::Decoder::new(file) else { return Ok(Read::Damaged) };
    let mut archive = Archive::new(decoder);
    archive.set_ignore_zeros(false);
    let mut directories = Vec::new();
    let Ok(entries) = archive.entries() else { return Ok(Read::Damaged) };
    for entry in entries {
        let Ok(mut entry) = entry else { return Ok(Read::Damaged) };
        let Ok(name) = entry.path().map(std::borrow::Cow::into_owned) else { return Ok(Read::Damaged) };
        if name.is_absolute()
            || name.as_os_str().as_bytes().split(|byte| *byte == b'/').any(|part| part == b"..")
        {
            return Ok(Read::Damaged);
        }
        let target = into.join(&name);
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        match entry.header().entry_type() {
            EntryType::Directory => {
                fs::create_dir_all(&target)?;
                directories.push((target, mode));
            }
            EntryType::Symlink => {
                let Ok(Some(link)) = entry.link_name() else { return Ok(Read::Damaged) };
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::symlink(&link, &target)?;
            }
            _ => {
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent)?;
                }
                let modified = entry.header().mtime().unwrap_or(0);
                let mut file = fs::create_file_with_mode(&target, mode | 0o200)?;
                match io::copy(&mut entry, &mut file) {
                    Ok(_) => {}
                    Err(error) if is_write_error(&error) => return Err(error).at("write", &target),
                    Err(_) => return Ok(Read::Damaged),
                }
                let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(modified);
                let _ = file.set_modified(time);
                fs::set_mode(&target, mode)?;
            }
        }
    }
    // Those below first: a directory may be without permission to look into it.
    for (directory, mode) in directories.iter().rev() {
        fs::set_mode(directory, *mode)?;
    }
    // The checksum stands behind the last member.
    match io::copy(&mut archive.into_inner(), &mut io::sink()) {
        Ok(_) => Ok(Read::Whole),
        Err(_) => Ok(Read::Damaged),
    }
}

/// A full disk is the machine's fault and not the entry's.
fn is_write_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    )
}
