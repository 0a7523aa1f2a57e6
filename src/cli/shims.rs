//! `mwp shims`: the existing commands, for scripts and Makefiles that call them.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use crate::env::quoted;
use crate::error::{At, Result};
use crate::shims;

/// Put the commands of MetWork into a directory, all done by mwp
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp shims ~/metwork")]
pub(super) struct Arguments {
    /// Where to put them
    #[arg(value_name = "DIR", required_unless_present = "home")]
    directory: Option<PathBuf>,
    /// Print the directory that stands for MFEXT_HOME where there is none, and do nothing else
    #[arg(long, conflicts_with = "directory")]
    home: bool,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let Some(directory) = &arguments.directory else {
        let mut home = shims::home(&context.site)?.into_os_string();
        home.push("\n");
        context.output.bytes(home.as_encoded_bytes());
        return Ok(());
    };
    let program = context.site.program.as_deref().ok_or_else(shims::no_program)?;
    let directory = std::path::absolute(directory).at("find", directory)?;
    shims::write_commands(&directory, program, &shims::COMMANDS)?;
    let quoted = quoted(directory.as_os_str());
    for (before, after) in [("PATH=", ":\"$PATH\""), ("MFEXT_HOME=", ""), ("MFCOM_HOME=", "")] {
        let mut line = std::ffi::OsString::from(format!("export {before}"));
        line.push(&quoted);
        line.push(after);
        line.push("\n");
        context.output.bytes(line.as_encoded_bytes());
    }
    context.output.next_step("`eval` these lines, or put them into your profile");
    Ok(())
}
