//! What tasks do: the built-in actions, by the names that recipes use, and commands.
//!
//! An action makes its outputs in a staging directory; the graph puts them in place. It may judge for itself whether
//! it has to run ([`judge`]), own files in a shared output directory ([`owned`]), and see that somebody changed what
//! it made ([`drift`]).

mod command;
mod node;
mod python;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::graph::{Event, Project, Reason};
use crate::process::Log;
use crate::recipe::{Action, Task};

pub use command::run_command;

/// One run of a task.
pub struct Job<'a> {
    pub project: &'a Project<'a>,
    pub task: &'a Task,
    /// Empty; outputs are made below it under their own names.
    pub staging: &'a Path,
}

impl Job<'_> {
    /// Shows a line of output of the task's tool.
    fn on_line(&self) -> impl Fn(&str) + '_ {
        |line| self.project.observer.event(&self.project.dir, Event::Line { task: &self.task.name, line })
    }
}

/// What an action knows of whether it has to run, beyond its record.
#[derive(Debug)]
pub enum Judgement {
    /// The record decides.
    ByRecord,
    /// What is there fits, whatever the record says.
    Fresh,
    Stale(Vec<Reason>),
}

fn name(task: &Task) -> &str {
    match &task.action {
        Action::Builtin(name) => name,
        Action::Command(_) => "",
    }
}

/// Part of the key of what an action makes; raised when it makes something else from the same inputs.
pub fn version(action: &str) -> u32 {
    match action {
        "python-virtualenv" => 1,
        _ => 1,
    }
}

/// The check of the plugin takes less time than to decide whether it is needed.
pub fn is_check(task: &Task) -> bool {
    name(task) == "check"
}

pub fn check(project: &Project<'_>) -> Result<()> {
    crate::plugin::Plugin::load(&project.dir, project.site).map(drop)
}

/// Actions that make locks, which are never made again just because somebody said `--force`.
pub fn judges_itself(task: &Task) -> bool {
    matches!(name(task), "python-freeze" | "npm-lock" | "pnpm-lock" | "yarn-lock")
}

/// Asked where the record does not say that the task is fresh.
pub fn judge(project: &Project<'_>, task: &Task) -> Result<Judgement> {
    match name(task) {
        "python-freeze" => python::judge_lock(project),
        "npm-lock" => node::judge_npm_lock(project),
        "pnpm-lock" | "yarn-lock" => node::judge_foreign_lock(project, task),
        _ => Ok(Judgement::ByRecord),
    }
}

pub fn run(job: &Job<'_>, log: &mut Log) -> Result<()> {
    match name(job.task) {
        "python-freeze" => python::freeze(job, log),
        "python-wheels" => python::wheels(job, log),
        "python-virtualenv" => python::virtualenv(job),
        "npm-lock" => node::npm_lock(job, log),
        "npm-modules" => node::npm_modules(job, log),
        "pnpm-lock" => node::pnpm_lock(job, log),
        "pnpm-modules" => node::pnpm_modules(job, log),
        "yarn-lock" => node::yarn_lock(job, log),
        "yarn-modules" => node::yarn_modules(job, log),
        _ => check(job.project),
    }
}

/// Whether the outputs may be taken from and put into the content store: not where something beside the declared
/// inputs goes into them.
pub fn may_be_kept(project: &Project<'_>, task: &Task) -> Result<bool> {
    match name(task) {
        "python-wheels" | "python-virtualenv" => Ok(!python::names_directories(project)?),
        "npm-modules" | "pnpm-modules" | "yarn-modules" => Ok(!node::sees_more_than_settings(project)?),
        _ => Ok(true),
    }
}

/// Why a task has to run whatever its record says.
pub fn volatile(project: &Project<'_>, task: &Task) -> Result<Option<&'static str>> {
    match name(task) {
        "python-wheels" if python::names_directories(project)? => {
            Ok(Some("the lock names a directory, whose content may have changed"))
        }
        _ => Ok(None),
    }
}

/// Files in an output directory that belong to the action although no record says so, with paths from the plugin's
/// directory: a virtualenv that another tool made.
pub fn owned(project: &Project<'_>, task: &Task, output: &Path) -> Result<BTreeSet<PathBuf>> {
    match name(task) {
        "python-virtualenv" => crate::python::virtualenv::owned_files(&project.dir.join(output), output),
        _ => Ok(BTreeSet::new()),
    }
}

/// What somebody added to a fresh output, in words for a warning.
pub fn drift(project: &Project<'_>, task: &Task) -> Result<Vec<String>> {
    match name(task) {
        "python-virtualenv" => python::drift(project),
        "npm-modules" => node::drift(project),
        _ => Ok(Vec::new()),
    }
}
