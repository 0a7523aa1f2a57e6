//! What is wrong with a plugin, as data: where, what was found, what is allowed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Origin;
use crate::error::{Error, Problem};
use crate::text;

/// One finding. The message is the whole line for a person; the other fields are for machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigProblem {
    #[serde(serialize_with = "as_text")]
    pub file: PathBuf,
    pub line: Option<usize>,
    /// In characters, from 1.
    pub column: Option<usize>,
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
        let mut message = match place.line {
            Some(line) => text::place(place.file, line, place.column),
            None => text::path(place.file),
        };
        message.push(':');
        if let Some(section) = place.section {
            message.push_str(&format!(" [{}]", text::visible(section)));
        }
        if let Some(key) = place.key {
            message.push_str(&format!(" {}:", text::visible(key)));
        }
        message.push_str(&format!(" {}", text::visible(reason)));
        ConfigProblem {
            file: place.file.to_owned(),
            line: place.line,
            column: place.column,
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
        error.problems.into_iter().map(|problem| ConfigProblem::of_problem(file, problem)).collect()
    }

    /// From a check of another part of the plugin. A message that begins with a place in a file, as in
    /// `crontab:3: `, is read again, so that the place is known by its parts.
    pub(crate) fn of_problem(file: &Path, problem: Problem) -> ConfigProblem {
        let Problem { message, hint } = problem;
        let (mut file, mut line, mut column) = (file.to_owned(), None, None);
        if let Some(place) = place_in(&message) {
            (file, line, column) = (PathBuf::from(place.0), Some(place.1), place.2);
        }
        ConfigProblem {
            file,
            line,
            column,
            section: None,
            key: None,
            found: None,
            allowed: None,
            suggestion: None,
            message,
            hint,
        }
    }

    /// A finding about a value, or a section where `key` is `None`.
    pub(crate) fn at(origin: &Origin, section: &str, key: Option<&str>, reason: &str) -> ConfigProblem {
        let Origin { file, line, column } = origin;
        let place = Place { file, line: Some(*line), column: Some(*column), section: Some(section), key };
        ConfigProblem::new(&place, reason)
    }

    pub(super) fn found(mut self, found: impl Into<String>) -> ConfigProblem {
        self.found = Some(found.into());
        self
    }

    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> ConfigProblem {
        self.allowed = Some(allowed.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> ConfigProblem {
        self.hint = Some(text::visible(&hint.into()));
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
            None => text::visible(&otherwise()),
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
    pub(super) column: Option<usize>,
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

/// A file, a line, a column where there is one.
type Written<'a> = (&'a str, usize, Option<usize>);

/// The file, line and column that a message begins with.
fn place_in(message: &str) -> Option<Written<'_>> {
    let (file, rest) = message.split_once(':')?;
    if file.is_empty() || file.contains('`') {
        return None;
    }
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        Some((text[..end].parse::<usize>().ok()?, end))
    };
    let (line, end) = number(rest)?;
    let after = &rest[end..];
    if !after.starts_with(':') {
        return None;
    }
    let column = number(&after[1..]).filter(|(_, end)| after[1 + end..].starts_with(':'));
    Some((file, line, column.map(|(column, _)| column)))
}

fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_at_the_start_of_a_message_is_known_by_its_parts() {
        for (message, file, line, column) in [
            ("a b/crontab:3: bad", "a b/crontab", Some(3), None),
            ("x.conf:3:7: bad", "x.conf", Some(3), Some(7)),
            ("/p/x.conf:12:1: bad: 5: x", "/p/x.conf", Some(12), Some(1)),
            ("`x.conf`: [a] 5: bad", "f", None, None),
            ("found `a`:5: bad", "f", None, None),
            ("nothing of the kind", "f", None, None),
        ] {
            let problem = Problem { message: message.to_owned(), hint: None };
            let found = ConfigProblem::of_problem(Path::new("f"), problem);
            assert_eq!((found.file.as_path(), found.line, found.column), (Path::new(file), line, column));
        }
    }
}
