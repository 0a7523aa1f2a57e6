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
        let patterns: BTreeSet<&str> =
            entries.iter().flat_map(|entry| &entry.patterns).map(String::as_str).collect();
        for package in packages {
            let manifest = package.dir.join("package.json").display().to_string();
            let stale = |manifest: &str, what: String| {
                let manifest = text::visible(manifest);
                Ok(LockCheck::Stale(vec![format!("{manifest} is not what {LOCK} was made from: {what}")]))
            };
            let requirements = package.requirements();
            for ((table, name), range) in &requirements {
                // Peers are nobody's to install; resolutions are written in other words, and so are some protocols.
                let is_path = ["file:", "link:", "portal:"].iter().any(|start| range.starts_with(start));
                let is_odd = (range.contains([':', '/']) && !is_path)
                    || packages[0].resolutions().contains(&name.as_str());
                let is_told = *table == "peerDependencies"
                    // yarn 1 does not lock links.
                    || range.starts_with("link:")
                    || packages.iter().any(|other| other.dir.ends_with(name))
                    || patterns.contains(format!("{name}@npm:{range}").as_str())
                    || patterns.iter().filter_map(|pattern| pattern.strip_prefix(name.as_str())).any(
                        |rest| {
                            rest.strip_prefix('@').is_some_and(|rest| {
                                is_odd
                                    || rest == range
                                    || rest.strip_prefix(range).is_some_and(|rest| rest.starts_with("::"))
                            })
                        },
                    );
                if !is_told {
                    return stale(
                        &manifest,
                        format!("`{table}` has `{}` {}", text::visible(name), text::visible(range)),
                    );
                }
            }
            let own = format!(
                "@workspace:{}",
                if package.dir == Path::new("") { ".".into() } else { package.dir.to_string_lossy() }
            );
            let locked =
                entries.iter().find(|entry| entry.patterns.iter().any(|pattern| pattern.ends_with(&own)));
            let wanted = requirements.into_keys().filter(|(table, _)| *table != "peerDependencies");
            let wanted: BTreeSet<String> = wanted.map(|(_, name)| name).collect();
            if let Some(name) =
                locked.and_then(|locked| locked.dependencies.symmetric_difference(&wanted).next())
            {
                return stale(&manifest, format!("of `{}` they say different things", text::visible(name)));
            }
            for path in package.local_paths() {
                let Some(local) = Package::beside(dir, &path) else { continue };
                let is_it = |pattern: &String| {
                    let place = pattern
                        .rsplit_once("@file:")
                        .map(|(_, place)| place.split("::").next().unwrap_or(place));
                    place.is_some_and(|place| plain(&package.dir.join(place)) == path)
                };
                let Some(locked) = entries.iter().find(|entry| entry.patterns.iter().any(is_it)) else {
                    continue;
                };
                if let Some(name) = locked.dependencies.symmetric_difference(&local.needs()).next() {
                    let manifest = path.join("package.json").display().to_string();
                    return stale(
                        &manifest,
                        format!("of `{}` they say different things", text::visible(name)),
                    );
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
