//! npm.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest as _, Sha512};

use super::manager::Manager;
use super::package::{Package, plain, read_json, requirements};
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
        let changed = lock.get("packages").and_then(Value::as_object).and_then(|entries| {
            changed_package(dir, entries, packages)
                .or_else(|| changed_file(dir, entries).map(|(_, path)| path))
                .or_else(|| other_than_overridden(entries, packages))
        });
        Ok(match changed {
            Some(what) => {
                LockCheck::Stale(vec![format!("{} is not what {file} was made from", text::visible(&what))])
            }
            None => LockCheck::Fits,
        })
    }

    /// npm takes a file for the one that it was, as long as the lock says so.
    fn forget_changed(&self, lock: &Path, dir: &Path) -> Result<()> {
        let Ok(Some(mut content)) = read_json(lock) else { return Ok(()) };
        let Some(entries) = content.get_mut("packages").and_then(Value::as_object_mut) else { return Ok(()) };
        let mut is_other = false;
        while let Some((key, _)) = changed_file(dir, entries) {
            entries.remove(&key);
            is_other = true;
        }
        if is_other { write_lock(lock, &content) } else { Ok(()) }
    }

    /// npm looks for the file of an override beside the package that it has in the lock, and finds it where it reads
    /// that package anew.
    fn loosen(&self, lock: &Path, package: &Package) -> Result<bool> {
        let names = package.overridden_by_files();
        let Ok(Some(mut content)) = read_json(lock) else { return Ok(false) };
        let Some(entries) = content.get_mut("packages").and_then(Value::as_object_mut) else {
            return Ok(false);
        };
        let before = entries.len();
        entries.retain(|key, entry| {
            let name = key.rsplit_once("node_modules/").map(|(_, name)| name);
            let needs = requirements(entry).into_keys().any(|(_, needed)| names.contains(&needed));
            name.is_none_or(|name| !names.contains(name) && !needs)
        });
        let is_other = entries.len() < before;
        if is_other {
            write_lock(lock, &content)?;
        }
        Ok(is_other)
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

type Entries = serde_json::Map<String, Value>;

fn write_lock(lock: &Path, content: &Value) -> Result<()> {
    fs::write_atomic(lock, format!("{content:#}\n").as_bytes())
}

/// A package in a directory that needs others than the lock says.
fn changed_package(dir: &Path, entries: &Entries, packages: &[Package]) -> Option<String> {
    let is_member = |key: &str| packages.iter().any(|package| package.dir == Path::new(key));
    let mut beside = entries.iter().filter(|(key, _)| !key.contains("node_modules/") && !is_member(key));
    beside.find_map(|(key, entry)| {
        let package = Package::beside(dir, Path::new(key))?;
        let for_others = |all: BTreeMap<(&'static str, String), String>| -> BTreeMap<_, _> {
            all.into_iter().filter(|((table, _), _)| *table != "devDependencies").collect()
        };
        let differs = for_others(package.requirements()) != for_others(requirements(entry));
        differs.then(|| format!("{key}/package.json"))
    })
}

/// The entry of an archive in the plugin that is another file now, and its path.
fn changed_file(dir: &Path, entries: &Entries) -> Option<(String, String)> {
    entries.iter().find_map(|(key, entry)| {
        let path = entry.get("resolved")?.as_str()?.strip_prefix("file:")?;
        let locked = entry.get("integrity")?.as_str()?.strip_prefix("sha512-")?;
        let file = dir.join(path);
        let content = file.is_file().then(|| fs::read(&file).ok())??;
        let found = base64::engine::general_purpose::STANDARD.encode(Sha512::digest(&content));
        (found != locked).then(|| (key.clone(), path.to_owned()))
    })
}

/// An override whose package the lock has in another version, or from another file.
fn other_than_overridden(entries: &Entries, packages: &[Package]) -> Option<String> {
    let is_other = |name: &str, wanted: &str| {
        let of_name = |key: &str| key.rsplit_once("node_modules/").is_some_and(|(_, locked)| locked == name);
        // Aliases and what comes in another package are as they are.
        let is_own = |entry: &Value| entry.get("name").is_none() && entry.get("inBundle").is_none();
        entries.iter().filter(|(key, entry)| of_name(key) && is_own(entry)).any(|(_, entry)| {
            let text = |field: &str| entry.get(field).and_then(Value::as_str);
            match wanted.strip_prefix("file:") {
                Some(path) => text("resolved")
                    .and_then(|locked| locked.strip_prefix("file:"))
                    .is_some_and(|locked| plain(Path::new(locked)) != plain(Path::new(path))),
                None => is_exact(wanted) && text("version").is_some_and(|locked| locked != wanted),
            }
        })
    };
    let mut overrides = packages.first()?.plain_overrides();
    let (name, wanted) = overrides.find(|(name, wanted)| is_other(name, wanted))?;
    Some(format!("the override of `{name}`, {wanted},"))
}

/// `1.2.3`
fn is_exact(version: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    version.split('.').count() == 3 && version.split('.').all(is_number)
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
