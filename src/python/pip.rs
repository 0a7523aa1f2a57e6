//! pip fetches and compiles wheels, and resolves where there is no uv.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::requirements::Requirements;
use super::resolver::{BinaryPolicy, Resolver, failure};
use super::{canonical_name, index};
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::process::{Log, Program};
use crate::text;

pub(super) fn freeze(
    resolver: &Resolver<'_>,
    requirements: &Path,
    constraints: &[PathBuf],
    staging: &Path,
    log: &mut Log,
    on_line: &dyn Fn(&str),
) -> Result<Vec<String>> {
    let report = staging.join("pip-report.json");
    let mut program = calm(resolver.pip()?, resolver)
        .arguments(["install", "--dry-run", "--ignore-installed", "--report"])
        .argument(&report)
        .argument("--requirement")
        .argument(requirements);
    for constraint in constraints {
        program = program.argument("--constraint").argument(constraint);
    }
    let finished = program.run(log, on_line)?;
    if !finished.succeeded() {
        let what = format!("resolve {}", text::path(requirements));
        let error = failure("pip", &what, &finished, reason(&finished.output));
        return Err(unless_offline(error, resolver).hint_if_none("correct that requirement"));
    }
    let content = fs::read(&report)?;
    let report: Report = serde_json::from_slice(&content).map_err(|error| {
        Error::machine(format!("pip's report cannot be read: {error}")).hint("update pip to 22.2 or later")
    })?;
    Ok(report.install.iter().map(|item| item.pin(&resolver.directory)).collect())
}

pub(super) fn wheels(
    resolver: &Resolver<'_>,
    pins: &Requirements,
    policy: &BinaryPolicy,
    build_constraint: Option<&Path>,
    into: &Path,
    log: &mut Log,
    on_line: &dyn Fn(&str),
) -> Result<()> {
    let list = into.with_extension("pins.txt");
    let lines: Vec<String> = pins.lines.iter().map(|line| for_old_pip(line.text())).collect();
    fs::write_atomic(&list, (lines.join("\n") + "\n").as_bytes())?;
    let mut program = calm(resolver.pip()?, resolver)
        .arguments(["wheel", "--no-deps", "--wheel-dir"])
        .argument(into)
        .argument("--requirement")
        .argument(&list);
    match policy {
        BinaryPolicy::Any => {}
        BinaryPolicy::CompileAll => program = program.arguments(["--no-binary", ":all:"]),
        BinaryPolicy::Only(names) => {
            program = program.arguments(["--no-binary", ":all:", "--only-binary"]).argument(names.join(","));
        }
    }
    if let Some(constraint) = build_constraint {
        // pip up to 25.2 takes the constraints of a build from PIP_CONSTRAINT, later ones from the other.
        program = program.set("PIP_CONSTRAINT", constraint.as_os_str());
        program = program.set("PIP_BUILD_CONSTRAINT", constraint.as_os_str());
    }
    let finished = program.run(log, on_line)?;
    fs::remove_file(&list)?;
    if finished.succeeded() {
        return Ok(());
    }
    let hint = match policy {
        BinaryPolicy::Any => {
            "if a package cannot be compiled here, install its compiler and headers, or require another version"
        }
        _ => {
            "if a package cannot be compiled here, list it in `allow_binary_packages`, or make that file empty"
        }
    };
    let error = failure("pip", "make the wheels", &finished, reason(&finished.output));
    Err(unless_offline(error, resolver).hint_if_none(hint))
}

/// pip before 24.1 refuses `name @ URL` where the URL has no host, and takes the older way to say the same.
fn for_old_pip(line: &str) -> String {
    match line.split_once(" @ ") {
        Some((name, url)) if url.starts_with("git+file:///") && !url.contains('#') => {
            format!("{url}#egg={name}")
        }
        Some((name, url)) if url.starts_with("git+file:///") => format!("{url}&egg={name}"),
        _ => line.to_owned(),
    }
}

/// Without a network, a version that cannot be found is no fault of the requirement.
fn unless_offline(error: Error, resolver: &Resolver<'_>) -> Error {
    if resolver.offline && error.fault == Fault::Input {
        Error::machine(error.to_string()).hint("run it once without --offline")
    } else {
        error
    }
}

/// No questions, no progress bars, no word about newer versions of pip.
fn calm(program: Program, resolver: &Resolver<'_>) -> Program {
    let mut program = program
        .set("PIP_NO_INPUT", "1")
        .set("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .set("PIP_NO_PYTHON_VERSION_WARNING", "1")
        .set("PIP_PROGRESS_BAR", "off")
        .set("PIP_ROOT_USER_ACTION", "ignore")
        .set("PYTHONUTF8", "1");
    if !index::pip_options(resolver.site).contains_key("retries") {
        program = program.set("PIP_RETRIES", "2");
    }
    if resolver.offline {
        program = program.set("PIP_NO_INDEX", "1");
    }
    program
}

/// `pip install --report`
#[derive(Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    download_info: DownloadInfo,
    #[serde(default)]
    is_direct: bool,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct DownloadInfo {
    url: String,
    vcs_info: Option<VcsInfo>,
    #[serde(default)]
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct VcsInfo {
    vcs: String,
    commit_id: String,
}

impl Item {
    /// A line of a lock: an exact version, or an exact commit or URL of what was given as such.
    fn pin(&self, directory: &Path) -> String {
        let name = canonical_name(&self.metadata.name);
        if !self.is_direct {
            return format!("{name}=={}", self.metadata.version);
        }
        let info = &self.download_info;
        let subdirectory =
            info.subdirectory.as_ref().map(|path| format!("#subdirectory={path}")).unwrap_or_default();
        match &info.vcs_info {
            Some(vcs) => format!("{name} @ {}+{}@{}{subdirectory}", vcs.vcs, info.url, vcs.commit_id),
            // A path inside the plugin stays relative: a lock is for every clone.
            None => {
                match info.url.strip_prefix("file://").and_then(|path| relative(Path::new(path), directory)) {
                    Some(inside) => inside,
                    None => format!("{name} @ {}{subdirectory}", info.url),
                }
            }
        }
    }
}

/// Seen from the directory of the requirements, for what is in the plugin.
fn relative(path: &Path, directory: &Path) -> Option<String> {
    if let Ok(inside) = path.strip_prefix(directory) {
        return Some(format!("./{}", inside.display()));
    }
    let inside = path.strip_prefix(directory.parent()?).ok()?;
    Some(format!("../{}", inside.display()))
}

/// pip says why in `ERROR:` lines; the first names what was looked for and what there is.
fn reason(output: &str) -> Option<String> {
    let errors: Vec<&str> =
        output.lines().filter_map(|line| line.trim_start().strip_prefix("ERROR: ")).map(str::trim).collect();
    let conflict: Vec<&str> = output
        .lines()
        .skip_while(|line| !line.contains("The conflict is caused by:"))
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    if !conflict.is_empty() {
        return Some(format!("the requirements contradict each other: {}", conflict.join("; ")));
    }
    errors
        .iter()
        .find(|line| line.starts_with("Could not find a version") || line.starts_with("Invalid requirement"))
        .or(errors.last())
        .map(|line| short_versions(line))
}

/// `(from versions: 1, 2, …)` may hold hundreds: the latest ten tell enough.
fn short_versions(line: &str) -> String {
    let Some((before, versions)) = line.split_once("(from versions: ") else { return line.to_owned() };
    let versions: Vec<&str> = versions.trim_end_matches(')').split(", ").collect();
    let latest = &versions[versions.len().saturating_sub(10)..];
    let more = if latest.len() < versions.len() { "…, " } else { "" };
    format!("{before}(from versions: {more}{})", latest.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_pip_looked_for() {
        let output = "Collecting x\nERROR: Could not find a version that satisfies the requirement x==9 (from versions: 1, 2)\nERROR: No matching distribution found for x==9\n";
        assert!(
            reason(output)
                .unwrap()
                .starts_with("Could not find a version that satisfies the requirement x==9")
        );
        let output = "ERROR: Cannot install a and b\n\nThe conflict is caused by:\n    a 1 depends on c<2\n    b 1 depends on c>2\n\nTo fix";
        assert_eq!(
            reason(output).unwrap(),
            "the requirements contradict each other: a 1 depends on c<2; b 1 depends on c>2"
        );
        assert_eq!(reason("Traceback"), None);
    }

    #[test]
    fn what_was_given_as_a_url_is_pinned_as_one() {
        let item = |json: &str| serde_json::from_str::<Item>(json).unwrap().pin(Path::new("/p"));
        assert_eq!(
            item(
                r#"{"metadata":{"name":"Foo","version":"1"},"is_direct":true,"download_info":{"url":"https://h/foo.git","vcs_info":{"vcs":"git","commit_id":"abc"}}}"#
            ),
            "foo @ git+https://h/foo.git@abc"
        );
        assert_eq!(
            item(
                r#"{"metadata":{"name":"Foo","version":"1"},"is_direct":true,"download_info":{"url":"file:///p/lib/foo"}}"#
            ),
            "./lib/foo"
        );
        assert_eq!(
            item(r#"{"metadata":{"name":"Foo_Bar","version":"1"},"download_info":{"url":"https://x"}}"#),
            "foo-bar==1"
        );
    }
}
