//! Options that many commands have.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::Context;
use super::loudness::Loudness;
use crate::artifact::Limits;
use crate::error::{Error, Result};
use crate::fs;
use crate::text;

/// Which plugin, and how much to say.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// The plugin's directory instead of the current one; several where the command takes several
    #[arg(short = 'C', long = "directory", value_name = "DIR")]
    directories: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) loudness: Loudness,
}

/// Where a person writes the directory, without `-C`.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Places {
    /// Directories of plugins [default: the current one]
    #[arg(value_name = "DIR")]
    named: Vec<PathBuf>,
}

impl Common {
    /// With the directories that were named without `-C`.
    pub(super) fn at(&self, places: &Places) -> Common {
        let mut common = self.clone();
        common.directories.extend(places.named.iter().cloned());
        common
    }

    /// As [`named`](Common::named), all of which are there: a slip of the fingers is told before anything is done.
    pub(super) fn directories(&self) -> Result<Vec<PathBuf>> {
        let directories = self.named();
        directories.iter().try_for_each(|dir| enter(dir))?;
        Ok(directories)
    }

    /// The directories named, or the current one. One that is named twice, in whatever form, is one.
    pub(super) fn named(&self) -> Vec<PathBuf> {
        if self.directories.is_empty() {
            return vec![PathBuf::from(".")];
        }
        let mut seen = HashSet::new();
        let mut distinct = self.directories.clone();
        distinct.retain(|dir| seen.insert(std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone())));
        distinct
    }

    /// The one directory of a command that takes no more.
    pub(crate) fn directory(&self) -> Result<&Path> {
        match self.directories.as_slice() {
            [] => Ok(Path::new(".")),
            [directory] => enter(directory).map(|()| directory.as_path()),
            _ => Err(Error::usage("several directories are given; one is allowed here")
                .hint("run the command once for each")),
        }
    }
}

/// Refuses what was named as a directory and is none, or cannot be looked into.
pub(super) fn enter(dir: &Path) -> Result<()> {
    std::fs::read_dir(dir).map(drop).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::usage(format!("cannot enter {}: {}", text::path(dir), text::io_reason(&error)))
                .hint("name the directory of a plugin")
        }
        _ => Error::io("enter", dir, &error),
    })
}

/// What `--limit` takes.
pub(super) fn limit(given: &str) -> Result<String, String> {
    Limits::default().set(given).map(|()| given.to_owned()).map_err(|error| error.problems[0].message.clone())
}

/// How long another command that edits a plugin is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until no other command of this user edits a plugin's own files, and keeps the others waiting.
pub(super) fn take_turn(doing: &str, context: &Context) -> Result<fs::Lock> {
    let cache = &context.site.cache;
    fs::create_dir_all(cache)?;
    fs::Lock::acquire(&cache.join("edit.lock"), doing, PATIENCE, |holder| {
        context.output.note(&format!("waiting for {holder}"));
    })
}
