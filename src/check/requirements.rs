//! Requirement files: whether pip could make anything of their lines, and of those of the files that they include.

use std::path::Path;

use crate::error::{Error, Fault, Problem};
use crate::python::Wanted;
use crate::site::Environment;

/// In the directory of a plugin's Python sources: what is wanted, its lock, and what compiling is constrained to.
const FILES: [&str; 3] = ["requirements-to-freeze.txt", "requirements3.txt", "build_constraint"];

pub(super) fn check(dir: &Path, environment: &Environment) -> Result<(), Error> {
    let sources = dir.join("python3_virtualenv_sources");
    let mut all: Option<Error> = None;
    for name in FILES {
        let read = Wanted::read(&sources.join(name), environment);
        let whole = |wanted: Wanted| {
            let absent = wanted.absent_paths(&sources, environment);
            match (wanted.check(), absent.is_empty()) {
                (result, true) => result,
                (Ok(()), false) => Err(Error::many(Fault::Input, absent)),
                (Err(mut error), false) => {
                    error.problems.extend(absent);
                    Err(error)
                }
            }
        };
        let Err(error) = read.and_then(|wanted| wanted.map_or(Ok(()), whole)) else { continue };
        match &mut all {
            None => all = Some(error),
            // A file that several include is told once.
            Some(all) => {
                let is_new = |problem: &Problem| !all.problems.contains(problem);
                let problems: Vec<Problem> = error.problems.into_iter().filter(is_new).collect();
                all.problems.extend(problems);
            }
        }
    }
    all.map_or(Ok(()), Err)
}
