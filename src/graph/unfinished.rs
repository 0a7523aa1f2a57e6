//! What a command that did not come to its end left at its outputs. It goes before the next run, which would take it for
//! an earlier result: a command that appends to a file would go on where the other broke off.
//!
//! Only what nobody else can have made goes: an output that is a file, and a directory that the command itself made while we
//! watched. After a kill nobody watched, and somebody may have put a file beside those of the command: all of a directory
//! stays, and what the next run makes there is not [kept for others](super::execute).
//!
//! What was there before the command began is noted in the staging directory, which a killed build leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::outputs::{files_below, refuse_linked_directories};
use super::task::Task;
use crate::error::{At, Result};
use crate::fs::{self, Stat};

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

/// Removes the files that the commands of a killed build left, as far as `tasks` still has them; returns the names of the
/// tasks of which something may be left in a directory.
pub(super) fn remove_of_killed(
    dir: &Path,
    staging_parent: &Path,
    tasks: &[Task],
) -> Result<BTreeSet<String>> {
    let mut tainted = BTreeSet::new();
    for staging in fs::list(staging_parent)? {
        let Some(note) = fs::read_optional(&staging.join(NOTE)).ok().flatten() else { continue };
        // One that was not written to its end: the command had not begun.
        let Some(note) = note.strip_suffix(b"\0") else { continue };
        let mut words = note.split(|byte| *byte == 0);
        let name = words.next().unwrap_or_default();
        let before: BTreeSet<PathBuf> = words.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
        let Some(task) = tasks.iter().find(|task| task.name.as_bytes() == name) else { continue };
        if refuse_linked_directories(dir, task).is_ok() {
            remove_files(dir, task, |path| before.contains(path))?;
        }
        if files_below(dir, task)?.keys().any(|path| !before.contains(path)) {
            tainted.insert(task.name.clone());
        }
    }
    Ok(tainted)
}

/// Removes what the command has made that failed.
pub(super) fn remove_of_failed(dir: &Path, task: &Task, before: &BTreeMap<PathBuf, Stat>) -> Result<()> {
    remove_files(dir, task, |path| before.contains_key(path))?;
    for output in task.outputs.iter().map(Path::new) {
        let was_there = before.keys().any(|path| path.starts_with(output));
        if !was_there && Stat::of(&dir.join(output))?.is_some_and(|stat| stat.is_dir()) {
            remove(dir, output)?;
        }
    }
    Ok(())
}

/// Removes the outputs that are files or links and were not there before.
fn remove_files(dir: &Path, task: &Task, was_there: impl Fn(&Path) -> bool) -> Result<()> {
    for output in task.outputs.iter().map(Path::new).filter(|output| !was_there(output)) {
        if Stat::of(&dir.join(output))?.is_some_and(|stat| !stat.is_dir()) {
            remove(dir, output)?;
        }
    }
    Ok(())
}

fn remove(dir: &Path, name: &Path) -> Result<()> {
    let path = dir.join(name);
    fs::in_writable(path.parent().unwrap_or(dir), || fs::remove_tree(&path))
}
