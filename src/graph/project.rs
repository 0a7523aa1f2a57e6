//! One plugin directory as a project: its plan, its records, and what it may use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::action::{Scope, Upgrade, upgraded_name};
use super::observer::{Event, Observer};
use super::own;
use super::plan::Plan;
use super::state::{Proof, STATE_DIR, State};
use super::task::Task;
use super::texts;
use super::unfinished;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs::{self, Instant, Lock, Stat};
use crate::plugin::Label;
use crate::site::Site;
use crate::store::Store;
use crate::tools::Tools;

/// How to build, as the command line says.
#[derive(Debug, Clone, Default)]
pub struct Mode {
    /// Run tasks that are up to date as well.
    pub force: bool,
    /// Fail where a lock would have to be made.
    pub locked: bool,
    /// No network: what is not in a cache is an error.
    pub offline: bool,
    /// Make locks again with newer versions.
    pub upgrade: Upgrade,
}

pub struct Project<'a> {
    /// As the user named it, for messages.
    pub dir: PathBuf,
    /// The plugin's name; the directory's where there is no label yet.
    pub name: String,
    pub site: &'a Site,
    pub store: &'a Store,
    pub mode: &'a Mode,
    pub observer: &'a dyn Observer,
    pub plan: Plan,
    pub tools: Tools<'a>,
    state: Mutex<State>,
    moment: Mutex<Option<Instant>>,
    /// Tasks with something in their output directories that may be of a killed build.
    tainted: Mutex<BTreeSet<String>>,
}

impl<'a> Project<'a> {
    /// Writes nothing.
    pub fn new(
        dir: &Path,
        plan: Plan,
        site: &'a Site,
        store: &'a Store,
        mode: &'a Mode,
        observer: &'a dyn Observer,
    ) -> Project<'a> {
        let directory_name = || dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
        Project {
            dir: dir.to_owned(),
            name: Label::read(dir).map_or_else(|_| directory_name(), |label| label.name.to_string()),
            site,
            store,
            mode,
            observer,
            plan,
            tools: Tools::new(site, dir),
            state: Mutex::new(State::unknown()),
            moment: Mutex::default(),
            tainted: Mutex::default(),
        }
    }

    /// What actions may look at.
    pub fn scope(&self) -> Scope<'_> {
        Scope { dir: &self.dir, site: self.site, tools: &self.tools }
    }

    /// What of the upgrade that was asked for concerns this task. Of several locks each takes the packages that it has.
    pub(super) fn upgrade_of(&self, task: &Task) -> Result<Upgrade> {
        let Upgrade::Packages(packages) = &self.mode.upgrade else { return Ok(self.mode.upgrade.clone()) };
        if self.plan.tasks.iter().filter(|task| task.action.makes_lock()).count() == 1 {
            return Ok(self.mode.upgrade.clone());
        }
        let mut own = Vec::new();
        for package in packages {
            if task.action.locks(&self.scope(), upgraded_name(package))? {
                own.push(package.clone());
            }
        }
        Ok(if own.is_empty() { Upgrade::Nothing } else { Upgrade::Packages(own) })
    }

    /// The records.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a success; returns the digest of the outputs.
    pub(super) fn record(&self, task: &str, proof: Proof) -> Result<Digest> {
        let mut state = self.state();
        let digest = state.record(task, proof)?;
        if let Some(record) = state.get(task) {
            // A text that cannot be kept costs an explanation its line, nothing else.
            let _ = texts::keep(&self.dir, &record.inputs, &state);
        }
        Ok(digest)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.join(STATE_DIR)
    }

    pub fn log_path(&self, task: &str) -> PathBuf {
        self.state_dir().join(own::LOGS).join(format!("{task}.log"))
    }

    /// Where work in progress lives: on the file system of the plugin, so that it can be put in place by a rename.
    pub fn staging_parent(&self) -> PathBuf {
        self.state_dir().join("tmp")
    }

    /// Where tasks leave by-products for others of the same build; as work in progress, what a killed build left there
    /// is thrown away.
    pub(super) fn by_products(&self) -> PathBuf {
        self.staging_parent().join("by-products")
    }

    /// Makes the state directory, takes the lock on it and throws away what a killed run left.
    pub fn lock(&self) -> Result<Lock> {
        own::refuse_odd_state(&self.dir)?;
        let lock = wait_for_lock(&self.dir, &mut |holder| {
            self.observer.event(&self.dir, Event::Waiting { holder });
        })?;
        self.load_state();
        fs::sweep(&self.state_dir());
        let tainted = unfinished::remove_of_killed(&self.dir, &self.staging_parent(), &self.plan.tasks)?;
        *self.tainted.lock().unwrap_or_else(PoisonError::into_inner) = tainted;
        empty(&self.staging_parent())?;
        fs::create_dir_all(&self.state_dir().join(own::LOGS))?;
        Ok(lock)
    }

    pub(super) fn is_tainted(&self, task: &str) -> bool {
        self.tainted.lock().unwrap_or_else(PoisonError::into_inner).contains(task)
    }

    /// Reads the records; under the lock, because another process may be building.
    pub fn load_state(&self) {
        let mut state = State::load(&self.dir);
        state.retain(|task| self.plan.is_stated(task));
        *self.state() = state;
    }

    /// Now, by the clock of the plugin's file system.
    pub fn now(&self) -> Result<Instant> {
        Instant::now(&self.state_dir())
    }

    /// A moment before now, and after the last task that ran. What is looked at is vouched for as of then, which is
    /// never too much: files that changed in between are read again by the next build.
    pub(super) fn moment(&self) -> Result<Instant> {
        let mut moment = self.moment.lock().unwrap_or_else(PoisonError::into_inner);
        match *moment {
            Some(known) => Ok(known),
            None => Ok(*moment.insert(self.now()?)),
        }
    }

    /// A task ran: what it made is younger than the moment.
    pub(super) fn forget_moment(&self) {
        *self.moment.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Makes `dir` an empty directory. One that is there and empty stays: to remove and make it is work for the disk.
fn empty(dir: &Path) -> Result<()> {
    let is_usable = |stat: Stat| stat.is_dir() && stat.mode & 0o700 == 0o700;
    if Stat::of(dir)?.is_some_and(is_usable) && fs::list(dir)?.is_empty() {
        return Ok(());
    }
    fs::remove_tree(dir)?;
    fs::create_dir_all(dir)
}

/// The one lock per plugin directory, with the state directory made first.
pub fn lock_directory(dir: &Path, on_wait: &mut dyn FnMut(&str)) -> Result<Lock> {
    own::refuse_odd_directory(dir)?;
    wait_for_lock(dir, on_wait)
}

fn wait_for_lock(dir: &Path, on_wait: &mut dyn FnMut(&str)) -> Result<Lock> {
    const PATIENCE: Duration = Duration::from_secs(3600);
    let state_dir = dir.join(STATE_DIR);
    loop {
        fs::create_dir_all(&state_dir)?;
        let ignore = state_dir.join(".gitignore");
        if !fs::exists(&ignore) {
            fs::write_atomic(&ignore, b"*\n")?;
        }
        match Lock::acquire(&state_dir.join("lock"), "build", PATIENCE, &mut *on_wait) {
            // `clean` in another process removed the directory in between.
            Err(_) if !state_dir.exists() => continue,
            result => return result,
        }
    }
}
