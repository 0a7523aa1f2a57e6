//! Makes a plugin of a directory that is there: what the template brings is added, nothing that is there changes.
//!
//! The label comes last: one that was killed before is no plugin yet, and goes on when it is run again.

use std::path::{Path, PathBuf};

use super::Ask;
use super::create::Request;
use super::extensions::Chance;
use super::make::{self, Made};
use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::LABEL_FILE;
use crate::site::Site;
use crate::text;

/// What became of the directory.
#[derive(Debug)]
pub struct Initialized {
    /// How many files the template brought.
    pub files: usize,
    /// Files that were there, and that the template would have brought.
    pub kept: Vec<PathBuf>,
}

/// `request.parent` is the directory itself.
pub fn init(request: &Request<'_>, site: &Site, ask: &mut Ask<'_>) -> Result<Initialized> {
    let dir = request.parent;
    if fs::exists(&dir.join(LABEL_FILE)) {
        return Err(Error::input(format!("{} is a plugin already", text::path(dir)))
            .hint("`mwp bootstrap update` brings later changes of its template in"));
    }
    // What a killed one left here.
    fs::sweep(dir);
    let chance = Chance::new()?;
    let Made { staging, directory, .. } = make::make(request, dir, &chance, site, ask)?;
    let mut made = Initialized { files: 0, kept: Vec::new() };
    let mut files = files_below(&directory)?;
    files.sort_by_key(|path| path.file_name().is_some_and(|name| name == LABEL_FILE));
    for from in files {
        let inner = from.strip_prefix(&directory).unwrap_or(&from);
        let to = dir.join(inner);
        if to.symlink_metadata().is_ok() {
            made.kept.push(inner.to_owned());
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(&from, &to)?;
        made.files += 1;
    }
    drop(staging);
    Ok(made)
}

/// Files and links, and directories that hold nothing.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        let entries = fs::list(&dir)?;
        if entries.is_empty() {
            files.push(dir);
            continue;
        }
        for path in entries {
            let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
            if is_directory { waiting.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}
