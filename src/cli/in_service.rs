//! What becomes of a plugin that was installed while its module is up.

use std::time::{Duration, Instant};

use super::Context;
use super::status::plugin_problems;
use crate::error::Problem;
use crate::fs;
use crate::installed::Base;
use crate::plugin::{Label, Module};
use crate::run::status::{PluginStatus, State};
use crate::run::{Control, Reply, Request, other_runner};

/// Whoever waits longer for an app to start can look at `mwp status`.
const PATIENCE: Duration = Duration::from_secs(15);
/// As long as whoever insists.
const INSISTENCE: Duration = Duration::from_secs(600);

/// Where the module is up, waits until the plugin's processes have started, and says where it answers; or what is
/// wrong. `insist`: until they have all come to their start or failed, however long that takes.
pub(super) fn problems(label: &Label, insist: bool, context: &Context) -> Vec<Problem> {
    // What keeps nginx from following is no fault of this plugin; the status tells it.
    if ask(label, &Request::Reload, context).is_none() {
        tell_who_runs_it(label, context);
        return Vec::new();
    }
    let begun = Instant::now();
    let patience = if insist { INSISTENCE } else { PATIENCE };
    // What has started is asked whether it passes its test before anybody is told that it answers.
    let mut checks = false;
    loop {
        let Some(Reply::Status(status)) = ask(label, &Request::Status { checks }, context) else {
            return Vec::new();
        };
        // Elsewhere installed, it does not run here.
        let Some(plugin) = status.plugins.iter().find(|plugin| plugin.name == label.name.as_str()) else {
            return Vec::new();
        };
        if !has_settled(plugin) && begun.elapsed() < patience && !crate::process::is_interrupted() {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        if plugin.ok && !checks {
            checks = true;
            continue;
        }
        let routes = plugin.services.iter().flat_map(|service| &service.routes);
        if let Some(route) = routes.min_by_key(|route| route.len())
            && plugin.ok
        {
            context.output.note(&format!("{} answers at {route}", label.name));
        }
        return plugin_problems(plugin);
    }
}

/// As [`problems`], which are warnings: the plugin is in place all the same.
pub(super) fn tell(label: &Label, context: &Context) {
    for problem in problems(label, false, context) {
        context.output.warning(&problem.message);
        if let Some(hint) = &problem.hint {
            context.output.hint(hint);
        }
    }
}

/// Has the module look at what is installed now, and returns.
pub(super) fn announce(label: &Label, context: &Context) {
    match ask(label, &Request::Reload, context) {
        Some(_) => context.output.note(&format!("{} follows; `mwp status` says how it goes", label.name)),
        None => tell_who_runs_it(label, context),
    }
}

/// The module is not up: somebody else runs it, or nobody does.
fn tell_who_runs_it(label: &Label, context: &Context) {
    let module = &label.module;
    if let Some(runner) = other_runner(module, &context.site) {
        // Somebody else's processes are somebody else's to replace.
        context
            .output
            .warning(&format!("{module} is run by {}: what runs is the version before", runner.name()));
        context.output.hint(&runner.how_to_follow(module));
    } else if fs::exists(&Base::new(None, module, &context.site).home(&label.name)) {
        let option = if *module == Module::Mfserv { String::new() } else { format!(" --module {module}") };
        context.output.note(&format!("{module} is not up: `mwp up{option}` starts it"));
    }
}

fn ask(label: &Label, request: &Request, context: &Context) -> Option<Reply> {
    let control = Control::connect(&label.module, &context.site).ok()??;
    // That it refuses is an answer.
    control.ask(request).ok().or(Some(Reply::Done))
}

fn has_settled(plugin: &PluginStatus) -> bool {
    plugin
        .services
        .iter()
        .flat_map(|service| &service.workers)
        .all(|worker| worker.state != State::Starting || worker.last_error.is_some())
}
