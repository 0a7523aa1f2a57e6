//! Runs the tasks of one or several projects, in parallel as far as their order allows.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, PoisonError};

use serde::Serialize;

use super::decide::{Decision, decide};
use super::execute::{execute, save};
use super::fingerprint::Reason;
use super::observer::Event;
use super::project::Project;
use super::stat::Instant;
use super::state::Record;
use crate::action;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::process;

/// How many tasks run at the same time, over all projects.
pub struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    pub fn new(number: usize) -> Slots {
        Slots { free: Mutex::new(number.max(1)), freed: Condvar::new() }
    }

    fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
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
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// How a task stands, for people and for `--json`.
#[derive(Debug, Serialize)]
pub struct TaskStatus {
    pub task: String,
    pub fresh: bool,
    pub reasons: Vec<Reason>,
    /// Milliseconds that it took when it last ran, where known.
    pub last_duration_ms: Option<u64>,
}

/// Brings a project up to date. Tasks that do not wait for each other run at the same time; after the first failure
/// nothing new starts. The caller holds the project's lock.
pub fn build(project: &Project<'_>, slots: &Slots) -> Result<Vec<TaskStatus>> {
    let plan = &project.plan;
    let mut waiting_for: Vec<usize> = plan.first.iter().map(Vec::len).collect();
    let digests: Mutex<BTreeMap<String, Digest>> = Mutex::new(BTreeMap::new());
    let (report, reports) = mpsc::channel();
    let mut statuses = Vec::new();
    let mut failures: Vec<Error> = Vec::new();
    std::thread::scope(|scope| {
        let mut running = 0;
        let mut ready: Vec<usize> = (0..plan.tasks.len()).filter(|index| waiting_for[*index] == 0).collect();
        loop {
            while failures.is_empty() && !ready.is_empty() {
                let index = ready.remove(0);
                running += 1;
                let (report, digests) = (report.clone(), &digests);
                scope.spawn(move || {
                    let result = one(project, index, digests, slots);
                    // The receiver outlives the scope.
                    let _ = report.send((index, result));
                });
            }
            if running == 0 {
                break;
            }
            let Ok((index, result)) = reports.recv() else { break };
            running -= 1;
            match result {
                Ok(status) => {
                    statuses.push((index, status));
                    for (other, first) in plan.first.iter().enumerate() {
                        if first.contains(&index) {
                            waiting_for[other] -= 1;
                            if waiting_for[other] == 0 {
                                ready.push(other);
                            }
                        }
                    }
                }
                Err(error) => failures.push(error),
            }
        }
    });
    if process::is_interrupted() {
        return Err(Error::interrupted());
    }
    if let Some(first) = failures.first() {
        let fault = first.fault;
        return Err(Error::many(fault, failures.into_iter().flat_map(|failure| failure.problems).collect()));
    }
    statuses.sort_by_key(|(index, _)| *index);
    Ok(statuses.into_iter().map(|(_, status)| status).collect())
}

fn one(
    project: &Project<'_>,
    index: usize,
    digests: &Mutex<BTreeMap<String, Digest>>,
    slots: &Slots,
) -> Result<TaskStatus> {
    let task = &project.plan.tasks[index];
    let _slot = slots.take();
    if process::is_interrupted() {
        return Err(Error::interrupted());
    }
    let dependencies = {
        let digests = digests.lock().unwrap_or_else(PoisonError::into_inner);
        task.dependencies.iter().filter_map(|name| Some((name.clone(), *digests.get(name)?))).collect()
    };
    if action::is_check(task) {
        action::check(project)?;
        project.observer.event(&project.dir, Event::Fresh { task: &task.name });
        return Ok(TaskStatus {
            task: task.name.clone(),
            fresh: true,
            reasons: Vec::new(),
            last_duration_ms: None,
        });
    }
    let decision = decide(project, task, dependencies, project.now()?)?;
    let last_duration_ms = decision.record.as_ref().map(|record| record.duration_ms);
    let digest = if decision.is_fresh() {
        for text in action::drift(project, task)? {
            project.observer.event(&project.dir, Event::Warning { task: &task.name, text: &text });
        }
        project.observer.event(&project.dir, Event::Fresh { task: &task.name });
        keep_record(project, &task.name, &decision)?
    } else {
        execute(project, task, &decision)?
    };
    digests.lock().unwrap_or_else(PoisonError::into_inner).insert(task.name.clone(), digest);
    Ok(TaskStatus {
        task: task.name.clone(),
        fresh: decision.is_fresh(),
        reasons: decision.reasons,
        last_duration_ms,
    })
}

/// A fresh task whose stat records have changed gets a new record, so that nothing is hashed twice.
fn keep_record(project: &Project<'_>, task: &str, decision: &Decision) -> Result<Digest> {
    let Some(outputs) = &decision.outputs else { return Ok(Digest::of(b"")) };
    if let (true, Some(record)) = (decision.identical, &decision.record) {
        return Ok(record.output_digest);
    }
    let output_digest = outputs.digest();
    let record = Record {
        fingerprint: decision.fingerprint.clone(),
        inputs: decision.inputs.clone(),
        outputs: outputs.clone(),
        output_digest,
        finished: true,
        duration_ms: decision.record.as_ref().map_or(0, |record| record.duration_ms),
    };
    save(project, task, record)?;
    Ok(output_digest)
}

/// How every task stands, without running or writing anything.
pub fn explain(project: &Project<'_>) -> Result<Vec<TaskStatus>> {
    project.load_state();
    let mut statuses: Vec<TaskStatus> = Vec::new();
    let mut digests: BTreeMap<&str, Digest> = BTreeMap::new();
    for task in &project.plan.tasks {
        if action::is_check(task) {
            action::check(project)?;
            statuses.push(TaskStatus {
                task: task.name.clone(),
                fresh: true,
                reasons: Vec::new(),
                last_duration_ms: None,
            });
            continue;
        }
        let stale: Vec<&String> =
            task.dependencies.iter().filter(|name| !digests.contains_key(name.as_str())).collect();
        let dependencies = task
            .dependencies
            .iter()
            .filter_map(|name| {
                // The last known digest of a dependency that has to run: its outputs may well stay the same.
                let known = digests.get(name.as_str()).copied();
                let state = project.state.lock().unwrap_or_else(PoisonError::into_inner);
                let known = known.or_else(|| state.get(name).map(|record| record.output_digest));
                known.map(|digest| (name.clone(), digest))
            })
            .collect();
        let decision = decide(project, task, dependencies, Instant::NEVER);
        let decision = match decision {
            Ok(decision) => decision,
            // An input that a dependency is going to make.
            Err(error) if stale.is_empty() => return Err(error),
            Err(_) => {
                statuses.push(TaskStatus {
                    task: task.name.clone(),
                    fresh: false,
                    reasons: stale
                        .iter()
                        .map(|name| Reason::DependencyWillRun { task: (*name).clone() })
                        .collect(),
                    last_duration_ms: None,
                });
                continue;
            }
        };
        let mut reasons = decision.reasons;
        reasons.extend(stale.iter().map(|name| Reason::DependencyWillRun { task: (*name).clone() }));
        if reasons.is_empty() {
            let digest = match (&decision.record, &decision.outputs) {
                (Some(record), _) if decision.identical => record.output_digest,
                (_, Some(outputs)) => outputs.digest(),
                _ => Digest::of(b""),
            };
            digests.insert(&task.name, digest);
        }
        statuses.push(TaskStatus {
            task: task.name.clone(),
            fresh: reasons.is_empty(),
            reasons,
            last_duration_ms: decision.record.map(|record| record.duration_ms),
        });
    }
    Ok(statuses)
}
