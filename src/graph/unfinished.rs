//! What a command that did not come to its end left at its outputs. It goes before the next run, which would take it for
//! an earlier result: a command that appends to a file would go on where the other broke off.
//!
//! What was there before the command began is somebody else's and stays. It is noted in the staging directory, which
//! a killed build leaves behind.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::outputs::{files_below, output_directories, refuse_linked_directories};
use super::task::Task;
use crate::error::{At, Result};
use crate::fs;

/// In the staging directory of a command: the name of its task, then the paths that were there, each followed by a zero
/// byte.
const NOTE: &str = "unfinished";

/// Notes what is there before the command begins.
pub(super) fn note<'p>(
    staging: &Path,
    task: &Task,
    before: impl IntoIterator<Item = &'p PathBuf>,
) -> Result<()> {
    let mut content = Vec::new();
    let paths = before.into_iter().map(|path| path.as_os_str().as_bytes());
    for word in [task.name.as_bytes()].into_iter().chain(paths) {
        content.extend(word);
        content.push(0);
    }
    let path = staging.join(NOTE);
    fs::create_file(&path)?.write_all(&content).at("write", &path)
}

/// Removes what the commands of a killed build left, as far as `tasks` still has them.
pub(super) fn remove_of_killed(dir: &Path, staging_parent: &Path, tasks: &[Task]) -> Result<()> {
    for staging in fs::list(staging_parent)? {
        let Some(note) = fs::read_optional(&staging.join(NOTE)).ok().flatten() else { continue };
        // One that was not written to its end: the command had not begun.
        let Some(note) = note.strip_suffix(b"\0") else { continue };
        let mut words = note.split(|byte| *byte == 0);
        let name = words.next().unwrap_or_default();
        let before: BTreeSet<PathBuf> = words.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
        let Some(task) = tasks.iter().find(|task| task.name.as_bytes() == name) else { continue };
        if refuse_linked_directories(dir, task).is_ok() {
            remove(dir, task, |path| before.contains(path))?;
        }
    }
    Ok(())
}

/// Removes what is at the outputs and was not there before.
pub(super) fn remove(dir: &Path, task: &Task, was_there: impl Fn(&Path) -> bool) -> Result<()> {
    let remove = |name: &Path| {
        let path = dir.join(name);
        fs::in_writable(path.parent().unwrap_or(dir), || fs::remove_tree(&path))
    };
    let mut emptied = BTreeSet::new();
    for name in files_below(dir, task)?.into_keys().filter(|name| !was_there(name)) {
        remove(&name)?;
        emptied.extend(output_directories(task, &name).map(Path::to_owned));
    }
    // Inner ones first.
    for name in emptied.into_iter().rev().filter(|name| !was_there(name)) {
        if fs::list(&dir.join(&name))?.is_empty() {
            remove(&name)?;
        }
    }
    Ok(())
}
