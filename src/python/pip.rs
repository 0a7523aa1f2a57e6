//! pip fetches and compiles wheels, and resolves where there is no uv.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::freeze::Question;
use super::other_files;
use super::pylock::{Directory, File, Package, Vcs};
use super::resolver::{Resolver, failure};
use super::sources::{Sources, moved};
use super::{Pin, canonical_name};
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::process::{Log, Program};
use crate::text;

/// Zip files, and so wheels, hold nothing older than 1980.
const FIRST_OF_ZIP: u64 = 315_532_800;

pub(super) fn resolve(
    resolver: &Resolver<'_>,
    question: &Question<'_>,
    log: &mut Log,
    on_line: &dyn Fn(&str),
) -> Result<Vec<Package>> {
    let report = question.staging.join("pip-report.json");
    let requirements = question.staging.join("requirements.in");
    let constraints = question.staging.join("constraints.txt");
    let options = file_options(resolver, question);
    let lines: Vec<String> = question.lines.iter().map(|line| for_old_pip(line)).collect();
    write_lines(&requirements, &[options, lines].concat())?;
    let program = calm(resolver, question.sources)?
        .set("PIP_REQUIRE_HASHES", "0")
        .arguments(["install", "--dry-run", "--ignore-installed", "--report"])
        .argument(&report)
        .argument("--requirement")
        .argument(&requirements)
        .argument("--constraint")
        .argument(&constraints);
    let mut prefer: Vec<&Pin> = question.prefer.iter().collect();
    loop {
        // Old versions are constraints; those that stand in the way are given up, and it is tried again.
        let pins = prefer.iter().map(|pin| format!("{}=={}", pin.name, pin.version));
        write_lines(&constraints, &question.constraints.iter().cloned().chain(pins).collect::<Vec<_>>())?;
        let finished = program.run(log, on_line)?;
        if finished.succeeded() {
            break;
        }
        let error = unless_offline(
            failure(
                "pip",
                &format!("resolve {}", text::path(question.file)),
                &finished,
                reason(&finished.output),
            ),
            resolver,
        );
        if prefer.is_empty() || error.fault != Fault::Input {
            return Err(error.hint_if_none("correct that requirement"));
        }
        let named = names_in_conflict(&finished.output);
        let before = prefer.len();
        prefer.retain(|pin| !named.contains(&pin.name));
        if prefer.len() == before {
            prefer.clear();
        }
    }
    let report: Report = serde_json::from_slice(&fs::read(&report)?).map_err(|error| {
        Error::machine(format!("pip's report cannot be read: {error}")).hint("update pip to 22.2 or later")
    })?;
    let mut packages: Vec<Package> = report.install.into_iter().map(Item::package).collect();
    other_files::add(resolver, question, &mut packages, log)?;
    Ok(packages)
}

/// The option lines for pip. Hashes are compared by us, with uv as with pip.
pub(super) fn file_options(resolver: &Resolver<'_>, question: &Question<'_>) -> Vec<String> {
    let mut options = moved(question.options, &resolver.directory);
    options.retain(|line| !line.starts_with("--require-hashes"));
    options
}

/// How to make wheels: which may not come ready-made, and what constrains builds.
pub(super) struct Making<'a> {
    pub(super) lines: Vec<String>,
    /// Compiled from source, whatever the index has; what its build needs may come ready-made.
    pub(super) compiled: Option<&'a str>,
    pub(super) build_constraint: Option<&'a Path>,
}

/// Makes wheels in `into`; returns what pip said.
pub(super) fn wheels(
    resolver: &Resolver<'_>,
    sources: &Sources,
    making: &Making<'_>,
    into: &Path,
    log: &mut Log,
    on_line: &dyn Fn(&str),
) -> Result<String> {
    let list = into.with_extension("pins.txt");
    write_lines(&list, &making.lines.iter().map(|line| for_old_pip(line)).collect::<Vec<_>>())?;
    let mut program = calm(resolver, sources)?
        .set("PIP_REQUIRE_HASHES", "0")
        .arguments(["wheel", "--no-deps", "--wheel-dir"])
        .argument(into)
        .argument("--requirement")
        .argument(&list);
    if let Some(name) = making.compiled {
        // pip keeps what it compiled, and does not ask which flags were set then.
        program = program.arguments(["--no-cache-dir", "--no-binary", name]);
    }
    if let Some(constraint) = making.build_constraint {
        // pip up to 25.2 takes the constraints of a build from PIP_CONSTRAINT, later ones from the other.
        let mut all: Vec<String> =
            sources.constraint_files().map(|path| path.display().to_string()).collect();
        all.extend(sources.constraint_addresses().map(str::to_owned));
        all.push(constraint.display().to_string());
        program = program.set("PIP_CONSTRAINT", all.join(" "));
        program = program.set("PIP_BUILD_CONSTRAINT", constraint.as_os_str());
    }
    let finished = program.run(log, on_line)?;
    fs::remove_file(&list)?;
    if finished.succeeded() {
        return Ok(finished.output);
    }
    if let Some(mismatch) = mismatch(&finished.output) {
        return Err(mismatch);
    }
    let hint = match making.compiled {
        None => {
            "if a package cannot be compiled here, install its compiler and headers, or require another version"
        }
        Some(_) => {
            "if a package cannot be compiled here, list it in `allow_binary_packages`, or make that file empty"
        }
    };
    let what = match making.compiled {
        Some(name) => format!("compile `{name}`"),
        None => "make the wheels".to_owned(),
    };
    let error = failure("pip", &what, &finished, reason(&finished.output));
    Err(unless_offline(error, resolver).hint_if_none(hint))
}

pub(super) fn write_lines(path: &Path, lines: &[String]) -> Result<()> {
    fs::write_atomic(path, (lines.join("\n") + "\n").as_bytes())
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
pub(super) fn calm(resolver: &Resolver<'_>, sources: &Sources) -> Result<Program> {
    let mut program = resolver
        .pip(sources)?
        .set("PIP_NO_INPUT", "1")
        .set("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .set("PIP_NO_PYTHON_VERSION_WARNING", "1")
        .set("PIP_PROGRESS_BAR", "off")
        .set("PIP_ROOT_USER_ACTION", "ignore")
        .set("PYTHONUTF8", "1");
    if !super::sources::pip_options(resolver.site).contains_key("retries") {
        program = program.set("PIP_RETRIES", "2");
    }
    let epoch =
        resolver.site.environment.text("SOURCE_DATE_EPOCH").and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(epoch) = epoch.filter(|epoch| *epoch < FIRST_OF_ZIP) {
        program = program.set("SOURCE_DATE_EPOCH", epoch.max(FIRST_OF_ZIP).to_string());
    }
    if resolver.offline {
        program = program.set("PIP_NO_INDEX", "1");
    }
    Ok(program)
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
    archive_info: Option<ArchiveInfo>,
    #[serde(default)]
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct VcsInfo {
    vcs: String,
    requested_revision: Option<String>,
    commit_id: String,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    /// `sha256=…`, of older ones.
    hash: Option<String>,
}

impl Item {
    fn package(self) -> Package {
        let info = self.download_info;
        let mut package = Package {
            name: canonical_name(&self.metadata.name),
            version: Some(self.metadata.version),
            ..Package::default()
        };
        if let Some(vcs) = info.vcs_info {
            package.vcs = Some(Vcs {
                kind: vcs.vcs,
                url: Some(info.url),
                path: None,
                requested_revision: vcs.requested_revision,
                commit_id: vcs.commit_id,
                subdirectory: info.subdirectory,
            });
            return package;
        }
        let Some(archive) = info.archive_info else {
            let path = url::Url::parse(&info.url).ok().and_then(|url| url.to_file_path().ok());
            let path = path.map_or(info.url, |path| path.to_string_lossy().into_owned());
            package.directory = Some(Directory { path });
            return package;
        };
        let mut hashes = archive.hashes;
        if let Some((name, digest)) = archive.hash.as_deref().and_then(|hash| hash.split_once('=')) {
            hashes.insert(name.to_owned(), digest.to_owned());
        }
        let mut file = File { url: Some(info.url), hashes, ..File::default() };
        if self.is_direct {
            file.subdirectory = info.subdirectory;
            package.archive = Some(file);
        } else if file.file_name().is_some_and(|name| name.ends_with(".whl")) {
            package.wheels.push(file);
        } else {
            package.sdist = Some(file);
        }
        package
    }
}

/// The packages that pip names where it says why it cannot resolve.
fn names_in_conflict(output: &str) -> BTreeSet<String> {
    const SIGNS: [&str; 5] = [
        "Cannot install",
        "No matching distribution",
        "Could not find a version",
        "The user requested",
        "depends on",
    ];
    let lines = output.lines().filter(|line| SIGNS.iter().any(|sign| line.contains(sign)));
    lines
        .flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || "._-".contains(c))))
        .filter(|word| !word.is_empty())
        .map(canonical_name)
        .collect()
}

/// A file that is another one than the lock allows, in pip's words made short.
fn mismatch(output: &str) -> Option<Error> {
    let (_, rest) = output.split_once("DO NOT MATCH THE HASHES")?;
    let mut lines = rest.lines().map(str::trim);
    let name = lines.find(|line| line.contains(" from ") || line.ends_with(':'))?;
    let name = name.split(" from ").next().unwrap_or(name);
    let name = name.split(" (").next().unwrap_or(name).trim_end_matches(':');
    let digest = |sign: &str| -> Vec<&str> {
        rest.lines()
            .map(str::trim)
            .filter_map(|line| line.strip_prefix(sign))
            .filter_map(|line| line.split_whitespace().last())
            .collect()
    };
    let (allowed, found) = ([digest("Expected"), digest("or")].concat(), digest("Got"));
    Some(changed(name, found.first().unwrap_or(&""), &allowed.join(" or ")))
}

/// A file that is another one than the lock allows.
pub(super) fn changed(name: &str, found: &str, allowed: &str) -> Error {
    let [name, found, allowed] = [name, found, allowed].map(text::visible);
    let project = name.split("==").next().unwrap_or(&name);
    let hint = format!(
        "nothing was installed; find out who changed the file, or take the new one with `mwp lock --upgrade-package {project}`"
    );
    Error::input(format!("the file of `{name}` has sha256 {found}; the lock allows {allowed}")).hint(hint)
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
    fn the_packages_of_a_conflict_are_known_by_name() {
        let output = "ERROR: Cannot install alpha>=2 because\nThe conflict is caused by:\n    The user requested alpha>=2\n    Beta_b 1.0 depends on gamma==1\n    The user requested (constraint) gamma==2\n";
        let names = names_in_conflict(output);
        assert!(["alpha", "beta-b", "gamma"].iter().all(|name| names.contains(*name)), "{names:?}");
    }

    #[test]
    fn a_wrong_hash_is_named_with_what_is_allowed() {
        let output = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you …\n    beta==1.0 from file:///v/beta.whl (from -r x (line 1)):\n        Expected sha256 00\n             or        11\n             Got        ab\n\n";
        assert_eq!(
            mismatch(output).unwrap().to_string(),
            "the file of `beta==1.0` has sha256 ab; the lock allows 00 or 11"
        );
        assert!(mismatch("ERROR: x").is_none());
    }

    #[test]
    fn a_report_tells_what_kind_of_thing_each_package_is() {
        let package = |json: &str| serde_json::from_str::<Item>(json).unwrap().package();
        let vcs = package(
            r#"{"metadata":{"name":"Foo","version":"1"},"is_direct":true,"download_info":{"url":"https://h/foo.git","vcs_info":{"vcs":"git","commit_id":"abc"}}}"#,
        );
        assert_eq!(vcs.vcs.unwrap().commit_id, "abc");
        let directory = package(
            r#"{"metadata":{"name":"Foo","version":"1"},"is_direct":true,"download_info":{"url":"file:///p/a%20b","dir_info":{}}}"#,
        );
        assert_eq!(directory.directory.unwrap().path, "/p/a b");
        let wheel = package(
            r#"{"metadata":{"name":"Foo_Bar","version":"1"},"download_info":{"url":"https://x/foo_bar-1-py3-none-any.whl","archive_info":{"hash":"sha256=ab"}}}"#,
        );
        assert_eq!((wheel.name.as_str(), wheel.hashes().first().unwrap().as_str()), ("foo-bar", "sha256:ab"));
    }
}
