//! A wheel for every pin: requirements3.txt → src/.

use std::path::Path;

use super::plugin::Plugin;
use super::{FILES, LOCK, SOURCES, WHEELS};
use crate::artifact::Limits;
use crate::error::Result;
use crate::fs;
use crate::graph::{Action, Job, Reads, Scope};
use crate::python::{Wheel, virtualenv};

/// Looks at the wheels of the plugin in `directory` as an installation would: what it would refuse is refused. Returns
/// what people should know.
pub fn check_wheels(directory: &Path, limits: &Limits) -> Result<Vec<String>> {
    let lock = fs::read_text_optional(&directory.join(LOCK))?.unwrap_or_default();
    virtualenv::check(&Wheel::in_dir(&directory.join(WHEELS))?, &lock, limits)
}

#[derive(Debug)]
pub(in crate::action) struct Wheels;

impl Action for Wheels {
    fn name(&self) -> &str {
        "python-wheels"
    }

    fn version(&self) -> u32 {
        2
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec![WHEELS.to_owned()]
    }

    fn reads(&self, scope: &Scope<'_>) -> Result<Reads> {
        let mut reads = Plugin::of(scope, false).wheels_reads()?;
        reads.inputs = vec![LOCK.to_owned()];
        reads.optional_inputs = vec![
            FILES.to_owned(),
            format!("{SOURCES}/allow_binary_packages"),
            format!("{SOURCES}/build_constraint"),
        ];
        reads.tools = vec!["python3".to_owned()];
        Ok(reads)
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let into = job.staging.join(WHEELS);
        fs::create_dir_all(&into)?;
        let report = job.report;
        let plugin = Plugin::of(&job.scope, job.offline);
        plugin.wheels(job.store, &into, &mut job.log, &|line| report.line(line), &|text| report.warn(text))
    }
}
