//! What killed commands left in a base is undone or removed, and never blocks the next one.
//!
//! What can be neither undone nor removed – files of root in an old tree, a stage without its content – gets a name that
//! begins with [`SET_ASIDE`], and is told once. `mwp status` lists it. The next change of the base tries again to remove
//! what is no more than an old tree.

use std::path::{Path, PathBuf};

use super::jobs;
use super::journal::{self, Journal};
use crate::error::{Error, Problem, Result};
use crate::fs;
use crate::installed::Base;
use crate::site::Site;
use crate::text;

const SET_ASIDE: &str = "set-aside-";

/// Undoes what the journal says, and removes what killed commands left; what could not be, as warnings. The caller
/// holds the base's lock, and the base is its own.
pub(super) fn recover(base: &Base, site: &Site) -> Vec<Error> {
    let mut told = Vec::new();
    // What fails for a moment is no reason to leave a change half done.
    match repeated(|| Journal::read(base)) {
        Ok(None) => {}
        Ok(Some(journal)) => {
            if let Err(left) = repeated(|| journal.undo(base, site)) {
                // The stage has what is needed to do it by hand.
                let stage = base.own_dir().join(&journal.stage);
                told.extend(give_up(base, vec![stage], left));
            } else if journal.close(base).is_err() {
                // Undone it is; that it may have to be done again after a power cut is no harm.
                let _ = fs::remove_file(&journal::path(base));
            }
        }
        Err(error) => {
            // Which of them it is of cannot be known.
            let paths = fs::list(&base.own_dir()).unwrap_or_default();
            let stages = paths.into_iter().filter(|path| has_prefix(path, "stage-")).collect();
            told.extend(give_up(base, stages, vec![error]));
        }
    }
    sweep(base);
    if fs::try_exists(&journal::path(base)).unwrap_or(true) {
        // It could not even be set aside: what it is about stays for the next command.
        return told;
    }
    discard_again(base);
    for path in fs::list(&base.own_dir()).unwrap_or_default() {
        if is_debris(&path) {
            told.extend(discard(&path));
        }
    }
    told
}

/// Sets the journal aside with what is needed to do it by hand, and says so.
fn give_up(base: &Base, stages: Vec<PathBuf>, why: Vec<Error>) -> Vec<Error> {
    let paths = std::iter::once(journal::path(base)).chain(stages);
    // In this order: without its journal a stage is not looked for.
    let kept: Vec<PathBuf> = paths.filter_map(|path| set_aside(&path).ok().flatten()).collect();
    why.into_iter().map(|error| with_place(error, &kept)).collect()
}

/// The first success of three tries, or the last failure.
fn repeated<T, E>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    attempt().or_else(|_| attempt()).or_else(|_| attempt())
}

/// What kept an old tree from being removed may be over. With a journal beside it, it is what undoing by hand needs.
fn discard_again(base: &Base) {
    let aside = base.set_aside();
    if !aside.iter().any(|path| has_prefix(path, &format!("{SET_ASIDE}journal"))) {
        aside.iter().for_each(|path| drop(fs::remove_tree(path)));
    }
}

fn has_prefix(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// Half-written files that a killed command left beside override files and in `var/`.
fn sweep(base: &Base) {
    let var = base.dir.parent().filter(|var| var.ends_with("var"));
    let config = var.and_then(Path::parent).map(|home| home.join("config/plugins"));
    var.into_iter().chain(config.as_deref()).for_each(fs::sweep);
}

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
    let error = fs::remove_large_tree(path).err()?;
    let kept = set_aside(path);
    let message = format!("an old tree cannot be removed: {error}");
    Some(match kept {
        Ok(kept) => with_place(Error::machine(message), &kept.into_iter().collect::<Vec<_>>()),
        Err(_) => Error::machine(message).hint(format!("remove {} by hand", text::path(path))),
    })
}

/// Gives it a name that is let be; where it is then.
fn set_aside(path: &Path) -> Result<Option<PathBuf>> {
    if !fs::try_exists(path)? {
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
        paths.filter(|path| has_prefix(path, SET_ASIDE)).collect()
    }
}
