//! Node.js: locks and node_modules, by npm, pnpm or yarn.

use std::path::Path;

use serde_json::Value;

use super::python::refuse_if_locked;
use crate::action::{Job, Judgement};
use crate::error::{Error, Result};
use crate::fs;
use crate::graph::{Project, Reason};
use crate::process::{Finished, Log, Program};
use crate::recipe::Task;
use crate::text;
use crate::tools;

/// Files that tell a package manager what to install and from where.
const SETTINGS: [&str; 9] = [
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
];

/// The keys of package.json that a lock repeats.
const LOCKED_KEYS: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

fn read_json(path: &Path) -> Result<Option<Value>> {
    let Some(content) = fs::read_text_optional(path)? else { return Ok(None) };
    serde_json::from_str(&content).map(Some).map_err(|error| {
        Error::input(format!("{}:{}: found no valid JSON: {error}", text::path(path), error.line()))
            .hint("correct the file")
    })
}

/// A package-lock.json fits when it repeats what package.json asks for.
pub(super) fn judge_npm_lock(project: &Project<'_>) -> Result<Judgement> {
    let Some(package) = read_json(&project.dir.join("package.json"))? else { return Ok(Judgement::ByRecord) };
    let stale = |text: String| Ok(Judgement::Stale(vec![Reason::Other { text }]));
    let Ok(Some(lock)) = read_json(&project.dir.join("package-lock.json")) else {
        return Ok(Judgement::Stale(vec![Reason::OutputMissing { path: "package-lock.json".to_owned() }]));
    };
    let Some(root) = lock.pointer("/packages/").or_else(|| lock.get("packages").and_then(|all| all.get("")))
    else {
        // Written by npm 6 or before: it does not repeat what was asked for, npm itself has to judge.
        return Ok(Judgement::Fresh);
    };
    for key in LOCKED_KEYS {
        let (wanted, locked) = (entries(&package, key), entries(root, key));
        if wanted != locked {
            let changed = wanted.iter().find(|entry| !locked.contains(entry));
            let removed = locked.iter().find(|entry| !wanted.contains(entry));
            let what =
                changed.or(removed).map(|(name, range)| format!("`{name}` {range}")).unwrap_or_default();
            return stale(format!(
                "`{key}` of package.json is not what package-lock.json was made from: {}",
                text::visible(&what)
            ));
        }
    }
    Ok(Judgement::Fresh)
}

fn entries(package: &Value, key: &str) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = package
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, range)| (name.clone(), range.as_str().unwrap_or_default().to_owned()))
        .collect();
    // npm moves what is optional as well out of `dependencies`.
    if key == "dependencies"
        && let Some(optional) = package.get("optionalDependencies").and_then(Value::as_object)
    {
        entries.retain(|(name, _)| !optional.contains_key(name));
    }
    entries.sort();
    entries
}

/// pnpm and yarn check their locks when they install; only a change of package.json that we saw makes a new one.
pub(super) fn judge_foreign_lock(project: &Project<'_>, task: &Task) -> Result<Judgement> {
    let state = project.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let has_record = state.get(&task.name).is_some();
    let has_lock = task.outputs.iter().all(|output| fs::exists(&project.dir.join(output)));
    Ok(if has_lock && !has_record { Judgement::Fresh } else { Judgement::ByRecord })
}

/// A package manager as a program, in `dir`.
fn manager(job: &Job<'_>, name: &str, dir: &Path) -> Result<Program> {
    let path = job.project.tools.find(name).ok_or_else(|| tools::missing(name))?;
    Ok(Program::new(path, dir, &job.project.site.environment)
        .set("npm_config_audit", "false")
        .set("npm_config_fund", "false")
        .set("npm_config_update_notifier", "false")
        .set("npm_config_yes", "false")
        .set("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0")
        .set("YARN_ENABLE_TELEMETRY", "0"))
}

/// Makes a lock from copies of the settings, so that nothing but the lock changes.
fn lock(job: &Job<'_>, log: &mut Log, name: &str, arguments: &[&str], file: &str) -> Result<()> {
    refuse_if_locked(job.project, file)?;
    let dir = work_dir(job)?;
    let finished = manager(job, name, &dir)?.arguments(arguments).run(log, &job.on_line())?;
    if !finished.succeeded() {
        return Err(failure(name, "lock the dependencies", &finished));
    }
    if is_in_place(&job.project.dir, &dir)? {
        return Ok(());
    }
    fs::rename(&dir.join(file), &job.staging.join(file))
}

/// Installs what the lock says, in a directory of its own that is then put in place as a whole.
fn modules(job: &Job<'_>, log: &mut Log, name: &str, arguments: &[&str]) -> Result<()> {
    let dir = work_dir(job)?;
    let finished = manager(job, name, &dir)?.arguments(arguments).run(log, &job.on_line())?;
    if !finished.succeeded() {
        return Err(failure(name, "install the dependencies", &finished));
    }
    let made = dir.join("node_modules");
    if !fs::exists(&made) {
        // Nothing to install.
        fs::create_dir_all(&made)?;
    }
    if is_in_place(&job.project.dir, &dir)? {
        return Ok(());
    }
    fs::rename(&made, &job.staging.join("node_modules"))
}

fn is_in_place(plugin_dir: &Path, dir: &Path) -> Result<bool> {
    use crate::error::At;
    Ok(std::fs::canonicalize(plugin_dir).at("read", plugin_dir)? == dir)
}

/// The scripts of the plugin itself that run when its dependencies are installed.
const INSTALL_SCRIPTS: [&str; 5] = ["install", "preinstall", "postinstall", "prepare", "prepublish"];

/// Whether more than the settings goes into node_modules: workspaces, packages in directories, and scripts of the
/// plugin itself.
pub(super) fn sees_more_than_settings(project: &Project<'_>) -> Result<bool> {
    let package = read_json(&project.dir.join("package.json"))?.unwrap_or_default();
    let has_script =
        INSTALL_SCRIPTS.iter().any(|script| package.pointer(&format!("/scripts/{script}")).is_some());
    let local = |range: &str| {
        let prefixes = ["file:", "link:", "portal:", "workspace:", "patch:", "./", "../", "/", "~/"];
        prefixes.iter().any(|prefix| range.starts_with(prefix))
    };
    let has_local =
        LOCKED_KEYS.iter().any(|key| entries(&package, key).iter().any(|(_, range)| local(range)));
    Ok(has_script
        || has_local
        || package.get("workspaces").is_some()
        || package.get("pnpm").is_some()
        || fs::exists(&project.dir.join("pnpm-workspace.yaml"))
        || fs::exists(&project.dir.join(".yarn")))
}

/// A copy of the settings in the staging directory; the plugin's own directory where a package manager has to see
/// more than those.
fn work_dir(job: &Job<'_>) -> Result<std::path::PathBuf> {
    let project = job.project;
    let sees_more = sees_more_than_settings(project)?;
    if sees_more {
        return project.absolute_dir();
    }
    use crate::error::At;
    let dir = std::fs::canonicalize(job.staging).at("read", job.staging)?.join("node");
    fs::create_dir_all(&dir)?;
    for name in SETTINGS {
        let file = project.dir.join(name);
        if file.is_file() {
            fs::copy_file(&file, &dir.join(name))?;
        }
    }
    Ok(dir)
}

fn offline(job: &Job<'_>, arguments: &[&'static str]) -> Vec<&'static str> {
    let mut arguments = arguments.to_vec();
    if job.project.mode.offline {
        arguments.push("--offline");
    }
    arguments
}

pub(super) fn npm_lock(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let arguments = offline(job, &["install", "--package-lock-only", "--ignore-scripts", "--no-progress"]);
    lock(job, log, "npm", &arguments, "package-lock.json")
}

pub(super) fn npm_modules(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let arguments = offline(job, &["ci", "--no-progress", "--prefer-offline"]);
    modules(job, log, "npm", &arguments)
}

pub(super) fn pnpm_lock(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let arguments =
        offline(job, &["install", "--lockfile-only", "--no-frozen-lockfile", "--reporter=append-only"]);
    lock(job, log, "pnpm", &arguments, "pnpm-lock.yaml")
}

pub(super) fn pnpm_modules(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let arguments =
        offline(job, &["install", "--frozen-lockfile", "--prefer-offline", "--reporter=append-only"]);
    modules(job, log, "pnpm", &arguments)
}

fn is_yarn_1(job: &Job<'_>) -> Result<bool> {
    Ok(job.project.tools.require("yarn")?.version.starts_with("1."))
}

pub(super) fn yarn_lock(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let arguments: &[&str] = match is_yarn_1(job)? {
        true => &["install", "--ignore-scripts", "--non-interactive", "--no-progress"],
        false => &["install", "--mode=update-lockfile"],
    };
    lock(job, log, "yarn", &offline_yarn(job, arguments)?, "yarn.lock")
}

pub(super) fn yarn_modules(job: &Job<'_>, log: &mut Log) -> Result<()> {
    let arguments: &[&str] = match is_yarn_1(job)? {
        true => &["install", "--frozen-lockfile", "--non-interactive", "--no-progress", "--prefer-offline"],
        false => &["install", "--immutable"],
    };
    modules(job, log, "yarn", &offline_yarn(job, arguments)?)
}

fn offline_yarn<'a>(job: &Job<'_>, arguments: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut arguments = arguments.to_vec();
    if job.project.mode.offline && is_yarn_1(job)? {
        arguments.push("--offline");
    }
    Ok(arguments)
}

/// The reason of a package manager that failed, not its trace.
fn failure(name: &str, what: &str, finished: &Finished) -> Error {
    let output = &finished.output;
    let errors: Vec<&str> = output
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            ["npm error ", "npm ERR! ", "ERR_PNPM_", "error ", "\u{2009}ERROR\u{2009}"]
                .iter()
                .find_map(|prefix| line.strip_prefix(prefix))
        })
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("A complete log") && !line.starts_with("code E"))
        .collect();
    let reason = errors.first().map_or_else(|| finished.ending(), |line| text::visible(line));
    let message = format!("{name} cannot {what}: {reason}");
    let offline =
        ["ENOTCACHED", "ERR_PNPM_NO_OFFLINE", "NO_OFFLINE_"].iter().any(|sign| output.contains(sign));
    let unreachable = ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT"];
    if offline {
        return Error::machine(format!(
            "{name} cannot {what}: a package is not in its cache, and --offline was given"
        ))
        .hint("run it once without --offline");
    }
    if unreachable.iter().any(|sign| output.contains(sign)) {
        return Error::machine(format!("{name} cannot {what}: the registry cannot be reached"))
            .hint("check the network, the proxy and the registry settings of npm");
    }
    if output.contains("ENOSPC") {
        return Error::machine(format!("{name} cannot {what}: no space left on device"))
            .hint("free some space and run the same command again; nothing was lost");
    }
    if output.contains("EUSAGE") || output.contains("OUTDATED_LOCKFILE") || output.contains("frozen-lockfile")
    {
        return Error::input(message).hint(
            "the lock does not fit package.json; remove the lock, or mend it with the package manager",
        );
    }
    Error::input(message).hint("correct package.json")
}

/// Packages that `npm install` added beside the lock.
pub(super) fn drift(project: &Project<'_>) -> Result<Vec<String>> {
    let modules = project.dir.join("node_modules");
    let hidden = modules.join(".package-lock.json");
    let state = project.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(record) = state.get("node_modules") else { return Ok(Vec::new()) };
    if !fs::exists(&hidden) {
        return Ok(Vec::new());
    }
    let mut added = Vec::new();
    for entry in fs::list(&modules)? {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with(['.', '@']) || entry.is_symlink() || !fs::exists(&entry.join("package.json")) {
            continue;
        }
        if record.outputs.get(&Path::new("node_modules").join(name).join("package.json")).is_none() {
            added.push(name.to_owned());
        }
    }
    Ok(if added.is_empty() {
        Vec::new()
    } else {
        vec![format!(
            "node_modules/ has drifted from its lock: {} installed and not in the lock; add to package.json, or `mwp build --force` removes it",
            text::visible(&added.join(", "))
        )]
    })
}
