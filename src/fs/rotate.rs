//! Log files that are put aside when they have grown large or old.
//!
//! Several processes may write to one log: each job from cron is a process of its own, and two may overlap. (The
//! crates for this assume one writer.) So whoever finds the file too large takes a lock on it, looks again, and
//! renames it; the others see that the name stands for another file and follow.

use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use crate::error::{At, Result};

/// When a log is put aside, and how many old ones there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes; 0 for no limit.
    pub max_size: u64,
    /// Zero for no limit.
    pub max_age: Duration,
    pub kept: usize,
}

impl Rotation {
    /// Whether a file of this size is to be put aside before so many bytes are added to it.
    fn is_due(&self, file: &Metadata, added: u64) -> bool {
        let is_large = self.max_size > 0 && file.len() + added > self.max_size;
        // Where the file system has no time of birth, size alone counts.
        let age = file.created().ok().and_then(|begun| SystemTime::now().duration_since(begun).ok());
        let is_old = !self.max_age.is_zero() && age.is_some_and(|age| age >= self.max_age);
        file.len() > 0 && (is_large || is_old)
    }
}

/// Puts a log aside that others write, where that is due; they have to be told to open it anew.
pub fn put_aside_when_due(path: &Path, rotation: &Rotation) -> Result<bool> {
    let is_due = path.symlink_metadata().is_ok_and(|file| file.is_file() && rotation.is_due(&file, 0));
    if is_due {
        put_aside(path, rotation.kept)?;
    }
    Ok(is_due)
}

fn put_aside(path: &Path, kept: usize) -> Result<()> {
    for number in (1..kept).rev() {
        let from = numbered(path, number);
        if super::exists(&from) {
            super::rename(&from, &numbered(path, number + 1))?;
        }
    }
    match kept {
        0 => super::remove_file(path)?,
        _ => super::rename(path, &numbered(path, 1))?,
    }
    // There were more, before somebody lowered their number.
    let beyond = (kept + 1..).map(|number| numbered(path, number)).take_while(|old| super::exists(old));
    for old in beyond {
        super::remove_file(&old)?;
    }
    Ok(())
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// `name`, and older ones as `name.1` (the youngest), `name.2` …
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    rotation: Rotation,
    /// The last thing written was the end of a line.
    is_at_line: bool,
}

/// A line that is longer is torn.
const LONGEST_LINE: u64 = 1 << 20;

impl RotatingFile {
    /// Opens for appending, with its directory.
    pub fn open(path: &Path, rotation: Rotation) -> Result<RotatingFile> {
        if let Some(parent) = path.parent() {
            super::create_own_dir_all(parent)?;
        }
        Ok(RotatingFile { path: path.to_owned(), file: super::append_to(path)?, rotation, is_at_line: true })
    }

    /// Appends; what is given at once stays in one file, and a line too that is given in several pieces.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.is_current()? {
            self.file = super::append_to(&self.path)?;
        }
        let file = self.file.metadata().at("read", &self.path)?;
        let is_endless = file.len() > self.rotation.max_size.saturating_add(LONGEST_LINE);
        if (self.is_at_line || is_endless) && self.rotation.is_due(&file, bytes.len() as u64) {
            self.rotate()?;
        }
        self.is_at_line = bytes.ends_with(b"\n");
        self.file.write_all(bytes).at("write", &self.path)
    }

    /// Whether nobody put the file aside.
    fn is_current(&self) -> Result<bool> {
        let open = self.file.metadata().at("read", &self.path)?;
        Ok(self.path.metadata().is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
    }

    fn rotate(&mut self) -> Result<()> {
        flock(&self.file, FlockOperation::LockExclusive).at("lock", &self.path)?;
        if self.is_current()? {
            put_aside(&self.path, self.rotation.kept)?;
        }
        // The lock goes with the old file.
        self.file = super::append_to(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_size(max_size: u64, kept: usize) -> Rotation {
        Rotation { max_size, max_age: Duration::ZERO, kept }
    }

    #[test]
    fn a_file_that_would_grow_too_large_is_put_aside() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log/job.log");
        let mut log = RotatingFile::open(&path, of_size(10, 2)).unwrap();
        for line in ["one\n", "two\n", "three\n", "a line longer than the limit\n", "four\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        let read = |path: &Path| crate::fs::read_text_optional(path).unwrap();
        assert_eq!(read(&path).as_deref(), Some("four\n"));
        assert_eq!(read(&numbered(&path, 1)).as_deref(), Some("a line longer than the limit\n"));
        assert_eq!(read(&numbered(&path, 2)).as_deref(), Some("three\n"));
        assert_eq!(read(&numbered(&path, 3)), None);
    }

    #[test]
    fn two_writers_follow_each_other() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("job.log");
        let mut one = RotatingFile::open(&path, of_size(8, 3)).unwrap();
        let mut two = RotatingFile::open(&path, of_size(8, 3)).unwrap();
        for _ in 0..2 {
            one.append(b"one\n").unwrap();
            two.append(b"two\n").unwrap();
        }
        assert_eq!(crate::fs::read_text(&path).unwrap(), "one\ntwo\n");
        assert_eq!(crate::fs::read_text(&numbered(&path, 1)).unwrap(), "one\ntwo\n");
        assert!(!numbered(&path, 2).exists());
    }

    #[test]
    fn a_line_in_pieces_stays_in_one_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("job.log");
        let mut log = RotatingFile::open(&path, of_size(8, 3)).unwrap();
        for piece in ["first\n", "sec", "ond ", "line\n", "third\n"] {
            log.append(piece.as_bytes()).unwrap();
        }
        assert_eq!(crate::fs::read_text(&numbered(&path, 2)).unwrap(), "first\n");
        assert_eq!(crate::fs::read_text(&numbered(&path, 1)).unwrap(), "second line\n");
        assert_eq!(crate::fs::read_text(&path).unwrap(), "third\n");
    }

    #[test]
    fn an_old_file_is_put_aside_and_no_more_are_kept_than_should() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("job.log");
        for number in 1..7 {
            crate::fs::write_atomic(&numbered(&path, number), b"old\n").unwrap();
        }
        let rotation = Rotation { max_size: 0, max_age: Duration::from_nanos(1), kept: 2 };
        let mut log = RotatingFile::open(&path, rotation).unwrap();
        log.append(b"one\n").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        log.append(b"two\n").unwrap();
        if path.metadata().unwrap().created().is_ok() {
            assert_eq!(crate::fs::read_text(&path).unwrap(), "two\n");
            assert_eq!(crate::fs::read_text(&numbered(&path, 1)).unwrap(), "one\n");
            assert!(!numbered(&path, 3).exists() && !numbered(&path, 6).exists());
        }
    }

    #[test]
    fn a_log_that_somebody_moved_is_opened_anew() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("job.log");
        let mut log = RotatingFile::open(&path, of_size(0, 1)).unwrap();
        log.append(b"one\n").unwrap();
        crate::fs::rename(&path, &root.path().join("moved")).unwrap();
        crate::fs::write_atomic(&path, b"").unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(crate::fs::read_text(&path).unwrap(), "two\n");
        crate::fs::remove_file(&path).unwrap();
        log.append(b"three\n").unwrap();
        assert_eq!(crate::fs::read_text(&path).unwrap(), "three\n");
    }
}
