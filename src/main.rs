//! The `mwp` binary: run the command line, turn an error into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    mwp::cli::main()
}
