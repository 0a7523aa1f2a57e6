//! Files of ours among those of others: told by their first line.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};
use crate::fs::{self, AtomicFile};
use crate::text;

/// What became of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    pub changed: Vec<PathBuf>,
    pub unchanged: Vec<PathBuf>,
    /// Ours, and no longer wanted.
    pub removed: Vec<PathBuf>,
}

/// A file to be.
#[derive(Debug, Clone)]
pub(in crate::run) struct Target {
    pub(in crate::run) path: PathBuf,
    /// Without the first line.
    pub(in crate::run) text: String,
    pub(in crate::run) mode: u32,
}

/// Writes and removes files that begin with a line of its own, and no others.
pub(in crate::run) struct OurFiles<'a> {
    pub(in crate::run) first_line: &'a str,
}

impl OurFiles<'_> {
    /// Writes what differs. Nothing is written where one of the files is somebody else's.
    pub(in crate::run) fn write(&self, targets: &[Target]) -> Result<Written> {
        for target in targets {
            if fs::exists(&target.path) && !self.is_ours(&target.path) {
                let message = format!("{} is there, and was not written by mwp", text::path(&target.path));
                return Err(Error::input(message).hint("move it away, or name another place with --output"));
            }
        }
        let mut written = Written::default();
        for Target { path, text, mode } in targets {
            let content = format!("{}\n{text}", self.first_line);
            if fs::read_optional(path)?.as_deref() == Some(content.as_bytes()) {
                written.unchanged.push(path.clone());
                continue;
            }
            let mut file = AtomicFile::create(path, *mode)?;
            file.write_all(content.as_bytes()).at("write", path)?;
            file.commit()?;
            written.changed.push(path.clone());
        }
        Ok(written)
    }

    /// Removes ours of those that `is_meant` by name, but for `wanted`.
    pub(in crate::run) fn remove_others(
        &self,
        dir: &Path,
        wanted: &[Target],
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for path in fs::list(dir)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_wanted = wanted.iter().any(|target| target.path == path);
            if !is_wanted && is_meant(name) && self.is_ours(&path) {
                fs::remove_file(&path)?;
                removed.push(path);
            }
        }
        Ok(removed)
    }

    /// A link is somebody else's doing.
    fn is_ours(&self, path: &Path) -> bool {
        let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        let content = if is_file { fs::read(path).unwrap_or_default() } else { Vec::new() };
        content.split(|byte| *byte == b'\n').next() == Some(self.first_line.as_bytes())
    }
}
