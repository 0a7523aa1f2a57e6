//! yarn, 1 and later.

use super::manager::Manager;
use crate::error::Result;
use crate::graph::{Job, LockCheck, Scope};

#[derive(Debug)]
pub(in crate::action) struct Yarn;

impl Yarn {
    fn is_1(job: &Job<'_>) -> Result<bool> {
        Ok(job.scope.tools.require("yarn")?.version.starts_with("1."))
    }
}

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

    fn lock_file(&self) -> &'static str {
        "yarn.lock"
    }

    fn settings(&self) -> &'static [&'static str] {
        &[".npmrc", ".yarnrc", ".yarnrc.yml"]
    }

    /// yarn checks its lock when it installs.
    fn check_lock(&self, _: &Scope<'_>) -> Result<LockCheck> {
        Ok(LockCheck::Untold)
    }

    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>> {
        if !Yarn::is_1(job)? {
            return Ok(vec!["install", "--mode=update-lockfile"]);
        }
        let mut arguments = vec!["install", "--ignore-scripts", "--non-interactive", "--no-progress"];
        arguments.extend(job.offline.then_some("--offline"));
        Ok(arguments)
    }

    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>> {
        if !Yarn::is_1(job)? {
            return Ok(vec!["install", "--immutable"]);
        }
        let mut arguments =
            vec!["install", "--frozen-lockfile", "--non-interactive", "--no-progress", "--prefer-offline"];
        arguments.extend(job.offline.then_some("--offline"));
        Ok(arguments)
    }
}
