//! Our own directory in the plugin's, `.mwp`, is ours alone: what somebody put in the place of something in it is neither
//! followed nor written over.

use std::fs::FileType;
use std::io;
use std::path::Path;

use super::state::STATE_DIR;
use super::texts;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::text;

/// Refuses a link in our own directory, as it may come with a clone: it would have us empty or write whatever it leads to.
/// Refuses, too, what cannot be the directory or the lock in it.
pub fn refuse_odd_directory(dir: &Path) -> Result<()> {
    examine(dir, &|inside, name| inside == STATE_DIR && name == "lock")
}

/// As [`refuse_odd_directory`], and whatever would keep a build from writing its records or its logs.
pub fn refuse_odd_state(dir: &Path) -> Result<()> {
    let is_log = |inside: &str, name: &str| inside == LOGS && name.ends_with(".log");
    examine(dir, &|inside, name| {
        is_log(inside, name) || (inside == STATE_DIR && matches!(name, "lock" | "state" | LOGS))
    })
}

/// Logs of tasks; the only directory that counts.
pub(super) const LOGS: &str = "log";

/// `counts` says of a name in our directory, or in one below, whether it must be of its kind.
fn examine(dir: &Path, counts: &dyn Fn(&str, &str) -> bool) -> Result<()> {
    let state_dir = dir.join(STATE_DIR);
    let metadata = match state_dir.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(Error::io("look at", &state_dir, &error)),
    };
    if !metadata.is_dir() {
        return Err(odd(&state_dir, metadata.file_type(), true, "remove it; mwp makes what it needs anew"));
    }
    for inside in [STATE_DIR, LOGS, texts::DIRECTORY] {
        let place = if inside == STATE_DIR { state_dir.clone() } else { state_dir.join(inside) };
        let entries = match std::fs::read_dir(&place) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(Error::io("list", &place, &error)),
        };
        // An entry says itself what it is, without a look at each file.
        for entry in entries {
            let entry = entry.at("list", &place)?;
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().at("look at", &path)?;
            let is_directory = inside == STATE_DIR && name == LOGS;
            let is_odd = if is_directory { !kind.is_dir() } else { !kind.is_file() };
            if kind.is_symlink() || (is_odd && name.to_str().is_some_and(|name| counts(inside, name))) {
                let hint = match name == "lock" {
                    true => "remove it; mwp makes what it needs anew",
                    false => "remove it, or run `mwp clean`; mwp makes what it needs anew",
                };
                return Err(odd(&path, kind, is_directory, hint));
            }
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn odd(path: &Path, found: FileType, is_directory: bool, hint: &str) -> Error {
    let path = text::path(path);
    if found.is_symlink() {
        let message = format!("{path} is a link, and mwp keeps its own files there: nothing was done");
        return Error::input(message).hint("remove the link; mwp makes what it needs anew");
    }
    let wanted = if is_directory { "directory" } else { "file" };
    Error::input(format!(
        "{path} is {}, and mwp keeps a {wanted} of its own there: nothing was done",
        fs::kind(found)
    ))
    .hint(hint)
}
