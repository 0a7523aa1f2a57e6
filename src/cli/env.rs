//! `mwp env`: a shell in a plugin's environment, or the environment as text.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::Context;
use super::exec::{BaseOption, become_command};
use super::shells::Plugins;
use crate::env::{Change, PluginEnvironment, Shell, Under, changes, enclosing_plugin, quoted};
use crate::error::{Error, Result};
use crate::{exit, text};

/// Enter the environment of a plugin with a shell
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp env shop")]
pub(super) struct Arguments {
    /// Print the variables that change, for a shell to `eval`
    #[arg(long, conflicts_with = "json")]
    print: bool,
    #[command(flatten)]
    base: BaseOption,
    /// An installed plugin, or the directory of one (`.`, or with a `/`) [default: the current directory]
    #[arg(value_name = "NAME|DIR", add = ArgValueCandidates::new(Plugins))]
    plugin: Option<OsString>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<u8> {
    let plugin = arguments.plugin.as_deref().unwrap_or(OsStr::new("."));
    if !arguments.print && !context.output.is_json() {
        refuse_inside(context)?;
    }
    let entered = arguments.base.enter(plugin, Under::Loaded, context)?;
    let changes = changes(&context.site.environment, &entered.environment);
    if context.output.is_json() {
        context.output.json(&Report::new(&entered, &changes));
        return Ok(exit::DONE);
    }
    if arguments.print {
        context.output.bytes(script(&changes, "\n").as_bytes());
        return Ok(exit::DONE);
    }
    if lacks_virtualenv(&entered.plugin.dir) {
        context.output.hint("the plugin's virtualenv is not there yet: `mwp build` makes it");
    }
    let shell = Shell::new(&entered)?;
    let command: Vec<OsString> = std::iter::once(shell.program).chain(shell.arguments).collect();
    Ok(become_command(&command, None, &shell.environment, context))
}

/// A shell in a shell would mix the libraries of two plugins.
fn refuse_inside(context: &Context) -> Result<()> {
    match enclosing_plugin(&context.site.environment) {
        None => Ok(()),
        Some(name) => Err(Error::input(format!(
            "this is the environment of the plugin `{}` already",
            text::visible(&name)
        ))
        .hint("leave it with `exit` first; `mwp exec` runs a single command in another plugin's")),
    }
}

fn lacks_virtualenv(dir: &Path) -> bool {
    dir.join("python3_virtualenv_sources").is_dir() && !dir.join("local/bin/python3").exists()
}

/// Commands for a POSIX shell, one per variable. What a shell cannot name is left out.
pub(super) fn script(changes: &[Change], end: &str) -> OsString {
    let mut script = OsString::new();
    for (name, value) in changes.iter().filter(|(name, _)| is_shell_name(name)) {
        match value {
            Some(value) => {
                script.push("export ");
                script.push(name);
                script.push("=");
                script.push(quoted(value));
            }
            None => {
                script.push("unset ");
                script.push(name);
            }
        }
        script.push(end);
    }
    script
}

fn is_shell_name(name: &OsStr) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = name.as_bytes();
    bytes.iter().all(is_plain) && bytes.first().is_some_and(|first| !first.is_ascii_digit())
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    module: &'a str,
    directory: String,
    /// Set or changed.
    variables: BTreeMap<String, String>,
    unset: Vec<String>,
}

impl<'a> Report<'a> {
    fn new(entered: &'a PluginEnvironment, changes: &[Change]) -> Report<'a> {
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        let set = changes.iter().filter_map(|(name, value)| Some((text(name), text(value.as_deref()?))));
        let unset = changes.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| text(name));
        Report {
            name: entered.plugin.label.name.as_str(),
            module: entered.plugin.label.module.as_str(),
            directory: text(entered.plugin.dir.as_os_str()),
            variables: set.collect(),
            unset: unset.collect(),
        }
    }
}
