//! Why a task is not up to date: data, printed elsewhere.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::manifest::{Difference, Subject, Value};
use crate::text;

/// Why a task is not up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    Forced,
    /// Newer versions were asked for.
    Upgrade,
    /// Its inputs are unknown.
    AlwaysRuns,
    /// No record of an earlier success.
    NeverRan,
    /// The last run failed or was interrupted.
    NotFinished,
    FormatChanged {
        old: String,
        new: String,
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
    /// `None` where there is none, or where it is not shown.
    SettingChanged {
        setting: String,
        old: Option<String>,
        new: Option<String>,
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
        /// Of a text, where the old one is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<ChangedLine>,
    },
    /// A link whose target is not as it was.
    BehindLinkChanged {
        path: String,
        old: Option<String>,
        new: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<ChangedLine>,
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

/// The first line of a text that is not as it was; `None` for one that is new or gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedLine {
    /// From 1.
    pub number: usize,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl fmt::Display for ChangedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |line: &Option<String>| match line {
            Some(line) => format!("`{line}`"),
            None => "nothing".to_owned(),
        };
        write!(f, "line {}: {} → {}", self.number, shown(&self.old), shown(&self.new))
    }
}

impl Reason {
    /// That a fact is not as it was. Every subject is here, so that nothing counts without being told.
    pub(super) fn of_difference(Difference { subject, old, new }: &Difference) -> Reason {
        let (old, new) = (old.as_ref(), new.as_ref());
        let shown = |value: Option<&Value>| value.map(Value::to_string);
        let always = |value: Option<&Value>| shown(value).unwrap_or_default();
        match subject {
            Subject::Format => Reason::FormatChanged { old: always(old), new: always(new) },
            Subject::Platform => Reason::PlatformChanged { old: always(old), new: always(new) },
            Subject::Recipe(field) => {
                Reason::RecipeChanged { field: field.clone(), old: shown(old), new: shown(new) }
            }
            Subject::Tool(tool) => {
                Reason::ToolChanged { tool: tool.clone(), old: shown(old), new: shown(new) }
            }
            Subject::Variable(variable) => {
                let is_set = |value: Option<&Value>| matches!(value, Some(Value::Hidden(Some(_))));
                let (was_set, is_set) = (is_set(old), is_set(new));
                Reason::EnvironmentChanged { variable: variable.clone(), was_set, is_set }
            }
            Subject::Setting(setting) => {
                let shown = |value: Option<&Value>| match value {
                    Some(Value::Hidden(_)) | None => None,
                    Some(value) => Some(value.to_string()),
                };
                Reason::SettingChanged { setting: setting.clone(), old: shown(old), new: shown(new) }
            }
            Subject::Dependency(task) => {
                Reason::DependencyChanged { task: task.clone(), old: shown(old), new: shown(new) }
            }
            Subject::Input(name) => {
                let path = self::shown(name.as_path());
                match (shown(old), shown(new)) {
                    (Some(old), Some(new)) => Reason::InputChanged { path, old, new, line: None },
                    (Some(old), None) => Reason::InputRemoved { path, old },
                    (None, new) => Reason::InputAdded { path, new: new.unwrap_or_default() },
                }
            }
            Subject::Behind(name) => Reason::BehindLinkChanged {
                path: self::shown(name.as_path()),
                old: shown(old),
                new: shown(new),
                line: None,
            },
        }
    }
}

impl Reason {
    pub(super) fn is_about_setting(&self, name: &str) -> bool {
        matches!(self, Reason::SettingChanged { setting, .. } if setting == name)
    }

    /// Which input is not as it was: more telling than what a lock says of itself.
    pub(super) fn names_input(&self) -> bool {
        matches!(
            self,
            Reason::InputAdded { .. }
                | Reason::InputRemoved { .. }
                | Reason::InputChanged { .. }
                | Reason::BehindLinkChanged { .. }
                | Reason::SettingChanged { .. }
        )
    }
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
            Reason::Upgrade => write!(f, "newer versions were asked for"),
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
                        let (old, new) = (word(was_set), word(is_set));
                        write!(f, "the environment variable `{variable}` changed: {old} → {new}")
                    }
                }
            }
            Reason::SettingChanged { setting, old: None, new: None } => {
                write!(f, "the setting `{setting}` changed")
            }
            Reason::SettingChanged { setting, old, new } => {
                write!(f, "the setting `{setting}` changed: {} → {}", value(old), value(new))
            }
            Reason::DependencyChanged { task, old, new } => {
                write!(f, "the outputs of task `{task}` changed: {} → {}", value(old), value(new))
            }
            Reason::DependencyWillRun { task } => {
                write!(f, "it needs task `{task}`, which has to run first and may change its outputs")
            }
            Reason::InputAdded { path, new } => write!(f, "the input `{path}` is new: nothing → {new}"),
            Reason::InputRemoved { path, old } => write!(f, "the input `{path}` is gone: {old} → nothing"),
            Reason::InputChanged { path, line: Some(line), .. } => {
                write!(f, "the input `{path}` changed: {line}")
            }
            Reason::BehindLinkChanged { path, line: Some(line), .. } => {
                write!(f, "what the input `{path}`, a link, points to changed: {line}")
            }
            Reason::InputChanged { path, old, new, .. } => {
                write!(f, "the input `{path}` changed: {old} → {new}")
            }
            Reason::BehindLinkChanged { path, old, new, .. } => {
                let (old, new) = (value(old), value(new));
                write!(f, "what the input `{path}`, a link, points to changed: {old} → {new}")
            }
            Reason::OutputMissing { path } => write!(f, "the output `{path}` is gone"),
            Reason::OutputChanged { path, old, new } => {
                write!(f, "the output `{path}` changed: {old} → {new}")
            }
            Reason::Other { text } => f.write_str(text),
        }
    }
}
