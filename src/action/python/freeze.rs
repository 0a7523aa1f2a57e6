//! Pins every requirement: requirements-to-freeze.txt → requirements3.txt.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{LOCK, SOURCES, WANTED, resolver};
use crate::digest::Digest;
use crate::env;
use crate::error::{Fault, Result};
use crate::fs;
use crate::graph::{Action, Job, LockCheck, Reads, Scope};
use crate::python::{Line, Lock, Pin, Requirements, Verdict};
use crate::text;

/// The requirements rewritten for a resolver, while that runs. `clean` removes it, and a release leaves it out.
const FOR_TOOLS: &str = "requirements-to-freeze.tmp";

const HINT_OVERRIDE: &str = "the layers' own packages are constraints; make an empty file `python3_virtualenv_sources/override` to override them";

#[derive(Debug)]
pub(in crate::action) struct Freeze;

impl Action for Freeze {
    fn name(&self) -> &str {
        "python-freeze"
    }

    fn outputs(&self, _: &Path) -> Vec<String> {
        vec![LOCK.to_owned()]
    }

    fn reads(&self, _: &Scope<'_>) -> Result<Reads> {
        let overrides = format!("{SOURCES}/override");
        Ok(Reads { optional_inputs: vec![WANTED.to_owned(), overrides], ..Reads::default() })
    }

    fn makes_lock(&self) -> bool {
        true
    }

    fn check_lock(&self, scope: &Scope<'_>) -> Result<LockCheck> {
        let Some(wanted) = wanted(scope.dir)? else { return Ok(LockCheck::Fits) };
        let Some(lock) = fs::read_text_optional(&scope.dir.join(LOCK))? else {
            return Ok(LockCheck::Stale(vec![format!("the output `{LOCK}` is gone")]));
        };
        let why = match Lock::parse(&lock).verdict(&wanted, &origin(scope.dir, &wanted)) {
            Verdict::Fits => return Ok(LockCheck::Fits),
            Verdict::Outdated { old, new } => format!("the input `{WANTED}` changed: {old} → {new}"),
            Verdict::Unsatisfied { requirement, found: Some(found) } => format!(
                "the lock pins `{}`, and `{WANTED}` asks for `{}`",
                text::visible(&found),
                text::visible(&requirement)
            ),
            Verdict::Unsatisfied { requirement, found: None } => {
                format!("the lock has no pin for `{}` of `{WANTED}`", text::visible(&requirement))
            }
        };
        Ok(LockCheck::Stale(vec![why]))
    }

    fn run(&self, job: &mut Job<'_>) -> Result<()> {
        let dir = job.scope.dir;
        let Some(wanted) = wanted(dir)? else { return Ok(()) };
        let mut pins = Vec::new();
        if !wanted.is_empty() {
            let resolver = resolver(job)?;
            let short_version = &resolver.interpreter().short_version;
            let constraints = match overrides_layers(dir) {
                true => Vec::new(),
                false => env::requirement_files(job.scope.site, dir, short_version)?,
            };
            let requirements = requirements_for_tools(job, &wanted)?;
            let report = job.report;
            let on_line = |line: &str| report.line(line);
            let frozen = resolver.freeze(&requirements, &constraints, job.staging, &mut job.log, &on_line);
            // After a failure, too, nothing of ours is left among the sources.
            fs::remove_file(&dir.join(SOURCES).join(FOR_TOOLS))?;
            pins = frozen.map_err(|error| {
                let is_about_requirements = error.fault == Fault::Input;
                if constraints.is_empty() || !is_about_requirements {
                    error
                } else {
                    error.hint(HINT_OVERRIDE)
                }
            })?;
            let provided = provided_by_layers(&constraints)?;
            pins.retain(|pin| {
                !Requirements::parse(pin).lines.iter().filter_map(Pin::of).any(|pin| provided.contains(&pin))
            });
        }
        let content = Lock::render(&wanted, &origin(dir, &wanted), &pins);
        let staged = job.staging.join(LOCK);
        fs::create_dir_all(&job.staging.join(SOURCES))?;
        fs::write_atomic(&staged, content.as_bytes())?;
        fs::set_mode(&staged, 0o644)
    }
}

/// What the plugin asks for; `None` where it has a lock alone.
fn wanted(dir: &Path) -> Result<Option<Requirements>> {
    Ok(fs::read_text_optional(&dir.join(WANTED))?.map(|content| Requirements::parse(&content)))
}

fn overrides_layers(dir: &Path) -> bool {
    fs::exists(&dir.join(SOURCES).join("override"))
}

fn origin(dir: &Path, wanted: &Requirements) -> Digest {
    Lock::origin(wanted, &dir.join(SOURCES), overrides_layers(dir))
}

/// The requirements as the resolvers take them: a repository that is to be editable is pinned like any other. The
/// file stands beside the original, because paths in it are relative to that.
fn requirements_for_tools(job: &Job<'_>, wanted: &Requirements) -> Result<PathBuf> {
    let sources = job.scope.absolute_dir()?.join(SOURCES);
    let plain = |line: &Line| {
        let text = line.text();
        let rest = text
            .strip_prefix("-e")
            .or(text.strip_prefix("--editable"))
            .map(|rest| rest.trim_start_matches(['=', ' ', '\t']));
        rest.filter(|rest| rest.contains("://")).map(str::to_owned)
    };
    if wanted.lines.iter().all(|line| plain(line).is_none()) {
        return Ok(sources.join("requirements-to-freeze.txt"));
    }
    let lines: Vec<String> =
        wanted.lines.iter().map(|line| plain(line).unwrap_or_else(|| line.text().to_owned())).collect();
    let file = sources.join(FOR_TOOLS);
    fs::write_atomic(&file, (lines.join("\n") + "\n").as_bytes())?;
    Ok(file)
}

/// Packages that the layers provide at the same version need not be shipped again.
fn provided_by_layers(constraints: &[PathBuf]) -> Result<BTreeSet<Pin>> {
    let mut provided = BTreeSet::new();
    for file in constraints {
        provided.extend(Requirements::parse(&fs::read_text(file)?).lines.iter().filter_map(Pin::of));
    }
    Ok(provided)
}
