//! Output directories that a task shares with others: a virtualenv beside files that a `custom` step put there, a
//! compiler's output beside hand-written files. What a task made is its own to replace; all else stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::snapshot::{Entry, Snapshot};
use super::state::State;
use super::task::Task;
use crate::error::{Error, Result};
use crate::fs;
use crate::fs::Stat;
use crate::store::Names;
use crate::text;

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
            outputs.entries.change(|list| list.retain(|entry| files.contains(entry.name.as_path())));
        }
    }

    /// What goes into the content store.
    pub(super) fn store_names<'a>(&'a self, task: &'a Task) -> Names<'a> {
        match self {
            Made::Everything => Names::Whole(task.outputs.iter().map(Path::new).collect()),
            Made::Files(files) => {
                let with_directories =
                    files.iter().flat_map(|name| output_directories(task, name).chain([name.as_path()]));
                Names::Each(with_directories.collect::<BTreeSet<_>>().into_iter().collect())
            }
        }
    }
}

/// Files, links and empty directories below the outputs of a task, bytecode left out.
pub(super) fn files_below(dir: &Path, task: &Task) -> Result<BTreeMap<PathBuf, Stat>> {
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
    if Stat::of(&dir.join(output))?.is_none_or(|stat| !stat.is_dir()) {
        return Ok(());
    }
    if Stat::of(&staging.join(output))?.is_some_and(|stat| !stat.is_dir()) {
        return Err(directory_in_place(&dir.join(output)));
    }
    let mut files = BTreeMap::new();
    collect(dir, output, &mut files)?;
    for (name, stat) in files {
        let staged = staging.join(&name);
        if is_owned(&name) || fs::try_exists(&staged)? {
            continue;
        }
        let Some(parent) = staged.parent() else { continue };
        fs::create_dir_all(parent)?;
        fs::in_writable(parent, || match stat.is_file() {
            true => fs::link_or_copy(&dir.join(&name), &staged),
            false => fs::copy_tree(&dir.join(&name), &staged),
        })?;
    }
    Ok(())
}

/// Earlier outputs of a command, out of its way while it runs; thrown away with the staging directory.
pub(super) struct SetAside {
    files: Vec<(PathBuf, PathBuf)>,
    /// Directories that had nothing else in them, with their modes; outer ones last.
    directories: Vec<(PathBuf, u32)>,
}

impl SetAside {
    pub(super) fn nothing() -> SetAside {
        SetAside { files: Vec::new(), directories: Vec::new() }
    }

    /// Only what has the content that the command left: what a person has edited since is not ours to take away.
    /// What was moved before an error is known, and can be put back.
    pub(super) fn take(
        &mut self,
        dir: &Path,
        task: &Task,
        recorded: &Snapshot,
        staging: &Path,
    ) -> Result<()> {
        let mut emptied = BTreeSet::new();
        let links = linked_directories(dir, task, recorded)?;
        for (index, entry) in recorded.entries.iter().enumerate() {
            let name = entry.name.as_path();
            if is_behind(&links, name) {
                continue;
            }
            if entry.stat.is_dir() {
                emptied.insert(name.to_owned());
                emptied.extend(output_directories(task, name).map(Path::to_owned));
                continue;
            }
            if !is_as_left(dir, entry)? {
                continue;
            }
            let place = staging.join(index.to_string());
            let parent = name.parent().unwrap_or(Path::new(""));
            // By a copy, where the output is on a file system of its own.
            fs::in_writable(&dir.join(parent), || fs::move_out(&dir.join(name), &place).map(drop))?;
            self.files.push((name.to_owned(), place));
            emptied.extend(output_directories(task, name).map(Path::to_owned));
            emptied.extend(closed_parent(dir, name)?.map(Path::to_owned));
        }
        // Inner ones first.
        for name in emptied.into_iter().rev() {
            let path = dir.join(&name);
            let Some(stat) = Stat::of(&path)? else { continue };
            if stat.is_dir() && fs::list(&path)?.is_empty() && fs::mounts_below(&path).is_empty() {
                let parent = path.parent().unwrap_or(dir);
                fs::in_writable(parent, || fs::remove_tree(&path))?;
                self.directories.push((name, stat.mode & 0o7777));
            }
        }
        Ok(())
    }

    pub(super) fn put_back(self, dir: &Path) -> Result<()> {
        for (name, _) in self.directories.iter().rev() {
            fs::create_dir_all(&dir.join(name))?;
        }
        for (name, place) in self.files {
            let target = dir.join(&name);
            let Some(parent) = target.parent() else { continue };
            fs::create_dir_all(parent)?;
            fs::in_writable(parent, || {
                fs::put_in_place(&place, &target).or_else(|_| {
                    fs::remove_tree(&target)?;
                    fs::move_out(&place, &target)
                })
            })?;
        }
        for (name, mode) in &self.directories {
            fs::set_mode(&dir.join(name), *mode)?;
        }
        Ok(())
    }
}

/// Whether a file or link has the content of the record, also where it has been put back since.
fn is_as_left(dir: &Path, entry: &Entry) -> Result<bool> {
    let Some(stat) = Stat::of(&dir.join(entry.name.as_path()))? else { return Ok(false) };
    if stat == entry.stat || !stat.is_as_written(&entry.stat) {
        return Ok(stat == entry.stat);
    }
    Ok(Entry::read(dir, entry.name.clone(), false, stat)?.is_same_as(entry))
}

/// The directories of the task's outputs that `name` lies in.
fn output_directories<'a>(task: &'a Task, name: &'a Path) -> impl Iterator<Item = &'a Path> + 'a {
    let is_output = |dir: &Path| task.outputs.iter().any(|output| dir.starts_with(output));
    name.ancestors().skip(1).filter(move |dir| is_output(dir))
}

/// The directory that `name` lies in, where nobody could make `name` there again: the task left it without write
/// permission.
fn closed_parent<'a>(dir: &Path, name: &'a Path) -> Result<Option<&'a Path>> {
    let parent = name.parent().filter(|parent| *parent != Path::new(""));
    let Some(parent) = parent else { return Ok(None) };
    let is_closed = Stat::of(&dir.join(parent))?.is_some_and(|stat| stat.is_dir() && stat.mode & 0o200 == 0);
    Ok(is_closed.then_some(parent))
}

/// The directories at and below the outputs that the record names something in, and that are links now. What is behind
/// them only seems to be what the task made.
fn linked_directories(dir: &Path, task: &Task, recorded: &Snapshot) -> Result<BTreeSet<PathBuf>> {
    let mut directories = BTreeSet::new();
    recorded.each_name(|name| {
        for directory in output_directories(task, name) {
            // With those that it is in.
            if directories.contains(directory) {
                break;
            }
            directories.insert(directory.to_owned());
        }
    });
    let mut links = BTreeSet::new();
    for directory in directories {
        if Stat::of(&dir.join(&directory))?.is_some_and(|stat| stat.is_link()) {
            links.insert(directory);
        }
    }
    Ok(links)
}

fn is_behind(links: &BTreeSet<PathBuf>, name: &Path) -> bool {
    !links.is_empty() && name.ancestors().skip(1).any(|directory| links.contains(directory))
}

/// Refuses outputs that are somewhere else than they seem: below a link that leads out of the plugin and, where the
/// task writes in place, being a link that the task has not made, or with one in the place of a directory of theirs:
/// the task would write what nobody looks at. What a task makes aside takes the place of a link as it is.
pub(super) fn refuse_links(dir: &Path, task: &Task, recorded: Option<&Snapshot>) -> Result<()> {
    refuse_linked_directories(dir, task)?;
    if !task.action.works_in_place() {
        return Ok(());
    }
    for output in task.outputs.iter().map(Path::new) {
        let made = recorded.and_then(|outputs| outputs.get(output)).filter(|made| made.stat.is_link());
        let is_made = made.map(|made| is_as_left(dir, made)).transpose()?;
        if dir.join(output).is_symlink() && is_made != Some(true) {
            return Err(linked(dir, task, output, output));
        }
    }
    let links = recorded.map(|recorded| linked_directories(dir, task, recorded)).transpose()?;
    links.iter().flatten().next().map_or(Ok(()), |link| Err(linked(dir, task, link, link)))
}

/// Refuses a directory that somebody put in the place of a file that the task made: there may be anything in it.
pub(super) fn refuse_directories(dir: &Path, task: &Task, recorded: Option<&Snapshot>) -> Result<()> {
    for output in task.outputs.iter().map(Path::new) {
        let was_file = recorded.and_then(|outputs| outputs.get(output)).is_some_and(|it| !it.stat.is_dir());
        if was_file && Stat::of(&dir.join(output))?.is_some_and(|stat| stat.is_dir()) {
            return Err(directory_in_place(&dir.join(output)));
        }
    }
    Ok(())
}

fn directory_in_place(path: &Path) -> Error {
    Error::input(format!("{} is a directory, and the task makes a file there", text::path(path)))
        .hint("move it away, and run the same command again")
}

/// The first half of `refuse_links`: what is removed as a link may be one.
pub fn refuse_linked_directories(dir: &Path, task: &Task) -> Result<()> {
    for output in task.outputs.iter().map(Path::new) {
        let above = output.ancestors().skip(1).filter(|name| *name != Path::new(""));
        for link in above.filter(|name| dir.join(name).is_symlink()) {
            if !leads_into(dir, &dir.join(link)) {
                return Err(linked(dir, task, output, link));
            }
        }
    }
    Ok(())
}

fn leads_into(dir: &Path, link: &Path) -> bool {
    match (std::fs::canonicalize(link), std::fs::canonicalize(dir)) {
        (Ok(real), Ok(here)) => real.starts_with(here),
        _ => false,
    }
}

fn linked(dir: &Path, task: &Task, output: &Path, link: &Path) -> Error {
    let path = dir.join(link);
    let (found, hint) = match path.metadata() {
        Ok(real) => (
            if leads_into(dir, &path) { "a link" } else { "a link that leads out of the plugin" },
            match link != output || real.is_dir() {
                true => "remove the link, or put a directory in its place",
                false => "remove the link, or put a file in its place",
            },
        ),
        Err(_) => ("a link that leads nowhere", "remove the link; the task makes what it needs"),
    };
    Error::input(format!(
        "{} is {found}, and the task `{}` makes {} there",
        text::path(&path),
        text::visible(&task.name),
        text::path(&dir.join(output))
    ))
    .hint(hint)
}

/// Removes what the plugin's own tasks have made in `dir`, as far as records tell; returns the paths. `dry` removes
/// nothing. What built-in tasks make is in the lists of their recipes.
pub fn remove_outputs(dir: &Path, tasks: &[Task], dry: bool) -> Result<Vec<PathBuf>> {
    let state = State::load(dir);
    let mut removed = Vec::new();
    for task in tasks.iter().filter(|task| task.origin.is_own) {
        let recorded = state.get(&task.name).map(|record| &record.outputs);
        removed.extend(remove(dir, task, recorded, dry)?.into_iter().map(|name| dir.join(name)));
    }
    Ok(removed)
}

/// Removes what the task is recorded to have made: outputs that are its own as a whole, and of directories that it
/// shares with others the files that are as it left them. Returns their names; `dry` removes nothing.
fn remove(dir: &Path, task: &Task, recorded: Option<&Snapshot>, dry: bool) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    let mut emptied = BTreeSet::new();
    for output in task.outputs.iter().map(Path::new) {
        let Some(stat) = Stat::of(&dir.join(output))? else { continue };
        if !task.keep_foreign || (recorded.is_some() && !stat.is_dir()) {
            removed.push(output.to_owned());
        }
    }
    let links = recorded.map(|recorded| linked_directories(dir, task, recorded)).transpose()?;
    let links = links.unwrap_or_default();
    for entry in recorded.iter().flat_map(|recorded| recorded.entries.iter()) {
        let name = entry.name.as_path();
        if is_behind(&links, name) {
            continue;
        }
        let is_as_left = Stat::of(&dir.join(name))?.is_some_and(|stat| stat.is_as_written(&entry.stat));
        if is_as_left && !removed.iter().any(|removed| name.starts_with(removed)) {
            emptied.extend(output_directories(task, name).map(Path::to_owned));
            removed.push(name.to_owned());
        }
    }
    if dry {
        return Ok(removed);
    }
    let remove = |name: &Path| {
        let path = dir.join(name);
        fs::in_writable(path.parent().unwrap_or(dir), || fs::remove_tree(&path))
    };
    for name in &removed {
        remove(name)?;
        emptied.extend(closed_parent(dir, name)?.map(Path::to_owned));
    }
    for name in emptied.into_iter().rev() {
        if fs::exists(&dir.join(&name)) && fs::list(&dir.join(&name))?.is_empty() {
            remove(&name)?;
        }
    }
    Ok(removed)
}
