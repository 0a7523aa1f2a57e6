//! `mwp metrics`: how a module is, for Prometheus.

use clap::Args;

use super::Context;
use super::status::running_module;
use crate::error::{Error, Result};
use crate::run::{Reply, Request, metrics};

/// Print what runs as metrics, in Prometheus' text format
///
/// A module that is up serves the same over HTTP, at `/metrics`: on the socket `var/metrics.socket` and, with
/// `metrics_port` in `[supervisor]`, on that port of the loopback.
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp metrics")]
pub(super) struct Arguments {
    /// The module [default: the one whose environment is loaded, or that is up]
    #[arg(long)]
    module: Option<String>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let (_, control) = running_module(arguments.module.as_deref(), context)?;
    let Reply::Status(status) = control.ask(&Request::Status { checks: false })? else {
        return Err(Error::machine("the supervisor gave no status").hint("`mwp down`, then `mwp up`"));
    };
    context.output.line(metrics::render(&status).trim_end());
    Ok(())
}
