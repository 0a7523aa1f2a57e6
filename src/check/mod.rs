//! `mwp check`: whatever `build`, `release`, `install` and `up` would refuse on this machine, before they do.
//!
//! The build checks label, format version and configuration alone, in a few milliseconds ([`plugin::check`]); the rest
//! is looked at here by the parts that will read it: commands and their programs, crontab, requirements, fragments of
//! nginx, and what is to be packed. Nothing is built, run or written, but for `shell` filters in values.
//!
//! What upstream takes is a warning, however odd it is: existing plugins keep on working.

#[cfg(test)]
mod fuzz;
mod requirements;
mod services;
mod tasks;

use std::path::Path;

use crate::artifact::{self, Limits, Remade};
use crate::cron;
use crate::env::{PluginEnvironment, Under};
use crate::error::{Error, Problem, Result};
use crate::plugin::{self, Checked, ConfigProblem, LABEL_FILE, Plugin};
use crate::recipe;
use crate::run::nginx;
use crate::run::switch::Rules;
use crate::site::{Environment, Site};
use crate::text;

/// Checks the plugin in `dir`, all of it.
pub fn check(dir: &Path, site: &Site) -> Checked {
    let mut checked = plugin::check(dir, site);
    label_to_come(dir, &mut checked);
    if checked.label.is_none() && checked.config.is_none() && checked.partial.is_none() {
        // No plugin, or one from before 1.0: what more is wrong with it is no news.
        return checked;
    }
    let mut found = Found { dir, checked: &mut checked };
    let environment = found.environment(site);
    if let Some(plugin) = found.plugin() {
        let Findings { problems, warnings } = services::check(&plugin, &environment, site);
        found.checked.problems.extend(problems);
        found.checked.warnings.extend(warnings);
        let rules = Rules::of(&plugin);
        found.checked.warnings.extend(rules.own_steps_that_are_absent(&plugin));
        found.checked.problems.extend(rules.problems);
        if plugin.label.module.has_nginx() {
            found.problems(nginx::check_fragments(&plugin, &environment, site));
        }
    }
    let jobs = cron::check(dir, &environment, site);
    found.take(jobs, Found::warnings);
    let requirements = requirements::check(dir, &site.environment);
    found.take(requirements, |_, ()| {});
    let recipe = recipe::mistakes(dir);
    let has_recipe_mistakes = recipe.as_ref().map_or(true, |mistakes| !mistakes.is_empty());
    found.take(recipe, Found::problems);
    match tasks::check(dir, site) {
        Ok(Findings { problems, warnings }) => {
            found.news(problems);
            found.checked.warnings.extend(warnings);
        }
        // That of mwp.toml and that of the label are told already.
        Err(error) if has_recipe_mistakes || found.checked.label.is_none() => drop(error),
        Err(error) => {
            found.checked.blame(error.fault);
            let placed = |problem| ConfigProblem::of_problem(dir, problem);
            found.news(error.problems.into_iter().map(placed).collect());
        }
    }
    let packing = packing(dir, site);
    found.take(packing, |found, packing| {
        found.problems(packing.problems);
        found.warnings(packing.warnings);
    });
    // As the files are read, whoever found what.
    let place = |finding: &ConfigProblem| (finding.file.clone(), finding.line, finding.column);
    checked.warnings.sort_by_key(place);
    checked.problems.sort_by_key(|problem| (problem.line.is_some(), place(problem)));
    checked
}

/// A label that the plugin's own Makefile makes when it is built is no mistake while it is not there.
fn label_to_come(dir: &Path, checked: &mut Checked) {
    if checked.label.is_some() || !recipe::makes_label(dir).unwrap_or(false) {
        return;
    }
    let label = dir.join(LABEL_FILE);
    let (missing, rest) = std::mem::take(&mut checked.problems).into_iter().partition(|it| it.file == label);
    checked.problems = rest;
    let warning = |mut missing: ConfigProblem| {
        missing.message =
            format!("{} is not there yet: `precustom` of the Makefile may make it", text::path(&label));
        missing.hint = Some("run `mwp build`, then check again".to_owned());
        missing
    };
    let missing: Vec<ConfigProblem> = missing;
    checked.warnings.extend(missing.into_iter().map(warning));
}

/// Problems and warnings of one part.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<ConfigProblem>,
    warnings: Vec<ConfigProblem>,
}

/// What was found so far.
struct Found<'a> {
    dir: &'a Path,
    checked: &'a mut Checked,
}

impl Found<'_> {
    /// The plugin as far as it could be read.
    fn plugin(&self) -> Option<Plugin> {
        let config = self.checked.config.as_ref().or(self.checked.partial.as_ref())?.clone();
        Some(Plugin { dir: self.dir.to_owned(), label: self.checked.label.clone()?, config })
    }

    /// That of the plugin's code; where it cannot be had, that of this process, which is told.
    fn environment(&mut self, site: &Site) -> Environment {
        if !self.checked.is_good() {
            return site.environment.clone();
        }
        match PluginEnvironment::outlined(self.dir, None, Under::Loaded, site) {
            Ok(plugin) => plugin.environment,
            Err(error) => {
                // A layer that another machine may have: the plugin itself is not at fault.
                self.warnings(error.problems);
                site.environment.clone()
            }
        }
    }

    fn problems(&mut self, problems: Vec<Problem>) {
        let placed = problems.into_iter().map(|problem| ConfigProblem::of_problem(self.dir, problem));
        self.checked.problems.extend(placed);
    }

    /// Problems that another part may have met as well.
    fn news(&mut self, problems: Vec<ConfigProblem>) {
        for problem in problems {
            if !self.checked.problems.iter().any(|known| known.message == problem.message) {
                self.checked.problems.push(problem);
            }
        }
    }

    fn warnings(&mut self, warnings: Vec<Problem>) {
        let placed = warnings.into_iter().map(|problem| ConfigProblem::of_problem(self.dir, problem));
        self.checked.warnings.extend(placed);
    }

    /// The result of another part; its failure is a problem of the plugin, or of the machine.
    fn take<T>(&mut self, result: Result<T>, on_success: impl FnOnce(&mut Self, T)) {
        match result {
            Ok(result) => on_success(self, result),
            Err(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: Error) {
        self.checked.blame(error.fault);
        self.problems(error.problems);
    }
}

fn packing(dir: &Path, site: &Site) -> Result<artifact::Inspection> {
    // A mistake in mwp.toml is told already.
    let release = recipe::release(dir).unwrap_or_default();
    let remade = Remade::of(dir, release.omit_dev, site)?;
    artifact::inspect(dir, &Limits::of(site)?, &|path| remade.contains(path))
}
