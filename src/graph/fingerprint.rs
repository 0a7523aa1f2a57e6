//! What a task's result depends on, and the reasons why it has to be made (again).
//!
//! [`Fingerprint`] is the one struct behind both the key of the content store and the explanation: the key is its
//! digest, the reasons are the differences of two of them, so that they cannot drift apart.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::Name;
use super::snapshot::Snapshot;
use crate::digest::Digest;
use crate::text;

/// Raised when the meaning of a fingerprint or the form of an output changes; older records are then misses.
///
/// 1: the first.
pub(super) const FINGERPRINT_VERSION: u32 = 1;

/// Everything but the content of the inputs, which the [`Snapshot`] beside it holds. No field holds a secret in
/// clear text, nor the plugin directory's absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub version: u32,
    pub platform: String,
    /// The recipe's statement of the task, field by field, as text.
    pub definition: BTreeMap<String, String>,
    /// Tool → version.
    pub tools: BTreeMap<String, String>,
    /// Declared variable → digest of its value, `None` where unset.
    pub environment: BTreeMap<String, Option<Digest>>,
    /// Task → digest of its outputs.
    pub dependencies: BTreeMap<String, Digest>,
}

impl Fingerprint {
    /// The key under which the outputs are stored.
    pub fn key(&self, inputs: &Snapshot) -> Digest {
        Digest::of_value(&(self, inputs.digest()))
    }
}

/// Why a task is not up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    Forced,
    /// Its inputs are unknown.
    AlwaysRuns,
    /// No record of an earlier success.
    NeverRan,
    /// The last run failed or was interrupted.
    NotFinished,
    FormatChanged {
        old: u32,
        new: u32,
    },
    PlatformChanged {
        old: String,
        new: String,
    },
    RecipeChanged {
        field: String,
        old: Option<String>,
        new: Option<String>,
    },
    ToolChanged {
        tool: String,
        old: Option<String>,
        new: Option<String>,
    },
    /// Values are never kept.
    EnvironmentChanged {
        variable: String,
        was_set: bool,
        is_set: bool,
    },
    DependencyChanged {
        task: String,
        old: Option<String>,
        new: Option<String>,
    },
    /// A dependency has to run first; whether its outputs change is not known before.
    DependencyWillRun {
        task: String,
    },
    InputAdded {
        path: String,
        new: String,
    },
    InputRemoved {
        path: String,
        old: String,
    },
    InputChanged {
        path: String,
        old: String,
        new: String,
    },
    OutputMissing {
        path: String,
    },
    OutputChanged {
        path: String,
        old: String,
        new: String,
    },
    /// What an action found out for itself.
    Other {
        text: String,
    },
}

/// The differences, most telling first; empty where the two agree.
pub(super) fn differences(
    (old, old_inputs): (&Fingerprint, &Snapshot),
    (new, new_inputs): (&Fingerprint, &Snapshot),
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if old.version != new.version {
        reasons.push(Reason::FormatChanged { old: old.version, new: new.version });
    }
    if old.platform != new.platform {
        reasons.push(Reason::PlatformChanged { old: old.platform.clone(), new: new.platform.clone() });
    }
    for (field, old, new) in changed(&old.definition, &new.definition) {
        reasons.push(Reason::RecipeChanged { field: field.clone(), old: old.cloned(), new: new.cloned() });
    }
    for (tool, old, new) in changed(&old.tools, &new.tools) {
        reasons.push(Reason::ToolChanged { tool: tool.clone(), old: old.cloned(), new: new.cloned() });
    }
    for (variable, old, new) in changed(&old.environment, &new.environment) {
        let is_set = |value: Option<&Option<Digest>>| value.is_some_and(Option::is_some);
        let (was_set, is_set) = (is_set(old), is_set(new));
        reasons.push(Reason::EnvironmentChanged { variable: variable.clone(), was_set, is_set });
    }
    reasons.extend(input_differences(old_inputs, new_inputs));
    for (task, old, new) in changed(&old.dependencies, &new.dependencies) {
        let short = |digest: Option<&Digest>| digest.map(Digest::short);
        reasons.push(Reason::DependencyChanged { task: task.clone(), old: short(old), new: short(new) });
    }
    reasons
}

/// Keys whose values differ, with both values.
fn changed<'a, K: Ord, V: PartialEq>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> Vec<(&'a K, Option<&'a V>, Option<&'a V>)> {
    let mut keys: Vec<&K> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().map(|key| (key, old.get(key), new.get(key))).filter(|(_, old, new)| old != new).collect()
}

fn input_differences(old: &Snapshot, new: &Snapshot) -> Vec<Reason> {
    if Arc::ptr_eq(&old.entries, &new.entries) {
        return Vec::new();
    }
    let states = |snapshot: &Snapshot| -> BTreeMap<Name, String> {
        snapshot
            .entries
            .iter()
            .map(|entry| {
                (entry.name.clone(), format!("{:?} {}", entry.kind(), entry.digest.short()).to_lowercase())
            })
            .collect()
    };
    changed(&states(old), &states(new))
        .into_iter()
        .map(|(name, old, new)| {
            let path = shown(name.as_path());
            match (old.cloned(), new.cloned()) {
                (Some(old), Some(new)) => Reason::InputChanged { path, old, new },
                (Some(old), None) => Reason::InputRemoved { path, old },
                (None, new) => Reason::InputAdded { path, new: new.unwrap_or_default() },
            }
        })
        .collect()
}

/// A path for a reason: readable, unambiguous, without back-ticks.
pub(super) fn shown(path: &Path) -> String {
    text::visible_bytes(path.as_os_str().as_encoded_bytes())
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        match self {
            Reason::Forced => write!(f, "--force was given"),
            Reason::AlwaysRuns => write!(f, "it runs each time, because its recipe declares no inputs"),
            Reason::NeverRan => write!(f, "there is no record that it ever succeeded here"),
            Reason::NotFinished => write!(f, "its last run did not finish"),
            Reason::FormatChanged { old, new } => write!(f, "the record's format changed: {old} → {new}"),
            Reason::PlatformChanged { old, new } => write!(f, "the platform changed: {old} → {new}"),
            Reason::RecipeChanged { field, old, new } => {
                write!(f, "the recipe's `{field}` changed: {} → {}", value(old), value(new))
            }
            Reason::ToolChanged { tool, old, new } => {
                write!(f, "the tool `{tool}` changed: {} → {}", value(old), value(new))
            }
            Reason::EnvironmentChanged { variable, was_set, is_set } => {
                let word = |set: &bool| if *set { "set" } else { "unset" };
                match (was_set, is_set) {
                    (true, true) => write!(f, "the environment variable `{variable}` has another value"),
                    _ => {
                        write!(
                            f,
                            "the environment variable `{variable}` changed: {} → {}",
                            word(was_set),
                            word(is_set)
                        )
                    }
                }
            }
            Reason::DependencyChanged { task, old, new } => {
                write!(f, "the outputs of task `{task}` changed: {} → {}", value(old), value(new))
            }
            Reason::DependencyWillRun { task } => {
                write!(f, "it needs task `{task}`, which has to run first and may change its outputs")
            }
            Reason::InputAdded { path, new } => write!(f, "the input `{path}` is new: nothing → {new}"),
            Reason::InputRemoved { path, old } => write!(f, "the input `{path}` is gone: {old} → nothing"),
            Reason::InputChanged { path, old, new } => write!(f, "the input `{path}` changed: {old} → {new}"),
            Reason::OutputMissing { path } => write!(f, "the output `{path}` is gone"),
            Reason::OutputChanged { path, old, new } => {
                write!(f, "the output `{path}` changed: {old} → {new}")
            }
            Reason::Other { text } => f.write_str(text),
        }
    }
}
