//! Whole files: written beside the target, renamed over it when complete.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{At, Error, Result};

/// A file that appears under its name only when [`commit`](AtomicFile::commit) is called.
pub struct AtomicFile {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl AtomicFile {
    /// Starts a file that is to become `target` with `mode`.
    pub fn create(target: &Path, mode: u32) -> Result<AtomicFile> {
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".mwp-tmp-")
            .permissions(std::fs::Permissions::from_mode(mode))
            .tempfile_in(parent)
            .at("write", target)?;
        Ok(AtomicFile { temporary, target: target.to_owned() })
    }

    pub fn as_file_mut(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Makes the content durable and puts the file in place, over what was there.
    pub fn commit(self) -> Result<()> {
        self.temporary.as_file().sync_data().at("write", &self.target)?;
        self.place()
    }

    /// As [`commit`](AtomicFile::commit), for what can be made again: complete, yet not waiting for the disk.
    pub fn commit_without_sync(self) -> Result<()> {
        self.place()
    }

    fn place(self) -> Result<()> {
        self.temporary
            .persist(&self.target)
            .map(drop)
            .map_err(|failed| Error::io("write", &self.target, &failed.error))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.temporary.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// Replaces a file in one step (mode 0644 less the umask).
pub fn write_atomic(target: &Path, content: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(target, 0o666)?;
    file.write_all(content).at("write", target)?;
    file.commit_without_sync()
}
