//! `mwp reload`, `mwp restart` and `mwp stop`: orders to a module that is up.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;

use super::Context;
use super::shells::Plugins;
use super::status::running_module;
use crate::error::Result;
use crate::run::Request;
use crate::text;

/// Look at everything again – plugins, configuration, settings – and act upon what changed
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp reload")]
pub(super) struct ReloadArguments {
    /// The module [default: the one whose environment is loaded, or that is up]
    #[arg(long)]
    module: Option<String>,
}

pub(super) fn reload(arguments: &ReloadArguments, context: &Context) -> Result<()> {
    let (module, control) = running_module(arguments.module.as_deref(), context)?;
    control.order(&Request::Reload)?;
    context.output.note(&format!("{module} has been looked at again"));
    if context.output.is_json() {
        context.output.json(&json!({"module": module.as_str()}));
    }
    Ok(())
}

/// Restart plugins, services or workers, gracefully: new processes serve before the old ones stop
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp restart shop/main")]
pub(super) struct RestartArguments {
    /// The module [default: the one whose environment is loaded, or that is up]
    #[arg(long)]
    module: Option<String>,
    /// `PLUGIN`, `PLUGIN/SERVICE`, `PLUGIN/SERVICE/WORKER`, or `nginx`
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(Plugins), required = true)]
    names: Vec<String>,
    /// Return when the new processes serve, and fail where they do not
    #[arg(short, long)]
    wait: bool,
}

pub(super) fn restart(arguments: &RestartArguments, context: &Context) -> Result<()> {
    let (module, control) = running_module(arguments.module.as_deref(), context)?;
    control.order(&Request::Restart { names: arguments.names.clone(), wait: arguments.wait })?;
    for name in &arguments.names {
        let name = text::visible(name);
        context.output.note(&match arguments.wait {
            true => format!("restarted {name}"),
            false => format!("restarting {name}; `mwp status` says how it goes"),
        });
    }
    if context.output.is_json() {
        let names = &arguments.names;
        context.output.json(&json!({"module": module.as_str(), "names": names, "waited": arguments.wait}));
    }
    Ok(())
}

/// Stop plugins, services or workers, until `mwp restart` or the next `mwp up`; without a name, all of them
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp stop shop")]
pub(super) struct StopArguments {
    /// The module [default: the one whose environment is loaded, or that is up]
    #[arg(long)]
    module: Option<String>,
    /// `PLUGIN`, `PLUGIN/SERVICE` or `PLUGIN/SERVICE/WORKER` [default: everything but nginx]
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(Plugins))]
    names: Vec<String>,
}

pub(super) fn stop(arguments: &StopArguments, context: &Context) -> Result<()> {
    let (module, control) = running_module(arguments.module.as_deref(), context)?;
    control.order(&Request::Stop { names: arguments.names.clone() })?;
    if arguments.names.is_empty() {
        context.output.note(&format!("stopped every plugin of {module}; `mwp down` stops nginx too"));
    }
    for name in &arguments.names {
        context.output.note(&format!("stopped {}", text::visible(name)));
    }
    if context.output.is_json() {
        context.output.json(&json!({"module": module.as_str(), "names": &arguments.names}));
    }
    Ok(())
}
