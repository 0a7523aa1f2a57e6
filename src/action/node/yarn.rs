//! yarn, 1 and later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::manager::Manager;
use super::package::Package;
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

    /// Each `NAME@RANGE` that is asked for is an entry of the lock.
    fn check_lock(&self, dir: &Path, packages: &[Package]) -> Result<LockCheck> {
        let content = fs::read_text(&dir.join(LOCK))?;
        let entries: BTreeSet<String> = entries(&content).flat_map(|(patterns, _)| patterns).collect();
        let name_of = |entry: &'_ String| {
            let range = entry.char_indices().skip(1).find(|(_, character)| *character == '@');
            range.map(|(at, _)| entry[..at].to_owned())
        };
        let names: BTreeSet<String> = entries.iter().filter_map(name_of).collect();
        for package in packages {
            for ((table, name), range) in package.requirements() {
                // Peers are nobody's to install, and yarn 1 does not lock links. Resolutions and protocols are written in
                // other words.
                let is_other = range.contains(':') || packages[0].resolutions().contains(&name.as_str());
                let is_told = table == "peerDependencies"
                    || range.starts_with("link:")
                    || packages.iter().any(|other| other.dir.ends_with(&name))
                    || is_other && names.contains(&name)
                    || entries.contains(&format!("{name}@{range}"))
                    || entries.contains(&format!("{name}@npm:{range}"));
                if !is_told {
                    return Ok(LockCheck::Stale(vec![format!(
                        "{} is not what {LOCK} was made from: `{table}` has `{}` {}",
                        text::visible(&package.dir.join("package.json").display().to_string()),
                        text::visible(&name),
                        text::visible(&range)
                    )]));
                }
            }
        }
        Ok(LockCheck::Fits)
    }

    fn locked(&self, lock: &str) -> BTreeMap<String, String> {
        let mut locked: BTreeMap<String, String> = BTreeMap::new();
        for (patterns, version) in entries(lock) {
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
            true => quietly(job, &["install", "--frozen-lockfile", "--no-progress", "--prefer-offline"]),
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

/// The patterns and the version of each entry; yarn 1 has a form of its own, later ones have YAML, and both start an
/// entry with `"NAME@RANGE, NAME@RANGE":` or without the quotes.
fn entries(lock: &str) -> impl Iterator<Item = (Vec<String>, String)> + '_ {
    let mut lines = lock.lines().peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let Some(head) = line.strip_suffix(':').filter(|_| !line.starts_with([' ', '#'])) else {
                continue;
            };
            let patterns =
                head.split(',').map(|pattern| pattern.trim().trim_matches('"').to_owned()).collect();
            let mut version = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(' ')) {
                let field = line.strip_prefix("  version").map(|rest| rest.trim_start_matches(':').trim());
                if let Some(value) = field {
                    value.trim_matches('"').clone_into(&mut version);
                }
            }
            return Some((patterns, version));
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
