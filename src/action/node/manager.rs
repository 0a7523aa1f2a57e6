//! What package managers have in common.

use std::fmt;
use std::path::{Path, PathBuf};

use super::package::Package;
use crate::error::{At, Result};
use crate::fs;
use crate::graph::{Job, LockCheck, Scope};
use crate::process::Program;
use crate::tools;

/// A package manager of Node.js.
pub(in crate::action) trait Manager: fmt::Debug + Send + Sync {
    /// The program.
    fn name(&self) -> &'static str;

    /// The names of its two actions.
    fn lock_action(&self) -> &'static str;
    fn modules_action(&self) -> &'static str;

    fn lock_file(&self) -> &'static str;

    /// Files beside package.json that tell it what to install and from where.
    fn settings(&self) -> &'static [&'static str];

    fn check_lock(&self, scope: &Scope<'_>) -> Result<LockCheck>;

    /// How it makes a lock and nothing else.
    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>>;

    /// How it installs what a lock says.
    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>>;
}

/// A package manager as a program, in `dir`.
pub(super) fn program(manager: &dyn Manager, job: &Job<'_>, dir: &Path) -> Result<Program> {
    let path = job.scope.tools.find(manager.name()).ok_or_else(|| tools::missing(manager.name()))?;
    Ok(Program::new(path, dir, &job.scope.site.environment)
        .set("npm_config_audit", "false")
        .set("npm_config_fund", "false")
        .set("npm_config_update_notifier", "false")
        .set("npm_config_yes", "false")
        .set("COREPACK_ENABLE_DOWNLOAD_PROMPT", "0")
        .set("YARN_ENABLE_TELEMETRY", "0"))
}

/// Where it runs: a copy of the settings in the staging directory, so that nothing but the result changes; the
/// plugin's own directory where it has to see more than those.
pub(super) fn work_dir(manager: &dyn Manager, job: &Job<'_>) -> Result<PathBuf> {
    if Package::read(job.scope.dir)?.is_some_and(|package| package.sees_more_than_settings(job.scope.dir)) {
        return job.scope.absolute_dir();
    }
    let dir = std::fs::canonicalize(job.staging).at("read", job.staging)?.join("node");
    fs::create_dir_all(&dir)?;
    for name in ["package.json", manager.lock_file()].iter().chain(manager.settings()) {
        let file = job.scope.dir.join(name);
        if file.is_file() {
            fs::copy_file(&file, &dir.join(name))?;
        }
    }
    Ok(dir)
}

pub(super) fn is_in_place(job: &Job<'_>, dir: &Path) -> Result<bool> {
    Ok(job.scope.absolute_dir()? == dir)
}
