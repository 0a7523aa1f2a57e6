//! The virtualenv of a plugin under development: src/ → local/.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{LOCK, WANTED, WHEELS};
use crate::artifact::Limits;
use crate::error::Result;
use crate::fs;
use crate::graph::{Action, Job, Reads, Scope, Snapshot};
use crate::python::{Interpreter, Line, Lock, Wheel, canonical_name, virtualenv};
use crate::text;

#[derive(Debug)]
pub(in crate::action) struct Virtualenv;

impl Action for Virtualenv {
    fn name(&self) -> &str {
        "python-virtualenv"
    }

    /// Since which file counts where two wheels bring the same.
    fn version(&self) -> u32 {
        2
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec!["local".to_owned()]
    }

    fn reads(&self, _: &Scope<'_>) -> Result<Reads> {
        Ok(Reads {
            inputs: vec![LOCK.to_owned()],
            tools: vec!["python3".to_owned()],
            // To make it from the wheels is faster than to unpack it from the cache.
            uncacheable: true,
            ..Reads::default()
        })
    }

    /// Files that a custom step put into local/ stay there.
    fn shares_outputs(&self) -> bool {
        true
    }

    fn owned(&self, scope: &Scope<'_>, output: &Path) -> Result<BTreeSet<PathBuf>> {
        virtualenv::owned_files(&scope.dir.join(output), output)
    }

    fn drift(&self, scope: &Scope<'_>, _: &Snapshot) -> Result<Vec<String>> {
        let lock = Lock::parse(&fs::read_text(&scope.dir.join(LOCK))?);
        let locked: BTreeSet<String> = lock.requirements.lines.iter().filter_map(Line::name).collect();
        // Lines whose name only pip knows: whatever is installed may be theirs.
        if lock.requirements.lines.iter().any(|line| matches!(line, Line::Opaque { name: None, .. })) {
            return Ok(Vec::new());
        }
        let mut added = Vec::new();
        for dist_info in virtualenv::installed(&scope.dir.join("local"))? {
            let stem =
                dist_info.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let (name, version) = stem.split_once('-').unwrap_or((&stem, ""));
            if !locked.contains(&canonical_name(name)) {
                added.push(format!("{name} {version}"));
            }
        }
        Ok(if added.is_empty() {
            Vec::new()
        } else {
            vec![format!(
                "local/ has drifted from its lock: {} installed and not in the lock; add to `{WANTED}`, or `mwp build --force` removes it",
                text::visible(&added.join(", "))
            )]
        })
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let interpreter = Interpreter::find(job.scope.tools)?;
        let lock = fs::read_text(&job.scope.dir.join(LOCK))?;
        let wheels = Wheel::in_dir(&job.scope.dir.join(WHEELS))?;
        let limits = Limits::of(job.scope.site)?;
        let made = virtualenv::create(&job.staging.join("local"), &interpreter, &wheels, &lock, &limits)?;
        made.warnings.iter().for_each(|warning| job.report.warn(warning));
        Ok(())
    }
}
