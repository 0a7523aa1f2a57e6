//! The life of one task that is not up to date: restore or run, put in place, record.
//!
//! The record describes the inputs as they were before the start, and is written after the outputs are in place.
//! Whatever happens in between, an interrupted task has no record and its work in progress is in the staging
//! directory, which the next build throws away.

use std::path::Path;
use std::time::{Duration, Instant as Clock};

use super::decide::{Decision, whole_outputs};
use super::observer::Event;
use super::outputs::{self, Made, SetAside};
use super::project::Project;
use super::snapshot::Snapshot;
use super::stat::Instant;
use super::state::Record;
use crate::action::{self, Job};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Staging};
use crate::process::{self, Log};
use crate::recipe::{Action, Task};
use crate::store::Bucket;
use crate::text;

/// Brings a task up to date that is not; returns the digest of its outputs.
pub(super) fn execute(project: &Project<'_>, task: &Task, decision: &Decision) -> Result<Digest> {
    let event = |event| project.observer.event(&project.dir, event);
    let started = Clock::now();
    event(Event::Started { task: &task.name, summary: &task.summary, reasons: &decision.reasons });
    if let Some(record) = &decision.record {
        save(project, &task.name, Record { finished: false, ..record.clone() })?;
    }
    let key = decision.fingerprint.key(&decision.inputs);
    if task.cache
        && !project.mode.force
        && action::may_be_kept(project, task)?
        && let Some(made) = restore(project, task, decision, &key)?
    {
        let digest = record(project, task, decision, &made, started.elapsed())?;
        event(Event::Restored { task: &task.name, took: started.elapsed() });
        return Ok(digest);
    }
    let log_path = project.log_path(&task.name);
    let mut log = Log::create(&log_path)?;
    let result = match &task.action {
        Action::Builtin(_) => run_builtin(project, task, decision, &mut log),
        Action::Command(command) => run_command(project, task, command, decision, &mut log),
    };
    let made = match result {
        Ok(made) => made,
        Err(error) => {
            let error = if process::is_interrupted() { Error::interrupted() } else { error };
            event(Event::Failed { task: &task.name, error: &error, output: &log.text(), log: &log_path });
            return Err(error);
        }
    };
    let digest = record(project, task, decision, &made, started.elapsed())?;
    event(Event::Done { task: &task.name, took: started.elapsed() });
    if inputs_moved(project, task, decision)? {
        let text = "an input changed while it ran: the next build runs it again";
        event(Event::Warning { task: &task.name, text });
        let state =
            project.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&task.name).cloned();
        if let Some(record) = state {
            save(project, &task.name, Record { finished: false, ..record })?;
        }
        return Ok(digest);
    }
    if task.cache && action::may_be_kept(project, task)? {
        // The build succeeded; a cache that cannot be written is worth a word, not a failure.
        if let Err(error) = project.store.keep(Bucket::Tasks, &key, &project.dir, &made.store_names(task)) {
            let text = format!("the outputs were not kept in the cache: {error}");
            event(Event::Warning { task: &task.name, text: &text });
        }
    }
    Ok(digest)
}

/// Whether somebody touched an input since the start: the outputs may be made of either content.
fn inputs_moved(project: &Project<'_>, task: &Task, decision: &Decision) -> Result<bool> {
    let now = Snapshot::take(&project.dir, &task.input_patterns(), Some(&decision.inputs), Instant::NEVER)?
        .snapshot;
    let same = now.entries.len() == decision.inputs.entries.len()
        && now
            .entries
            .iter()
            .zip(decision.inputs.entries.iter())
            .all(|(now, then)| now.name == then.name && now.stat.is_as_written(&then.stat));
    Ok(!same)
}

/// Takes the outputs from the content store, all or nothing.
fn restore(project: &Project<'_>, task: &Task, decision: &Decision, key: &Digest) -> Result<Option<Made>> {
    if !project.store.holds(Bucket::Tasks, key) {
        return Ok(None);
    }
    let staging = Staging::new_in(&project.staging_parent())?;
    if !project.store.restore(Bucket::Tasks, key, staging.path())? {
        return Ok(None);
    }
    if !task.outputs.iter().all(|output| fs::exists(&staging.join(output))) {
        return Ok(None);
    }
    put_in_place(project, task, decision, &staging).map(Some)
}

/// A built-in action makes its outputs in the staging directory.
fn run_builtin(project: &Project<'_>, task: &Task, decision: &Decision, log: &mut Log) -> Result<Made> {
    let staging = Staging::new_in(&project.staging_parent())?;
    let job = Job { project, task, staging: staging.path() };
    action::run(&job, log)?;
    if process::is_interrupted() {
        return Err(Error::interrupted());
    }
    put_in_place(project, task, decision, &staging)
}

fn put_in_place(project: &Project<'_>, task: &Task, decision: &Decision, staging: &Staging) -> Result<Made> {
    let made = if task.keep_foreign { Made::in_staging(staging.path(), task)? } else { Made::Everything };
    for output in task.outputs.iter().map(Path::new).filter(|output| fs::exists(&staging.join(output))) {
        if task.keep_foreign {
            let owned_by_action = action::owned(project, task, output)?;
            let recorded = decision.record.as_ref().map(|record| &record.outputs);
            let is_owned = |name: &Path| {
                recorded.is_some_and(|outputs| outputs.get(name).is_some()) || owned_by_action.contains(name)
            };
            outputs::keep_foreign(&project.dir, output, staging.path(), &is_owned)?;
        }
        let target = project.dir.join(output);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::put_in_place(&staging.join(output), &target)?;
    }
    Ok(made)
}

/// A command writes into the plugin's directory. What it made before is set aside, so that nothing stale survives,
/// and comes back if it fails.
fn run_command(
    project: &Project<'_>,
    task: &Task,
    command: &[String],
    decision: &Decision,
    log: &mut Log,
) -> Result<Made> {
    let staging = Staging::new_in(&project.staging_parent())?;
    let recorded = decision.record.as_ref().map(|record| &record.outputs);
    let aside = match recorded {
        Some(recorded) if !task.keep_outputs => SetAside::outputs(&project.dir, recorded, staging.path())?,
        _ => SetAside::nothing(),
    };
    let before = Made::before_command(&project.dir, task)?;
    let result =
        action::run_command(project, task, command, log).and_then(|()| missing_output(project, task));
    match result {
        Ok(()) => Made::by_command(&project.dir, task, &before, recorded.filter(|_| task.keep_outputs)),
        Err(error) => {
            aside.put_back(&project.dir)?;
            Err(error)
        }
    }
}

fn missing_output(project: &Project<'_>, task: &Task) -> Result<()> {
    match task.outputs.iter().find(|output| !fs::exists(&project.dir.join(output))) {
        Some(output) => Err(Error::input(format!(
            "task `{}` succeeded without making its output `{}`",
            text::visible(&task.name),
            text::visible(output)
        ))
        .hint(format!("correct its `outputs` or its `command` in `{}`", task.origin))),
        None => Ok(()),
    }
}

/// Looks at what was made and writes the record.
fn record(
    project: &Project<'_>,
    task: &Task,
    decision: &Decision,
    made: &Made,
    took: Duration,
) -> Result<Digest> {
    let mut outputs = whole_outputs(&project.dir, task, project.now()?)?;
    made.restrict(&mut outputs);
    let output_digest = outputs.digest();
    let record = Record {
        fingerprint: decision.fingerprint.clone(),
        inputs: decision.inputs.clone(),
        outputs,
        output_digest,
        finished: true,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    };
    save(project, &task.name, record)?;
    Ok(output_digest)
}

pub(super) fn save(project: &Project<'_>, task: &str, record: Record) -> Result<()> {
    let names = project.plan.names();
    let mut state = project.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    state.insert(task, record);
    state.save(&names)
}
