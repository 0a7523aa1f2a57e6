//! Pins every requirement: requirements-to-freeze.txt → requirements3.txt and pylock.toml.

use std::path::Path;

use super::plugin::Plugin;
use super::{FILES, LOCK, SOURCES, WANTED};
use crate::error::Result;
use crate::fs;
use crate::graph::{Action, Job, LockCheck, Reads, Scope, Upgrade};
use crate::python::{Change, PyLock, Requirements, Verdict, canonical_name};
use crate::text;

#[derive(Debug)]
pub(in crate::action) struct Freeze;

impl Action for Freeze {
    fn name(&self) -> &str {
        "python-freeze"
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec![LOCK.to_owned(), FILES.to_owned()]
    }

    fn reads(&self, scope: &Scope<'_>) -> Result<Reads> {
        let mut reads = Plugin::of(scope, false).freeze_reads()?;
        reads.optional_inputs = vec![WANTED.to_owned(), format!("{SOURCES}/override")];
        Ok(reads)
    }

    fn makes_lock(&self) -> bool {
        true
    }

    fn check_lock(&self, scope: &Scope<'_>) -> Result<LockCheck> {
        let why = match Plugin::of(scope, false).verdict()? {
            Some(Verdict::Fits) => return Ok(LockCheck::Fits),
            Some(verdict @ Verdict::NoFiles) => return Ok(LockCheck::Incomplete(vec![verdict.to_string()])),
            Some(verdict) => verdict.to_string(),
            None => format!("the output `{LOCK}` is gone"),
        };
        Ok(LockCheck::Stale(vec![why]))
    }

    fn refuses(&self, scope: &Scope<'_>) -> Result<()> {
        PyLock::read(&scope.dir.join(SOURCES)).map(drop)
    }

    fn programs(&self) -> Vec<String> {
        vec!["python3".to_owned()]
    }

    fn locks(&self, scope: &Scope<'_>, package: &str) -> Result<bool> {
        let name = canonical_name(package);
        let lock = fs::read_text_optional(&scope.dir.join(LOCK))?.unwrap_or_default();
        let wanted = fs::read_text_optional(&scope.dir.join(WANTED))?.unwrap_or_default();
        let lines = [lock, wanted].map(|text| Requirements::parse(&text).lines);
        Ok(lines.iter().flatten().any(|line| line.name().as_deref() == Some(&name)))
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let plugin = Plugin::of(&job.scope, job.offline);
        let (is_foreign, verdict) = (plugin.has_foreign_lock()?, plugin.verdict()?);
        let report = job.report;
        let frozen = plugin.freeze(job.upgrade, job.staging, &mut job.log, &|line| report.line(line));
        let frozen = match frozen {
            // The lock is good as it is; without a network it goes on working.
            Err(error)
                if verdict == Some(Verdict::NoFiles)
                    && *job.upgrade == Upgrade::Nothing
                    && !crate::process::is_interrupted() =>
            {
                report.warn(&format!(
                    "no `{FILES}` could be made, so that the wheels are not checked: {error}"
                ));
                return Ok(());
            }
            frozen => frozen?,
        };
        if let Some(verdict) = verdict.filter(|_| is_foreign && !frozen.changes.is_empty()) {
            report.warn(&format!(
                "{} was made by another tool, and {verdict}; its other pins stay",
                text::path(&job.scope.dir.join(LOCK))
            ));
        }
        if let Some(pin) = frozen.partial.first() {
            let pin = text::visible(&format!("{}=={}", pin.name, pin.version));
            let others = match frozen.partial.len() - 1 {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            report.warn(&format!(
                "without a network, `{FILES}` names the files for this machine alone of `{pin}`{others}; with one, \
                 `mwp lock --upgrade-package {pin}` completes it"
            ));
        }
        report.changes(&frozen.changes.iter().map(Change::to_string).collect::<Vec<_>>());
        fs::create_dir_all(&job.staging.join(SOURCES))?;
        for (path, content) in [(LOCK, &frozen.lock), (FILES, &frozen.files.render())] {
            let staged = job.staging.join(path);
            fs::write_atomic(&staged, content.as_bytes())?;
            fs::set_mode(&staged, 0o644)?;
        }
        Ok(())
    }
}
