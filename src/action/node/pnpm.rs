//! pnpm.

use super::manager::Manager;
use crate::error::Result;
use crate::graph::{Job, LockCheck, Scope};

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

    fn lock_file(&self) -> &'static str {
        "pnpm-lock.yaml"
    }

    fn settings(&self) -> &'static [&'static str] {
        &[".npmrc", "pnpm-workspace.yaml"]
    }

    /// pnpm checks its lock when it installs.
    fn check_lock(&self, _: &Scope<'_>) -> Result<LockCheck> {
        Ok(LockCheck::Untold)
    }

    fn lock_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>> {
        let mut arguments =
            vec!["install", "--lockfile-only", "--no-frozen-lockfile", "--reporter=append-only"];
        arguments.extend(job.offline.then_some("--offline"));
        Ok(arguments)
    }

    fn install_arguments(&self, job: &Job<'_>) -> Result<Vec<&'static str>> {
        let mut arguments =
            vec!["install", "--frozen-lockfile", "--prefer-offline", "--reporter=append-only"];
        arguments.extend(job.offline.then_some("--offline"));
        Ok(arguments)
    }
}
