//! `mwp exec`: become a command in a plugin's environment.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::Context;
use super::shells::Plugins;
use crate::env::{PluginEnvironment, Under, outside};
use crate::error::{Error, Result};
use crate::installed::Bases;
use crate::site::Environment;
use crate::{exit, process, text};

/// Run a command in the environment of a plugin
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp exec shop -- python3 -c 'import flask'")]
pub(super) struct Arguments {
    /// Start in the plugin's directory
    #[arg(long)]
    pub(super) cwd: bool,
    /// Unload all layers first
    #[arg(long)]
    pub(super) empty: bool,
    #[command(flatten)]
    pub(super) base: BaseOption,
    /// An installed plugin, or the directory of one (`.`, or with a `/`)
    #[arg(value_name = "NAME|DIR", add = ArgValueCandidates::new(Plugins))]
    pub(super) plugin: OsString,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<OsString>,
}

/// Where the plugins are.
#[derive(Debug, Clone, Args)]
pub(super) struct BaseOption {
    /// Where plugins are installed, instead of the module's own directory
    #[arg(long, value_name = "DIR")]
    pub(super) plugins_base_dir: Option<PathBuf>,
}

impl BaseOption {
    /// The environment of a plugin, by name or directory.
    pub(super) fn enter(&self, plugin: &OsStr, under: Under, context: &Context) -> Result<PluginEnvironment> {
        let given = self.plugins_base_dir.as_deref();
        let found = Bases::new(given, &context.site)?.find(plugin)?;
        PluginEnvironment::new(&found.dir, given.or(found.base.as_deref()), under, &context.site)
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<u8> {
    let under = if arguments.empty { Under::Nothing } else { Under::Loaded };
    let mut entered = arguments.base.enter(&arguments.plugin, under, context)?;
    outside::remember(&context.site.environment, &mut entered.environment);
    let directory = arguments.cwd.then_some(entered.plugin.dir.as_path());
    Ok(become_command(&arguments.command, directory, &entered.environment, context))
}

/// Returns only where the command cannot be run: the exit code that shells have for that.
pub(super) fn become_command(
    command: &[OsString],
    directory: Option<&Path>,
    environment: &Environment,
    context: &Context,
) -> u8 {
    let Some((program, arguments)) = command.split_first() else { return exit::USAGE };
    let error = process::become_program(program, arguments, directory, environment);
    let shown = text::visible_bytes(program.as_encoded_bytes());
    let is_absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    let failed = Error::machine(format!("cannot run `{shown}`: {}", text::io_reason(&error)));
    let failed = match is_absent {
        true => failed.hint("put its directory on PATH, install it in the plugin, or give its path"),
        false => failed.hint("give it the right to be run (`chmod +x`), or name its interpreter"),
    };
    context.output.error(&failed);
    context.output.complete_json(Some(&failed));
    if is_absent { exit::NOT_FOUND } else { exit::NOT_EXECUTABLE }
}
