//! The plugin is sound: label, format version and configuration.

use crate::error::Result;
use crate::graph::{Action, Job, Probe};
use crate::plugin::Plugin;

#[derive(Debug)]
pub(super) struct Check;

impl Action for Check {
    fn name(&self) -> &str {
        "check"
    }

    fn probe(&self) -> Option<Probe> {
        Some(|scope| Plugin::load(scope.dir, scope.site).map(drop))
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        Plugin::load(job.scope.dir, job.scope.site).map(drop)
    }
}
