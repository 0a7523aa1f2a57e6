//! Output directories that a task shares with others: a virtualenv beside files that a `custom` step put there, a
//! compiler's output beside hand-written files. What a task made is its own to replace; all else stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::snapshot::Snapshot;
use super::stat::Stat;
use super::task::Task;
use crate::error::Result;
use crate::fs;

/// Which files below its outputs a task has made.
pub(super) enum Made {
    /// The task owns its output directories.
    Everything,
    Files(BTreeSet<PathBuf>),
}

impl Made {
    /// By an action, in its staging directory.
    pub(super) fn in_staging(staging: &Path, task: &Task) -> Result<Made> {
        Ok(Made::Files(files_below(staging, task)?.into_keys().collect()))
    }

    /// What is there before a command runs.
    pub(super) fn before_command(dir: &Path, task: &Task) -> Result<BTreeMap<PathBuf, Stat>> {
        if task.keep_foreign { files_below(dir, task) } else { Ok(BTreeMap::new()) }
    }

    /// By a command: what it wrote, and what it left of its `earlier` outputs.
    pub(super) fn by_command(
        dir: &Path,
        task: &Task,
        before: &BTreeMap<PathBuf, Stat>,
        earlier: Option<&Snapshot>,
    ) -> Result<Made> {
        if !task.keep_foreign {
            return Ok(Made::Everything);
        }
        let is_made = |(name, stat): &(PathBuf, Stat)| {
            before.get(name) != Some(stat) || earlier.is_some_and(|earlier| earlier.get(name).is_some())
        };
        Ok(Made::Files(files_below(dir, task)?.into_iter().filter(is_made).map(|(name, _)| name).collect()))
    }

    /// Takes out of a snapshot what the task did not make.
    pub(super) fn restrict(&self, outputs: &mut Snapshot) {
        if let Made::Files(files) = self {
            Arc::make_mut(&mut outputs.entries).retain(|entry| files.contains(entry.name.as_path()));
        }
    }

    /// What goes into the content store.
    pub(super) fn store_names<'a>(&'a self, task: &'a Task) -> Vec<&'a Path> {
        match self {
            Made::Everything => task.outputs.iter().map(Path::new).collect(),
            Made::Files(files) => files.iter().map(PathBuf::as_path).collect(),
        }
    }
}

/// Files, links and empty directories below the outputs of a task, bytecode left out.
fn files_below(dir: &Path, task: &Task) -> Result<BTreeMap<PathBuf, Stat>> {
    let mut files = BTreeMap::new();
    for output in &task.outputs {
        collect(dir, Path::new(output), &mut files)?;
    }
    Ok(files)
}

fn collect(dir: &Path, name: &Path, files: &mut BTreeMap<PathBuf, Stat>) -> Result<()> {
    let Some(stat) = Stat::of(&dir.join(name))? else { return Ok(()) };
    let entries = if stat.is_dir() { fs::list(&dir.join(name))? } else { Vec::new() };
    // A directory without entries is a thing of its own.
    if entries.is_empty() {
        files.insert(name.to_owned(), stat);
    }
    for entry in entries {
        if let Some(file_name) = entry.file_name().filter(|name| *name != "__pycache__") {
            collect(dir, &name.join(file_name), files)?;
        }
    }
    Ok(())
}

/// Puts what is in `output` and not owned by the task beside the new files in `staging`, which is about to take its
/// place. Files get a second name, so that a crash in between loses nothing.
pub(super) fn keep_foreign(
    dir: &Path,
    output: &Path,
    staging: &Path,
    is_owned: &dyn Fn(&Path) -> bool,
) -> Result<()> {
    if !dir.join(output).is_dir() || dir.join(output).is_symlink() {
        return Ok(());
    }
    let mut files = BTreeMap::new();
    collect(dir, output, &mut files)?;
    for (name, stat) in files {
        let staged = staging.join(&name);
        if is_owned(&name) || fs::exists(&staged) {
            continue;
        }
        if let Some(parent) = staged.parent() {
            fs::create_dir_all(parent)?;
        }
        if stat.is_file() {
            fs::link_or_copy(&dir.join(&name), &staged)?;
        } else {
            fs::copy_tree(&dir.join(&name), &staged)?;
        }
    }
    Ok(())
}

/// Earlier outputs of a command, out of its way while it runs; thrown away with the staging directory.
pub(super) struct SetAside {
    files: Vec<(PathBuf, PathBuf)>,
}

impl SetAside {
    pub(super) fn nothing() -> SetAside {
        SetAside { files: Vec::new() }
    }

    /// Only what is as the command left it: what a person has edited since is not ours to take away.
    pub(super) fn outputs(dir: &Path, recorded: &Snapshot, staging: &Path) -> Result<SetAside> {
        let mut aside = SetAside::nothing();
        for (index, entry) in recorded.entries.iter().enumerate() {
            let name = entry.name.as_path();
            if Stat::of(&dir.join(name))?.is_some_and(|stat| stat == entry.stat) {
                let place = staging.join(index.to_string());
                fs::rename(&dir.join(name), &place)?;
                aside.files.push((name.to_owned(), place));
            }
        }
        Ok(aside)
    }

    pub(super) fn put_back(self, dir: &Path) -> Result<()> {
        for (name, place) in self.files {
            let target = dir.join(&name);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::put_in_place(&place, &target)?;
        }
        Ok(())
    }
}
