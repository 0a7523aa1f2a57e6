//! `mwp cron`: plugins' jobs in the user's crontab.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::Context;
use super::install::tell;
use super::loudness::Loudness;
use super::shells::Plugins;
use super::signals;
use crate::cron::{PluginJobs, State};
use crate::env::enclosing_plugin;
use crate::error::{Error, Fault, Problem, Result};
use crate::install;
use crate::installed::{Base, modules};
use crate::plugin::Module;
use crate::text;

/// Show or renew the jobs of installed plugins in the user's crontab
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp cron show")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(ShowArguments),
    Sync(SyncArguments),
}

/// Show what should be in the crontab, and whether it is exactly that
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp cron show shop")]
struct ShowArguments {
    #[command(flatten)]
    module: ModuleOption,
    /// The plugins' names [default: all with jobs]
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(Plugins))]
    names: Vec<String>,
}

/// Make the crontab what the installed plugins and their configuration say; other lines stay as they are
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp cron sync --module mfserv")]
struct SyncArguments {
    #[command(flatten)]
    module: ModuleOption,
    #[command(flatten)]
    loudness: Loudness,
}

#[derive(Debug, Args)]
struct ModuleOption {
    /// The module [default: the one whose environment is loaded, else all]
    #[arg(long)]
    module: Option<String>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    match &arguments.command {
        Command::Show(arguments) => show(arguments, context),
        Command::Sync(arguments) => sync(arguments, context),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    module: &'a str,
    /// `present`, `missing`, `different`, `stale`, `none` or `unknown`.
    state: &'static str,
    jobs: &'a [String],
    problems: Vec<String>,
}

fn show(arguments: &ShowArguments, context: &Context) -> Result<()> {
    let mut found: Vec<(Module, PluginJobs)> = Vec::new();
    for module in modules(arguments.module.module.as_deref(), &context.site)? {
        let report = install::inspect_jobs(&module, &context.site, &mut |event| tell(context, event))?;
        report.warnings.iter().for_each(|warning| context.output.warnings(warning));
        found.extend(report.entries.into_iter().map(|entry| (module.clone(), entry)));
    }
    require(&arguments.names, &found, arguments, context)?;
    found.retain(|(_, entry)| match arguments.names.as_slice() {
        [] => entry.state != State::None || entry.problem.is_some(),
        names => names.contains(&entry.name),
    });
    if context.output.is_json() {
        let shown: Vec<Shown<'_>> = found.iter().map(|(module, entry)| shown(module, entry)).collect();
        context.output.json(&shown);
    } else {
        for (_, entry) in &found {
            let state = match entry.state {
                State::None if entry.problem.is_some() => "its crontab is broken",
                State::None => "no jobs",
                State::Present => "in the crontab",
                State::Missing => "not in the crontab",
                State::Different => "in the crontab, yet not like this",
                State::Stale => "in the crontab, and should not be",
                State::Unknown => "unknown",
            };
            context.output.line(&format!("{}: {state}", text::visible(&entry.name)));
            for line in &entry.lines {
                let words: Vec<String> = line.split('\t').map(text::visible).collect();
                context.output.line(&format!("  {}", words.join("\t")));
            }
        }
    }
    let problems: Vec<Problem> = found.iter().flat_map(|(_, entry)| problems(entry)).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::many(Fault::Input, problems)) }
}

/// Every name has to be that of a plugin that is there.
fn require(
    names: &[String],
    found: &[(Module, PluginJobs)],
    arguments: &ShowArguments,
    context: &Context,
) -> Result<()> {
    for name in names.iter().filter(|name| !found.iter().any(|(_, entry)| entry.name == **name)) {
        let mut first_error = None;
        for module in modules(arguments.module.module.as_deref(), &context.site)? {
            let base = Base::new(None, &module, &context.site);
            let error = match base.get(name) {
                Ok(_) => Error::input(format!("`{}` is no good plugin of {module}", text::visible(name)))
                    .hint("`mwp list` shows what is installed"),
                Err(error) => error,
            };
            first_error = first_error.or(Some(error));
        }
        first_error.map_or(Ok(()), Err)?;
    }
    Ok(())
}

fn shown<'a>(module: &'a Module, entry: &'a PluginJobs) -> Shown<'a> {
    let problems = entry.problem.iter().flat_map(|error| &error.problems);
    Shown {
        name: &entry.name,
        module: module.as_str(),
        state: match entry.state {
            State::None => "none",
            State::Present => "present",
            State::Missing => "missing",
            State::Different => "different",
            State::Stale => "stale",
            State::Unknown => "unknown",
        },
        jobs: &entry.lines,
        problems: problems.map(|problem| problem.message.clone()).collect(),
    }
}

/// What is wrong with a plugin's jobs, and that the crontab is not as it should be.
fn problems(entry: &PluginJobs) -> Vec<Problem> {
    let mut problems = entry.problem.clone().map(|error| error.problems).unwrap_or_default();
    if matches!(entry.state, State::Missing | State::Different | State::Stale) {
        problems.push(Problem {
            message: format!("the crontab does not hold what it should for `{}`", text::visible(&entry.name)),
            hint: Some("`mwp cron sync` puts that right".to_owned()),
        });
    }
    problems
}

fn sync(arguments: &SyncArguments, context: &Context) -> Result<()> {
    if let Some(name) = enclosing_plugin(&context.site.environment) {
        let inside = format!("this is the environment of the plugin `{}`", text::visible(&name));
        return Err(Error::input(inside).hint("leave it (`exit`): jobs are rendered over the environment"));
    }
    signals::end_programs_on_signal()?;
    let (mut problems, mut fault, mut changes) = (Vec::new(), Fault::Input, Vec::new());
    for module in modules(arguments.module.module.as_deref(), &context.site)? {
        let result = install::sync_jobs(&module, &context.site, &mut |event| tell(context, event));
        let report = match result {
            Ok(report) => report,
            Err(error) if error.fault == Fault::Interrupted => return Err(error),
            Err(error) => {
                fault = error.fault;
                problems.extend(error.problems);
                continue;
            }
        };
        report.warnings.iter().for_each(|warning| context.output.warnings(warning));
        for entry in report.entries {
            let jobs = text::count(entry.jobs(), "job");
            let change = match entry.state {
                State::None | State::Present | State::Unknown => None,
                State::Missing => Some(format!("{jobs} added")),
                State::Different => Some(format!("changed, {jobs} now")),
                State::Stale => Some("removed".to_owned()),
            };
            if let Some(change) = change {
                if !arguments.loudness.quiet {
                    context.output.note(&format!("{}: {change}", text::visible(&entry.name)));
                }
                changes.push(serde_json::json!({
                    "name": entry.name,
                    "module": module.as_str(),
                    "jobs": if entry.state == State::Stale { 0 } else { entry.jobs() },
                }));
            }
            if let Some(error) = entry.problem {
                fault = if error.fault == Fault::Machine { Fault::Machine } else { fault };
                problems.extend(error.problems);
            }
        }
    }
    if problems.is_empty() {
        if changes.is_empty() && !arguments.loudness.quiet {
            context.output.note("the crontab is as it should be");
        }
        if context.output.is_json() {
            context.output.json(&changes);
        }
        return Ok(());
    }
    Err(Error::many(fault, problems))
}
