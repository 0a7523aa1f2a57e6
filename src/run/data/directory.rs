//! One directory where files come in: which of them are there, and which are whole.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::fs;
use crate::process::facts;
use crate::run::model::is_unfinished;

/// A file that was not seen being closed is whole when it has not changed for so long and nobody has it open …
const SETTLED: Duration = Duration::from_secs(5);
/// … or for so long, where its beginning was seen and its end was not: it was made by a link, or the end got lost.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// File systems stamp changes with a clock that ticks more slowly.
const TICK: Duration = Duration::from_secs(1);

pub(super) type Identity = (u64, u64);

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    /// What is watched under this path, and since when: from then on whatever is written is seen.
    pub(super) watch: Option<(Identity, SystemTime)>,
    /// Files that somebody writes to.
    pub(super) writing: HashSet<OsString>,
    /// Why it cannot be used.
    pub(super) problem: Option<String>,
}

/// A file that waits.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) name: OsString,
    /// When it came in.
    pub(super) arrival: SystemTime,
    modified: SystemTime,
}

/// What a directory has.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Whole files, the ones that changed last at the end.
    pub(super) whole: Vec<Waiting>,
    /// Whether there are others, which are to be looked at again.
    pub(super) has_unfinished: bool,
}

impl Directory {
    pub(super) fn new(path: PathBuf) -> Directory {
        Directory { path, watch: None, writing: HashSet::new(), problem: None }
    }

    pub(super) fn identity(&self) -> Result<Identity, String> {
        let metadata = self.path.metadata().map_err(|error| crate::text::io_reason(&error))?;
        match metadata.is_dir() {
            true => Ok((metadata.dev(), metadata.ino())),
            false => Err("it is no directory".to_owned()),
        }
    }

    pub(super) fn list(&self) -> Result<Listing, String> {
        let now = SystemTime::now();
        let mut listing = Listing::default();
        let mut unsure = Vec::new();
        for (waiting, metadata) in self.files()? {
            match self.wholeness(&waiting, now) {
                Wholeness::Whole => listing.whole.push(waiting),
                Wholeness::Unfinished => listing.has_unfinished = true,
                Wholeness::Unsure => unsure.push((waiting, metadata)),
            }
        }
        if !unsure.is_empty() {
            let open = facts::open_for_writing();
            for (waiting, metadata) in unsure {
                match open.contains(&(metadata.dev(), metadata.ino())) {
                    true => listing.has_unfinished = true,
                    false => listing.whole.push(waiting),
                }
            }
        }
        listing.whole.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        Ok(listing)
    }

    /// How many files are there, and when the oldest came in.
    pub(super) fn count(&self) -> Result<(u64, Option<SystemTime>), String> {
        let files = self.files()?;
        Ok((files.len() as u64, files.iter().map(|(waiting, _)| waiting.arrival).min()))
    }

    fn files(&self) -> Result<Vec<(Waiting, Metadata)>, String> {
        let paths = fs::list(&self.path).map_err(|error| error.to_string())?;
        let mut files = Vec::new();
        for path in paths {
            let Some(name) = path.file_name().filter(|name| !is_unfinished(name)) else { continue };
            // What has gone by now is nobody's.
            let Some(metadata) = file_at(&path) else { continue };
            let arrival = SystemTime::UNIX_EPOCH
                + Duration::new(
                    metadata.ctime().try_into().unwrap_or(0),
                    metadata.ctime_nsec().try_into().unwrap_or(0),
                );
            let modified = metadata.modified().unwrap_or(arrival);
            files.push((Waiting { name: name.to_owned(), arrival, modified }, metadata));
        }
        Ok(files)
    }

    fn wholeness(&self, file: &Waiting, now: SystemTime) -> Wholeness {
        // The last of both is the last change, wherever the time of writing was set to.
        let has_rested = |time: Duration| {
            let last = file.modified.max(file.arrival);
            last > now + TICK || now.duration_since(last).is_ok_and(|age| age >= time)
        };
        if self.writing.contains(&file.name) {
            return if has_rested(FORGOTTEN) { Wholeness::Unsure } else { Wholeness::Unfinished };
        }
        let is_seen = self.watch.is_some_and(|(_, since)| file.arrival > since + TICK);
        match is_seen {
            true => Wholeness::Whole,
            false if has_rested(SETTLED) => Wholeness::Unsure,
            false => Wholeness::Unfinished,
        }
    }
}

enum Wholeness {
    Whole,
    Unfinished,
    /// Whole unless somebody has it open.
    Unsure,
}

/// A file, or a link to one.
pub(super) fn file_at(path: &Path) -> Option<Metadata> {
    let metadata = path.symlink_metadata().ok()?;
    if metadata.file_type().is_symlink() {
        return path.metadata().ok().filter(Metadata::is_file).and(Some(metadata));
    }
    metadata.is_file().then_some(metadata)
}

/// A symbolic link to a file, or one of several names of it.
pub(super) fn is_link(path: &Path) -> bool {
    file_at(path).is_some_and(|metadata| metadata.file_type().is_symlink() || metadata.nlink() > 1)
}
