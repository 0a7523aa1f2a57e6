//! `mwp build`, and what other commands need to build first.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::Context;
use super::annotations::{Level, annotate};
use super::common::{Common, Places};
use super::json::ItemResult;
use super::output::Output;
use super::progress::Progress;
use super::signals;
use super::style::{Look, Style};
use super::timings::{Page, TimingsOption};
use crate::check;
use crate::error::{Error, Fault, Result};
use crate::graph::{self, Mode, Project, ProjectTiming, Slots, Target, TaskStatus, Timings};
use crate::plugin::config::ConfigProblem;
use crate::recipe;
use crate::store::Store;
use crate::text;
use crate::threads;

/// Bring a plugin up to date: lock, wheels, virtualenv, node_modules and its own tasks
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) building: Building,
    #[command(flatten)]
    timings: TimingsOption,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Bring plugins up to date: locks, wheels, virtualenv, node_modules, their own tasks
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp build shop blog -j 4")]
pub(super) struct BuildArguments {
    #[command(flatten)]
    arguments: Arguments,
    #[command(flatten)]
    places: Places,
}

/// How to build.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Building {
    /// Say what would be done and why, and do nothing
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// Run every task again; a lock that fits stays as it is (`superclean` drops it)
    #[arg(short, long)]
    pub(super) force: bool,
    /// Fail where a lock is missing or out of date, instead of making it
    #[arg(long)]
    pub(super) locked: bool,
    /// Use no network: what is in no cache is an error
    #[arg(long)]
    pub(super) offline: bool,
    /// How many tasks run at the same time [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) jobs: Option<u16>,
}

/// How one directory was built, for `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Built {
    directory: String,
    plugin: String,
    tasks: Vec<TaskStatus>,
}

impl From<graph::Built> for Built {
    fn from(built: graph::Built) -> Built {
        let directory = built.directory.display().to_string();
        Built { directory, plugin: built.plugin, tasks: built.tasks }
    }
}

pub(super) fn run_at(BuildArguments { arguments, places }: &BuildArguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(places);
    let (building, timings) = (arguments.building.clone(), arguments.timings.clone());
    run(&Arguments { building, timings, common }, context)
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let Arguments { building, timings, common } = arguments;
    let (built, projects) = build_timed(building, common, Target::Build, context);
    if let Some(file) = timings.file(&common.named()).filter(|_| !building.dry_run) {
        Page { target: Target::Build, projects: &projects, releases: &[] }.write(&file, context)?;
    }
    if context.output.is_json() {
        context.output.json(&built?);
        return Ok(());
    }
    built.map(drop)
}

/// Builds each directory for `target`, all of them at the same time.
pub(super) fn build(
    building: &Building,
    common: &Common,
    target: Target,
    context: &Context,
) -> Result<Vec<Built>> {
    build_timed(building, common, target, context).0
}

/// As [`build`], with the times of what was built, even if not all of it succeeded.
pub(super) fn build_timed(
    building: &Building,
    common: &Common,
    target: Target,
    context: &Context,
) -> (Result<Vec<Built>>, Vec<ProjectTiming>) {
    // Below `make`, its rules print to the terminal as they always did.
    let is_below_make = context.site.environment.get("MAKELEVEL").is_some();
    let shown: &[&str] = if is_below_make { &recipe::MAKEFILE_TASKS } else { &[] };
    let progress = Progress::new(context.output, common, common.named().len() > 1).showing(shown);
    let timings = Timings::new(&progress);
    let built = build_watched(building, common, target, (&progress, &timings), context);
    (built, timings.finish())
}

fn build_watched(
    building: &Building,
    common: &Common,
    target: Target,
    (progress, timings): (&Progress, &Timings<'_>),
    context: &Context,
) -> Result<Vec<Built>> {
    let directories = common.directories()?;
    let mode =
        Mode { force: building.force, locked: building.locked, offline: building.offline, ..Mode::default() };
    let store = store(context);
    let slots = Slots::new(building.jobs.map_or_else(threads::processors, usize::from));
    let open = |dir: &Path| -> Result<Project<'_>> {
        let project = Project::new(dir, recipe::plan(dir, target)?, &context.site, &store, &mode, timings);
        timings.expect(dir, &project.name, &project.plan);
        Ok(project)
    };
    if building.dry_run {
        let mut built = Vec::new();
        for dir in &directories {
            let project = open(dir)?;
            let tasks = graph::explain(&project)?;
            if !context.output.is_json() {
                say_what_would_run(&context.output, &tasks);
            }
            built.push(Built { directory: dir.display().to_string(), plugin: project.name.clone(), tasks });
        }
        return Ok(built);
    }
    refuse_inside_own_build(&directories, context)?;
    signals::end_programs_on_signal()?;
    let results = graph::build_all(&directories, open, &slots);
    progress.finish();
    if crate::process::is_interrupted() {
        return Err(Error::interrupted());
    }
    annotate_failures(&directories, &results, context);
    if directories.len() > 1 && !common.loudness.quiet {
        context.output.note(&summary(&results, context.output.error_style()));
    }
    let results: Vec<Result<Built>> = results.into_iter().map(|result| result.map(Built::from)).collect();
    if directories.len() > 1 && context.output.is_json() && results.iter().any(Result::is_err) {
        let entry = |(dir, result): (&PathBuf, &Result<Built>)| match result {
            Ok(built) => ItemResult::Done(json!(built)),
            Err(error) => ItemResult::failed(json!({"directory": dir.to_string_lossy()}), error),
        };
        let entries: Vec<ItemResult> = directories.iter().zip(&results).map(entry).collect();
        context.output.json(&entries);
    }
    all_or_problems(results)
}

/// `2 built, 1 failed, 3 up to date`
fn summary(results: &[Result<graph::Built>], style: Style) -> String {
    let is_fresh = |built: &graph::Built| built.tasks.iter().all(|task| task.fresh);
    let failed = results.iter().filter(|result| result.is_err()).count();
    let fresh = results.iter().flatten().filter(|built| is_fresh(built)).count();
    let counts = [
        (Look::Ok, results.len() - failed - fresh, "built"),
        (Look::Error, failed, "failed"),
        (Look::Plain, fresh, "up to date"),
    ];
    let counts = counts.into_iter().filter(|(_, count, _)| *count > 0);
    let counts = counts.map(|(look, count, what)| style.paint(look, &format!("{count} {what}")));
    counts.collect::<Vec<_>>().join(", ")
}

/// Mistakes at their lines, where this is a job of GitHub's.
fn annotate_failures(directories: &[PathBuf], results: &[Result<graph::Built>], context: &Context) {
    if context.site.environment.text("GITHUB_ACTIONS").is_none() {
        return;
    }
    for (dir, result) in directories.iter().zip(results) {
        let Err(error) = result else { continue };
        let checked = check::check(dir, &context.site);
        let is_why = |found: &&ConfigProblem| {
            error.problems.iter().any(|problem| problem.message.contains(&found.message))
        };
        annotate(Level::Error, checked.problems.iter().filter(is_why), context);
    }
}

/// All results, or the problems of all that failed.
fn all_or_problems<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut succeeded = Vec::new();
    let mut problems = Vec::new();
    let (mut fault, mut task) = (Fault::Input, None);
    for result in results {
        match result {
            Ok(one) => succeeded.push(one),
            Err(error) => {
                fault = error.fault;
                task = task.or(error.task);
                problems.extend(error.problems);
            }
        }
    }
    if problems.is_empty() { Ok(succeeded) } else { Err(Error { fault, problems, task }) }
}

/// A rule of a Makefile that builds its own plugin would wait for itself for ever.
fn refuse_inside_own_build(directories: &[PathBuf], context: &Context) -> Result<()> {
    let Some(outer) = context.site.environment.path("MWP_MAKE_HOOK") else { return Ok(()) };
    match directories.iter().find(|dir| std::fs::canonicalize(dir).is_ok_and(|dir| dir == outer)) {
        Some(dir) => {
            Err(Error::input(format!("{} is being built: this runs in one of its tasks", text::path(dir)))
                .hint("take the call of `mwp` or `make` out of that task"))
        }
        None => Ok(()),
    }
}

pub(super) fn store(context: &Context) -> Store {
    let limit = context.site.environment.text("MWP_CACHE_SIZE").and_then(|bytes| bytes.parse().ok());
    let store = Store::new(&context.site.cache, limit);
    if !store.is_own() {
        context.output.warning_once(&format!(
            "the cache {} is not used: it is not this user's own, or others can write to it",
            text::path(&context.site.cache)
        ));
    }
    store
}

fn say_what_would_run(output: &Output, tasks: &[TaskStatus]) {
    let mut nothing = true;
    for status in tasks.iter().filter(|status| !status.fresh) {
        nothing = false;
        output.row(&format!("would run {}", output.style().paint(Look::Warning, &status.task)));
        for reason in &status.reasons {
            output.row(&format!("  because {reason}"));
        }
    }
    if nothing {
        output.line("nothing to do: everything is up to date");
    }
}
