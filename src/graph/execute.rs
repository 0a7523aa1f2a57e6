//! One task that is not up to date: restore or run, put in place, record.
//!
//! The record describes the inputs as they were before the start, and is written after the outputs are in place.
//! Whatever happens in between, an interrupted task has no record and its work in progress is in the staging
//! directory, which the next build throws away.

use std::path::Path;
use std::time::Instant as Clock;

use super::action::{Job, Reporter};
use super::decide::{Stale, whole_outputs};
use super::observer::Event;
use super::outputs::{self, Made, SetAside};
use super::project::Project;
use super::reason::Reason;
use super::snapshot::Snapshot;
use super::task::Task;
use super::unfinished;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::Instant;
use crate::fs::{self, Staging};
use crate::process::{self, Log};
use crate::store::Bucket;
use crate::text;

/// Brings a task up to date that is not; returns the digest of its outputs.
pub(super) fn execute(project: &Project<'_>, task: &Task, stale: Stale) -> Result<Digest> {
    let event = |event: Event<'_>| project.observer.event(&project.dir, event);
    if project.mode.locked && task.action.makes_lock() {
        return Err(refused(project, task, &stale.reasons));
    }
    let recorded = stale.record.as_ref().map(|record| &record.outputs);
    outputs::refuse_links(&project.dir, task, recorded)?;
    outputs::refuse_directories(&project.dir, task, recorded)?;
    let started = Clock::now();
    event(Event::Started { task: &task.name, summary: &task.summary, reasons: &stale.reasons });
    project.state().doubt(&task.name)?;
    let key = stale.key()?;
    if stale.may_be_kept
        && !project.mode.force
        && let Some(made) = restore(project, task, &stale, &key)?
    {
        let digest = record(project, task, stale, &made, started)?;
        event(Event::Restored { task: &task.name, took: started.elapsed() });
        return Ok(digest);
    }
    let log_path = project.log_path(&task.name);
    let Ran { made, is_pure } = match run(project, task, &stale, Log::create(&log_path)?) {
        Ok(ran) => ran,
        Err((error, log)) => {
            let error = if process::is_interrupted() { Error::interrupted() } else { error };
            event(Event::Failed { task: &task.name, error: &error, output: &log.text(), log: &log_path });
            return Err(error.in_task(&task.name, &log_path));
        }
    };
    let inputs = inputs_now(project, &stale)?;
    let may_be_kept = stale.may_be_kept && is_pure;
    let digest = record(project, task, stale, &made, started)?;
    event(Event::Done { task: &task.name, took: started.elapsed() });
    if inputs == Inputs::Changed {
        let text = "an input changed while it ran: the next build runs it again";
        event(Event::Warning { task: &task.name, text });
        project.state().doubt(&task.name)?;
    } else if inputs == Inputs::Untouched && may_be_kept {
        // The build succeeded; a cache that cannot be written is worth a word, not a failure.
        if let Err(error) = project.store.keep(Bucket::Tasks, &key, &project.dir, &made.store_names(task)) {
            let text = format!("the outputs were not kept in the cache: {error}");
            event(Event::Warning { task: &task.name, text: &text });
        }
    }
    Ok(digest)
}

/// What came of an action.
struct Ran {
    made: Made,
    /// Nothing but its inputs can have gone into it: none of its outputs was there before.
    is_pure: bool,
}

impl Ran {
    fn aside(made: Made) -> Ran {
        Ran { made, is_pure: true }
    }
}

/// `--locked`: a lock that would have to be made is an error.
fn refused(project: &Project<'_>, task: &Task, reasons: &[Reason]) -> Error {
    let lock = task.outputs.first().map(|output| project.dir.join(output)).unwrap_or_default();
    let found = if fs::exists(&lock) { "is out of date" } else { "is missing" };
    let why =
        reasons.iter().find(|reason| !matches!(reason, Reason::NeverRan | Reason::OutputMissing { .. }));
    let why = why.map(|reason| format!(": {reason}")).unwrap_or_default();
    Error::input(format!("the lock {} {found}, and --locked does not let it be made{why}", text::path(&lock)))
        .hint("run `mwp build` without --locked and commit the lock; `mwp explain` says what changed")
}

/// What became of the inputs since the start.
#[derive(PartialEq, Eq)]
enum Inputs {
    Untouched,
    /// The same, with a record that tells of something: a second name, or an edit that was put back. Others shall
    /// not get what was made of that.
    Touched,
    /// The outputs may be made of either content.
    Changed,
}

fn inputs_now(project: &Project<'_>, stale: &Stale) -> Result<Inputs> {
    let now = Snapshot::take(&project.dir, &stale.patterns, Some(&stale.inputs), Instant::NEVER)?.snapshot;
    let pairs = || now.entries.iter().zip(stale.inputs.entries.iter());
    if now.entries.len() != stale.inputs.entries.len()
        || !pairs().all(|(now, then)| now.is_same_as(then) && now.stat.is_as_written(&then.stat))
    {
        return Ok(Inputs::Changed);
    }
    Ok(if pairs().all(|(now, then)| now.stat == then.stat) { Inputs::Untouched } else { Inputs::Touched })
}

/// Takes the outputs from the content store, all or nothing.
fn restore(project: &Project<'_>, task: &Task, stale: &Stale, key: &Digest) -> Result<Option<Made>> {
    if !project.store.holds(Bucket::Tasks, key) {
        return Ok(None);
    }
    // What is kept cannot take the place of what somebody mounted; a command can write there.
    let has_mount = |output: &String| !fs::mounts_below(&project.dir.join(output)).is_empty();
    if task.action.works_in_place() && task.outputs.iter().any(has_mount) {
        return Ok(None);
    }
    let staging = Staging::new_in(&project.staging_parent())?;
    if !project.store.restore(Bucket::Tasks, key, staging.path()) {
        return Ok(None);
    }
    if !task.outputs.iter().all(|output| fs::exists(&staging.join(output))) {
        return Ok(None);
    }
    put_in_place(project, task, stale, &staging).map(Some)
}

/// Runs the action; a failure comes with the log of what its tools said.
fn run(project: &Project<'_>, task: &Task, stale: &Stale, log: Log) -> Result<Ran, (Error, Log)> {
    let staging = match Staging::new_in(&project.staging_parent()) {
        Ok(staging) => staging,
        Err(error) => return Err((error, log)),
    };
    let upgrade = match project.upgrade_of(task) {
        Ok(upgrade) => upgrade,
        Err(error) => return Err((error, log)),
    };
    let mut job = Job {
        scope: project.scope(),
        staging: staging.path(),
        by_products: &project.by_products(),
        dependents: project.plan.dependents(task).map(|dependent| dependent.action.name()).collect(),
        store: project.store,
        offline: project.mode.offline,
        upgrade: &upgrade,
        log,
        report: Reporter { observer: project.observer, project: &project.dir, task: &task.name },
    };
    let result = if task.action.works_in_place() {
        run_in_place(project, task, stale, &mut job)
    } else {
        task.action.run(&mut job).and_then(|()| match process::is_interrupted() {
            true => Err(Error::interrupted()),
            false => put_in_place(project, task, stale, &staging).map(Ran::aside),
        })
    };
    result.map_err(|error| (error, job.log))
}

fn put_in_place(project: &Project<'_>, task: &Task, stale: &Stale, staging: &Staging) -> Result<Made> {
    let made = if task.keep_foreign { Made::in_staging(staging.path(), task)? } else { Made::Everything };
    for output in task.outputs.iter().map(Path::new) {
        if !fs::try_exists(&staging.join(output))? {
            continue;
        }
        if task.keep_foreign {
            let owned_by_action = task.action.owned(&project.scope(), output)?;
            let recorded = stale.record.as_ref().map(|record| &record.outputs);
            let is_owned = |name: &Path| {
                recorded.is_some_and(|outputs| outputs.get(name).is_some()) || owned_by_action.contains(name)
            };
            outputs::keep_foreign(&project.dir, output, staging.path(), &is_owned)?;
        }
        let target = project.dir.join(output);
        let parent = target.parent().unwrap_or(&project.dir);
        fs::create_dir_all(parent)?;
        let way = fs::in_writable(parent, || fs::put_in_place(&staging.join(output), &target))?;
        if way != fs::Way::AtOnce {
            let line = format!("{} put in place {}", text::path(output), way.words());
            project.observer.event(&project.dir, Event::Line { task: &task.name, line: &line });
        }
    }
    Ok(made)
}

/// The action writes into the plugin's directory. What it made before is set aside, so that nothing stale survives,
/// and comes back if it fails.
fn run_in_place(project: &Project<'_>, task: &Task, stale: &Stale, job: &mut Job<'_>) -> Result<Ran> {
    let dir = &project.dir;
    let recorded = stale.record.as_ref().map(|record| &record.outputs);
    let mut aside = SetAside::nothing();
    let mut before = None;
    let mut run = || {
        if let Some(recorded) = recorded.filter(|_| !task.keep_outputs) {
            aside.take(dir, task, recorded, job.staging)?;
        }
        let there = before.insert(outputs::files_below(dir, task)?);
        if !task.keep_outputs {
            unfinished::note(job.staging, task, there.keys())?;
        }
        task.action.run(job)?;
        missing_output(project, task)?;
        let made = Made::by_command(dir, task, there, recorded.filter(|_| task.keep_outputs))?;
        let is_output = |name: &Path| task.outputs.iter().any(|output| name == Path::new(output));
        let is_of_task = |name: &Path| recorded.is_some_and(|recorded| recorded.get(name).is_some());
        let mut files = there.iter().filter(|(_, stat)| !stat.is_dir());
        let is_pure = task.keep_outputs
            || !(project.is_tainted(&task.name)
                || files.any(|(name, _)| is_output(name) || is_of_task(name)));
        Ok(Ran { made, is_pure })
    };
    let result = run();
    if result.is_err() {
        let before = before.filter(|_| !task.keep_outputs);
        let removed = before.map(|there| unfinished::remove_of_failed(dir, task, &there));
        // Whatever else fails: with the staging directory they would be lost.
        aside.put_back(dir)?;
        removed.transpose()?;
    }
    result
}

fn missing_output(project: &Project<'_>, task: &Task) -> Result<()> {
    for output in &task.outputs {
        if !fs::try_exists(&project.dir.join(output))? {
            return Err(Error::input(format!(
                "task `{}` succeeded without making its output `{}`",
                text::visible(&task.name),
                text::visible(output)
            ))
            .hint(format!("correct its `outputs` or its `command` in `{}`", task.origin.file)));
        }
    }
    Ok(())
}

/// Looks at what was made and writes the record.
fn record(project: &Project<'_>, task: &Task, stale: Stale, made: &Made, started: Clock) -> Result<Digest> {
    let mut outputs = whole_outputs(&project.dir, task, project.now()?)?;
    made.restrict(&mut outputs);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    project.record(&task.name, stale.into_proof(outputs, duration_ms)?)
}
