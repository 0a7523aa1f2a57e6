//! Is a task up to date, and if not, why not?
//!
//! A task is fresh when its record says so: equal fingerprint, equal inputs, outputs in place and unaltered. Actions
//! that make locks judge by content instead ([`Judgement`]), because a fresh clone has locks and no record.

use std::path::Path;

use super::fingerprint::{FINGERPRINT_VERSION, Fingerprint, Reason, differences, shown};
use super::project::Project;
use super::snapshot::{Patterns, Snapshot, Taken};
use super::stat::Instant;
use super::state::Record;
use crate::action::{self, Judgement};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::recipe::{self, Task};
use crate::text;

/// What was found out about a task, before anything runs.
pub(super) struct Decision {
    pub reasons: Vec<Reason>,
    pub fingerprint: Fingerprint,
    pub inputs: Snapshot,
    pub record: Option<Record>,
    /// The outputs as they are, where the task is fresh.
    pub outputs: Option<Snapshot>,
    /// The record on the disk says the same to the last bit.
    pub identical: bool,
}

impl Decision {
    pub(super) fn is_fresh(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Decides about one task whose dependencies are up to date; `dependencies` are their output digests.
pub(super) fn decide(
    project: &Project<'_>,
    task: &Task,
    dependencies: Vec<(String, Digest)>,
    now: Instant,
) -> Result<Decision> {
    let record =
        project.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&task.name).cloned();
    let patterns = task.input_patterns();
    let Taken { snapshot: inputs, identical: same_inputs, missing } =
        Snapshot::take(&project.dir, &patterns, record.as_ref().map(|record| &record.inputs), now)?;
    if let Some(pattern) = missing {
        return Err(Error::input(format!(
            "{}: task `{}` needs `{}`, and nothing there matches",
            text::path(&project.dir.join(&task.origin)),
            text::visible(&task.name),
            text::visible(&pattern)
        ))
        .hint("make that file, or move the pattern to `optional_inputs`"));
    }
    let fingerprint = fingerprint(project, task, dependencies)?;
    let outputs = match &record {
        Some(record) => Some(look_at_outputs(&project.dir, &record.outputs, now)?),
        None => None,
    };
    let mut reasons = match (&record, &outputs) {
        (Some(record), Some(outputs)) => {
            let mut reasons = differences((&record.fingerprint, &record.inputs), (&fingerprint, &inputs));
            reasons.extend(outputs.reasons.iter().cloned());
            if !record.finished {
                reasons.insert(0, Reason::NotFinished);
            }
            reasons
        }
        _ => vec![Reason::NeverRan],
    };
    let mut found = outputs.map(|outputs| (outputs.snapshot, outputs.identical));
    if !reasons.is_empty() {
        match action::judge(project, task)? {
            Judgement::ByRecord => {}
            Judgement::Fresh => {
                reasons.clear();
                found = Some((whole_outputs(&project.dir, task, now)?, false));
            }
            Judgement::Stale(why) => reasons = why,
        }
    }
    if reasons.is_empty()
        && let Some(text) = action::volatile(project, task)?
    {
        reasons = vec![Reason::Other { text: text.to_owned() }];
    }
    if task.always {
        reasons = vec![Reason::AlwaysRuns];
    } else if project.mode.force && !action::judges_itself(task) {
        reasons.insert(0, Reason::Forced);
    }
    let (outputs, same_outputs) = match found {
        Some((outputs, identical)) if reasons.is_empty() => (Some(outputs), identical),
        _ => (None, false),
    };
    Ok(Decision {
        identical: same_inputs && same_outputs && reasons.is_empty(),
        reasons,
        fingerprint,
        inputs,
        record,
        outputs,
    })
}

/// Everything below the task's outputs.
pub(super) fn whole_outputs(dir: &Path, task: &Task, now: Instant) -> Result<Snapshot> {
    let patterns = Patterns {
        optional: task.outputs.iter().cloned().chain(["!**/__pycache__/**".to_owned()]).collect(),
        ..Patterns::default()
    };
    Ok(Snapshot::take(dir, &patterns, None, now)?.snapshot)
}

struct Outputs {
    snapshot: Snapshot,
    reasons: Vec<Reason>,
    identical: bool,
}

/// Looks at the recorded outputs alone: what a user, or another task, put beside them does not count.
fn look_at_outputs(dir: &Path, recorded: &Snapshot, now: Instant) -> Result<Outputs> {
    let (snapshot, gone, identical) = recorded.look_at_names(dir, now)?;
    let mut reasons: Vec<Reason> =
        gone.iter().map(|name| Reason::OutputMissing { path: shown(name.as_path()) }).collect();
    if !identical {
        for entry in snapshot.entries.iter() {
            let old = recorded.get(entry.name.as_path());
            if let Some(old) = old.filter(|old| (old.kind(), old.digest) != (entry.kind(), entry.digest)) {
                reasons.push(Reason::OutputChanged {
                    path: shown(entry.name.as_path()),
                    old: format!("{:?} {}", old.kind(), old.digest.short()).to_lowercase(),
                    new: format!("{:?} {}", entry.kind(), entry.digest.short()).to_lowercase(),
                });
            }
        }
    }
    Ok(Outputs { snapshot, reasons, identical })
}

fn fingerprint(
    project: &Project<'_>,
    task: &Task,
    dependencies: Vec<(String, Digest)>,
) -> Result<Fingerprint> {
    let mut tools = std::collections::BTreeMap::new();
    for name in &task.tools {
        tools.insert(name.clone(), project.tools.require(name)?.version);
    }
    let environment = task
        .environment
        .iter()
        .map(|name| {
            let value = project.site.environment.get(name);
            (name.clone(), value.map(|value| Digest::of(value.as_encoded_bytes())))
        })
        .collect();
    Ok(Fingerprint {
        version: FINGERPRINT_VERSION,
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        definition: definition(task),
        tools,
        environment,
        dependencies: dependencies.into_iter().collect(),
    })
}

/// What the recipe says of the result; order and prose do not count.
fn definition(task: &Task) -> std::collections::BTreeMap<String, String> {
    let action = match &task.action {
        recipe::Action::Builtin(name) => format!("{name} {}", action::version(name)),
        recipe::Action::Command(words) => format!("{words:?}"),
    };
    [
        ("command", action),
        ("inputs", format!("{:?}", task.inputs)),
        ("optional_inputs", format!("{:?}", task.optional_inputs)),
        ("outputs", format!("{:?}", task.outputs)),
        ("set", format!("{:?}", task.set)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
