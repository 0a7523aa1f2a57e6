//! `mwp cronwrap`, known as `cronwrap.sh`: a command from cron.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Context;
use crate::cron::{CronJob, Ended, Output};
use crate::error::{At, Error, Result};
use crate::plugin::Module;
use crate::{exit, text};

/// Run a command from cron: alone, within a time limit, with its output in a log
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp cronwrap --lock --timeout 60 -- mwp exec shop -- bin/tidy")]
pub(super) struct Arguments {
    /// Kill the command and all that it started after so many seconds; 0: never
    #[arg(short, long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
    /// Wait for a random time of up to so many seconds first
    #[arg(short, long, value_name = "SECONDS", default_value_t = 0)]
    random_sleep: u64,
    /// Do nothing while the same command is running already
    #[arg(short, long)]
    lock: bool,
    /// Wait so many seconds for the other run to end
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1)]
    wait_for_lock_timeout: u64,
    /// What to do where the other run goes on
    #[arg(short = 'b', long, value_enum, value_name = "WHAT", default_value_t = LockTimeout::PrintStdout)]
    lock_timeout_behaviour: LockTimeout,
    /// Add to the niceness, from -20 (more favourable) to 19
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    nice: Option<i32>,
    /// The I/O class: 1 real time, 2 best effort, 3 idle
    #[arg(short, long, value_name = "CLASS", value_parser = clap::value_parser!(u8).range(0..=3))]
    ionice: Option<u8>,
    /// As `--ionice 3 --nice 19`
    #[arg(long, conflicts_with_all = ["nice", "ionice"])]
    low: bool,
    /// Have the shell read a file of settings first
    #[arg(short = 'e', long)]
    load_env: bool,
    /// Which file that is
    #[arg(short = 'f', long, value_name = "FILE", default_value = "~/.bashrc")]
    load_env_file: PathBuf,
    /// The shell that runs the command
    #[arg(short, long, value_name = "PATH", default_value = "/bin/sh")]
    shell: PathBuf,
    /// Write both streams to this file below the module's log/, and put it aside when it is large; NULL: to nowhere
    #[arg(long, value_name = "FILE")]
    log_capture_to: Option<PathBuf>,
    /// The words of the command; a single one that holds blanks is a line for the shell
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum LockTimeout {
    PrintStdout,
    PrintStderr,
    Nothing,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<u8> {
    let job = job(arguments, context)?;
    let shown = text::visible_bytes(job.command_line().as_encoded_bytes());
    match job.run(&|warning| context.output.warning(&warning.to_string()))? {
        Ended::Exit(code) => Ok(code),
        Ended::Signal(signal) => Ok(u8::try_from(128 + signal).unwrap_or(exit::INTERRUPTED)),
        Ended::TimedOut => {
            let seconds = arguments.timeout;
            let error = Error::input(format!("killed after {seconds} s: `{shown}`"));
            context.output.error(&error.hint("give it more time with `--timeout SECONDS`"));
            Ok(exit::TIMED_OUT)
        }
        Ended::Locked => {
            // The wording that log watchers know.
            let message = format!("can't acquire lock for executing {shown} => can be a normal behaviour");
            match arguments.lock_timeout_behaviour {
                LockTimeout::PrintStdout => context.output.line(&message),
                LockTimeout::PrintStderr => context.output.verbatim(&message),
                LockTimeout::Nothing => {}
            }
            Ok(exit::DONE)
        }
    }
}

fn job(arguments: &Arguments, context: &Context) -> Result<CronJob> {
    let site = &context.site;
    let module = site.module.clone().unwrap_or(Module::Mfserv);
    let runtime_home = site.runtime_home(&module);
    let seconds = Duration::from_secs;
    let settings = match arguments.load_env {
        true => Some(user_path(&arguments.load_env_file, &site.home)?),
        false => None,
    };
    Ok(CronJob {
        words: arguments.command.clone(),
        shell: arguments.shell.clone(),
        settings,
        environment: site.environment.clone(),
        timeout: (arguments.timeout > 0).then(|| seconds(arguments.timeout)),
        random_sleep: seconds(arguments.random_sleep),
        lock: arguments
            .lock
            .then(|| (runtime_home.join("var/cronwrap"), seconds(arguments.wait_for_lock_timeout))),
        nice: if arguments.low { Some(19) } else { arguments.nice },
        io_class: if arguments.low { Some(3) } else { arguments.ionice.filter(|class| *class > 0) },
        output: match &arguments.log_capture_to {
            None => Output::Shared,
            Some(file) if file.as_os_str() == "NULL" => Output::Nowhere,
            Some(file) => Output::Log(runtime_home.join("log").join(file)),
        },
    })
}

/// Absolute, `~` replaced.
fn user_path(path: &Path, home: &Path) -> Result<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => Ok(home.join(rest)),
        Err(_) => std::path::absolute(path).at("find", path),
    }
}
