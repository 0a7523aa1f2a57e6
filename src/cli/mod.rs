//! The command line: arguments in, plain structs to the library, text out. No logic.

mod bootstrap;
mod check;
mod common;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::exit;
use crate::site::{Environment, Site};
use output::Output;

/// Builds, ships and runs MetWork plugins
#[derive(Debug, Parser)]
#[command(name = "mwp", version, propagate_version = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bootstrap(bootstrap::Arguments),
    Check(check::Arguments),
}

/// What every command gets beside its own arguments.
struct Context {
    site: Site,
    output: Output,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let output = Output::of_process();
    let arguments = match Arguments::try_parse_from(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(refusal) => return refuse(&output, &refusal),
    };
    let context = Context { site: Site::new(Environment::of_process()), output };
    match run(arguments, &context) {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => {
            context.output.error(&error);
            ExitCode::from(error.fault.exit_code())
        }
    }
}

fn run(arguments: Arguments, context: &Context) -> Result<()> {
    match arguments.command {
        None => Ok(()),
        Some(Command::Bootstrap(arguments)) => bootstrap::run(arguments, context),
        Some(Command::Check(arguments)) => check::run(&arguments, context),
    }
}

/// Help and version go to standard output with exit code 0, everything else is a usage error.
fn refuse(output: &Output, refusal: &clap::Error) -> ExitCode {
    output.usage(refusal);
    ExitCode::from(if refusal.use_stderr() { exit::USAGE } else { exit::DONE })
}
