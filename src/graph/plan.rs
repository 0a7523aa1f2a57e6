//! Which tasks, and in which order: the graph as the recipes state it, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::task::{Target, Task};
use crate::digest::Digest;
use crate::error::{Error, Fault, Result};
use crate::text;

/// The tasks of one plugin for one target, in an order in which they can run.
#[derive(Debug)]
pub struct Plan {
    pub tasks: Vec<Task>,
    /// For each task, the positions of those that go first.
    pub first: Vec<Vec<usize>>,
    /// The names of the plugin's tasks, for whatever target.
    stated: BTreeSet<String>,
}

/// A task that goes first.
pub(super) struct Predecessor<'a> {
    pub name: &'a str,
    /// Its outputs, as they are or, where it has to run, as they were.
    pub outputs: Option<Digest>,
    /// Its outputs count, not its place in the order alone.
    pub counts: bool,
    /// It is not up to date: nobody knows yet what it is going to make.
    pub will_run: bool,
}

impl Plan {
    /// `known` are names that a plugin's own recipe may use for the order although no such task applies (yet).
    pub fn new(dir: &Path, tasks: Vec<Task>, known: &BTreeSet<String>, target: Target) -> Result<Plan> {
        let stated: BTreeSet<String> = tasks.iter().map(|task| task.name.clone()).collect();
        let tasks: Vec<Task> = tasks.into_iter().filter(|task| task.targets.contains(&target)).collect();
        let position: BTreeMap<&str, usize> =
            tasks.iter().enumerate().map(|(index, task)| (task.name.as_str(), index)).collect();
        let mut first: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); tasks.len()];
        let mut problems = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            for name in &task.dependencies {
                match position.get(name.as_str()) {
                    Some(dependency) => {
                        first[index].insert(*dependency);
                    }
                    None => problems.extend(unknown(dir, task, "dependencies", name, &stated).problems),
                }
            }
            // Order alone: what is not part of this build need not be waited for. In a plugin's own recipe a name
            // that no recipe knows is a slip of the fingers.
            for (key, names) in [("after", &task.after), ("before", &task.before)] {
                for name in names {
                    if task.origin.is_own && !stated.contains(name) && !known.contains(name) {
                        problems.extend(unknown(dir, task, key, name, &stated).problems);
                    }
                    match (position.get(name.as_str()), key) {
                        (Some(other), "after") => first[index].insert(*other),
                        (Some(other), _) => first[*other].insert(index),
                        (None, _) => false,
                    };
                }
            }
        }
        order_by_files(&tasks, &mut first);
        problems.extend(refuse_shared_outputs(&tasks).err().into_iter().flat_map(|error| error.problems));
        let order = sorted(&tasks, &first).unwrap_or_else(|cycle| {
            problems.extend(cycle.problems);
            Vec::new()
        });
        if !problems.is_empty() {
            return Err(Error::many(Fault::Input, problems));
        }
        let place: BTreeMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let first = order.iter().map(|old| first[*old].iter().map(|other| place[other]).collect()).collect();
        let mut slots: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
        let tasks: Vec<Task> = order.iter().filter_map(|old| slots[*old].take()).collect();
        Ok(Plan { tasks, first, stated })
    }

    /// The tasks that `is_wanted` names, and those that go before them.
    #[must_use]
    pub fn up_to(self, is_wanted: impl Fn(&Task) -> bool) -> Plan {
        let mut stays: Vec<bool> = self.tasks.iter().map(&is_wanted).collect();
        // Who goes first stands first.
        for task in (0..self.tasks.len()).rev() {
            if stays[task] {
                self.first[task].iter().for_each(|other| stays[*other] = true);
            }
        }
        let mut place = 0;
        let places: Vec<usize> = stays
            .iter()
            .map(|stays| {
                place += usize::from(*stays);
                place.saturating_sub(1)
            })
            .collect();
        let both = self.tasks.into_iter().zip(self.first).zip(&stays).filter(|(_, stays)| **stays);
        let (tasks, first) = both
            .map(|((task, first), _)| (task, first.into_iter().map(|other| places[other]).collect()))
            .unzip();
        Plan { tasks, first, stated: self.stated }
    }

    pub fn names(&self) -> Vec<&str> {
        self.tasks.iter().map(|task| task.name.as_str()).collect()
    }

    /// Every task that goes before, directly or not.
    pub(super) fn all_first(&self, task: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        let mut waiting = self.first[task].clone();
        while let Some(other) = waiting.pop() {
            if all.insert(other) {
                waiting.extend(&self.first[other]);
            }
        }
        all
    }

    /// The tasks that depend on its outputs.
    pub(super) fn dependents(&self, task: &Task) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|other| other.dependencies.contains(&task.name))
    }

    /// Whether a recipe of the plugin states the task, for this target or another one.
    pub fn is_stated(&self, task: &str) -> bool {
        self.stated.contains(task)
    }

    /// What `task` has to know of `other`, which goes first.
    pub(super) fn predecessor(
        &self,
        task: usize,
        other: usize,
        outputs: Option<Digest>,
        will_run: bool,
    ) -> Predecessor<'_> {
        let name = self.tasks[other].name.as_str();
        let counts = self.tasks[task].dependencies.iter().any(|dependency| dependency == name);
        Predecessor { name, outputs, counts, will_run }
    }

    pub fn position(&self, name: &str) -> Result<usize> {
        self.tasks.iter().position(|task| task.name == name).ok_or_else(|| {
            let names = self.names();
            let error = Error::usage(format!(
                "there is no task `{}` here; the tasks are {}",
                text::visible(name),
                names.join(", ")
            ));
            match text::nearest(name, names.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`mwp graph` shows them all"),
            }
        })
    }
}

fn unknown(dir: &Path, task: &Task, key: &str, name: &str, known: &BTreeSet<String>) -> Error {
    let file = dir.join(&task.origin.file);
    let names: Vec<&str> = known.iter().map(String::as_str).filter(|known| *known != task.name).collect();
    let error = Error::input(format!(
        "{}: [tasks.{}] `{key}` found `{}`; the tasks here are {}",
        text::path(&file),
        text::visible(&task.name),
        text::visible(name),
        names.join(", ")
    ));
    match text::nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`mwp graph` shows the tasks of this plugin"),
    }
}

/// A task that reads what another one of `mwp.toml` makes goes after it, said or not; unless it was said otherwise.
fn order_by_files(tasks: &[Task], first: &mut [BTreeSet<usize>]) {
    for reader in 0..tasks.len() {
        for maker in 0..tasks.len() {
            if reader != maker
                && tasks[maker].origin.is_own
                && reads(&tasks[reader], &tasks[maker])
                && !goes_after(maker, reader, first)
            {
                first[reader].insert(maker);
            }
        }
    }
}

fn reads(reader: &Task, maker: &Task) -> bool {
    let patterns =
        reader.inputs.iter().chain(&reader.optional_inputs).filter(|pattern| !pattern.starts_with('!'));
    let mut pairs = patterns.flat_map(|pattern| maker.outputs.iter().map(move |output| (pattern, output)));
    pairs.any(|(pattern, output)| {
        let is_glob = |part: &str| part.contains(['*', '?', '[', '{']);
        let base: std::path::PathBuf = Path::new(pattern)
            .components()
            .take_while(|part| !is_glob(&part.as_os_str().to_string_lossy()))
            .collect();
        let matches = globset::GlobBuilder::new(pattern).literal_separator(true).build();
        let matches = matches.is_ok_and(|glob| glob.compile_matcher().is_match(output));
        base.starts_with(output) || matches || (!is_glob(pattern) && Path::new(output).starts_with(pattern))
    })
}

/// Whether `task` waits for `other`, directly or not.
fn goes_after(task: usize, other: usize, first: &[BTreeSet<usize>]) -> bool {
    first[task].iter().any(|next| *next == other || goes_after(*next, other, first))
}

/// Dependencies first, else in the order of their statement; a cycle is shown as a path.
fn sorted(tasks: &[Task], first: &[BTreeSet<usize>]) -> Result<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        Unseen,
        OnPath,
        Done,
    }
    fn visit(
        index: usize,
        first: &[BTreeSet<usize>],
        marks: &mut [Mark],
        path: &mut Vec<usize>,
        order: &mut Vec<usize>,
    ) -> Result<(), Vec<usize>> {
        match marks[index] {
            Mark::Done => return Ok(()),
            Mark::OnPath => {
                let start = path.iter().position(|other| *other == index).unwrap_or(0);
                let mut cycle = path[start..].to_vec();
                cycle.push(index);
                return Err(cycle);
            }
            Mark::Unseen => {}
        }
        marks[index] = Mark::OnPath;
        path.push(index);
        for dependency in &first[index] {
            visit(*dependency, first, marks, path, order)?;
        }
        path.pop();
        marks[index] = Mark::Done;
        order.push(index);
        Ok(())
    }
    let mut marks = vec![Mark::Unseen; tasks.len()];
    let mut order = Vec::with_capacity(tasks.len());
    for index in 0..tasks.len() {
        visit(index, first, &mut marks, &mut Vec::new(), &mut order).map_err(|cycle| {
            let names: Vec<&str> = cycle.iter().map(|index| tasks[*index].name.as_str()).collect();
            let own = tasks.iter().find(|task| task.origin.is_own).unwrap_or(&tasks[cycle[0]]);
            let file = &own.origin.file;
            Error::input(format!("`{file}`: the tasks wait for each other: {}", names.join(" → ")))
                .hint("take one of them out of `dependencies`, `after` or `before`")
        })?;
    }
    Ok(order)
}

/// Two tasks that make the same thing would undo each other's work for ever.
fn refuse_shared_outputs(tasks: &[Task]) -> Result<()> {
    for (index, task) in tasks.iter().enumerate() {
        for other in &tasks[..index] {
            let shared = task.outputs.iter().find(|output| other.outputs.contains(output));
            if let Some(output) = shared {
                let stated = if task.origin.is_own { task } else { other };
                return Err(Error::input(format!(
                    "`{}`: [tasks.{}] `outputs` found `{}`, which task `{}` makes too; one task for each output is allowed",
                    stated.origin.file,
                    task.name,
                    text::visible(output),
                    other.name
                ))
                .hint("give the output to one of them, or let one task do both"));
            }
        }
    }
    Ok(())
}
