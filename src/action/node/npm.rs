//! npm.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::manager::Manager;
use super::package::{Package, read_json, requirements};
use crate::error::Result;
use crate::fs;
use crate::graph::{Job, LockCheck};
use crate::text;

#[derive(Debug)]
pub(in crate::action) struct Npm;

impl Manager for Npm {
    fn name(&self) -> &'static str {
        "npm"
    }

    fn lock_action(&self) -> &'static str {
        "npm-lock"
    }

    fn modules_action(&self) -> &'static str {
        "npm-modules"
    }

    /// A shrinkwrap goes before the other, as npm has it.
    fn lock_file(&self, dir: &Path) -> &'static str {
        if fs::exists(&dir.join("npm-shrinkwrap.json")) { "npm-shrinkwrap.json" } else { "package-lock.json" }
    }

    fn settings(&self) -> &'static [&'static str] {
        &[".npmrc"]
    }

    /// The lock repeats what was asked for, package by package; one of version 1 has the names alone.
    fn check_lock(&self, dir: &Path, packages: &[Package]) -> Result<LockCheck> {
        let file = self.lock_file(dir);
        let Ok(Some(lock)) = read_json(&dir.join(file)) else {
            return Ok(LockCheck::Stale(vec![format!("`{file}` is no valid JSON")]));
        };
        for package in packages {
            let manifest = package.dir.join("package.json").display().to_string();
            let stale = |what: String| {
                let manifest = text::visible(&manifest);
                Ok(LockCheck::Stale(vec![format!("{manifest} is not what {file} was made from: {what}")]))
            };
            let wanted = package.requirements();
            let Some(entries) = lock.get("packages").and_then(Value::as_object) else {
                let locked = lock.get("dependencies").and_then(Value::as_object);
                let is_locked = |name: &str| locked.is_some_and(|locked| locked.contains_key(name));
                let missing =
                    wanted.keys().find(|(table, name)| *table != "peerDependencies" && !is_locked(name));
                match missing {
                    Some((table, name)) => return stale(format!("`{table}` has `{}`", text::visible(name))),
                    None => continue,
                }
            };
            let Some(entry) = entries.get(package.dir.to_string_lossy().as_ref()) else {
                return stale("the lock does not know it".to_owned());
            };
            let locked = requirements(entry);
            let changed = wanted.iter().find(|(key, range)| locked.get(*key) != Some(*range));
            let removed = locked.iter().find(|(key, _)| !wanted.contains_key(*key));
            if let Some(((table, name), range)) = changed.or(removed) {
                return stale(format!("`{table}` has `{}` {}", text::visible(name), text::visible(range)));
            }
        }
        Ok(LockCheck::Fits)
    }

    fn locked(&self, lock: &str) -> BTreeMap<String, String> {
        let lock: Value = serde_json::from_str(lock).unwrap_or_default();
        let mut locked = BTreeMap::new();
        let version = |entry: &Value| entry.get("version").and_then(Value::as_str).map(str::to_owned);
        let mut add = |name: &str, is_nested: bool, version: String| {
            let key = if is_nested { format!("{name}@{version}") } else { name.to_owned() };
            locked.insert(key, version);
        };
        if let Some(entries) = lock.get("packages").and_then(Value::as_object) {
            for (key, entry) in entries {
                let Some((above, name)) = key.rsplit_once("node_modules/") else { continue };
                if let Some(version) = version(entry) {
                    add(name, !above.is_empty(), version);
                }
            }
            return locked;
        }
        for (name, entry) in lock.get("dependencies").and_then(Value::as_object).into_iter().flatten() {
            if let Some(version) = version(entry) {
                add(name, false, version);
            }
        }
        locked
    }

    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<String>> {
        Ok(quietly(job, &["install", "--package-lock-only", "--ignore-scripts"]))
    }

    fn upgrade_arguments(&self, job: &Job<'_>, packages: &[String]) -> Result<Vec<String>> {
        let verb = if packages.iter().any(|package| package.contains("==")) { "install" } else { "update" };
        let mut arguments = quietly(job, &[verb, "--package-lock-only", "--ignore-scripts"]);
        arguments.extend(packages.iter().map(|package| package.replacen("==", "@", 1)));
        Ok(arguments)
    }

    fn first_install_arguments(&self, job: &Job<'_>) -> Option<Vec<String>> {
        // As making a lock does, whatever the settings say.
        Some(quietly(job, &["install", "--package-lock"]))
    }

    /// From 12 on; those before run them, and say that they will not.
    fn scripts_not_run(&self, output: &str) -> (Vec<String>, &'static str) {
        let lines = output.lines().filter_map(|line| line.strip_prefix("npm warn install-scripts "));
        let list = lines.skip_while(|line| !line.contains(" blocked ")).skip(1);
        let packages = list.map_while(|line| line.strip_prefix("  "));
        let names = packages.filter_map(|line| line.split_once(" (").map(|(name, _)| name.to_owned()));
        (names.collect(), "`npm install-scripts approve`")
    }

    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<String>> {
        Ok(quietly(job, &["ci", "--prefer-offline"]))
    }
}

fn quietly(job: &Job<'_>, arguments: &[&str]) -> Vec<String> {
    let offline = job.offline.then_some("--offline");
    arguments.iter().copied().chain(["--no-progress"]).chain(offline).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_were_blocked_are_known_and_those_that_ran_are_not() {
        let said = |verb: &str| {
            format!(
                "added 3 packages in 1s\nnpm warn install-scripts 2 packages {verb} covered by allowScripts:\n\
                 npm warn install-scripts   esbuild@0.21.5 (postinstall: node install.js)\n\
                 npm warn install-scripts   @a/b@1.0.0 (install: node-gyp rebuild)\nnpm warn install-scripts\n\
                 npm warn install-scripts Run `npm install-scripts ls` to review\n"
            )
        };
        let (blocked, _) = Npm.scripts_not_run(&said("had install scripts blocked because they are not"));
        assert_eq!(blocked, ["esbuild@0.21.5", "@a/b@1.0.0"]);
        assert_eq!(Npm.scripts_not_run(&said("have install scripts not yet")).0, [""; 0]);
    }
}
