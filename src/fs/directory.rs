//! An open directory with the names in it, and what each of them is.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, OFlags, RawDir};

use super::Stat;

/// What the kernel lists at once, in bytes: more than all names of most directories.
const LISTED_AT_ONCE: usize = 16 * 1024;

/// Tens of thousands of entries are listed, so none of them has memory of its own.
pub struct Directory {
    handle: File,
    /// Each followed by a zero byte.
    names: Vec<u8>,
    kinds: Vec<FileType>,
}

/// What is at a name: not what a link points to.
pub struct Seen {
    pub stat: Stat,
    /// When it was modified, in seconds since 1970: [`Stat`] ends in the year 2262.
    pub seconds: i64,
}

impl Directory {
    pub fn list(path: &Path) -> io::Result<Directory> {
        let flags = OFlags::DIRECTORY.bits().cast_signed();
        let handle = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let (mut names, mut kinds) = (Vec::new(), Vec::new());
        let mut buffer = [MaybeUninit::uninit(); LISTED_AT_ONCE];
        let mut entries = RawDir::new(&handle, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.extend(name.to_bytes_with_nul());
                kinds.push(entry.file_type());
            }
        }
        Ok(Directory { handle, names, kinds })
    }

    /// How many names there are.
    pub fn count(&self) -> usize {
        self.kinds.len()
    }

    /// In the order of the directory, which is none.
    pub fn names(&self) -> impl Iterator<Item = &CStr> {
        let names = self.names.split_inclusive(|byte| *byte == 0);
        names.filter_map(|name| CStr::from_bytes_with_nul(name).ok())
    }

    /// Each name with whether it is a directory.
    pub fn entries(&self) -> impl Iterator<Item = (&CStr, io::Result<bool>)> {
        self.names().zip(&self.kinds).map(|(name, kind)| {
            let is_directory = match kind {
                // Some file systems do not tell.
                FileType::Unknown => self.look_at(name).map(|found| found.stat.is_dir()),
                kind => Ok(kind.is_dir()),
            };
            (name, is_directory)
        })
    }

    pub fn look_at(&self, name: &CStr) -> io::Result<Seen> {
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Seen { seconds: stat.st_mtime, stat: Stat::from(&stat) })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn every_entry_is_listed_once_and_looked_at_itself() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..2000 {
            std::fs::write(dir.path().join(format!("a file with the number {number}")), "x").unwrap();
        }
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        std::os::unix::fs::symlink("dir", dir.path().join("link")).unwrap();
        std::fs::write(dir.path().join(OsStr::from_bytes(b"\xff\n")), "").unwrap();
        let listed = Directory::list(dir.path()).unwrap();
        assert_eq!(listed.count(), 2003);
        let mut names: Vec<&CStr> = listed.names().collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2003);
        assert_eq!(names.last().unwrap().to_bytes(), b"\xff\n");
        let directories: Vec<&CStr> = listed
            .entries()
            .filter(|(_, is_directory)| *is_directory.as_ref().unwrap())
            .map(|e| e.0)
            .collect();
        assert_eq!(directories, [c"dir"]);
        assert!(listed.look_at(c"link").unwrap().stat.is_link());
        let found = listed.look_at(c"dir").unwrap();
        assert_eq!(Some(found.stat), Stat::of(&dir.path().join("dir")).unwrap());
        assert_eq!(found.seconds, found.stat.modified.div_euclid(1_000_000_000));
        assert!(listed.look_at(c"absent").is_err());
        assert!(Directory::list(&dir.path().join("link/absent")).is_err());
    }

    #[test]
    fn a_file_is_no_directory_and_an_empty_one_has_no_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(Directory::list(&dir.path().join("file")).is_err());
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        let empty = Directory::list(&dir.path().join("empty")).unwrap();
        assert_eq!((empty.count(), empty.names().next()), (0, None));
    }
}
