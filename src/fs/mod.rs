//! The only module that writes to the disk.
//!
//! Every error names the path. Whole files are written beside their target and renamed over it; whole
//! directories are exchanged in one step ([`put_in_place`]); work in progress lives in a [`Staging`] directory that
//! vanishes with its owner. A crash at any instant leaves the old or the new, never a mixture.
#![allow(clippy::disallowed_methods)]

mod atomic;
mod beneath;
mod directory;
mod lock;
mod mounts;
mod removal;
mod rotate;
mod sharing;
mod stat;
mod swap;
mod temporary;
mod writers;

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::error::{At, Error, Result};
use crate::text;

pub use atomic::{AtomicFile, write_atomic, write_atomic_with_mode};
pub use beneath::{Beneath, NewFile, begin_write_back};
pub use directory::{Directory, Seen};
pub use lock::Lock;
pub use mounts::mounts_below;
pub use rotate::{RotatingFile, Rotation, put_aside_when_due};
pub use sharing::{Candidate, NewerTree, OlderTree, Shared, Wanted, has_clones};
pub use stat::{Instant, Stat};
pub use swap::{Staging, Way, move_out, put_in_place, replace, sync_directory, sync_filesystem};
pub use temporary::{list_swept, sweep};

/// The largest file that is read as a whole: our own lists of hundreds of thousands of files are smaller.
const MOST_BYTES: u64 = 128 << 20;

/// The largest text that is read as a whole: configurations, requirements and locks are far smaller.
pub const MOST_TEXT: u64 = 32 << 20;

pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_all(path, MOST_BYTES)?.at("read", path)
}

/// Of a file: neither waits for a pipe nor reads a device that never ends, nor more than `most` bytes. The inner result
/// is what the system says.
fn read_all(path: &Path, most: u64) -> Result<io::Result<Vec<u8>>> {
    let mut content = Vec::new();
    let read = open_waiting_for_nobody(path).and_then(|(mut file, metadata)| {
        let size = metadata.len();
        if size <= most {
            // One byte more, and the end is seen without another look for room. What the kernel makes up has no size.
            content.reserve_exact(usize::try_from(size).unwrap_or(0) + 1);
            Read::by_ref(&mut file).take(most + 1).read_to_end(&mut content)?;
        }
        Ok(size)
    });
    match read {
        Ok(size) if size.max(content.len() as u64) > most => Err(too_large(path, size, most)),
        read => Ok(read.map(|_| content)),
    }
}

fn too_large(path: &Path, size: u64, most: u64) -> Error {
    let (size, most) = (text::size(size), text::size(most));
    Error::input(format!("{} has {size}; at most {most} are allowed", text::path(path)))
        .hint("look at what wrote it: no such file is that large")
}

fn open_waiting_for_nobody(path: &Path) -> io::Result<(fs::File, fs::Metadata)> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    let is_fine = metadata.is_file() || metadata.is_dir() || is_null(&metadata);
    let odd =
        || io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe, a socket or a device, and no file");
    if is_fine { Ok((file, metadata)) } else { Err(odd()) }
}

/// `/dev/null`: a file that is always empty.
fn is_null(metadata: &fs::Metadata) -> bool {
    fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev() && null.dev() == metadata.dev())
}

/// The content, or `None` where there is no such file.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    read_optional_within(path, MOST_BYTES)
}

/// As [`read_optional`], of a file that has at most so many bytes.
pub fn read_optional_within(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    match read_all(path, most)? {
        Ok(content) => Ok(Some(content)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path, &error)),
    }
}

pub fn read_text(path: &Path) -> Result<String> {
    into_text(path, read_all(path, MOST_TEXT)?.at("read", path)?)
}

/// As [`read_text`], `None` where there is no such file.
pub fn read_text_optional(path: &Path) -> Result<Option<String>> {
    read_optional_within(path, MOST_TEXT)?.map(|content| into_text(path, content)).transpose()
}

fn into_text(path: &Path, content: Vec<u8>) -> Result<String> {
    String::from_utf8(content).map_err(|error| {
        let line = content_line(error.as_bytes(), error.utf8_error().valid_up_to());
        Error::input(format!(
            "{}: found bytes that are not UTF-8; UTF-8 text is allowed",
            text::place(path, line, None)
        ))
        .hint("save the file as UTF-8")
    })
}

fn content_line(content: &[u8], position: usize) -> usize {
    content[..position].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Absent, or below something that is no directory.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether something is there, a broken link included.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// As [`exists`], where what cannot be looked at must not pass for what is not there.
pub fn try_exists(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(Error::io("read", path, &error)),
    }
}

/// Whether a file or directory is this user's, and nobody else can write to it. The group that is the user's own, as
/// some systems have it, is nobody else.
pub fn is_own(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| {
        let others = if metadata.gid() == rustix::process::getegid().as_raw() { 0o002 } else { 0o022 };
        metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & others == 0
    })
}

pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| cannot_create(path, &error))
}

/// A directory of a runtime home, with those above it: what is new is for the owner and the group alone, what is there
/// stays as somebody has made it.
pub fn create_own_dir_all(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o750).create(path).map_err(|error| cannot_create(path, &error))
}

/// A directory that nobody else can look into.
pub fn create_private_dir(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(|error| cannot_create(path, &error))
}

/// Names what is in the way, where that is no directory.
fn cannot_create(path: &Path, error: &io::Error) -> Error {
    match path.ancestors().find(|above| exists(above)) {
        Some(there) if !there.is_dir() => {
            let it = if there == path { "it".to_owned() } else { text::path(there) };
            let message = format!("cannot create directory {}: {it} is {}", text::path(path), what_is(there));
            Error::machine(message).hint("move it away, or name another place")
        }
        _ => Error::io("create directory", path, error),
    }
}

/// What is at a path, for messages.
pub fn what_is(path: &Path) -> &'static str {
    match (path.symlink_metadata(), path.metadata()) {
        (Ok(link), Err(_)) if link.is_symlink() => "a link that leads nowhere",
        (Ok(link), Ok(behind)) if link.is_symlink() && behind.is_dir() => "a link to a directory",
        (Ok(link), Ok(behind)) if link.is_symlink() && behind.is_file() => "a link to a file",
        (Ok(metadata), _) => kind(metadata.file_type()),
        (Err(_), _) => "nothing",
    }
}

/// The same, where that is known already.
pub fn kind(of: fs::FileType) -> &'static str {
    match of {
        _ if of.is_file() => "a file",
        _ if of.is_dir() => "a directory",
        _ if of.is_symlink() => "a link",
        _ if of.is_fifo() => "a pipe",
        _ if of.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Does something in a directory that may be without write permission, which it then is again.
pub fn in_writable<T>(dir: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let mode = match dir.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() && metadata.mode() & 0o300 != 0o300 => metadata.mode() & 0o7777,
        _ => return work(),
    };
    set_mode(dir, mode | 0o700)?;
    let result = work();
    if exists(dir) {
        set_mode(dir, mode)?;
    }
    result
}

pub fn open(path: &Path) -> Result<fs::File> {
    open_waiting_for_nobody(path).map(|(file, _)| file).at("open", path)
}

/// Makes a file anew that nothing else reads before it is complete; else use [`AtomicFile`]. What is there is replaced
/// and never written to, whatever other names it has; a link in its place is an error.
pub fn create_file(path: &Path) -> Result<fs::File> {
    create_file_with_mode(path, 0o666)
}

/// As [`create_file`], with `mode` (less the umask) from the start.
pub fn create_file_with_mode(path: &Path, mode: u32) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    // Somebody else may make one of that name again and again, though not for ever.
    for _ in 0..100 {
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !path.is_symlink() => {
                remove_file(path)?;
            }
            other => return other.at("create", path),
        }
    }
    options.open(path).at("create", path)
}

/// Opens a log to append to it, and creates it where there is none, for its owner and group alone. What is no file is
/// not written to.
pub fn append_to(path: &Path) -> Result<fs::File> {
    let refused = |what: &str| {
        Error::machine(format!("{} is {what}; a log is a file", text::path(path)))
            .hint("put it away, and link the whole directory where logs are to go elsewhere")
    };
    if path.is_symlink() {
        return Err(refused("a link"));
    }
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path).at("open", path)?;
    if !file.metadata().at("read", path)?.is_file() {
        return Err(refused("a device or a pipe"));
    }
    Ok(file)
}

/// A second name for a file, a socket included.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).at("give a second name to", from)
}

/// A second name for a file; a copy where the file system has no such thing.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => copy_file(from, to),
    }
}

pub fn symlink(target: &Path, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, link).at("create link", link)
}

pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("change the mode of", path)
}

/// Never that of what a link points to.
pub fn set_owner(path: &Path, user: u32, group: u32) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(group)).at("change the owner of", path)
}

pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).at("rename to", to)
}

/// Removes a file or link; fine where there is none.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if is_absent(&error) => Ok(()),
        result => result.at("remove", path),
    }
}

/// Removes a directory that has nothing in it.
pub fn remove_empty_dir(path: &Path) -> Result<()> {
    fs::remove_dir(path).at("remove", path)
}

/// Removes whatever is there: a file, a link (never what it points to) or a whole tree, directories without
/// write permission included. Fine where there is nothing. What is mounted there is somebody else's: with a mount
/// point in it, the tree stays as it is.
pub fn remove_tree(path: &Path) -> Result<()> {
    remove_by(path, |path| fs::remove_dir_all(path))
}

/// As [`remove_tree`], for a tree of tens of thousands of files.
pub fn remove_large_tree(path: &Path) -> Result<()> {
    remove_by(path, removal::remove_dir_all)
}

fn remove_by(path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> Result<()> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(Error::io("remove", path, &error)),
    };
    if !metadata.is_dir() {
        return remove_file(path);
    }
    refuse_mounts("remove", path)?;
    match remove(path) {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_directories_writable(path);
            fs::remove_dir_all(path).at("remove", path)
        }
        Err(error) => Err(Error::io("remove", path, &error)),
    }
}

/// What is mounted somewhere is not for us to move or to empty.
fn refuse_mounts(action: &str, path: &Path) -> Result<()> {
    let mounts = mounts_below(path);
    let Some(mount) = mounts.first() else { return Ok(()) };
    let mounted = text::path(mount);
    let message = format!("cannot {action} {}: a file system is mounted at {mounted}", text::path(path));
    Err(Error::machine(message).hint(unmount_hint(mount)))
}

pub fn unmount_hint(mount: &Path) -> String {
    let mount = text::visible_bytes(mount.as_os_str().as_encoded_bytes());
    format!("take it off with `umount {mount}`, then run the same command again")
}

fn make_directories_writable(path: &Path) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    if !metadata.is_dir() {
        return;
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode() | 0o700));
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        make_directories_writable(&entry.path());
    }
}

/// Entries of a directory in the order of their names; empty where there is no such directory.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().map(|(path, _)| path).collect())
}

/// As [`list`], with what each entry is, as far as the directory tells without a look at the entry itself.
pub fn entries(dir: &Path) -> Result<Vec<(PathBuf, Option<fs::FileType>)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir, &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.at("list", dir)?;
        found.push((entry.path(), entry.file_type().ok()));
    }
    // Names below one directory: their bytes have the order of their components, which are slow to compare.
    found.sort_unstable_by(|(one, _), (other, _)| one.as_os_str().cmp(other.as_os_str()));
    Ok(found)
}

/// Copies content, mode and modification time, sharing blocks where the file system can. Nothing may be at `to`, not even
/// a link.
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut source = open(from)?;
    let metadata = source.metadata().at("read", from)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(metadata.mode() & 0o777 | 0o200)
        .open(to)
        .at("copy to", to)?;
    io::copy(&mut source, &mut file).at("copy to", to)?;
    file.set_permissions(metadata.permissions()).at("change the mode of", to)?;
    let modified = metadata.modified().at("read", from)?;
    file.set_modified(modified).at("set the time of", to)
}

/// Copies a file, a link as a link, or a whole tree. Other kinds of file (sockets, devices) are left out.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let metadata = from.symlink_metadata().at("read", from)?;
    if metadata.is_symlink() {
        let target = fs::read_link(from).at("read", from)?;
        return symlink(&target, to);
    }
    if metadata.is_file() {
        return copy_file(from, to);
    }
    if metadata.is_dir() {
        create_dir_all(to)?;
        for entry in list(from)? {
            if let Some(name) = entry.file_name() {
                copy_tree(&entry, &to.join(name))?;
            }
        }
        set_mode(to, metadata.mode() & 0o7777)?;
    }
    Ok(())
}

/// Opens a file for reading; neither follows a link in its place nor waits where it became a pipe.
pub fn open_no_follow(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Opens a directory in another for what is below it alone, and never a link in its place.
pub fn open_directory_at(above: impl AsFd, name: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(above, name, flags, Mode::empty()).ok()
}

/// A file without a name on the disk of `dir`, for intermediate results: gone with its owner, however that ends.
pub fn unnamed_file_in(dir: &Path) -> Result<fs::File> {
    tempfile::tempfile_in(atomic::own_in(dir)).at("write in", dir)
}

/// Marks a file as used now, so that a cache can drop what was used least recently. Failing is harmless.
pub fn touch(path: &Path) {
    let now = std::time::SystemTime::now();
    let _ = fs::File::open(path).and_then(|file| file.set_modified(now));
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_made_anew_and_what_else_has_its_name_is_not_written_to() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        write_atomic(&path("precious"), b"precious").unwrap();
        link(&path("precious"), &path("second")).unwrap();
        symlink(Path::new("precious"), &path("link")).unwrap();
        create_file(&path("second")).unwrap().write_all(b"new").unwrap();
        assert!(create_file(&path("link")).is_err());
        assert_eq!(read(&path("precious")).unwrap(), b"precious");
        assert_eq!(read(&path("second")).unwrap(), b"new");
    }

    #[test]
    fn a_copy_is_made_new_and_never_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        write_atomic_with_mode(&path("from"), b"content", 0o555).unwrap();
        write_atomic(&path("precious"), b"precious").unwrap();
        symlink(Path::new("precious"), &path("link")).unwrap();
        symlink(Path::new("nothing"), &path("dangling")).unwrap();
        for taken in ["link", "dangling", "precious"] {
            assert!(copy_file(&path("from"), &path(taken)).is_err(), "{taken}");
        }
        assert_eq!(read(&path("precious")).unwrap(), b"precious");
        assert!(!exists(&path("nothing")));
        copy_file(&path("from"), &path("to")).unwrap();
        let [from, to] = ["from", "to"].map(|name| path(name).metadata().unwrap());
        assert_eq!((to.mode(), to.mtime(), to.mtime_nsec()), (from.mode(), from.mtime(), from.mtime_nsec()));
        assert_eq!(read(&path("to")).unwrap(), b"content");
    }

    #[test]
    fn a_file_is_read_as_a_whole_up_to_a_limit() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        write_atomic(&path, b"12345").unwrap();
        assert_eq!(read_optional_within(&path, 5).unwrap().as_deref(), Some(&b"12345"[..]));
        let error = read_optional_within(&path, 4).unwrap_err().to_string();
        assert!(error.ends_with("file` has 5 B; at most 4 B are allowed"), "{error}");
        // A file that grows while it is read says nothing of its size before.
        assert!(read_optional_within(Path::new("/proc/self/mountinfo"), 4).is_err());
        assert!(read(Path::new("/proc/self/mountinfo")).is_ok());
    }
}
