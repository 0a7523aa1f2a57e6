//! The existing commands of MetWork: under one of their names, `mwp` is that command.
//!
//! Each has the options, the output on standard output and the exit codes that scripts know. What is done, is
//! done by the command of `mwp` for it; messages on standard error are ours.

mod layers;
mod plugin;
mod plugins;

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;

use super::{Context, usage};
use crate::exit;

type Shim = fn(&[OsString], &Context) -> u8;

const SHIMS: [(&str, Shim); 24] = [
    ("_make_and_install_crontab.sh", plugins::install_crontab),
    ("bootstrap_plugin.py", plugins::bootstrap),
    ("cronwrap.sh", plugin::cronwrap),
    ("get_layer_home", layers::home),
    ("inject_file", plugin::inject),
    ("is_layer_installed", layers::is_installed),
    ("is_layer_loaded", layers::is_loaded),
    ("layer_load_bash_cmds", layers::load_commands),
    ("layer_unload_bash_cmds", layers::unload_commands),
    ("layer_wrapper", layers::wrapper),
    ("layers", layers::list),
    ("plugin_env", plugin::env),
    ("plugin_wrapper", plugin::wrapper),
    ("plugins.check", plugins::check),
    ("plugins.develop", plugins::develop),
    ("plugins.hash", plugins::hash),
    ("plugins.hotswap", plugins::hotswap),
    ("plugins.info", plugins::info),
    ("plugins.install", plugins::install),
    ("plugins.list", plugins::list),
    ("plugins.make", plugins::make),
    ("plugins.repackage", plugins::repackage),
    ("plugins.uninstall", plugins::uninstall),
    ("plugins.validate_name", plugins::validate_name),
];

/// The exit code of the existing command that this process was started as; `None` where it is `mwp` itself.
pub(super) fn run(words: &[OsString], context: &Context) -> Option<u8> {
    let name = Path::new(words.first()?).file_name()?;
    SHIMS.iter().find(|(known, _)| name == *known).map(|(_, shim)| shim(words, context))
}

/// Does something with the arguments; where they are wrong, the exit code is `code`.
fn with<A: Parser>(words: &[OsString], code: u8, context: &Context, act: impl FnOnce(A) -> u8) -> u8 {
    match A::try_parse_from(words) {
        Ok(arguments) => act(arguments),
        Err(refusal) if !refusal.use_stderr() => {
            context.output.usage(None, &refusal);
            exit::DONE
        }
        Err(refusal) => {
            context.output.error(&usage::error(&refusal));
            code
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_put_on_the_path_is_known() {
        assert_eq!(SHIMS.map(|(name, _)| name), crate::shims::COMMANDS);
    }
}
