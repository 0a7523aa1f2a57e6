//! What a task does, as a value.
//!
//! The graph receives actions through its tasks and knows none of them by name. An [`Action`] says everything about
//! itself: what it reads and with which tools, what it makes, whether that may be kept, how a lock is checked. While
//! it runs it has a [`Job`]: a directory, tools, a staging directory and a place for lines – not the project.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::manifest::Value;
use super::observer::{Event, Observer};
use super::snapshot::Snapshot;
use crate::error::Result;
use crate::process::{Finished, Log, Program};
use crate::site::Site;
use crate::store::Store;
use crate::tools::Tools;

/// One kind of work. Paths are relative to the plugin's directory.
pub trait Action: fmt::Debug + Send + Sync {
    /// As recipes name it; part of the key.
    fn name(&self) -> &str;

    /// Part of the key; raised when it makes something else from the same facts.
    fn version(&self) -> u32 {
        1
    }

    /// What the recipe said of it, beside the task's own fields; part of the key.
    fn definition(&self) -> BTreeMap<&'static str, Value> {
        BTreeMap::new()
    }

    /// The files and directories that it makes in the plugin directory `dir`, beside those that the recipe names.
    fn outputs(&self, dir: &Path) -> Vec<String> {
        let _ = dir;
        Vec::new()
    }

    /// Everything that its result depends on, beside what the recipe declares.
    fn reads(&self, scope: &Scope<'_>) -> Result<Reads> {
        let _ = scope;
        Ok(Reads::default())
    }

    /// Work that takes less time than deciding whether it is needed: it is done in every build, makes nothing and
    /// leaves no record. `None` for all other work.
    fn probe(&self) -> Option<Probe> {
        None
    }

    /// It makes a lock: checked by content, never made again just because somebody said `--force`, never taken from
    /// the content store, and not made at all with `--locked`.
    fn makes_lock(&self) -> bool {
        false
    }

    /// Whether the lock that is there fits, where no record says so.
    fn check_lock(&self, scope: &Scope<'_>) -> Result<LockCheck> {
        let _ = scope;
        Ok(LockCheck::Untold)
    }

    /// What it would refuse of the files that it reads; nothing is run for that.
    fn refuses(&self, scope: &Scope<'_>) -> Result<()> {
        let _ = scope;
        Ok(())
    }

    /// Programs without which it cannot work.
    fn programs(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether its lock has, or is to have, a package of that name.
    fn locks(&self, scope: &Scope<'_>, package: &str) -> Result<bool> {
        let _ = (scope, package);
        Ok(false)
    }

    /// It writes into the plugin's directory itself; others make their outputs in the staging directory.
    fn works_in_place(&self) -> bool {
        false
    }

    /// Its output directories hold files of others as well, which stay.
    fn shares_outputs(&self) -> bool {
        false
    }

    /// Files below `output` that belong to it although no record says so: a virtualenv that another tool made.
    fn owned(&self, scope: &Scope<'_>, output: &Path) -> Result<BTreeSet<PathBuf>> {
        let _ = (scope, output);
        Ok(BTreeSet::new())
    }

    /// What somebody added beside its up-to-date outputs, in words for a warning.
    fn drift(&self, scope: &Scope<'_>, outputs: &Snapshot) -> Result<Vec<String>> {
        let _ = (scope, outputs);
        Ok(Vec::new())
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()>;
}

/// See [`Action::probe`].
pub type Probe = fn(&Scope<'_>) -> Result<()>;

/// What an action may look at before it runs.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The plugin's directory as the user named it.
    pub dir: &'a Path,
    pub site: &'a Site,
    pub tools: &'a Tools<'a>,
}

impl Scope<'_> {
    /// An absolute path, for programs that start elsewhere.
    pub fn absolute_dir(&self) -> Result<PathBuf> {
        use crate::error::At;
        std::fs::canonicalize(self.dir).at("read", self.dir)
    }
}

/// What a result depends on: part of the key of a task, and of the reasons why it runs.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// Files, directories or globs in the plugin's directory that must match something; `!` in front excludes.
    pub inputs: Vec<String>,
    /// As `inputs`, for what need not be there.
    pub optional_inputs: Vec<String>,
    /// Files and directories by their names, wherever they are, whether or not they are there.
    pub files: Vec<PathBuf>,
    /// Programs on PATH whose versions count.
    pub tools: Vec<String>,
    /// Environment variables whose values count.
    pub environment: Vec<String>,
    /// Whatever else counts, by a name for people: an index, the settings of a package manager.
    pub settings: BTreeMap<String, Value>,
    /// What a lock was made from and does not say itself: when it changes, the lock is made again even where it
    /// fits.
    pub lock_facts: BTreeMap<String, Value>,
    /// Something beside these facts goes into what it makes: that is not kept in the content store.
    pub uncacheable: bool,
}

/// What a lock says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockCheck {
    /// It is what would be made now, whatever the record says.
    Fits,
    /// Why it has to be made again.
    Stale(Vec<String>),
    /// It fits, and why it is made again all the same, but not with `--locked`: something beside it is missing.
    Incomplete(Vec<String>),
    /// Only the tool that made it can tell: one that is there without a record is accepted, else the record decides.
    Untold,
}

/// Which versions a lock may move to newer ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// None that still fits.
    #[default]
    Nothing,
    Everything,
    /// `NAME` or `NAME==VERSION`.
    Packages(Vec<String>),
}

/// `NAME` of `NAME==VERSION`.
pub fn upgraded_name(package: &str) -> &str {
    package.split_once("==").map_or(package, |(name, _)| name).trim()
}

/// One run of an action.
pub struct Job<'a> {
    pub scope: Scope<'a>,
    /// Empty; outputs are made below it under their own names.
    pub staging: &'a Path,
    /// Where it leaves what came into being beside its outputs, for tasks that depend on it; gone after the build, and
    /// not there until somebody makes it.
    pub by_products: &'a Path,
    /// The actions of the tasks of this build that depend on it.
    pub dependents: Vec<&'a str>,
    pub store: &'a Store,
    /// No network.
    pub offline: bool,
    pub upgrade: &'a Upgrade,
    /// Everything that the tools write.
    pub log: Log,
    pub report: Reporter<'a>,
}

impl Job<'_> {
    /// Runs a program to its end; its output goes to the log and, line by line, to whoever watches.
    pub fn run(&mut self, program: &Program) -> Result<Finished> {
        let report = self.report;
        program.run(&mut self.log, &|line| report.line(line))
    }
}

/// Where an action says what it is doing.
#[derive(Clone, Copy)]
pub struct Reporter<'a> {
    pub(super) observer: &'a dyn Observer,
    pub(super) project: &'a Path,
    pub(super) task: &'a str,
}

impl Reporter<'_> {
    /// The name of the task.
    pub fn task(&self) -> &str {
        self.task
    }

    /// A line of output of its tool.
    pub fn line(&self, line: &str) {
        self.observer.event(self.project, Event::Line { task: self.task, line });
    }

    /// What changed in the lock that was made: `+ NAME VERSION`, `~ NAME OLD → NEW`, `- NAME VERSION`.
    pub fn changes(&self, changes: &[String]) {
        self.observer.event(self.project, Event::LockChanged { task: self.task, changes });
    }

    /// Something that is wrong, although it goes on.
    pub fn warn(&self, text: &str) {
        self.observer.event(self.project, Event::Warning { task: self.task, text });
    }
}
