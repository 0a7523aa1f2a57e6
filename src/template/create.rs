//! Makes a plugin: everything is rendered, hooked and checked in a staging directory beside the target, which
//! then gets its name in one step. A failure, wherever, leaves nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::extensions::Chance;
use super::make::{self, Made};
use super::record::Record;
use super::{Ask, Template};
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::plugin::{self, Module, PluginName};
use crate::site::Site;
use crate::text;

/// What to make.
#[derive(Clone)]
pub struct Request<'a> {
    pub template: &'a Template,
    pub module: &'a Module,
    pub name: &'a PluginName,
    /// The directory to make the plugin's directory in.
    pub parent: &'a Path,
    /// Answers known beforehand.
    pub answers: BTreeMap<String, String>,
    /// Defaults of the person's own, in place of the template's.
    pub defaults: Map<String, Value>,
}

/// Makes the plugin and returns its directory.
pub fn create(request: &Request<'_>, site: &Site, ask: &mut Ask<'_>) -> Result<PathBuf> {
    let target = request.parent.join(request.name.as_str());
    if fs::exists(&target) {
        return Err(Error::input(format!("{} exists already", text::path(&target)))
            .hint("choose another name, or remove it first; in a plugin, `mwp bootstrap update` brings its template's changes in"));
    }
    // What a killed one left here.
    fs::sweep(request.parent);
    let chance = Chance::new()?;
    let Made { staging, directory, asked } = make::make(request, request.parent, &chance, site, ask)?;
    check(&directory, &target, request, site)?;
    Record::of(request, asked, &chance, &directory)?.write(&directory)?;
    // Refuses a directory that appeared meanwhile, unless it is empty.
    fs::rename(&directory, &target)?;
    drop(staging);
    Ok(target)
}

/// A template that makes a bad plugin is refused with the plugin's problems, at the paths they would have had.
pub(super) fn check(directory: &Path, target: &Path, request: &Request<'_>, site: &Site) -> Result<()> {
    let checked = plugin::check(directory, site);
    if checked.is_good() {
        return Ok(());
    }
    let shown = |path: &Path| text::path(path).trim_matches('`').to_owned();
    let (from, to) = (shown(directory), shown(target));
    let template =
        format!("the template `{}` makes a plugin that is not good", text::visible(&request.template.name));
    let mut problems = Vec::new();
    let fault = checked.fault.unwrap_or(Fault::Input);
    // A machine that cannot read is not the template's fault.
    if fault == Fault::Input {
        problems.push(Problem { message: template, hint: None });
    }
    problems.extend(checked.problems.into_iter().map(|problem| {
        let problem = Problem::from(problem);
        Problem { message: problem.message.replace(&from, &to), hint: problem.hint }
    }));
    Err(Error::many(fault, problems))
}
