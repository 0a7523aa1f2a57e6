//! Runs the tasks of one or several projects, in parallel as far as their order allows.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant as Clock;

use super::agenda::Agenda;
use super::decide::{Decision, decide};
use super::execute::execute;
use super::observer::Event;
use super::own;
use super::plan::Predecessor;
use super::project::Project;
use super::status::{Built, TaskStatus};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Instant};
use crate::process;
use crate::text;
use crate::threads;

/// How many projects may wait, for a slot or for another process that builds them, without keeping a slot empty.
const MOST_WAITING: usize = 6;

/// How many tasks run at the same time, over all projects.
pub struct Slots {
    number: usize,
    free: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    pub fn new(number: usize) -> Slots {
        let number = number.max(1);
        Slots { number, free: Mutex::new(number), freed: Condvar::new() }
    }

    fn take(&self) -> Slot<'_> {
        let mut free = locked(&self.free);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *locked(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brings several projects up to date, side by side; `open` makes a project of a directory. What
/// happens in one does not keep the others from being built.
pub fn build_all<'a>(
    directories: &[PathBuf],
    open: impl Fn(&Path) -> Result<Project<'a>> + Sync,
    slots: &Slots,
) -> Vec<Result<Built>> {
    let one = |directory: &Path| -> Result<Built> {
        let started = Clock::now();
        if process::is_interrupted() {
            return Err(Error::interrupted());
        }
        let project = open(directory)?;
        let _lock = project.lock()?;
        let tasks = build(&project, slots)?;
        let built = Built {
            directory: directory.to_owned(),
            plugin: project.name.clone(),
            tasks,
            took: started.elapsed(),
        };
        project.observer.event(&project.dir, Event::Built { built: &built });
        Ok(built)
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(directory) = directories.get(index) else { break results };
            results.push((index, or_panic(&text::path(directory), || one(directory))));
        }
    };
    let most = directories.len().min(slots.number + MOST_WAITING);
    let mut results: Vec<_> = threads::together(most, "building", work).into_iter().flatten().collect();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A fault of ours ends the build with an error, not in silence.
fn or_panic<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(internal(what, text))
    })
}

fn internal(what: &str, reason: &str) -> Error {
    Error::machine(format!("{what}: a fault in mwp itself: {}", text::visible(reason)))
        .hint("report it, with the command and these lines")
}

/// Brings a project up to date. Tasks that do not wait for each other run at the same time; after the first failure
/// nothing new starts. The caller holds the project's lock.
pub fn build(project: &Project<'_>, slots: &Slots) -> Result<Vec<TaskStatus>> {
    let plan = &project.plan;
    let mut agenda = Agenda::new(plan);
    let digests: Mutex<BTreeMap<usize, Digest>> = Mutex::new(BTreeMap::new());
    let (report, reports) = mpsc::channel();
    let mut statuses = BTreeMap::new();
    let mut failures: Vec<Error> = Vec::new();
    std::thread::scope(|scope| {
        loop {
            while let Some(index) = agenda.start() {
                let (report, digests) = (report.clone(), &digests);
                let work = move || {
                    let what = format!("task `{}`", text::visible(&project.plan.tasks[index].name));
                    let result = or_panic(&what, || one(project, index, digests, slots));
                    // The receiver outlives the scope.
                    let _ = report.send((index, result));
                };
                // To look at a task that is up to date takes no longer than to start a thread for it.
                let is_short = plan.tasks[index].action.probe().is_some();
                if is_short || agenda.waits_for_last() {
                    work();
                } else {
                    threads::start_or_do(scope, "a task", work);
                }
            }
            if agenda.is_idle() {
                break;
            }
            let Ok((index, result)) = reports.recv() else { break };
            agenda.end(index, result.is_ok());
            match result {
                Ok(status) => drop(statuses.insert(index, status)),
                Err(error) => failures.push(error),
            }
        }
    });
    // What cannot be removed, the next build throws away.
    let _ = fs::remove_tree(&project.by_products());
    if process::is_interrupted() {
        return Err(Error::interrupted());
    }
    if let Some(first) = failures.first() {
        let (fault, task) = (first.fault, first.task.clone());
        let problems = failures.into_iter().flat_map(|failure| failure.problems).collect();
        return Err(Error { fault, problems, task });
    }
    Ok(statuses.into_values().collect())
}

fn one(
    project: &Project<'_>,
    index: usize,
    digests: &Mutex<BTreeMap<usize, Digest>>,
    slots: &Slots,
) -> Result<TaskStatus> {
    let task = &project.plan.tasks[index];
    let _slot = slots.take();
    if process::is_interrupted() {
        return Err(Error::interrupted());
    }
    let predecessors: Vec<Predecessor<'_>> = {
        let digests = locked(digests);
        let first = project.plan.first[index].iter();
        first
            .map(|other| project.plan.predecessor(index, *other, digests.get(other).copied(), false))
            .collect()
    };
    let event = |event: Event<'_>| project.observer.event(&project.dir, event);
    let (status, digest) = match decide(project, task, &predecessors, project.moment()?)? {
        Decision::Probed => {
            event(Event::Fresh { task: &task.name });
            (TaskStatus::fresh(task, None), None)
        }
        Decision::Fresh(fresh) => {
            let last_duration_ms = fresh.record.as_ref().map(|record| record.duration_ms);
            if let Some(record) = &fresh.record {
                for text in task.action.drift(&project.scope(), &record.outputs)? {
                    event(Event::Warning { task: &task.name, text: &text });
                }
            }
            event(Event::Fresh { task: &task.name });
            // Where stat records have changed, nothing shall be hashed twice.
            let digest = match fresh.is_recorded || fresh.is_provisional {
                true => fresh.outputs_digest()?,
                false => project.record(&task.name, fresh.into_proof()?)?,
            };
            (TaskStatus::fresh(task, last_duration_ms), Some(digest))
        }
        Decision::Stale(stale) => {
            let last_duration_ms = stale.record.as_ref().map(|record| record.duration_ms);
            let reasons = stale.reasons.clone();
            let digest = execute(project, task, stale)?;
            project.forget_moment();
            (TaskStatus { task: task.name.clone(), fresh: false, reasons, last_duration_ms }, Some(digest))
        }
    };
    if let Some(digest) = digest {
        locked(digests).insert(index, digest);
    }
    Ok(status)
}

/// How every task stands, without running or writing anything.
pub fn explain(project: &Project<'_>) -> Result<Vec<TaskStatus>> {
    own::refuse_odd_state(&project.dir)?;
    project.load_state();
    let mut statuses: Vec<TaskStatus> = Vec::new();
    let mut digests: BTreeMap<usize, Digest> = BTreeMap::new();
    for (index, task) in project.plan.tasks.iter().enumerate() {
        let first = project.plan.first[index].iter();
        let predecessors: Vec<Predecessor<'_>> = first
            .map(|other| {
                // The last known digest of a dependency that has to run: its outputs may well stay the same.
                let known = digests.get(other).copied().or_else(|| {
                    project.state().get(&project.plan.tasks[*other].name).map(|record| record.output_digest)
                });
                project.plan.predecessor(index, *other, known, !statuses[*other].fresh)
            })
            .collect();
        statuses.push(match decide(project, task, &predecessors, Instant::NEVER)? {
            Decision::Probed => TaskStatus::fresh(task, None),
            Decision::Fresh(fresh) => {
                digests.insert(index, fresh.outputs_digest()?);
                TaskStatus::fresh(task, fresh.record.map(|record| record.duration_ms))
            }
            Decision::Stale(stale) => TaskStatus {
                task: task.name.clone(),
                fresh: false,
                reasons: stale.reasons,
                last_duration_ms: stale.record.map(|record| record.duration_ms),
            },
        });
    }
    Ok(statuses)
}
