//! yarn, 1 and later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::manager::{Manager, packages};
use super::package::{Package, plain};
use crate::error::{Error, Result};
use crate::fs;
use crate::graph::{Job, LockCheck};
use crate::text;

const LOCK: &str = "yarn.lock";

#[derive(Debug)]
pub(in crate::action) struct Yarn;

impl Manager for Yarn {
    fn name(&self) -> &'static str {
        "yarn"
    }

    fn lock_action(&self) -> &'static str {
        "yarn-lock"
    }

    fn modules_action(&self) -> &'static str {
        "yarn-modules"
    }

    fn lock_file(&self, _: &Path) -> &'static str {
        LOCK
    }

    fn settings(&self) -> &'static [&'static str] {
        &[".npmrc", ".yarnrc", ".yarnrc.yml"]
    }

    /// Each `NAME@RANGE` that is asked for is an entry of the lock; packages in directories, and in later yarns those of
    /// the workspace, have what they need beside them.
    fn check_lock(&self, dir: &Path, packages: &[Package]) -> Result<LockCheck> {
        let content = fs::read_text(&dir.join(LOCK))?;
        let entries: Vec<Entry> = entries(&content).collect();
        let stale = |package: &Path, what: String| {
            let manifest = text::visible(&package.join("package.json").display().to_string());
            Ok(LockCheck::Stale(vec![format!("{manifest} is not what {LOCK} was made from: {what}")]))
        };
        for package in packages {
            let what =
                unlocked(package, packages, &entries).or_else(|| other_in_workspace(package, &entries));
            if let Some(what) = what {
                return stale(&package.dir, what);
            }
            for path in package.local_paths() {
                if let Some(what) = other_in_directory(dir, package, &path, &entries) {
                    return stale(&path, what);
                }
            }
        }
        // Later ones have a sum of all that is in a directory.
        let is_summed =
            entries.iter().flat_map(|entry| &entry.patterns).any(|pattern| pattern.contains("@file:"));
        Ok(if is_summed && content.contains("__metadata:") { LockCheck::Untold } else { LockCheck::Fits })
    }

    fn locked(&self, lock: &str) -> BTreeMap<String, String> {
        let mut locked: BTreeMap<String, String> = BTreeMap::new();
        for Entry { patterns, version, .. } in entries(lock) {
            let name = patterns.first().and_then(|pattern| pattern.rsplit_once('@')).map(|(name, _)| name);
            let Some(name) = name.filter(|name| !name.is_empty() && version != "0.0.0-use.local") else {
                continue;
            };
            let key = if locked.contains_key(name) { format!("{name}@{version}") } else { name.to_owned() };
            locked.insert(key, version);
        }
        locked
    }

    /// Without one beside package.json, later ones take a directory above the one that they run in for the project.
    fn start_lock(&self, lock: &Path) -> Result<()> {
        fs::write_atomic(lock, b"")
    }

    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<String>> {
        if is_1(job)? {
            quietly(job, &["install", "--ignore-scripts", "--no-progress"])
        } else {
            quietly(job, &["install", "--mode=update-lockfile"])
        }
    }

    fn upgrade_arguments(&self, job: &Job<'_>, packages: &[String]) -> Result<Vec<String>> {
        if let Some(exact) = packages.iter().find(|package| package.contains("==")) {
            return Err(Error::input(format!(
                "yarn cannot move `{}` in its lock alone; a name without a version is allowed",
                text::visible(exact)
            ))
            .hint("write the version into package.json and run `mwp lock`"));
        }
        let mut arguments = match is_1(job)? {
            true => quietly(job, &["upgrade", "--ignore-scripts", "--no-progress"])?,
            false => quietly(job, &["up", "--recursive", "--mode=update-lockfile"])?,
        };
        arguments.extend(packages.iter().cloned());
        Ok(arguments)
    }

    /// From 2 on, a line each: `YN0004: │ NAME@npm:VERSION lists build scripts, but …`.
    fn scripts_not_run(&self, output: &str) -> (Vec<String>, &'static str) {
        let lines = output.lines().filter_map(|line| line.split_once(" lists build scripts, but "));
        let names = lines.filter_map(|(line, _)| {
            let package = line.split_whitespace().find(|word| word.contains('@'))?;
            Some(package.replacen("@npm:", "@", 1))
        });
        (names.collect(), "`enableScripts` in .yarnrc.yml")
    }

    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<String>> {
        match is_1(job)? {
            true => {
                let mut arguments = vec!["install", "--frozen-lockfile", "--no-progress", "--prefer-offline"];
                // It takes a package in a directory for the one that it has copied before.
                if packages(job.scope.dir)?.iter().any(|package| !package.local_paths().is_empty()) {
                    arguments.push("--force");
                }
                quietly(job, &arguments)
            }
            false => quietly(job, &["install", "--immutable"]),
        }
    }
}

fn is_1(job: &Job<'_>) -> Result<bool> {
    Ok(job.scope.tools.require("yarn")?.version.starts_with("1."))
}

fn quietly(job: &Job<'_>, arguments: &[&str]) -> Result<Vec<String>> {
    let mut arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    if is_1(job)? {
        arguments.push("--non-interactive".to_owned());
        arguments.extend(job.offline.then(|| "--offline".to_owned()));
    }
    Ok(arguments)
}

/// What the package asks for and no entry is for.
fn unlocked(package: &Package, packages: &[Package], entries: &[Entry]) -> Option<String> {
    let resolutions = packages[0].resolutions();
    let is_locked = |name: &str, range: &str| {
        let is_path = ["file:", "link:", "portal:"].iter().any(|start| range.starts_with(start));
        // Resolutions are written in other words, and so are some protocols.
        let is_free = resolutions.contains(&name) || range.contains([':', '/']) && !is_path;
        let is_range = |locked: &str| {
            is_free
                || locked == range
                || locked.strip_prefix("npm:") == Some(range)
                || locked.strip_prefix(range).is_some_and(|place| place.starts_with("::"))
        };
        let patterns = entries.iter().flat_map(|entry| &entry.patterns);
        let mut ranges = patterns.filter_map(|pattern| pattern.strip_prefix(name)?.strip_prefix('@'));
        ranges.any(is_range)
    };
    let is_exempt = |table: &str, name: &str, range: &str| {
        // Peers are nobody's to install, and yarn 1 does not lock links.
        table == "peerDependencies"
            || range.starts_with("link:")
            || packages.iter().any(|other| other.dir.ends_with(name))
    };
    let requirements = package.requirements();
    let missing = requirements
        .iter()
        .find(|((table, name), range)| !is_exempt(table, name, range) && !is_locked(name, range));
    missing.map(|((table, name), range)| {
        format!("`{table}` has `{}` {}", text::visible(name), text::visible(range))
    })
}

/// What later yarns have of a package of the workspace and it does not say, or the other way round.
fn other_in_workspace(package: &Package, entries: &[Entry]) -> Option<String> {
    let place = if package.dir == Path::new("") { ".".into() } else { package.dir.to_string_lossy() };
    let own = format!("@workspace:{place}");
    let wanted = package.requirements().into_keys().filter(|(table, _)| *table != "peerDependencies");
    other_needs(entries, |pattern| pattern.ends_with(&own), &wanted.map(|(_, name)| name).collect())
}

/// The same of a package in a directory that the package names.
fn other_in_directory(dir: &Path, package: &Package, path: &Path, entries: &[Entry]) -> Option<String> {
    let local = Package::beside(dir, path)?;
    let is_it = |pattern: &str| {
        let place = pattern.rsplit_once("@file:").map(|(_, place)| place.split("::").next().unwrap_or(place));
        place.is_some_and(|place| plain(&package.dir.join(place)) == path)
    };
    other_needs(entries, is_it, &local.needs())
}

/// How the entry of such a pattern differs from what is needed; `None` as well where there is none.
fn other_needs(entries: &[Entry], is_it: impl Fn(&str) -> bool, needed: &BTreeSet<String>) -> Option<String> {
    let entry = entries.iter().find(|entry| entry.patterns.iter().any(|pattern| is_it(pattern)))?;
    let name = entry.dependencies.symmetric_difference(needed).next()?;
    Some(format!("of `{}` they say different things", text::visible(name)))
}

struct Entry {
    /// `NAME@RANGE`
    patterns: Vec<String>,
    version: String,
    /// The names of what it needs.
    dependencies: BTreeSet<String>,
}

/// yarn 1 has a form of its own, later ones have YAML, and both start an entry with `"NAME@RANGE, NAME@RANGE":` or
/// without the quotes.
fn entries(lock: &str) -> impl Iterator<Item = Entry> + '_ {
    let mut lines = lock.lines().peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let Some(head) = line.strip_suffix(':').filter(|_| !line.starts_with([' ', '#'])) else {
                continue;
            };
            let patterns =
                head.split(',').map(|pattern| pattern.trim().trim_matches('"').to_owned()).collect();
            let (mut version, mut dependencies, mut is_among) = (String::new(), BTreeSet::new(), false);
            while let Some(line) = lines.next_if(|line| line.starts_with(' ')) {
                let field = line.strip_prefix("  version").map(|rest| rest.trim_start_matches(':').trim());
                if let Some(value) = field {
                    value.trim_matches('"').clone_into(&mut version);
                }
                match line.strip_prefix("    ") {
                    Some(needed) if is_among && !needed.starts_with(' ') => {
                        let name = match needed.strip_prefix('"') {
                            Some(quoted) => quoted.split('"').next(),
                            None => needed.split([' ', ':']).next(),
                        };
                        dependencies.extend(name.map(str::to_owned));
                    }
                    Some(_) => {}
                    None => is_among = matches!(line.trim(), "dependencies:" | "optionalDependencies:"),
                }
            }
            return Some(Entry { patterns, version, dependencies });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_were_not_run_are_known() {
        let said = "➤ YN0000: ┌ Link step\n➤ YN0004: │ @a/b@npm:1.0.0 [5a53b] lists build scripts, but all build \
                    scripts have been disabled.\n➤ YN0000: └ Completed\n";
        assert_eq!(Yarn.scripts_not_run(said).0, ["@a/b@1.0.0"]);
    }

    #[test]
    fn both_forms_of_a_lock_are_read() {
        let one = "# yarn lockfile v1\n\n\"@a/b@^1.0\", \"@a/b@^1.1\":\n  version \"1.2.0\"\n  resolved \"x\"\n\nc@~2:\n  version \"2.0.1\"\n  dependencies:\n    d \"1\"\n";
        let later = "__metadata:\n  version: 8\n\n\"@a/b@npm:^1.0, @a/b@npm:^1.1\":\n  version: 1.2.0\n\n\"c@npm:~2\":\n  version: 2.0.1\n";
        for lock in [one, later] {
            let locked = Yarn.locked(lock);
            assert_eq!(locked.get("@a/b").map(String::as_str), Some("1.2.0"), "{locked:?}");
            assert_eq!(locked.get("c").map(String::as_str), Some("2.0.1"), "{locked:?}");
        }
    }
}
