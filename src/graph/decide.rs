//! Is a task up to date, and if not, why not?
//!
//! There is one decision ([`decide`]), which builds, dry runs and explanations share. A task is fresh when its record
//! says so: equal facts, equal inputs, outputs in place and unaltered. Locks are checked by content instead
//! ([`LockCheck`]), because a fresh clone has locks and no record.

use std::path::{Path, PathBuf};

use super::action::{LockCheck, Reads, Upgrade};
use super::listing::{Listing, literal_base};
use super::manifest::{Manifest, Subject, Value};
use super::name::Name;
use super::plan::{Plan, Predecessor};
use super::project::Project;
use super::reason::{Reason, shown};
use super::snapshot::{FileKind, Looked, Patterns, Snapshot, Taken};
use super::state::{Proof, Record};
use super::task::Task;
use super::texts;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::Instant;
use crate::text;

/// What was found out about a task, before anything runs.
pub(super) enum Decision {
    /// It makes nothing, and was done.
    Probed,
    Fresh(Fresh),
    Stale(Stale),
}

/// The outputs are what the facts say.
pub(super) struct Fresh {
    pub record: Option<Record>,
    /// That very record is on the disk, to the last bit.
    pub is_recorded: bool,
    /// It is taken as it is for this once, and a later build shall look again.
    pub is_provisional: bool,
    manifest: Manifest,
    inputs: Snapshot,
    outputs: Snapshot,
}

/// It has to run. Whoever runs it gives this away for the proof that it ran.
pub(super) struct Stale {
    pub reasons: Vec<Reason>,
    pub record: Option<Record>,
    pub patterns: Patterns,
    pub inputs: Snapshot,
    /// What it makes may be taken from and put into the content store.
    pub may_be_kept: bool,
    manifest: Manifest,
}

impl Fresh {
    pub(super) fn outputs_digest(&self) -> Result<Digest> {
        match &self.record {
            Some(record) if self.is_recorded => Ok(record.output_digest),
            _ => self.outputs.digest(),
        }
    }

    pub(super) fn into_proof(self) -> Result<Proof> {
        let duration_ms = self.record.as_ref().map_or(0, |record| record.duration_ms);
        Proof::new(self.manifest, self.inputs, self.outputs, duration_ms)
    }
}

impl Stale {
    pub(super) fn key(&self) -> Result<Digest> {
        self.manifest.key(&self.inputs)
    }

    pub(super) fn into_proof(self, outputs: Snapshot, duration_ms: u64) -> Result<Proof> {
        Proof::new(self.manifest, self.inputs, outputs, duration_ms)
    }
}

/// Decides about one task.
pub(super) fn decide(
    project: &Project<'_>,
    task: &Task,
    predecessors: &[Predecessor<'_>],
    now: Instant,
) -> Result<Decision> {
    let scope = project.scope();
    if let Some(probe) = task.action.probe() {
        return probe(&scope).map(|()| Decision::Probed);
    }
    let record = project.state().get(&task.name).cloned();
    let mut waiting: Vec<Reason> = predecessors
        .iter()
        .filter(|other| other.counts && other.will_run)
        .map(|other| Reason::DependencyWillRun { task: other.name.to_owned() })
        .collect();
    let looked = task
        .action
        .reads(&scope)
        .and_then(|reads| Ok((take_inputs(project, task, &reads, record.as_ref(), now)?, reads)));
    let ((patterns, inputs, same_inputs), reads) = match looked {
        Ok(looked) => looked,
        // Something that a task before it is going to make.
        Err(_) if predecessors.iter().any(|other| other.will_run) => {
            if waiting.is_empty() {
                let first = predecessors.iter().filter(|other| other.will_run);
                waiting.extend(first.map(|other| Reason::DependencyWillRun { task: other.name.to_owned() }));
            }
            return Ok(Decision::Stale(Stale {
                reasons: waiting,
                record,
                patterns: Patterns::default(),
                inputs: Snapshot::empty(),
                may_be_kept: false,
                manifest: Manifest::new(),
            }));
        }
        Err(error) => return Err(error),
    };
    let manifest = manifest(project, task, &reads, predecessors)?;
    let found = match &record {
        Some(record) => look_at_outputs(&project.dir, task, &record.outputs, now)?,
        None => None,
    };
    let mut reasons = match (&record, &found) {
        (Some(record), Some(found)) => {
            let differences = manifest.differences(&inputs, &record.manifest, &record.inputs);
            let mut reasons: Vec<Reason> = differences.iter().map(Reason::of_difference).collect();
            texts::add_lines(&project.dir, &mut reasons, &record.inputs);
            reasons.extend(found.reasons.iter().cloned());
            if !record.finished {
                reasons.insert(0, Reason::NotFinished);
            }
            reasons
        }
        _ => vec![Reason::NeverRan],
    };
    let mut is_provisional = false;
    let mut outputs = found.map(|found| (found.snapshot, found.identical));
    if !reasons.is_empty() && task.action.makes_lock() {
        let is_there = task.outputs.iter().all(|output| crate::fs::exists(&project.dir.join(output)));
        match task.action.check_lock(&scope)? {
            LockCheck::Untold if record.is_some() || !is_there => {}
            LockCheck::Incomplete(why) if !project.mode.locked => {
                reasons = why.into_iter().map(|text| Reason::Other { text }).collect();
            }
            fits @ (LockCheck::Untold | LockCheck::Fits | LockCheck::Incomplete(_)) => {
                is_provisional = matches!(fits, LockCheck::Incomplete(_));
                reasons.retain(|reason| reads.lock_facts.keys().any(|fact| reason.is_about_setting(fact)));
                outputs = Some((whole_outputs(&project.dir, task, now)?, false));
            }
            LockCheck::Stale(why) => {
                let told = reasons.iter().filter(|reason| reason.names_input()).cloned();
                reasons = told.chain(why.into_iter().map(|text| Reason::Other { text })).collect();
            }
        }
    }
    if task.always {
        reasons = vec![Reason::AlwaysRuns];
    } else if project.mode.force && !task.action.makes_lock() {
        reasons.insert(0, Reason::Forced);
    } else if task.action.makes_lock() && project.upgrade_of(task)? != Upgrade::Nothing {
        reasons.insert(0, Reason::Upgrade);
    }
    reasons.extend(waiting);
    match outputs {
        Some((outputs, same_outputs)) if reasons.is_empty() => Ok(Decision::Fresh(Fresh {
            is_recorded: same_inputs && same_outputs,
            is_provisional,
            record,
            manifest,
            inputs,
            outputs,
        })),
        _ => Ok(Decision::Stale(Stale {
            reasons,
            record,
            patterns,
            inputs,
            may_be_kept: task.cache && !task.action.makes_lock() && !reads.uncacheable,
            manifest,
        })),
    }
}

/// The inputs now, and whether the record has the very same.
fn take_inputs(
    project: &Project<'_>,
    task: &Task,
    reads: &Reads,
    record: Option<&Record>,
    now: Instant,
) -> Result<(Patterns, Snapshot, bool)> {
    let both = |declared: &[String], own: &[String]| [declared, own].concat();
    let patterns = Patterns {
        required: both(&task.inputs, &reads.inputs),
        optional: both(&task.optional_inputs, &reads.optional_inputs),
        files: reads.files.clone(),
        except: not_read(project, task),
        are_outputs: false,
    };
    let previous = record.map(|record| &record.inputs);
    let Taken { snapshot, identical, missing } = Snapshot::take(&project.dir, &patterns, previous, now)?;
    match missing {
        None => Ok((patterns, snapshot, identical)),
        Some(pattern) => Err(needs(&project.dir, task, &pattern)),
    }
}

fn needs(dir: &Path, task: &Task, pattern: &str) -> Error {
    Error::input(format!(
        "{}: task `{}` needs `{}`, and nothing there matches",
        text::path(&dir.join(&task.origin.file)),
        text::visible(&task.name),
        text::visible(pattern)
    ))
    .hint("make that file, or move the pattern to `optional_inputs`")
}

/// Inputs of the recipe that are not there and that no task makes: each is an error when its task is looked at.
pub fn missing_inputs<'a>(dir: &Path, plan: &'a Plan) -> Result<Vec<(&'a Task, Error)>> {
    let mut missing = Vec::new();
    for task in &plan.tasks {
        let (excluded, wanted): (Vec<_>, Vec<_>) =
            task.inputs.iter().cloned().partition(|input| input.starts_with('!'));
        for pattern in wanted {
            let base = literal_base(Path::new(&pattern));
            let is_made = plan.tasks.iter().filter(|other| other.name != task.name).any(|other| {
                other.always
                    || other
                        .outputs
                        .iter()
                        .any(|output| base.starts_with(output) || Path::new(output).starts_with(&base))
            });
            let required = excluded.iter().cloned().chain([pattern]).collect();
            let patterns = Patterns { required, ..Patterns::default() };
            if let Some(pattern) = Listing::of(dir, &patterns)?.missing.filter(|_| !is_made) {
                missing.push((task, needs(dir, task, &pattern)));
            }
        }
    }
    Ok(missing)
}

/// What the task makes, and what others make after it or beside it.
fn not_read(project: &Project<'_>, task: &Task) -> Vec<String> {
    let plan = &project.plan;
    let first =
        plan.tasks.iter().position(|other| other.name == task.name).map(|index| plan.all_first(index));
    let is_before = |index: &usize| first.as_ref().is_some_and(|first| first.contains(index));
    let others = plan.tasks.iter().enumerate().filter(|(index, _)| !is_before(index));
    others.flat_map(|(_, other)| other.outputs.iter().cloned()).collect()
}

/// Everything below the task's outputs.
pub(super) fn whole_outputs(dir: &Path, task: &Task, now: Instant) -> Result<Snapshot> {
    let patterns = Patterns {
        optional: task.outputs.iter().cloned().chain(["!**/__pycache__".to_owned()]).collect(),
        are_outputs: true,
        ..Patterns::default()
    };
    Ok(Snapshot::take(dir, &patterns, None, now)?.snapshot)
}

struct Outputs {
    snapshot: Snapshot,
    reasons: Vec<Reason>,
    identical: bool,
}

/// Looks at the recorded outputs alone: what a user, or another task, put beside them does not count. `None` where the
/// record cannot be read.
fn look_at_outputs(dir: &Path, task: &Task, recorded: &Snapshot, now: Instant) -> Result<Option<Outputs>> {
    let outputs: Vec<PathBuf> = task.outputs.iter().map(PathBuf::from).collect();
    let Some(looked) = recorded.look_at_names(dir, &outputs, now)? else { return Ok(None) };
    let Looked { snapshot, gone, linked, identical, .. } = looked;
    let became_link = |name: &Name| {
        let path = shown(name.as_path());
        Reason::OutputChanged { path, old: "directory".to_owned(), new: FileKind::Link.to_string() }
    };
    let mut reasons: Vec<Reason> = linked.iter().map(became_link).collect();
    // What is behind the link says nothing of the outputs.
    let is_there = |name: &Path| !linked.iter().any(|link| name.starts_with(link.as_path()));
    let missing = gone.iter().map(Name::as_path).filter(|name| is_there(name));
    reasons.extend(missing.map(|name| Reason::OutputMissing { path: shown(name) }));
    if !identical {
        for entry in snapshot.entries.iter().filter(|entry| is_there(entry.name.as_path())) {
            let old = recorded.get(entry.name.as_path());
            if let Some(old) = old.filter(|old| !old.is_same_as(entry)) {
                reasons.push(Reason::OutputChanged {
                    path: shown(entry.name.as_path()),
                    old: Value::File(old.kind(), old.digest).to_string(),
                    new: Value::File(entry.kind(), entry.digest).to_string(),
                });
            }
        }
    }
    Ok(Some(Outputs { snapshot, reasons, identical }))
}

/// Every fact but the inputs; order and prose of the recipe do not count.
fn manifest(
    project: &Project<'_>,
    task: &Task,
    reads: &Reads,
    predecessors: &[Predecessor<'_>],
) -> Result<Manifest> {
    let mut manifest = Manifest::new();
    let mut recipe = |field: &str, value: Value| manifest.add(Subject::Recipe(field.to_owned()), value);
    recipe("action", Value::Text(task.action.name().to_owned()));
    recipe("action version", Value::Number(task.action.version()));
    recipe("inputs", Value::List(task.inputs.clone()));
    recipe("optional_inputs", Value::List(task.optional_inputs.clone()));
    recipe("outputs", Value::List(task.outputs.clone()));
    for (field, value) in task.action.definition() {
        recipe(field, value);
    }
    for tool in task.tools.iter().chain(&reads.tools) {
        manifest.add(Subject::Tool(tool.clone()), Value::Text(project.tools.require(tool)?.version));
    }
    for variable in task.environment.iter().chain(&reads.environment) {
        let value = project.site.environment.get(variable);
        let digest = value.map(|value| Digest::of(value.as_encoded_bytes()));
        manifest.add(Subject::Variable(variable.clone()), Value::Hidden(digest));
    }
    for (setting, value) in reads.settings.iter().chain(&reads.lock_facts) {
        manifest.add(Subject::Setting(setting.clone()), value.clone());
    }
    for other in predecessors.iter().filter(|other| other.counts) {
        if let Some(digest) = other.outputs {
            manifest.add(Subject::Dependency(other.name.to_owned()), Value::Content(digest));
        }
    }
    Ok(manifest)
}
