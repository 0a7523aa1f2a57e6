//! `mwp worker`: become a worker of an installed plugin; what systemd and circus start.

use clap::Args;

use super::Context;
use super::exec::{BaseOption, become_command};
use crate::error::{Error, Result};
use crate::exit;
use crate::plugin::Module;
use crate::run::{Which, Worker};

/// Become a worker of an installed plugin; units of systemd and circus.ini start this
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[arg(long)]
    module: String,
    #[command(flatten)]
    base: BaseOption,
    /// Take a running worker away from nginx and wait for its requests, before it is stopped
    #[arg(long)]
    drain: bool,
    /// Write errors where output goes
    #[arg(long)]
    one_stream: bool,
    #[arg(value_name = "PLUGIN")]
    plugin: String,
    /// Of the plugin's config.ini: `app_main`
    #[arg(value_name = "SECTION")]
    section: String,
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<u8> {
    if arguments.one_stream {
        rustix::stdio::dup2_stderr(std::io::stdout())
            .map_err(|error| Error::machine(format!("cannot join the streams: {error}")))?;
    }
    let module = Module::parse(&arguments.module)?;
    let which = Which {
        module: &module,
        plugins_base: arguments.base.plugins_base_dir.as_deref(),
        plugin: &arguments.plugin,
        section: &arguments.section,
        number: arguments.number,
    };
    let worker = Worker::find(&which, &context.site)?;
    if arguments.drain {
        worker.drain()?;
        return Ok(exit::DONE);
    }
    Worker::refuse_a_second(&module, &context.site)?;
    Ok(become_command(&worker.command()?, Some(worker.home()), &worker.environment(), context))
}
