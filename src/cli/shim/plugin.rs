//! `plugin_wrapper`, `plugin_env` and `cronwrap.sh`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Parser;

use super::super::json;
use super::with;
use crate::cli::env::script;
use crate::cli::exec::{BaseOption, become_command};
use crate::cli::{Context, code, cronwrap as cron, env as shell, execute, inject};
use crate::env::{Under, changes, quoted};
use crate::error::Result;
use crate::exit;
use crate::site::Environment;

/// Execute a command in a plugin environment
#[derive(Debug, Parser)]
#[command(name = "plugin_wrapper", version, infer_long_args = true)]
struct Wrapper {
    /// Start in the plugin's home
    #[arg(long)]
    cwd: bool,
    /// Unload all layers first
    #[arg(long)]
    empty: bool,
    /// Print commands for a fresh bash instead; no COMMAND is needed
    #[arg(long)]
    bash_cmds: bool,
    /// Accepted and ignored: there is no cache
    #[arg(long)]
    ignore_cache: bool,
    #[command(flatten)]
    base: BaseOption,
    /// The plugin's name, or its home (with a `/`)
    #[arg(value_name = "PLUGIN_NAME_OR_PLUGIN_HOME")]
    plugin: OsString,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND_AND_ARGS",
        required_unless_present = "bash_cmds",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

pub(super) fn wrapper(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |arguments: Wrapper| code(wrap(&arguments, context), context))
}

fn wrap(arguments: &Wrapper, context: &Context) -> Result<u8> {
    let under = if arguments.empty { Under::Nothing } else { Under::Loaded };
    let entered = arguments.base.enter(&arguments.plugin, under, context)?;
    let directory = arguments.cwd.then_some(entered.plugin.dir.as_path());
    if !arguments.bash_cmds {
        return Ok(become_command(&arguments.command, directory, &entered.environment, context));
    }
    let mut all = entered.environment.clone();
    // Each shell has its own.
    for name in ["_", "OLDPWD", "PWD", "SHLVL"] {
        all.remove(name);
    }
    context.output.bytes(script(&changes(&Environment::default(), &all), "\n").as_bytes());
    if let Some(directory) = directory {
        let mut line = OsString::from("cd ");
        line.push(quoted(directory.as_os_str()));
        line.push("\n");
        context.output.bytes(line.as_bytes());
    }
    Ok(exit::DONE)
}

/// Enter a plugin environment with an interactive shell
#[derive(Debug, Parser)]
#[command(name = "plugin_env", version, infer_long_args = true, arg = json::argument())]
struct PluginEnv {
    #[command(flatten)]
    arguments: shell::Arguments,
}

pub(super) fn env(words: &[OsString], context: &Context) -> u8 {
    context.output.speak(json::Form::of_words(words));
    with(words, exit::USAGE, context, |given: PluginEnv| code(shell::run(&given.arguments, context), context))
}

/// Execute a command from cron
#[derive(Debug, Parser)]
#[command(name = "cronwrap.sh", version, infer_long_args = true)]
struct Cronwrap {
    #[command(flatten)]
    arguments: cron::Arguments,
}

pub(super) fn cronwrap(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |given: Cronwrap| code(cron::run(&given.arguments, context), context))
}

/// Put a file into the inbox of a step
#[derive(Debug, Parser)]
#[command(name = "inject_file", version, infer_long_args = true)]
struct InjectFile {
    #[command(flatten)]
    arguments: inject::Arguments,
}

pub(super) fn inject(words: &[OsString], context: &Context) -> u8 {
    with(words, exit::USAGE, context, |given: InjectFile| {
        code(inject::run(&given.arguments, context).map(|()| exit::DONE), context)
    })
}

/// Runs `mwp` with these words.
pub(super) fn mwp(words: &[OsString], context: &Context) -> u8 {
    let all: Vec<OsString> = std::iter::once("mwp".into()).chain(words.iter().cloned()).collect();
    execute(&all, context)
}
