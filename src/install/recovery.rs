//! What killed commands left in a base is undone or removed, and never blocks the next one.
//!
//! What can be neither undone nor removed – files of root in an old tree, a stage without its content – gets a name that
//! begins with [`SET_ASIDE`], is told once, and is not looked at again. `mwp status` lists it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::base::Base;
use super::jobs;
use super::journal::{self, Journal};
use crate::error::{Error, Problem, Result};
use crate::fs;
use crate::site::Site;
use crate::text;

const SET_ASIDE: &str = "set-aside-";

/// Undoes what the journal says, and removes what killed commands left; what could not be, as warnings. The caller
/// holds the base's lock, and the base is its own.
pub(super) fn recover(base: &Base, site: &Site) -> Vec<Error> {
    let mut told = Vec::new();
    match Journal::read(base) {
        Ok(None) => {}
        Ok(Some(journal)) => {
            let left = journal.undo(base, site);
            if !left.is_empty() {
                // The stage has what is needed to do it by hand.
                let stage = base.own_dir().join(&journal.stage);
                let kept = [journal::path(base), stage].map(|path| set_aside(&path));
                let kept: Vec<PathBuf> = kept.into_iter().flatten().flatten().collect();
                told.extend(left.into_iter().map(|error| with_place(error, &kept)));
            } else if journal.close(base).is_err() {
                // Undone it is; that it may have to be done again after a power cut is no harm.
                let _ = fs::remove_file(&journal::path(base));
            }
        }
        Err(error) => {
            let kept: Vec<PathBuf> = set_aside(&journal::path(base)).into_iter().flatten().collect();
            told.push(with_place(error, &kept));
        }
    }
    sweep(base);
    for path in fs::list(&base.own_dir()).unwrap_or_default() {
        if is_debris(&path) {
            told.extend(discard(&path));
        }
    }
    told
}

/// Half-written files that a killed command left beside override files and in `var/`.
fn sweep(base: &Base) {
    let var = base.dir.parent().filter(|var| var.ends_with("var"));
    let config = var.and_then(Path::parent).map(|home| home.join("config/plugins"));
    for dir in var.into_iter().chain(config.as_deref()) {
        for path in fs::list(dir).unwrap_or_default() {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            // One that is younger may be somebody's who is at work.
            let is_old = || {
                let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
                modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > LEFT_BEHIND))
            };
            if name.starts_with(fs::TEMPORARY.as_bytes()) && is_old() {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// No file takes that long to be written.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

fn is_debris(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name != b"lock"
        && name != b"journal"
        && name != jobs::NOTE.as_bytes()
        && !name.starts_with(SET_ASIDE.as_bytes())
}

/// Whether a killed command left something.
pub(super) fn is_needed(base: &Base) -> bool {
    let is_left = |path: &PathBuf| is_debris(path) || path.ends_with("journal") || path.ends_with(jobs::NOTE);
    fs::list(&base.own_dir()).is_ok_and(|paths| paths.iter().any(is_left))
}

/// Removes a tree that nothing needs any more, or sets it aside and says so.
pub(super) fn discard(path: &Path) -> Option<Error> {
    let error = fs::remove_tree(path).err()?;
    let kept = set_aside(path);
    let message = format!("an old tree cannot be removed: {error}");
    Some(match kept {
        Ok(kept) => with_place(Error::machine(message), &kept.into_iter().collect::<Vec<_>>()),
        Err(_) => Error::machine(message).hint(format!("remove {} by hand", text::path(path))),
    })
}

/// Gives it a name that is let be; where it is then.
fn set_aside(path: &Path) -> Result<Option<PathBuf>> {
    if !fs::exists(path) {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut aside = path.with_file_name(format!("{SET_ASIDE}{name}"));
    let mut number = 1;
    while fs::exists(&aside) {
        number += 1;
        aside = path.with_file_name(format!("{SET_ASIDE}{name}-{number}"));
    }
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

fn with_place(error: Error, kept: &[PathBuf]) -> Error {
    let Some(last) = kept.last() else { return error };
    let places = kept.iter().map(|path| text::path(path)).collect::<Vec<_>>().join(" and ");
    let (message, fault) = (error.to_string(), error.fault);
    let step = error.problems.into_iter().find_map(|problem| problem.hint);
    let remove = format!("remove {} once nothing there is needed", text::path(last));
    let hint = step.map_or_else(|| remove.clone(), |step| format!("{step}; {remove}"));
    Error::many(
        fault,
        vec![Problem { message: format!("{message}; set aside as {places}"), hint: Some(hint) }],
    )
}

impl Base {
    /// What could be neither undone nor removed, and waits for a person.
    pub fn set_aside(&self) -> Vec<PathBuf> {
        let paths = fs::list(&self.own_dir()).unwrap_or_default().into_iter();
        let is_aside = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(SET_ASIDE.as_bytes()))
        };
        paths.filter(is_aside).collect()
    }
}
