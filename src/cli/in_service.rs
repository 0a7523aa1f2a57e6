//! What becomes of a plugin that was installed while its module is up.

use std::time::{Duration, Instant};

use super::Context;
use super::status::plugin_problems;
use crate::plugin::Label;
use crate::run::status::{PluginStatus, State};
use crate::run::{Control, Reply, Request};

/// Whoever waits longer for an app to start can look at `mwp status`.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the module is up, waits until the plugin's processes have started, and says where it answers, or what is
/// wrong. That is no failure of the installation.
pub(super) fn tell(label: &Label, context: &Context) {
    let ask = |request: &Request| {
        let control = Control::connect(&label.module, &context.site).ok()??;
        control.ask(request).ok()
    };
    // What keeps nginx from following is no fault of this plugin; the status tells it.
    let _ = ask(&Request::Reload);
    let begun = Instant::now();
    loop {
        let Some(Reply::Status(status)) = ask(&Request::Status { checks: false }) else { return };
        // Elsewhere installed, it does not run here.
        let Some(plugin) = status.plugins.iter().find(|plugin| plugin.name == label.name.as_str()) else {
            return;
        };
        if !has_settled(plugin) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        for problem in plugin_problems(plugin) {
            context.output.warning(&problem.message);
            if let Some(hint) = &problem.hint {
                context.output.hint(hint);
            }
        }
        let routes = plugin.services.iter().flat_map(|service| &service.routes);
        if let Some(route) = routes.min_by_key(|route| route.len())
            && plugin.ok
        {
            context.output.note(&format!("{} answers at {route}", label.name));
        }
        return;
    }
}

fn has_settled(plugin: &PluginStatus) -> bool {
    plugin
        .services
        .iter()
        .flat_map(|service| &service.workers)
        .all(|worker| worker.state != State::Starting || worker.last_error.is_some())
}
