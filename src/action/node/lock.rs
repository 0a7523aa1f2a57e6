//! Locks every dependency: package.json → the package manager's lock.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::failure;
use super::first_install;
use super::manager::{Manager, is_in_place, packages, program, reads, work_dir};
use super::package::Package;
use crate::error::{Error, Result};
use crate::fs;
use crate::graph::{Action, Job, LockCheck, Reads, Scope, Snapshot, Upgrade, upgraded_name};
use crate::text;

/// The locks of all package managers, that of the one which is taken first in each pair of two.
const LOCKS: [(&str, &str); 4] = [
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("npm-shrinkwrap.json", "npm"),
    ("package-lock.json", "npm"),
];

#[derive(Debug)]
pub(in crate::action) struct Lock(pub(in crate::action) &'static dyn Manager);

impl Action for Lock {
    fn name(&self) -> &str {
        self.0.lock_action()
    }

    fn outputs(&self, dir: &Path) -> Vec<String> {
        vec![self.0.lock_file(dir).to_owned()]
    }

    fn reads(&self, scope: &Scope<'_>) -> Result<Reads> {
        reads(self.0, scope)
    }

    fn makes_lock(&self) -> bool {
        true
    }

    fn check_lock(&self, scope: &Scope<'_>) -> Result<LockCheck> {
        let lock = self.0.lock_file(scope.dir);
        if !fs::exists(&scope.dir.join(lock)) {
            return Ok(LockCheck::Stale(vec![format!("the output `{lock}` is gone")]));
        }
        self.0.check_lock(scope.dir, &packages(scope.dir)?)
    }

    fn refuses(&self, scope: &Scope<'_>) -> Result<()> {
        packages(scope.dir).map(drop)
    }

    fn programs(&self) -> Vec<String> {
        vec![self.0.name().to_owned()]
    }

    fn locks(&self, scope: &Scope<'_>, package: &str) -> Result<bool> {
        let lock = fs::read_text_optional(&scope.dir.join(self.0.lock_file(scope.dir)))?.unwrap_or_default();
        let nested = format!("{package}@");
        let is_locked = self.0.locked(&lock).keys().any(|key| key == package || key.starts_with(&nested));
        let is_wanted = |one: &Package| one.requirements().keys().any(|(_, name)| name == package);
        Ok(is_locked || packages(scope.dir)?.iter().any(is_wanted))
    }

    /// That somebody else's lock is there as well, or another manager is asked for.
    fn drift(&self, scope: &Scope<'_>, _: &Snapshot) -> Result<Vec<String>> {
        ignored(self.0, scope.dir)
    }

    /// Makes a lock from copies of the settings, so that nothing but the lock changes. What still fits in the lock
    /// that is there stays.
    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        for warning in ignored(self.0, job.scope.dir)? {
            job.report.warn(&warning);
        }
        let dir = work_dir(self.0, job)?;
        let lock = dir.join(self.0.lock_file(job.scope.dir));
        let before = fs::read_optional(&lock)?;
        let is_installed = first_install::make(self.0, job, &dir)?;
        let result = if is_installed { Ok(()) } else { self.make(job, &dir, &lock) };
        if result.is_err() {
            match &before {
                Some(before) => fs::write_atomic(&lock, before)?,
                None => fs::remove_file(&lock)?,
            }
        }
        result?;
        let old = before.map(|lock| self.0.locked(&String::from_utf8_lossy(&lock))).unwrap_or_default();
        job.report.changes(&changes(&old, &self.0.locked(&fs::read_text(&lock)?)));
        if is_in_place(job, &dir)? {
            return Ok(());
        }
        fs::copy_file(&lock, &job.staging.join(self.0.lock_file(job.scope.dir)))?;
        if is_installed { first_install::leave(self.0, job, &dir) } else { Ok(()) }
    }
}

impl Lock {
    fn make(&self, job: &mut Job<'_>, dir: &Path, lock: &Path) -> Result<()> {
        let mut runs = Vec::new();
        if matches!(job.upgrade, Upgrade::Everything) || !fs::exists(lock) {
            self.0.start_lock(lock)?;
        } else {
            self.0.forget_changed(lock, job.scope.dir)?;
        }
        match job.upgrade {
            Upgrade::Nothing | Upgrade::Everything => runs.push(self.0.lock_arguments(job)?),
            Upgrade::Packages(wanted) => {
                for package in wanted {
                    if !self.locks(&job.scope, upgraded_name(package))? {
                        let name = text::visible(upgraded_name(package));
                        return Err(Error::usage(format!("the lock has no package `{name}`"))
                            .hint(format!("name a package of `{}`", self.0.lock_file(job.scope.dir))));
                    }
                }
                // Before and after, the lock has to say what package.json asks for.
                runs.push(self.0.lock_arguments(job)?);
                runs.push(self.0.upgrade_arguments(job, wanted)?);
                runs.push(self.0.lock_arguments(job)?);
            }
        }
        let manifest = fs::read(&dir.join("package.json"))?;
        for arguments in runs {
            let mut finished = job.run(&program(self.0, job, dir)?.arguments(&arguments));
            if finished.as_ref().is_ok_and(|finished| !finished.succeeded())
                && let Some(package) = Package::read(job.scope.dir)?
                && self.0.loosen(lock, &package)?
            {
                finished = job.run(&program(self.0, job, dir)?.arguments(&arguments));
            }
            // Upgrading to a version rewrites the range as well; that is the author's to do.
            if fs::read(&dir.join("package.json"))? != manifest {
                fs::write_atomic(&dir.join("package.json"), &manifest)?;
            }
            let finished = finished?;
            if !finished.succeeded() {
                return Err(failure(self.0.name(), "lock the dependencies", &finished));
            }
        }
        if fs::exists(lock) {
            return Ok(());
        }
        // With nothing to lock, some of them make none.
        match packages(job.scope.dir)?.iter().all(|package| package.requirements().is_empty()) {
            true => fs::write_atomic(lock, b""),
            false => Err(Error::machine(format!("{} succeeded without making its lock", self.0.name()))
                .hint(format!("its output is in {}", text::path(job.log.path())))),
        }
    }
}

/// The package manager of the plugin in `dir`: that of its lock, else the one that package.json asks for, else npm;
/// `None` where there is nothing to install. Of two locks that of the one asked for counts.
pub fn package_manager(dir: &Path) -> Result<Option<&'static str>> {
    let Some(package) = Package::read(dir)? else { return Ok(None) };
    let present: Vec<&'static str> =
        LOCKS.iter().filter(|(lock, _)| fs::exists(&dir.join(lock))).map(|(_, name)| *name).collect();
    let asked = package.manager();
    let asked = LOCKS.iter().map(|(_, name)| *name).find(|name| asked == Some(*name));
    let of_lock = asked.filter(|asked| present.contains(asked)).or(present.first().copied());
    Ok(Some(of_lock.or(asked).unwrap_or("npm")))
}

/// Locks of other managers beside the one that is taken, and another manager that package.json asks for.
fn ignored(manager: &dyn Manager, dir: &Path) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let taken = manager.lock_file(dir);
    for (other, _) in LOCKS.iter().filter(|(lock, name)| *lock != taken && *name != manager.name()) {
        if fs::exists(&dir.join(other)) {
            warnings.push(format!("`{taken}` is taken, and `{other}` is ignored: remove one of them"));
        }
    }
    if let Some(package) = Package::read(dir)?
        && let Some(asked) = package.manager().filter(|asked| *asked != manager.name())
    {
        warnings.push(format!(
            "`packageManager` of package.json asks for {}, and `{taken}` is that of {}, which is taken",
            text::visible(asked),
            manager.name()
        ));
    }
    Ok(warnings)
}

/// `+ name 1.0`, `~ name 1.0 → 1.1`, `- name 1.0`
fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| match (old.get(name), new.get(name)) {
        (None, Some(new)) => Some(format!("+ {name} {new}")),
        (Some(old), None) => Some(format!("- {name} {old}")),
        (Some(old), Some(new)) if old != new => Some(format!("~ {name} {old} → {new}")),
        _ => None,
    };
    names.into_iter().filter_map(change).map(|change| text::visible(&change)).collect()
}
