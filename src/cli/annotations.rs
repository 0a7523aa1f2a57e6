//! Mistakes as GitHub and GitLab show them: at their line in a change that is reviewed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Context;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::plugin::config::ConfigProblem;
use crate::site::Environment;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
}

/// In a job of GitHub Actions, a command to its runner for each mistake that has a line.
pub(super) fn annotate<'a>(
    level: Level,
    problems: impl IntoIterator<Item = &'a ConfigProblem>,
    context: &Context,
) {
    let environment = &context.site.environment;
    if environment.text("GITHUB_ACTIONS") != Some("true") || context.output.is_json() {
        return;
    }
    for problem in problems {
        if let Some(line) = problem.line {
            let path = within(&problem.file, "GITHUB_WORKSPACE", environment);
            context.output.line(&command(level, &path, line, problem));
        }
    }
}

fn command(level: Level, path: &Path, line: usize, problem: &ConfigProblem) -> String {
    let level = match level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let file = property(&path.to_string_lossy());
    let column = problem.column.map(|column| format!(",col={column}")).unwrap_or_default();
    let hint = problem.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("::{level} file={file},line={line}{column}::{}", data(&format!("{}{hint}", problem.message)))
}

/// As the runner decodes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The path from the top of the repository, where this is inside it.
fn within(file: &Path, top: &str, environment: &Environment) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let top = environment.path(top);
    let inside = top.and_then(|top| absolute.strip_prefix(top).ok().map(Path::to_owned));
    inside.unwrap_or_else(|| file.strip_prefix(".").unwrap_or(file).to_owned())
}

/// One finding of GitLab's report of code quality.
#[derive(Serialize)]
struct Finding {
    description: String,
    check_name: &'static str,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: usize,
}

/// Writes GitLab's report of code quality.
pub(super) fn write_code_quality(
    file: &Path,
    found: &[(Level, ConfigProblem)],
    environment: &Environment,
) -> Result<()> {
    let finding = |(level, problem): &(Level, ConfigProblem)| {
        let path = within(&problem.file, "CI_PROJECT_DIR", environment).to_string_lossy().into_owned();
        let key = problem.key.as_deref().unwrap_or_default();
        let section = problem.section.as_deref().unwrap_or_default();
        let found = problem.found.as_deref().unwrap_or(&problem.message);
        Finding {
            description: problem.message.clone(),
            check_name: "mwp-check",
            // It stays the same when the lines above it change.
            fingerprint: Digest::of(format!("{path}\0{section}\0{key}\0{found}").as_bytes()).to_string(),
            severity: if *level == Level::Error { "major" } else { "minor" },
            location: Location { path, lines: Lines { begin: problem.line.unwrap_or(1) } },
        }
    };
    let findings: Vec<Finding> = found.iter().map(finding).collect();
    let mut text = serde_json::to_vec_pretty(&findings).unwrap_or_default();
    text.push(b'\n');
    fs::write_atomic(file, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runner_takes_for_its_own_is_escaped() {
        assert_eq!(data("100%\r\na:b,c"), "100%25%0D%0Aa:b,c");
        assert_eq!(property("a:b,c%"), "a%3Ab%2Cc%25");
    }
}
