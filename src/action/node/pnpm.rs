//! pnpm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::manager::Manager;
use super::package::{Package, overridden};
use crate::error::Result;
use crate::fs;
use crate::graph::{Job, LockCheck};
use crate::text;

const LOCK: &str = "pnpm-lock.yaml";

/// Where a lock has what a package requires.
const TABLES: [&str; 3] = ["dependencies", "devDependencies", "optionalDependencies"];

#[derive(Debug)]
pub(in crate::action) struct Pnpm;

impl Manager for Pnpm {
    fn name(&self) -> &'static str {
        "pnpm"
    }

    fn lock_action(&self) -> &'static str {
        "pnpm-lock"
    }

    fn modules_action(&self) -> &'static str {
        "pnpm-modules"
    }

    fn lock_file(&self, _: &Path) -> &'static str {
        LOCK
    }

    fn settings(&self) -> &'static [&'static str] {
        &[".npmrc", "pnpm-workspace.yaml"]
    }

    /// The lock repeats the ranges of each package; what it says in a form that is not known, pnpm itself checks when
    /// it installs.
    fn check_lock(&self, dir: &Path, packages: &[Package]) -> Result<LockCheck> {
        let Some(lock) = project_part(&fs::read_text(&dir.join(LOCK))?) else {
            return Ok(LockCheck::Stale(vec![format!("`{LOCK}` is no valid YAML")]));
        };
        let needs_nothing = packages.iter().all(|package| package.requirements().is_empty());
        if !lock.is_object() && !needs_nothing {
            return Ok(LockCheck::Stale(vec![format!("`{LOCK}` says nothing")]));
        }
        let overridden = overridden(lock.get("overrides"));
        for package in packages {
            let name = if package.dir == Path::new("") { ".".into() } else { package.dir.to_string_lossy() };
            let importer = match lock.get("importers") {
                Some(importers) => importers.get(name.as_ref()),
                None => Some(&lock).filter(|_| name == "."),
            };
            let manifest = text::visible(&package.dir.join("package.json").display().to_string());
            let stale = |what: String| {
                Ok(LockCheck::Stale(vec![format!("{manifest} is not what {LOCK} was made from: {what}")]))
            };
            let Some(importer) = importer else { return stale("the lock does not know it".to_owned()) };
            let specifiers = importer.get("specifiers");
            let requirements = package.requirements();
            let names = ["specifiers", "dependencies", "devDependencies", "optionalDependencies"];
            let locked = names.iter().filter_map(|table| importer.get(*table)?.as_object()).flatten();
            let is_wanted = |name: &str| requirements.keys().any(|(_, wanted)| wanted == name);
            if let Some((name, _)) = locked.into_iter().find(|(name, _)| !is_wanted(name)) {
                return stale(format!("it has no `{}`", text::visible(name)));
            }
            for ((table, name), range) in requirements {
                let locked = match specifiers {
                    Some(specifiers) => specifiers.get(&name),
                    None => importer
                        .get(table)
                        .and_then(|table| table.get(&name))
                        .and_then(|entry| entry.get("specifier")),
                };
                // What is overridden is in other words or gone; peers are there or not, and what is optional may be ignored.
                let is_free = overridden.contains(&name.as_str())
                    || matches!(table, "peerDependencies" | "optionalDependencies");
                let is_same = match locked.and_then(Value::as_str) {
                    Some(locked) => locked == range || overridden.contains(&name.as_str()),
                    // What is wanted twice is locked once.
                    None => {
                        is_free
                            || TABLES.into_iter().any(|table| {
                                importer.get(table).is_some_and(|table| table.get(&name).is_some())
                            })
                    }
                };
                if !is_same {
                    return stale(format!(
                        "`{table}` has `{}` {}",
                        text::visible(&name),
                        text::visible(&range)
                    ));
                }
            }
        }
        match changed_package(dir, &lock) {
            Some(manifest) => {
                let manifest = text::visible(&manifest);
                Ok(LockCheck::Stale(vec![format!("{manifest} is not what {LOCK} was made from")]))
            }
            None => Ok(LockCheck::Fits),
        }
    }

    fn locked(&self, lock: &str) -> BTreeMap<String, String> {
        let lock = project_part(lock).unwrap_or_default();
        let names = lock.get("packages").and_then(Value::as_object).into_iter().flatten();
        let mut locked: BTreeMap<String, String> = BTreeMap::new();
        for (key, _) in names {
            // `/name@1.0(peer@2)`, `name@1.0`
            let key = key.trim_start_matches('/').split('(').next().unwrap_or_default();
            let Some((name, version)) = key.rsplit_once('@').filter(|(name, _)| !name.is_empty()) else {
                continue;
            };
            let key = if locked.contains_key(name) { format!("{name}@{version}") } else { name.to_owned() };
            locked.insert(key, version.to_owned());
        }
        locked
    }

    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<String>> {
        Ok(quietly(job, &["install", "--lockfile-only", "--no-frozen-lockfile"]))
    }

    fn upgrade_arguments(&self, job: &Job<'_>, packages: &[String]) -> Result<Vec<String>> {
        let mut arguments = quietly(job, &["update", "--lockfile-only"]);
        arguments.extend(packages.iter().map(|package| package.replacen("==", "@", 1)));
        Ok(arguments)
    }

    /// Plain node knows node_modules alone. Programs find their packages from where they are: what pnpm writes into them
    /// beside that, NODE_PATH, are absolute paths of the directory in which it runs.
    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<String>> {
        let mut arguments = quietly(
            job,
            &["install", "--frozen-lockfile", "--prefer-offline", "--config.extend-node-path=false"],
        );
        // From 12 on, pnpm wants to write itself into a lock that it has not written, which `packageManager` names it for.
        let lock = fs::read_text_optional(&job.scope.dir.join(LOCK))?.unwrap_or_default();
        if !lock.contains("packageManagerDependencies:") {
            arguments.push("--config.pm-on-fail=ignore".to_owned());
        }
        let settings = fs::read_text_optional(&job.scope.dir.join(".npmrc"))?.unwrap_or_default();
        if settings.lines().any(|line| line.replace(' ', "") == "node-linker=pnp") {
            arguments.push("--config.node-linker=isolated".to_owned());
        }
        Ok(arguments)
    }

    fn install_version(&self) -> u32 {
        2
    }

    /// From 10 on, in a box; later ones fail with the same words.
    fn scripts_not_run(&self, output: &str) -> (Vec<String>, &'static str) {
        let words = output.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        let list = words.split_once("Ignored build scripts: ").map_or("", |(_, rest)| rest);
        let list = list.split(". ").next().unwrap_or_default().trim_end_matches('.');
        let names = list.split(", ").filter(|name| !name.is_empty()).map(str::to_owned);
        (names.collect(), "`pnpm approve-builds`")
    }

    /// Its note of when it looked at which packages; without one it looks again.
    fn forget_place(&self, modules: &Path) -> Result<()> {
        for file in fs::list(modules)? {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(".pnpm-workspace-state") {
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    }
}

/// What the lock says of the project: its last document. From version 12 on there is one before it, about pnpm itself.
fn project_part(lock: &str) -> Option<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(lock).map(Value::deserialize);
    documents.collect::<Result<Vec<_>, _>>().ok()?.pop()
}

/// A package in a directory that needs others than the lock says: pnpm itself would install without them.
fn changed_package(dir: &Path, lock: &Value) -> Option<String> {
    let table = |name: &str| lock.get(name).and_then(Value::as_object);
    let packages = table("packages")?;
    packages.iter().find_map(|(key, entry)| {
        let (_, path) = key.split('(').next()?.split_once("file:")?;
        let package = Package::beside(dir, Path::new(path))?;
        let mut snapshots = table("snapshots").into_iter().flatten();
        let snapshot =
            snapshots.find(|(other, _)| other.split('(').next() == Some(key)).map(|(_, entry)| entry);
        let needs = |name: &str| snapshot.unwrap_or(entry).get(name).and_then(Value::as_object);
        let locked = ["dependencies", "optionalDependencies"].into_iter().filter_map(needs).flatten();
        let locked: BTreeSet<String> = locked.map(|(name, _)| name.clone()).collect();
        // Peers that it found stand among them.
        let is_other = !package.needs().is_subset(&locked)
            || locked.iter().any(|name| !package.requirements().keys().any(|(_, wanted)| wanted == name));
        is_other.then(|| format!("{path}/package.json"))
    })
}

fn quietly(job: &Job<'_>, arguments: &[&str]) -> Vec<String> {
    let offline = job.offline.then_some("--offline");
    arguments.iter().copied().chain(["--reporter=append-only"]).chain(offline).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_that_were_not_run_are_known() {
        let said = "Done\n╭ Warning ──╮\n│            │\n│   Ignored build scripts: esbuild@0.21.5,   │\n\
                    │   @a/b@1.0.0.           │\n│   Run \"pnpm approve-builds\" to pick.    │\n╰───╯\n";
        assert_eq!(Pnpm.scripts_not_run(said).0, ["esbuild@0.21.5", "@a/b@1.0.0"]);
        assert_eq!(Pnpm.scripts_not_run("Done in 1 s.\n").0, [""; 0]);
    }

    const PROJECT: &str = "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        \
                           specifier: ^1.0.0\n        version: 1.2.0\npackages:\n  a@1.2.0: {}\n";

    #[test]
    fn a_lock_with_a_part_about_pnpm_itself_is_read_as_the_one_of_the_project() {
        let own = "---\nlockfileVersion: '9.0'\nimporters:\n  .:\n    configDependencies: {}\n    \
                   packageManagerDependencies:\n      pnpm:\n        specifier: 12.6.0\n        version: 12.6.0\n\
                   packages:\n  pnpm@12.6.0: {}\n---\n";
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            ("", "^1.0.0", true),
            (own, "^1.0.0", true),
            (own, "^1.1.0", false),
            ("", "^1.0.0\", \"b\": \"file:./b", false),
        ];
        for (before, range, fits) in cases {
            let lock = format!("{before}{PROJECT}");
            fs::write_atomic(&dir.path().join(LOCK), lock.as_bytes()).unwrap();
            let manifest =
                format!("{{\"packageManager\": \"pnpm@12.6.0\", \"dependencies\": {{\"a\": \"{range}\"}}}}");
            fs::write_atomic(&dir.path().join("package.json"), manifest.as_bytes()).unwrap();
            let packages = super::super::manager::packages(dir.path()).unwrap();
            let found = Pnpm.check_lock(dir.path(), &packages).unwrap();
            assert_eq!(found == LockCheck::Fits, fits, "{found:?}");
            fs::write_atomic(&dir.path().join(LOCK), b"").unwrap();
            assert_ne!(Pnpm.check_lock(dir.path(), &packages).unwrap(), LockCheck::Fits);
            assert_eq!(Pnpm.locked(&lock), BTreeMap::from([("a".to_owned(), "1.2.0".to_owned())]));
        }
    }
}
