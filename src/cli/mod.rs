//! The command line: arguments in, plain structs to the library, text out. No logic.

mod annotations;
mod ask;
mod bootstrap;
mod branches;
mod build;
mod cache;
mod check;
mod circus;
mod clean;
mod common;
mod cron;
mod cronwrap;
mod diff;
mod doctor;
mod echo;
mod env;
mod exec;
mod explain;
mod graph;
mod help;
mod in_service;
mod info;
mod inject;
mod install;
mod installed;
mod json;
mod lock;
mod logs;
mod loudness;
mod metrics;
mod migrate;
mod outdated;
mod output;
mod pack;
mod painted;
mod patch;
mod progress;
mod release;
mod require;
mod shells;
mod shim;
mod shims;
mod signals;
mod size;
mod status;
mod status_table;
mod steer;
mod style;
mod subject;
mod systemd;
mod table;
mod timings;
mod tree;
mod up;
mod usage;
mod verbs;
mod worker;
mod wrap;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::clean::Depth;
use crate::error::{Error, Result};
use crate::exit;
use crate::site::{Environment, Site};
use json::Form;
use loudness::Loudness;
use output::Output;

/// Builds, ships and runs MetWork plugins
#[derive(Debug, Parser)]
#[command(
    name = "mwp",
    version = env!("MWP_VERSION"),
    disable_help_subcommand = true,
    override_help = help::OVERVIEW,
    args_conflicts_with_subcommands = true,
    args = loudness::arguments(),
    arg = json::argument()
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: build.
    #[command(flatten)]
    build: build::Arguments,
}

// Of a command that is not asked for, its name alone is made.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    New(bootstrap::Create),
    Init(bootstrap::Init),
    Add(require::AddArguments),
    Remove(require::RemoveArguments),
    Bootstrap(bootstrap::Arguments),
    Build(build::BuildArguments),
    Check(check::Arguments),
    Clean(clean::Arguments),
    Superclean(clean::SupercleanArguments),
    Lock(lock::Arguments),
    Outdated(outdated::Arguments),
    Tree(tree::Arguments),
    Migrate(migrate::Arguments),
    Run(verbs::RunArguments),
    Test(verbs::TestArguments),
    Watch(verbs::WatchArguments),
    Explain(explain::Arguments),
    Graph(graph::Arguments),
    Cache(cache::Arguments),
    Release(release::Arguments),
    Pack(pack::Arguments),
    Info(info::Arguments),
    Hash(info::HashArguments),
    Size(size::Arguments),
    Diff(diff::Arguments),
    Install(install::Arguments),
    Hotswap(install::HotswapArguments),
    Provision(install::ProvisionArguments),
    Develop(installed::DevelopArguments),
    Uninstall(installed::UninstallArguments),
    List(installed::ListArguments),
    Verify(installed::VerifyArguments),
    Repackage(installed::RepackageArguments),
    Up(up::Arguments),
    Status(status::Arguments),
    Reload(steer::ReloadArguments),
    Restart(steer::RestartArguments),
    Stop(steer::StopArguments),
    Down(up::DownArguments),
    Logs(logs::Arguments),
    Inject(inject::Arguments),
    Metrics(metrics::Arguments),
    Doctor(doctor::Arguments),
    #[command(hide = true)]
    Supervise(up::SuperviseArguments),
    Systemd(systemd::Arguments),
    Circus(circus::Arguments),
    #[command(hide = true)]
    Worker(worker::Arguments),
    Env(env::Arguments),
    Exec(exec::Arguments),
    Cron(cron::Arguments),
    Cronwrap(cronwrap::Arguments),
    Help(help::Arguments),
    Completions(shells::CompletionArguments),
    Man(shells::ManArguments),
    Shims(shims::Arguments),
}

/// Every command with all of its options.
fn described() -> clap::Command {
    let mut root = CommandLine::command();
    root.build();
    root
}

/// What these words are read with: the arguments that every command has are given to the one that is asked for, where clap
/// would copy them into each, which takes a quarter of the start.
fn command_line(words: &[OsString]) -> clap::Command {
    let root = CommandLine::command();
    let own = |root: clap::Command| root.mut_args(|argument| argument.global(false));
    match words.get(1).and_then(|word| word.to_str()) {
        Some(name) if root.find_subcommand(name).is_some() => own(root)
            .mut_subcommand(name, |command| command.args(loudness::arguments()).arg(json::argument())),
        Some("--version" | "-V") if words.len() == 2 => own(root),
        // What is wrong with it may be sought in all commands.
        _ => root,
    }
}

/// What every command gets beside its own arguments.
struct Context {
    site: Site,
    output: Output,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    never_write_for_everybody();
    clap_complete::CompleteEnv::with_factory(CommandLine::command).var(shells::VARIABLE).complete();
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut site = Site::new(Environment::of_process());
    site.program = std::env::current_exe().ok();
    let context = Context { site, output: Output::of_process() };
    let refused = context.site.refuse_relative_homes().and_then(|()| context.site.refuse_bad_numbers());
    if let Err(error) = refused {
        context.output.speak(Form::of_words(&words));
        context.output.error(&error);
        context.output.complete_json(Some(&error));
        return ExitCode::from(error.fault.exit_code());
    }
    // Under the name of an existing command, be that command.
    ExitCode::from(shim::run(&words, &context).unwrap_or_else(|| execute(&words, &context)))
}

/// What is made is nobody else's to write, whatever the umask; a group may share where the umask takes something off.
fn never_write_for_everybody() {
    use rustix::fs::Mode;
    let given = rustix::process::umask(Mode::from_raw_mode(0o022));
    if given.bits() & 0o022 != 0 {
        rustix::process::umask(given | Mode::WOTH);
    } else {
        rustix::process::umask(given | Mode::WGRP | Mode::WOTH);
    }
}

/// Runs a command line of `mwp` and returns its exit code.
fn execute(words: &[OsString], context: &Context) -> u8 {
    let words = usage::in_order(words);
    let matches = command_line(&words).try_get_matches_from(&words);
    context.output.speak(matches.as_ref().map_or_else(|_| Form::of_words(&words), Form::of));
    if let Ok(matches) = &matches {
        context.output.say(Loudness::of(json::innermost(matches)));
    }
    let arguments = matches.and_then(|mut matches| {
        CommandLine::from_arg_matches_mut(&mut matches)
            .map_err(|refusal| refusal.format(&mut CommandLine::command()))
    });
    match arguments {
        Ok(arguments) => {
            let allowed = usage::refuse_json(arguments.command.as_ref(), &context.output);
            code(allowed.and_then(|()| run(arguments, context)), context)
        }
        // Help and the version are data.
        Err(refusal) if !refusal.use_stderr() => {
            context.output.usage(words.get(1).and_then(|word| word.to_str()), &refusal);
            exit::DONE
        }
        Err(refusal) => code(Err(usage::error(&refusal)), context),
    }
}

/// Says what went wrong and returns the exit code for it.
fn code(result: Result<u8>, context: &Context) -> u8 {
    let result = result.and_then(|code| match Output::has_failed() {
        true => Err(Error::machine("cannot write to standard output").hint("is its disk full?")),
        false => Ok(code),
    });
    if result.is_ok() {
        context.output.complete_json(None);
    }
    result.unwrap_or_else(|error| {
        // Whatever did not come to its end, it is because of that.
        let error = if crate::process::is_interrupted() { Error::interrupted() } else { error };
        context.output.error(&error);
        context.output.complete_json(Some(&error));
        error.fault.exit_code()
    })
}

fn run(arguments: CommandLine, context: &Context) -> Result<u8> {
    let done = match arguments.command {
        // These end as the program that they run does.
        Some(Command::Env(arguments)) => return env::run(&arguments, context),
        Some(Command::Exec(arguments)) => return exec::run(&arguments, context),
        Some(Command::Cronwrap(arguments)) => return cronwrap::run(&arguments, context),
        Some(Command::Up(arguments)) => return up::run(&arguments, context),
        Some(Command::Status(arguments)) => return status::run(&arguments, context),
        Some(Command::Worker(arguments)) => return worker::run(&arguments, context),
        Some(Command::Help(arguments)) => help::run(&arguments, context),
        Some(Command::Completions(arguments)) => shells::completions(&arguments, context),
        Some(Command::Man(arguments)) => shells::man(&arguments, context),
        Some(Command::Run(arguments)) => return verbs::run(&arguments, context),
        Some(Command::Test(arguments)) => return verbs::test(&arguments, context),
        Some(Command::Watch(arguments)) => verbs::watch(&arguments, context),
        Some(Command::Add(arguments)) => require::add(&arguments, context),
        Some(Command::Remove(arguments)) => require::remove(&arguments, context),
        Some(Command::New(arguments)) => bootstrap::create(arguments, context),
        Some(Command::Init(arguments)) => bootstrap::init(&arguments, context),
        Some(Command::Shims(arguments)) => shims::run(&arguments, context),
        None => build::run(&arguments.build, context),
        Some(Command::Bootstrap(arguments)) => bootstrap::run(arguments, context),
        Some(Command::Build(arguments)) => build::run_at(&arguments, context),
        Some(Command::Check(arguments)) => check::run(&arguments, context),
        Some(Command::Clean(arguments)) => clean::run(&arguments, Depth::Clean, context),
        Some(Command::Superclean(arguments)) => clean::run(&arguments.arguments, Depth::Superclean, context),
        Some(Command::Lock(arguments)) => lock::run(&arguments, context),
        Some(Command::Outdated(arguments)) => outdated::run(&arguments, context),
        Some(Command::Tree(arguments)) => tree::run(&arguments, context),
        Some(Command::Migrate(arguments)) => migrate::run(&arguments, context),
        Some(Command::Explain(arguments)) => explain::run(&arguments, context),
        Some(Command::Graph(arguments)) => graph::run(&arguments, context),
        Some(Command::Cache(arguments)) => cache::run(&arguments, context),
        Some(Command::Release(arguments)) => release::run(&arguments, context),
        Some(Command::Pack(arguments)) => pack::run(&arguments, context),
        Some(Command::Info(arguments)) => info::run(&arguments, context),
        Some(Command::Hash(arguments)) => info::run_hash(&arguments, context),
        Some(Command::Size(arguments)) => size::run(&arguments, context),
        Some(Command::Diff(arguments)) => return diff::run(&arguments, context),
        Some(Command::Install(arguments)) => install::run(&arguments, context),
        Some(Command::Hotswap(arguments)) => install::hotswap(&arguments, context),
        Some(Command::Provision(arguments)) => install::provision(&arguments, context),
        Some(Command::Develop(arguments)) => installed::develop(&arguments, context),
        Some(Command::Uninstall(arguments)) => installed::uninstall(&arguments, context),
        Some(Command::List(arguments)) => installed::list(&arguments, context),
        Some(Command::Verify(arguments)) => installed::verify(&arguments, context),
        Some(Command::Cron(arguments)) => cron::run(&arguments, context),
        Some(Command::Repackage(arguments)) => installed::repackage(&arguments, context),
        Some(Command::Reload(arguments)) => steer::reload(&arguments, context),
        Some(Command::Restart(arguments)) => steer::restart(&arguments, context),
        Some(Command::Stop(arguments)) => steer::stop(&arguments, context),
        Some(Command::Down(arguments)) => up::down(&arguments, context),
        Some(Command::Logs(arguments)) => logs::run(&arguments, context),
        Some(Command::Inject(arguments)) => inject::run(&arguments, context),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments, context),
        Some(Command::Metrics(arguments)) => metrics::run(&arguments, context),
        Some(Command::Systemd(arguments)) => systemd::run(&arguments, context),
        Some(Command::Circus(arguments)) => circus::run(&arguments, context),
        Some(Command::Supervise(arguments)) => up::run_supervisor(&arguments, context),
    };
    done.map(|()| exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_described_when_it_is_asked_for() {
        let mut root = CommandLine::command();
        root.try_get_matches_from_mut(["mwp", "list"]).unwrap();
        for command in root.get_subcommands() {
            let is_described = command.get_about().is_some();
            assert_eq!(is_described, command.get_name() == "list", "{}", command.get_name());
        }
        assert!(described().get_subcommands().all(|command| command.get_about().is_some()));
    }

    #[test]
    fn the_command_that_is_asked_for_reads_as_it_does_among_all() {
        let words = |line: &str| -> Vec<OsString> { line.split(' ').map(OsString::from).collect() };
        for line in [
            "mwp",
            "mwp -q",
            "mwp --json",
            "mwp list --json -v",
            "mwp list -v -q",
            "mwp bootstrap list --json",
            "mwp bootstrap -v list",
            "mwp exec -q name -- command -v",
            "mwp build --json=events",
            "mwp build --help",
            "mwp list --jsn",
            "mwp lst",
            "mwp -q list",
            "mwp --version",
            "mwp -V",
            "mwp --version --bogus",
            "mwp --bogus",
            "mwp --print",
            "mwp --json --bogus",
            "mwp list --bogus",
            "mwp env --prin",
            "mwp bootstrap",
        ] {
            let words = words(line);
            let [ours, all] = [command_line(&words), CommandLine::command()].map(|root| {
                let read =
                    |matches: clap::ArgMatches| (Form::of(&matches), Loudness::of(json::innermost(&matches)));
                root.try_get_matches_from(&words).map(read).map_err(|refusal| refusal.to_string())
            });
            assert_eq!(format!("{ours:?}"), format!("{all:?}"), "{line}");
        }
    }
}
