//! Log files that are put aside when they have grown large.
//!
//! Several processes may write to one log: each job from cron is a process of its own, and two may overlap. (The
//! crates for this assume one writer.) So whoever finds the file too large takes a lock on it, looks again, and
//! renames it; the others see that the name stands for another file and follow.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{At, Result};

/// `name`, and up to `kept` older ones as `name.1` (the youngest), `name.2` …
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    file: File,
    limit: u64,
    kept: usize,
}

impl RotatingFile {
    /// Opens for appending, with its directory. A file is put aside before it grows beyond `limit` bytes.
    pub fn open(path: &Path, limit: u64, kept: usize) -> Result<RotatingFile> {
        if let Some(parent) = path.parent() {
            super::create_dir_all(parent)?;
        }
        Ok(RotatingFile { path: path.to_owned(), file: super::append_to(path)?, limit, kept })
    }

    /// Appends; what is given at once stays in one file.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.is_current()? {
            self.file = super::append_to(&self.path)?;
        }
        let size = self.file.metadata().at("read", &self.path)?.len();
        if size > 0 && size + bytes.len() as u64 > self.limit {
            self.rotate()?;
        }
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
            for number in (1..self.kept).rev() {
                let from = self.numbered(number);
                if from.exists() {
                    super::rename(&from, &self.numbered(number + 1))?;
                }
            }
            match self.kept {
                0 => super::remove_file(&self.path)?,
                _ => super::rename(&self.path, &self.numbered(1))?,
            }
        }
        // The lock goes with the old file.
        self.file = super::append_to(&self.path)?;
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_would_grow_too_large_is_put_aside() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("log/job.log");
        let mut log = RotatingFile::open(&path, 10, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "a line longer than the limit\n", "four\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        let read = |path: &Path| crate::fs::read_text_optional(path).unwrap();
        assert_eq!(read(&path).as_deref(), Some("four\n"));
        assert_eq!(read(&log.numbered(1)).as_deref(), Some("a line longer than the limit\n"));
        assert_eq!(read(&log.numbered(2)).as_deref(), Some("three\n"));
        assert_eq!(read(&log.numbered(3)), None);
    }

    #[test]
    fn two_writers_follow_each_other() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("job.log");
        let mut one = RotatingFile::open(&path, 8, 3).unwrap();
        let mut two = RotatingFile::open(&path, 8, 3).unwrap();
        for _ in 0..2 {
            one.append(b"one\n").unwrap();
            two.append(b"two\n").unwrap();
        }
        assert_eq!(crate::fs::read_text(&path).unwrap(), "one\ntwo\n");
        assert_eq!(crate::fs::read_text(&one.numbered(1)).unwrap(), "one\ntwo\n");
        assert!(!one.numbered(2).exists());
    }
}
