//! What is to run, whatever is installed: what somebody stopped, what is being changed, what is being taken out.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::error::Result;
use crate::fs;
use crate::run::ServiceId;

/// A plugin that is still there so long after it was to be removed stays.
const WITHDRAWN: Duration = Duration::from_secs(20);

/// The file, in the module's `var`, that has what somebody stopped, a line each: `hello`, `hello/app_main`,
/// `hello/app_main/2`. It outlives the supervisor.
const FILE: &str = "stopped";

/// A plugin's home, told from another one of the same name.
pub(super) type Identity = (u64, u64);

#[derive(Debug)]
pub(super) struct Desired {
    file: PathBuf,
    stopped: RefCell<BTreeSet<String>>,
    /// Plugins that are about to be removed: which home, and since when.
    withdrawn: RefCell<BTreeMap<String, (Option<Identity>, Instant)>>,
    /// Plugins that an operation is at work on: others leave them alone.
    busy: RefCell<BTreeSet<String>>,
    free: Notify,
}

/// Forgets what was stopped: a module that somebody brings up starts everything.
pub(super) fn forget(var: &Path) -> Result<()> {
    fs::remove_file(&var.join(FILE)).map(drop)
}

impl Desired {
    pub(super) fn read(var: &Path) -> Desired {
        let file = var.join(FILE);
        // Where it cannot be read nothing was stopped.
        let text = fs::read_text(&file).unwrap_or_default();
        Desired {
            file,
            stopped: RefCell::new(text.lines().map(str::to_owned).collect()),
            withdrawn: RefCell::default(),
            busy: RefCell::default(),
            free: Notify::new(),
        }
    }

    /// Whether somebody stopped this worker, its service or its plugin.
    pub(super) fn is_stopped(&self, id: &ServiceId, worker: u32) -> bool {
        let stopped = self.stopped.borrow();
        let service = name_of(id);
        stopped.contains(&id.plugin)
            || stopped.contains(&service)
            || stopped.contains(&format!("{service}/{worker}"))
    }

    /// Whether somebody stopped the whole plugin.
    pub(super) fn is_plugin_stopped(&self, plugin: &str) -> bool {
        self.stopped.borrow().contains(plugin)
    }

    /// Writes down that somebody stopped these.
    pub(super) fn stop(&self, names: &[String]) -> Result<()> {
        let mut stopped = self.stopped.borrow_mut();
        stopped.retain(|known| !names.iter().any(|name| is_below(known, name)));
        stopped.extend(names.iter().cloned());
        self.write(&stopped)
    }

    /// Writes down that these are to run again. What else was stopped with them, of all workers of the plugin, stays
    /// stopped.
    pub(super) fn start(&self, names: &[String], workers: &[String]) -> Result<()> {
        let mut stopped = self.stopped.borrow_mut();
        let is_above = |known: &String| names.iter().any(|name| name != known && is_below(name, known));
        let above: Vec<String> = stopped.iter().filter(|known| is_above(known)).cloned().collect();
        for known in above {
            stopped.remove(&known);
            stopped.extend(workers.iter().filter(|worker| is_below(worker, &known)).cloned());
        }
        stopped.retain(|known| !names.iter().any(|name| is_below(known, name)));
        self.write(&stopped)
    }

    /// A plugin that is gone was not stopped.
    pub(super) fn drop_plugin(&self, plugin: &str) {
        let mut stopped = self.stopped.borrow_mut();
        let before = stopped.len();
        stopped.retain(|known| !is_below(known, plugin));
        if stopped.len() < before {
            // It is only told wrongly if another of that name comes.
            let _ = self.write(&stopped);
        }
    }

    fn write(&self, stopped: &BTreeSet<String>) -> Result<()> {
        let text: String = stopped.iter().map(|name| format!("{name}\n")).collect();
        fs::write_atomic(&self.file, text.as_bytes())
    }

    pub(super) fn withdraw(&self, plugin: &str, identity: Option<Identity>) {
        self.withdrawn.borrow_mut().insert(plugin.to_owned(), (identity, Instant::now()));
    }

    /// It was not removed after all, or is back.
    pub(super) fn come_back(&self, plugin: &str) {
        self.withdrawn.borrow_mut().remove(plugin);
    }

    /// Whether a plugin with this home is about to be removed. One in another home has come back.
    pub(super) fn is_withdrawn(&self, plugin: &str, identity: Identity) -> bool {
        let withdrawn = self.withdrawn.borrow();
        withdrawn.get(plugin).is_some_and(|(known, since)| {
            known.is_none_or(|known| known == identity) && since.elapsed() < WITHDRAWN
        })
    }

    /// Forgets plugins that are gone, and those that have come back; says whether it is to be asked again later.
    pub(super) fn settle(&self, present: &BTreeMap<String, Identity>) -> bool {
        let is_withdrawn =
            |name: &String| present.get(name).is_some_and(|identity| self.is_withdrawn(name, *identity));
        let names: Vec<String> =
            self.withdrawn.borrow().keys().filter(|name| !is_withdrawn(name)).cloned().collect();
        for name in names {
            self.come_back(&name);
        }
        !self.withdrawn.borrow().is_empty()
    }

    pub(super) fn is_busy(&self, plugin: &str) -> bool {
        self.busy.borrow().contains(plugin)
    }

    /// Keeps others from a plugin, where nobody does already.
    pub(super) fn occupy(self: &Rc<Self>, plugin: &str) -> Option<Busy> {
        let is_free = self.busy.borrow_mut().insert(plugin.to_owned());
        is_free.then(|| Busy { desired: Rc::clone(self), plugin: plugin.to_owned() })
    }

    /// As [`occupy`](Desired::occupy), once it can be.
    pub(super) async fn occupied(self: &Rc<Self>, plugin: &str) -> Busy {
        loop {
            let freed = self.free.notified();
            if let Some(busy) = self.occupy(plugin) {
                return busy;
            }
            freed.await;
        }
    }
}

/// Keeps others from a plugin until it is dropped.
pub(super) struct Busy {
    desired: Rc<Desired>,
    plugin: String,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.desired.busy.borrow_mut().remove(&self.plugin);
        self.desired.free.notify_waiters();
    }
}

/// As orders and the file name a service: `hello/app_main`.
pub(super) fn name_of(id: &ServiceId) -> String {
    format!("{}/{}_{}", id.plugin, id.kind.word(), id.name)
}

fn is_below(name: &str, of: &str) -> bool {
    name == of || name.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ServiceKind;

    fn id(name: &str) -> ServiceId {
        ServiceId { plugin: "hello".to_owned(), kind: ServiceKind::App, name: name.to_owned() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_was_stopped_outlives_the_supervisor() {
        let var = tempfile::tempdir().unwrap();
        let desired = Desired::read(var.path());
        desired.stop(&names(&["hello/app_main/2"])).unwrap();
        let again = Desired::read(var.path());
        let stopped = |worker| again.is_stopped(&id("main"), worker);
        assert_eq!([stopped(1), stopped(2)], [false, true]);
        forget(var.path()).unwrap();
        assert!(!Desired::read(var.path()).is_stopped(&id("main"), 2));
    }

    #[test]
    fn of_what_was_stopped_together_the_rest_stays_stopped() {
        let var = tempfile::tempdir().unwrap();
        let desired = Desired::read(var.path());
        let all = names(&["hello/app_main/1", "hello/app_main/2", "hello/app_other/1"]);
        desired.stop(&names(&["hello"])).unwrap();
        assert!(desired.is_plugin_stopped("hello"));
        desired.start(&names(&["hello/app_main/2"]), &all).unwrap();
        let stopped = |name, worker| desired.is_stopped(&id(name), worker);
        assert_eq!([stopped("main", 1), stopped("main", 2), stopped("other", 1)], [true, false, true]);
        desired.start(&names(&["hello"]), &all).unwrap();
        assert_eq!([stopped("main", 1), stopped("other", 1)], [false, false]);
    }

    #[test]
    fn a_plugin_that_comes_back_is_not_withdrawn_any_more() {
        let var = tempfile::tempdir().unwrap();
        let desired = Desired::read(var.path());
        desired.withdraw("hello", Some((1, 7)));
        assert!(desired.is_withdrawn("hello", (1, 7)));
        assert!(!desired.is_withdrawn("hello", (1, 8)), "it is in another home");
        assert!(desired.settle(&BTreeMap::from([("hello".to_owned(), (1, 7))])), "it may stay after all");
        assert!(!desired.settle(&BTreeMap::new()));
        assert!(!desired.is_withdrawn("hello", (1, 7)), "it was gone");
    }

    #[test]
    fn one_operation_at_a_time_is_at_work_on_a_plugin() {
        let var = tempfile::tempdir().unwrap();
        let desired = Rc::new(Desired::read(var.path()));
        let busy = desired.occupy("hello").unwrap();
        assert!(desired.is_busy("hello") && desired.occupy("hello").is_none());
        assert!(desired.occupy("other").is_some());
        drop(busy);
        assert!(!desired.is_busy("hello"));
    }
}
