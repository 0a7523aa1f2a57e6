//! A file of the tree while it is read: what changes under the reader's hands is noticed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::tree;
use crate::error::{At, Error, Result};
use crate::fs::{self, Stat};

pub(super) struct Source {
    file: File,
    path: PathBuf,
}

impl Source {
    pub(super) fn open(path: PathBuf) -> Result<Source> {
        let file = fs::open_no_follow(&path).map_err(|error| tree::unreadable(&path, &error))?;
        Ok(Source { file, path })
    }

    /// Appends the whole content of a file that fits into memory.
    pub(super) fn whole(&self, stat: &Stat, to: &mut Vec<u8>) -> Result<()> {
        let size = usize::try_from(stat.size).map_err(io::Error::other).at("read", &self.path)?;
        let end = to.len() + size;
        to.reserve(size + 1);
        while to.len() < end {
            match rustix::io::read(&self.file, spare_capacity(to)) {
                Ok(0) => return Err(tree::changed(&self.path, "changed")),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::io("read", &self.path, &errno.into())),
            }
        }
        if to.len() > end {
            return Err(tree::changed(&self.path, "changed"));
        }
        self.check(stat)
    }

    /// Appends a part of the content.
    pub(super) fn part(&self, start: u64, length: u64, to: &mut Vec<u8>) -> Result<()> {
        let mut file = &self.file;
        to.reserve(usize::try_from(length).map_err(io::Error::other).at("read", &self.path)?);
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.take(length).read_to_end(to));
        if read.at("read", &self.path)? as u64 == length {
            Ok(())
        } else {
            Err(tree::changed(&self.path, "changed"))
        }
    }

    /// Checks that the file still is what the walk saw.
    pub(super) fn check(&self, stat: &Stat) -> Result<()> {
        let metadata = self.file.metadata().at("read", &self.path)?;
        if Stat::from(&metadata) == *stat { Ok(()) } else { Err(tree::changed(&self.path, "changed")) }
    }
}
