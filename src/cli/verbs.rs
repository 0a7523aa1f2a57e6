//! What a developer does every day in a plugin's directory: run something in its environment, test it, build at each
//! edit.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use notify::{RecursiveMode, Watcher};

use super::Context;
use super::build::{self, Building};
use super::common::{Common, Places};
use super::exec::become_command;
use crate::env::{PluginEnvironment, Under, outside};
use crate::error::{Error, Result};
use crate::graph::Target;
use crate::plugin::Label;
use crate::{recipe, text};

/// Build the plugin, then run a command in its environment
///
/// It starts in the plugin's directory, and ends as the command does.
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp run -- python3 -c 'import flask; print(flask.__version__)'")]
pub(super) struct RunArguments {
    #[command(flatten)]
    common: Common,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Build the plugin, then run its tests in its environment
///
/// They are the command of `[tasks.test]` in mwp.toml; else what the template brought: `npm test`, `manage.py test`, a
/// script in `tests/`, or Python's `test*.py`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp test -- -k greeting")]
pub(super) struct TestArguments {
    #[command(flatten)]
    common: Common,
    /// Further arguments of the test's command
    #[arg(value_name = "ARGUMENT", last = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Build whenever something is edited, until ^C
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp watch")]
pub(super) struct WatchArguments {
    #[command(flatten)]
    building: Building,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    places: Places,
}

pub(super) fn run(arguments: &RunArguments, context: &Context) -> Result<u8> {
    become_in(arguments.common.directory()?, &arguments.common, &arguments.command, context)
}

pub(super) fn test(arguments: &TestArguments, context: &Context) -> Result<u8> {
    let dir = arguments.common.directory()?;
    let Some(command) = recipe::test_command(dir)? else {
        Label::read(dir)?;
        return Err(Error::input(format!("{}: there is nothing to test it with", text::path(dir)))
            .hint("write `[tasks.test]` with `command = [\"…\"]` and `targets = [\"test\"]` into mwp.toml, or a `test_….py`"));
    };
    let command: Vec<OsString> =
        command.into_iter().map(OsString::from).chain(arguments.arguments.iter().cloned()).collect();
    become_in(dir, &arguments.common, &command, context)
}

/// Builds what is stale, quietly, and becomes the command.
fn become_in(dir: &Path, common: &Common, command: &[OsString], context: &Context) -> Result<u8> {
    let mut quiet = common.clone();
    quiet.loudness.quiet = !common.loudness.verbose;
    build::build(&Building::default(), &quiet, Target::Build, context)?;
    let mut entered = PluginEnvironment::new(dir, None, Under::Loaded, &context.site)?;
    outside::remember(&context.site.environment, &mut entered.environment);
    let dir = entered.plugin.dir.clone();
    Ok(become_command(command, Some(&dir), &entered.environment, context))
}

/// Nothing has changed for so long: the edit is complete.
const QUIET: Duration = Duration::from_millis(200);

pub(super) fn watch(arguments: &WatchArguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    let (sender, events) = channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = |event: &notify::Event| !event.kind.is_access();
        if event.as_ref().map_or(true, is_change) {
            let _ = sender.send(event.map(|event| event.paths).unwrap_or_default());
        }
    })
    .map_err(|error| cannot_watch(Path::new("."), &error))?;
    for dir in common.directories()? {
        watcher.watch(&dir, RecursiveMode::Recursive).map_err(|error| cannot_watch(&dir, &error))?;
    }
    loop {
        if let Err(error) = build::build(&arguments.building, &common, Target::Build, context) {
            if crate::process::is_interrupted() {
                return Err(error);
            }
            context.output.error(&error);
        }
        context.output.note("waiting for an edit, until ^C");
        // What the build itself has written is no edit.
        while events.recv_timeout(QUIET).is_ok() {}
        loop {
            match events.recv_timeout(QUIET) {
                Ok(paths) if paths.iter().any(|path| is_source(path)) => break,
                Ok(_) => {}
                Err(_) if crate::process::is_interrupted() => return Err(Error::interrupted()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        while events.recv_timeout(QUIET).is_ok() {}
    }
}

fn cannot_watch(dir: &Path, error: &notify::Error) -> Error {
    Error::machine(format!("cannot watch {}: {error}", text::path(dir)))
        .hint("raise fs.inotify.max_user_watches, or run `mwp build` by hand")
}

/// Whether a path is the author's, and not what a build makes or a tool leaves.
fn is_source(path: &Path) -> bool {
    const MADE: [&str; 6] = [".mwp", ".git", "local", "node_modules", "__pycache__", "dist"];
    !path.components().any(|part| MADE.iter().any(|made| part.as_os_str() == OsStr::new(made)))
}
