//! Locks every dependency: package.json → the package manager's lock.

use std::path::Path;

use super::failure::failure;
use super::manager::{Manager, is_in_place, program, work_dir};
use crate::error::Result;
use crate::fs;
use crate::graph::{Action, Job, LockCheck, Reads, Scope};

#[derive(Debug)]
pub(in crate::action) struct Lock(pub(in crate::action) &'static dyn Manager);

impl Action for Lock {
    fn name(&self) -> &str {
        self.0.lock_action()
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec![self.0.lock_file().to_owned()]
    }

    fn reads(&self, _: &Scope<'_>) -> Result<Reads> {
        Ok(Reads {
            inputs: vec!["package.json".to_owned()],
            optional_inputs: self.0.settings().iter().map(|name| (*name).to_owned()).collect(),
            ..Reads::default()
        })
    }

    fn makes_lock(&self) -> bool {
        true
    }

    fn check_lock(&self, scope: &Scope<'_>) -> Result<LockCheck> {
        self.0.check_lock(scope)
    }

    /// Makes a lock from copies of the settings, so that nothing but the lock changes.
    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let dir = work_dir(self.0, job)?;
        let finished = job.run(&program(self.0, job, &dir)?.arguments(self.0.lock_arguments(job)?))?;
        if !finished.succeeded() {
            return Err(failure(self.0.name(), "lock the dependencies", &finished));
        }
        if is_in_place(job, &dir)? {
            return Ok(());
        }
        fs::rename(&dir.join(self.0.lock_file()), &job.staging.join(self.0.lock_file()))
    }
}
