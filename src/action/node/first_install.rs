//! The first build: where no lock is there yet, one run of the package manager makes the lock and node_modules.
//!
//! To find out what there is to install is most of an installation. So the task of the lock lets the package manager
//! install, in its staging directory, and leaves the tree as a by-product to the task of node_modules. That one takes
//! it where it would have installed the same: the lock is still the one that came with it, and so is all else that
//! the package manager goes by. Else it installs from the lock, as it does with one that was there.
//!
//! npm makes the same tree both ways. pnpm does not: its first installation links other programs than one from the lock.

use std::path::{Path, PathBuf};

use super::failure::failure;
use super::manager::{Manager, is_in_place, program, user_settings, warn_of_scripts};
use crate::digest::{Digest, Hasher};
use crate::error::Result;
use crate::fs;
use crate::graph::{Job, Scope};

/// What the tree was made by, beside its lock; in the directory of the package manager.
const BASIS: &str = ".mwp-basis";

/// Makes the lock and the tree in `dir`. `false` where the lock is to be made alone: there is one to mend, the task that
/// installs is not part of this build, or an install script failed, which is for that task to tell.
pub(super) fn make(manager: &dyn Manager, job: &mut Job<'_>, dir: &Path) -> Result<bool> {
    let lock = dir.join(manager.lock_file(job.scope.dir));
    let is_first =
        !fs::exists(&lock) && job.dependents.contains(&manager.modules_action()) && !is_in_place(job, dir)?;
    let Some(arguments) = manager.first_install_arguments(job).filter(|_| is_first) else {
        return Ok(false);
    };
    fs::write_atomic(&dir.join(BASIS), basis(manager, &job.scope, dir)?.bytes())?;
    let finished = job.run(&program(manager, job, dir)?.arguments(arguments))?;
    if finished.succeeded() && fs::exists(&lock) {
        warn_of_scripts(manager, job, &finished.output);
        return Ok(true);
    }
    if !finished.succeeded() && !finished.output.to_ascii_lowercase().contains("command failed") {
        return Err(failure(manager.name(), "lock the dependencies", &finished));
    }
    // What is installed would steer what is locked.
    fs::remove_tree(&dir.join("node_modules"))?;
    Ok(false)
}

/// Leaves `dir`, with the lock and the tree, to the task that installs.
pub(super) fn leave(manager: &dyn Manager, job: &Job<'_>, dir: &Path) -> Result<()> {
    fs::create_dir_all(job.by_products)?;
    fs::rename(dir, &job.by_products.join(manager.name()))
}

/// The directory that was left, where its tree is what would be installed now.
pub(super) fn take(manager: &dyn Manager, job: &Job<'_>, dir: &Path) -> Result<Option<PathBuf>> {
    let left = job.by_products.join(manager.name());
    let Some(left_basis) = fs::read_optional(&left.join(BASIS))? else { return Ok(None) };
    let lock = manager.lock_file(job.scope.dir);
    let is_same = left_basis == basis(manager, &job.scope, dir)?.bytes()
        && fs::read_optional(&left.join(lock))? == fs::read_optional(&dir.join(lock))?;
    Ok(is_same.then_some(left))
}

/// The settings of the plugin, in `dir`, and those of the user and the machine. Programs and environment are the same
/// throughout a build.
fn basis(manager: &dyn Manager, scope: &Scope<'_>, dir: &Path) -> Result<Digest> {
    let mut hasher = Hasher::new();
    for name in ["package.json"].iter().chain(manager.settings()) {
        hasher.value(&fs::read_optional(&dir.join(name))?)?;
    }
    hasher.value(&user_settings(scope)?)?;
    Ok(hasher.finish())
}
