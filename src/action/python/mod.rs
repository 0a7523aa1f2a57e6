//! Python: requirements → lock → wheels → virtualenv.

mod freeze;
mod virtualenv;
mod wheels;

use std::path::Path;

use crate::error::Result;
use crate::fs;
use crate::graph::Job;
use crate::python::{Line, Lock, Resolver};

pub(super) use freeze::Freeze;
pub(super) use virtualenv::Virtualenv;
pub(super) use wheels::Wheels;

const SOURCES: &str = "python3_virtualenv_sources";
const WANTED: &str = "python3_virtualenv_sources/requirements-to-freeze.txt";
const LOCK: &str = "python3_virtualenv_sources/requirements3.txt";
const WHEELS: &str = "python3_virtualenv_sources/src";

fn resolver<'a>(job: &Job<'a>) -> Result<Resolver<'a>> {
    let directory = job.scope.absolute_dir()?.join(SOURCES);
    Resolver::new(job.scope.site, job.scope.tools, &directory, job.offline)
}

/// Whether the lock holds paths: what is there may change without a word.
fn names_directories(dir: &Path) -> Result<bool> {
    let Some(lock) = fs::read_text_optional(&dir.join(LOCK))? else { return Ok(false) };
    let is_path = |line: &Line| {
        let text = line.text();
        !text.ends_with(".whl")
            && (text.contains(" @ file:") || matches!(line, Line::Opaque { .. }) && !text.contains("://"))
    };
    Ok(lock.contains('/') && Lock::parse(&lock).requirements.lines.iter().any(is_path))
}
