//! `mwp status`: what runs, and whether it is well.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::Context;
use super::output::Output;
use super::shells::Plugins;
use super::status_table::{essence, table};
use super::style::Style;
use crate::error::{Error, Problem, Result};
use crate::install;
use crate::installed::{Base, modules};
use crate::plugin::Module;
use crate::run::status::{ModuleStatus, PluginStatus, State, WorkerStatus};
use crate::run::{Control, Reply, Request, control, other_runner};
use crate::text;
use crate::{cron, exit};

/// Show what runs: every plugin, service and worker; exit 0 only if all is well
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp status --watch")]
pub(super) struct Arguments {
    /// The module [default: the one whose environment is loaded, or that is up]
    #[arg(long)]
    module: Option<String>,
    /// Ask neither the apps (`_http_test_endpoint`) nor the plugins (`bin/plugin.status`)
    #[arg(long)]
    no_checks: bool,
    /// Show it again every two seconds until ^C; without a terminal, whenever something has changed
    #[arg(short, long, conflicts_with = "json")]
    watch: bool,
    /// Only these plugins
    #[arg(value_name = "PLUGIN", add = ArgValueCandidates::new(Plugins))]
    plugins: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<u8> {
    let (module, control) = running_module(arguments.module.as_deref(), context)?;
    if arguments.watch {
        watch(arguments, context, control)?;
        return Ok(exit::DONE);
    }
    let status = ask(arguments, control)?;
    if context.output.is_json() {
        context.output.json(&status);
    } else {
        context.output.row(&table(&status, Output::width(), context.output.style()));
    }
    if !context.output.is_json() {
        for warning in &status.warnings {
            context.output.warning(warning);
        }
    }
    if !context.output.is_json() && !arguments.no_checks {
        tell_of_jobs(&module, context);
    }
    for path in Base::new(None, &module, &context.site).set_aside() {
        context.output.warning(&format!("{} could be neither undone nor removed", text::path(&path)));
        context.output.hint("remove it once nothing there is needed");
    }
    let problems = problems(&status);
    if !problems.is_empty() && !context.output.is_json() {
        return Err(Error::many(crate::error::Fault::Input, problems));
    }
    if !status.ok && !context.output.is_json() {
        context.output.note("not everything has come to its start or its end yet");
        context.output.hint("ask again in a moment, or watch it: `mwp status --watch`");
    }
    Ok(if status.ok { exit::DONE } else { exit::INPUT })
}

/// Jobs of plugins that are not in the crontab as they should be.
fn tell_of_jobs(module: &Module, context: &Context) {
    // Where nobody can tell there is nothing to say of what runs.
    let Ok(report) = install::inspect_jobs(module, &context.site, &mut |_| {}) else { return };
    for entry in report.entries {
        let what = match entry.state {
            cron::State::Missing => "are not in the crontab",
            cron::State::Different => "are not in the crontab as they should be",
            cron::State::Stale => "are in the crontab and should not be",
            cron::State::None | cron::State::Present | cron::State::Unknown => continue,
        };
        context.output.warning(&format!("{}: its jobs {what}", text::visible(&entry.name)));
        context.output.hint("`mwp cron show` shows them, `mwp cron sync` puts that right");
    }
}

fn ask(arguments: &Arguments, control: Control) -> Result<ModuleStatus> {
    let Reply::Status(mut status) = control.ask(&Request::Status { checks: !arguments.no_checks })? else {
        return Err(Error::machine("the supervisor gave no status").hint("`mwp down`, then `mwp up`"));
    };
    if !arguments.plugins.is_empty() {
        keep(&arguments.plugins, &mut status)?;
    }
    Ok(*status)
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Shows it until nobody reads any more, or ^C. A module that goes down meanwhile may come back.
fn watch(arguments: &Arguments, context: &Context, first: Control) -> Result<()> {
    let mut control = Ok(first);
    let mut last = None;
    loop {
        let (text, essence) = match control.and_then(|control| ask(arguments, control)) {
            Ok(status) => {
                let problems = problems(&status);
                let problems = problems.iter().map(|problem| text::visible_lines(&problem.message));
                let lines: Vec<String> =
                    std::iter::once(table(&status, Output::width(), Style::PLAIN)).chain(problems).collect();
                (lines.join("\n"), essence(&status))
            }
            Err(error) => (error.to_string(), error.to_string()),
        };
        let has_changed = last.as_ref() != Some(&essence);
        if (Output::width().is_some() || has_changed) && !context.output.frame(&text) {
            return Ok(());
        }
        last = Some(essence);
        std::thread::sleep(PAUSE);
        control = running_module(arguments.module.as_deref(), context).map(|(_, control)| control);
    }
}

fn keep(names: &[String], status: &mut ModuleStatus) -> Result<()> {
    for name in names {
        if !status.plugins.iter().any(|plugin| plugin.name == *name) {
            let known: Vec<&str> = status.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
            let error =
                Error::input(format!("no plugin `{}` runs in {}", text::visible(name), status.module));
            return Err(match text::nearest(name, known.iter().copied()) {
                Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
                None => error.hint("`mwp status` shows all"),
            });
        }
    }
    status.plugins.retain(|plugin| names.contains(&plugin.name));
    let are_well = status.nginx.iter().chain(&status.redis).all(|program| program.state == State::Running);
    status.ok = status.problems.is_empty() && are_well && status.plugins.iter().all(|plugin| plugin.ok);
    Ok(())
}

/// The module that was named, is loaded, or is the only one that is up, with a connection to its supervisor.
pub(super) fn running_module(named: Option<&str>, context: &Context) -> Result<(Module, Control)> {
    find_running(named, context)?.ok_or_else(|| {
        let error = Error::input(not_up(named, context));
        error.hint("bring it up with `mwp up`, or `mwp up --detach`")
    })
}

/// `mfserv is not up`
pub(super) fn not_up(named: Option<&str>, context: &Context) -> String {
    match modules(named, &context.site).unwrap_or_default().as_slice() {
        [module] => format!("{module} is not up"),
        _ => "no module is up".to_owned(),
    }
}

/// As [`running_module`], or none; one that is run by somebody else is an error.
pub(super) fn find_running(named: Option<&str>, context: &Context) -> Result<Option<(Module, Control)>> {
    let candidates = modules(named, &context.site)?;
    let mut running = Vec::new();
    for module in &candidates {
        if let Some(control) = Control::connect(module, &context.site)? {
            running.push((module.clone(), control));
        }
    }
    // One runtime home can be that of all modules: only the supervisor knows which of them is up.
    let socket = |module: &Module| control::socket(module, &context.site);
    if let [(first, _), (second, _), ..] = running.as_slice()
        && socket(first) == socket(second)
    {
        let control = running.pop().map(|(_, control)| control);
        if let Some(Reply::Status(status)) =
            control.map(|control| control.ask(&Request::Status { checks: false })).transpose()?
        {
            running.retain(|(module, _)| module.as_str() == status.module);
            if running.is_empty() {
                let module = Module::parse(&status.module)?;
                running.extend(Control::connect(&module, &context.site)?.map(|control| (module, control)));
            }
        }
    }
    if running.len() > 1 {
        let names: Vec<&str> = running.iter().map(|(module, _)| module.as_str()).collect();
        return Err(Error::usage(format!("{} are up; which is meant?", names.join(" and ")))
            .hint(format!("name it: `--module {}`", names[0])));
    }
    if let Some(found) = running.pop() {
        return Ok(Some(found));
    }
    let runner = candidates.iter().find_map(|module| Some((module, other_runner(module, &context.site)?)));
    match runner {
        Some((module, runner)) => {
            Err(Error::input(format!("{module} is run by {}, and not by `mwp up`", runner.name()))
                .hint(runner.how_to_look(module)))
        }
        None => Ok(None),
    }
}

/// Everything that is wrong, with the next step.
pub(super) fn problems(status: &ModuleStatus) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |message: String, hint: String| problems.push(Problem { message, hint: Some(hint) });
    for problem in &status.problems {
        let hint = match problem.starts_with("redis ") {
            true => "`mwp logs redis` may say more; files go on once it answers",
            false => "mend it, then `mwp reload`",
        };
        add(problem.clone(), hint.to_owned());
    }
    let are_plugins_well = status.plugins.iter().all(|plugin| plugin.ok);
    for (name, program) in [("nginx", &status.nginx), ("redis", &status.redis)] {
        let Some(program) = program.as_ref().filter(|_| !status.ok) else { continue };
        let why = program.last_error.clone();
        let message = match program.state {
            State::Running if are_plugins_well && why.is_some() => {
                format!("{name}: {}", why.unwrap_or_default())
            }
            State::Running => continue,
            state => {
                let why = why.unwrap_or_else(|| "no reason is known yet".to_owned());
                format!("{name} is {}: {why}", state.word())
            }
        };
        add(message, format!("`mwp logs {name}` shows what it said"));
    }
    for plugin in status.plugins.iter().filter(|plugin| !plugin.ok) {
        problems.extend(plugin_problems(plugin));
    }
    problems
}

/// The distribution that a worker's code needs and does not have; most are called as their module is.
fn missing_module(error: &str) -> Option<String> {
    let (_, rest) = error.split_once("No module named '")?;
    let module = rest.split(['\'', '.']).next()?;
    Some(crate::migrate::distribution_of(module).to_owned())
}

/// Everything that is wrong with a plugin.
pub(super) fn plugin_problems(plugin: &PluginStatus) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |message: String, hint: String| problems.push(Problem { message, hint: Some(hint) });
    let name = text::visible(&plugin.name);
    for problem in &plugin.problems {
        add(
            format!("{name}: {problem}"),
            format!("mend it, then `mwp reload`; `mwp check` helps with {name}"),
        );
    }
    for service in &plugin.services {
        for worker in &service.workers {
            if let Some(why) = complaint(worker) {
                let message = format!("{name}/{} {}: {why}", service.name, worker.worker);
                let service = format!("{name}/{}", service.name);
                let missing = worker.last_error.as_deref().and_then(missing_module);
                let is_stopped = worker.state == State::Stopped || worker.suspended;
                add(
                    message,
                    match (is_stopped, missing) {
                        (true, _) => format!("`mwp restart {service}` starts it again"),
                        (false, Some(distribution)) => format!(
                            "require it: add `{distribution}` to \
                             python3_virtualenv_sources/requirements-to-freeze.txt, then release and install again"
                        ),
                        (false, None) => format!("`mwp logs {service}` shows what it said"),
                    },
                );
            }
        }
        if let Some(reason) = service.test.as_ref().and_then(|test| test.reason.as_ref()) {
            add(format!("{name}/{}: {reason}", service.name), format!("`mwp logs {name}` may say why"));
        }
    }
    if let Some(reason) = plugin.test.as_ref().and_then(|test| test.reason.as_ref()) {
        add(format!("{name}: {reason}"), format!("`mwp logs {name}` may say why"));
    }
    problems
}

fn complaint(worker: &WorkerStatus) -> Option<String> {
    if let Some(error) = worker.log_error.as_ref().or(worker.last_error.as_ref().filter(|_| worker.outdated))
    {
        return Some(error.clone());
    }
    if worker.suspended {
        return Some("it is stopped by a signal, and does nothing until it is sent SIGCONT".to_owned());
    }
    let is_under_way =
        matches!(worker.state, State::Starting | State::Stopping) && worker.last_error.is_none();
    (worker.state != State::Running && !is_under_way).then(|| match &worker.last_error {
        Some(error) => format!("{}: {error}", worker.state.word()),
        None => worker.state.word().to_owned(),
    })
}
