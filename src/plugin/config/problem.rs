//! What is wrong with a plugin, as data: where, what was found, what is allowed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Problem};
use crate::text;

/// One finding. The message is the whole line for a person; the other fields are for machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigProblem {
    #[serde(serialize_with = "as_text")]
    pub file: PathBuf,
    pub line: Option<usize>,
    pub section: Option<String>,
    pub key: Option<String>,
    pub found: Option<String>,
    pub allowed: Option<String>,
    /// The known name nearest to the one found.
    pub suggestion: Option<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl ConfigProblem {
    pub(super) fn new(place: &Place<'_>, reason: &str) -> ConfigProblem {
        let mut message = text::path(place.file);
        if let Some(line) = place.line {
            message.push_str(&format!(":{line}"));
        }
        message.push(':');
        if let Some(section) = place.section {
            message.push_str(&format!(" [{}]", text::visible(section)));
        }
        if let Some(key) = place.key {
            message.push_str(&format!(" {}:", text::visible(key)));
        }
        message.push_str(&format!(" {reason}"));
        ConfigProblem {
            file: place.file.to_owned(),
            line: place.line,
            section: place.section.map(str::to_owned),
            key: place.key.map(str::to_owned),
            found: None,
            allowed: None,
            suggestion: None,
            message,
            hint: None,
        }
    }

    /// From a check that ended at its first problem.
    pub(crate) fn of_error(file: &Path, error: Error) -> Vec<ConfigProblem> {
        let of_problem = |problem: Problem| ConfigProblem {
            file: file.to_owned(),
            line: None,
            section: None,
            key: None,
            found: None,
            allowed: None,
            suggestion: None,
            message: problem.message,
            hint: problem.hint,
        };
        error.problems.into_iter().map(of_problem).collect()
    }

    pub(super) fn found(mut self, found: impl Into<String>) -> ConfigProblem {
        self.found = Some(found.into());
        self
    }

    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> ConfigProblem {
        self.allowed = Some(allowed.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> ConfigProblem {
        self.hint = Some(hint.into());
        self
    }

    /// The nearest known name, where there is one; else a list of what is allowed.
    pub(super) fn suggest(
        mut self,
        nearest: Option<String>,
        otherwise: impl FnOnce() -> String,
    ) -> ConfigProblem {
        self.hint = Some(match &nearest {
            Some(name) => format!("did you mean `{name}`?"),
            None => otherwise(),
        });
        self.suggestion = nearest;
        self
    }
}

impl From<ConfigProblem> for Problem {
    fn from(problem: ConfigProblem) -> Problem {
        Problem { message: problem.message, hint: problem.hint }
    }
}

/// Where in which file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    pub(super) line: Option<usize>,
    pub(super) section: Option<&'a str>,
    pub(super) key: Option<&'a str>,
}

/// Problems and warnings, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) warnings: Vec<ConfigProblem>,
}

impl Findings {
    pub(super) fn problem(&mut self, problem: ConfigProblem) {
        self.problems.push(problem);
    }

    pub(super) fn warning(&mut self, warning: ConfigProblem) {
        self.warnings.push(warning);
    }
}

fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
