//! npm.

use super::manager::Manager;
use super::package::{LOCKED_KEYS, Package, entries, read_json};
use crate::error::Result;
use crate::graph::{Job, LockCheck, Scope};
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

    fn lock_file(&self) -> &'static str {
        "package-lock.json"
    }

    fn settings(&self) -> &'static [&'static str] {
        &[".npmrc"]
    }

    /// A package-lock.json fits when it repeats what package.json asks for.
    fn check_lock(&self, scope: &Scope<'_>) -> Result<LockCheck> {
        let Some(package) = Package::read(scope.dir)? else { return Ok(LockCheck::Untold) };
        let stale = |text: String| Ok(LockCheck::Stale(vec![text]));
        let Ok(Some(lock)) = read_json(&scope.dir.join(self.lock_file())) else {
            return stale("the output `package-lock.json` is gone".to_owned());
        };
        let Some(root) = lock.get("packages").and_then(|all| all.get("")) else {
            // Written by npm 6 or before: it does not repeat what was asked for, npm itself has to judge.
            return Ok(LockCheck::Fits);
        };
        for key in LOCKED_KEYS {
            let (wanted, locked) = (package.entries(key), entries(root, key));
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
        Ok(LockCheck::Fits)
    }

    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>> {
        let mut arguments = vec!["install", "--package-lock-only", "--ignore-scripts", "--no-progress"];
        arguments.extend(job.offline.then_some("--offline"));
        Ok(arguments)
    }

    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>> {
        let mut arguments = vec!["ci", "--no-progress", "--prefer-offline"];
        arguments.extend(job.offline.then_some("--offline"));
        Ok(arguments)
    }
}
