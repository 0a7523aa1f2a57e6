//! `mwp up` and `mwp down`: a module, from nothing to answering, and back.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use super::Context;
use super::exec::BaseOption;
use super::install::tell;
use super::loudness::Loudness;
use super::status::{find_running, not_up, problems};
use crate::env::{enclosing_plugin, outside};
use crate::error::{At, Error, Fault, Result};
use crate::fs;
use crate::install::{self, NoRunner};
use crate::installed::{Base, modules};
use crate::internal;
use crate::plugin::Module;
use crate::process::Birth;
use crate::run::status::ModuleStatus;
use crate::run::supervisor::{Options, supervise};
use crate::run::{Control, Reply, Request, guard, other_runner};
use crate::{process, text};

/// Start a module: nginx and every app, step and daemon of the installed plugins, until ^C or `mwp down`
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp up --module mfserv --detach")]
pub(super) struct Arguments {
    /// The module [default: the one whose environment is loaded, or that has plugins]
    #[arg(long)]
    module: Option<String>,
    /// Go on in the background, and return when everything has started
    #[arg(short, long)]
    detach: bool,
    /// Leave the provisioning directory alone
    #[arg(long)]
    no_provision: bool,
    #[command(flatten)]
    base: BaseOption,
    #[command(flatten)]
    loudness: Loudness,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<u8> {
    if context.output.is_json() && !arguments.detach {
        return Err(Error::usage("`mwp up` goes on until it is ended, and has no document")
            .hint("`mwp up --detach --json` returns when everything has started"));
    }
    leave_plugin_environment(context)?;
    let base = arguments.base.plugins_base_dir.as_deref();
    let module = module_to_start(arguments.module.as_deref(), base, "mwp up", context)?;
    if Control::is_answered(&module, &context.site)? {
        return Err(Error::input(format!("{module} is up already"))
            .hint("`mwp status` shows it, `mwp reload` looks at everything again"));
    }
    if let Some(runner) = other_runner(&module, &context.site) {
        return Err(Error::input(format!("{module} is run by {} already", runner.name()))
            .hint(format!("{}; end it there before `mwp up`", runner.how_to_look(&module))));
    }
    if !arguments.no_provision {
        provision(&module, arguments, context)?;
        settle_internal_plugins(&module, arguments, context)?;
    }
    let program = std::env::current_exe().at("find", Path::new("mwp"))?;
    if arguments.detach {
        return detach(&program, &module, arguments, context);
    }
    let mut words: Vec<OsString> = vec!["supervise".into(), "--module".into(), module.as_str().into()];
    words.extend(base_words(arguments)?);
    if arguments.loudness.quiet {
        words.push("--quiet".into());
    }
    guard(&program, &words, &module, &context.site, &|death| context.output.warning(death))
}

/// A module does not run in the environment of the plugin that somebody happens to look at: this starts anew outside.
fn leave_plugin_environment(context: &Context) -> Result<()> {
    let Some(name) = enclosing_plugin(&context.site.environment) else { return Ok(()) };
    let inside = format!("this is the environment of the plugin `{}`", text::visible(&name));
    let Some(environment) = outside::restore(&context.site.environment) else {
        return Err(Error::input(inside).hint("leave it (`exit`): the module would inherit it"));
    };
    let program = std::env::current_exe().at("find", Path::new("mwp"))?;
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let error = process::become_program(program.as_os_str(), &words, None, &environment);
    Err(Error::io("run", &program, &error))
}

fn base_words(arguments: &Arguments) -> Result<Vec<OsString>> {
    Ok(match &arguments.base.plugins_base_dir {
        Some(dir) => vec!["--plugins-base-dir".into(), std::path::absolute(dir).at("find", dir)?.into()],
        None => Vec::new(),
    })
}

/// A module of another name than MetWork's is one that has been made here; else it is a slip of the fingers.
fn refuse_unknown_module(module: &Module, base: Option<&Path>, context: &Context) -> Result<()> {
    let is_loaded = context.site.module.as_ref() == Some(module);
    if is_loaded || Module::KNOWN.contains(module) {
        return Ok(());
    }
    let mut places = vec![context.site.runtime_home(module), context.site.provisioning(module)];
    places.extend(base.map(Path::to_owned));
    if places.iter().any(|place| fs::exists(place)) {
        return Ok(());
    }
    let error = Error::usage(format!("there is no module `{module}` on this machine"));
    let known = Module::KNOWN;
    Err(match text::nearest(module.as_str(), known.iter().map(Module::as_str)) {
        Some(nearest) => error.hint(format!("did you mean `--module {nearest}`?")),
        None => error.hint(
            "mfserv, mfdata and mfbase are there; another one is there once a plugin of it is installed",
        ),
    })
}

/// The module that was named, or is loaded, or the only one that has something to run.
pub(super) fn module_to_start(
    named: Option<&str>,
    base: Option<&Path>,
    command: &str,
    context: &Context,
) -> Result<Module> {
    let candidates = modules(named, &context.site)?;
    if let [module] = candidates.as_slice() {
        refuse_unknown_module(module, base, context)?;
        return Ok(module.clone());
    }
    let has_plugins = |module: &&Module| {
        let base = Base::new(base, module, &context.site);
        let provisioned = fs::list(&context.site.provisioning(module)).unwrap_or_default();
        base.list().is_ok_and(|plugins| !plugins.is_empty())
            || provisioned.iter().any(|file| file.extension().is_some_and(|ending| ending == "plugin"))
    };
    let with_plugins: Vec<&Module> = candidates.iter().filter(has_plugins).collect();
    match with_plugins.as_slice() {
        [] => Ok(Module::Mfserv),
        [module] => Ok((*module).clone()),
        several => {
            let names: Vec<&str> = several.iter().map(|module| module.as_str()).collect();
            Err(Error::usage(format!("there are plugins of {}; which is to start?", names.join(" and ")))
                .hint(format!("name it: `{command} --module {}`", names[0])))
        }
    }
}

/// What cannot be provisioned does not keep the rest from starting.
fn provision(module: &Module, arguments: &Arguments, context: &Context) -> Result<()> {
    let base = arguments.base.plugins_base_dir.as_deref();
    let results =
        install::provision(module, base, &context.site, &NoRunner, &mut |event| tell(context, event))?;
    for install::Provisioned { file, result } in results {
        match result {
            Ok((_, install::Outcome::Installed | install::Outcome::Replaced))
                if !arguments.loudness.quiet =>
            {
                context.output.note(&format!("{}: installed", text::path(&file)));
            }
            Ok(_) => {}
            Err(error) if error.fault == Fault::Interrupted => return Err(error),
            Err(error) => context.output.error(&error),
        }
    }
    Ok(())
}

/// As with what is provisioned.
fn settle_internal_plugins(module: &Module, arguments: &Arguments, context: &Context) -> Result<()> {
    let base = arguments.base.plugins_base_dir.as_deref();
    let settled =
        internal::settle(module, base, &context.site, &NoRunner, &mut |event| tell(context, event))?;
    for internal::Settled { name, result } in settled {
        match result {
            Ok(install::Outcome::Installed | install::Outcome::Replaced) if !arguments.loudness.quiet => {
                context.output.note(&format!("{name}: installed"));
            }
            Ok(_) => {}
            Err(error) if error.fault == Fault::Interrupted => return Err(error),
            Err(error) => context.output.error(&error),
        }
    }
    Ok(())
}

/// A module that has not settled by then is left to itself.
const SETTLING: Duration = Duration::from_secs(120);

fn detach(program: &Path, module: &Module, arguments: &Arguments, context: &Context) -> Result<u8> {
    let said = said_at_start(module, context)?;
    let mut command = Command::new(program);
    command
        .args(["up", "--no-provision", "--quiet", "--module", module.as_str()])
        .args(base_words(arguments)?);
    let errors = fs::create_file_with_mode(&said, 0o640)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    Birth::in_session().of(&mut command);
    let mut child = command.spawn().at("run", program)?;
    let status = wait_until_settled(&mut child, module, &said, context)?;
    let problems = problems(&status);
    if !problems.is_empty() {
        return Err(Error::many(Fault::Input, problems));
    }
    if !arguments.loudness.quiet {
        context.output.note(&status.summary());
    }
    if context.output.is_json() {
        context.output.json(&status);
    }
    Ok(crate::exit::DONE)
}

fn said_at_start(module: &Module, context: &Context) -> Result<PathBuf> {
    let log = context.site.runtime_home(module).join("log");
    fs::create_own_dir_all(&log)?;
    Ok(log.join("supervisor.err"))
}

fn wait_until_settled(
    child: &mut Child,
    module: &Module,
    said: &Path,
    context: &Context,
) -> Result<ModuleStatus> {
    let begun = Instant::now();
    loop {
        if let Some(ended) = child.try_wait().at("wait for", said)? {
            let text = fs::read_text(said).unwrap_or_default();
            let line = |label: &str| {
                text.lines().find_map(|line| line.strip_prefix(label)).map(|rest| rest.trim().to_owned())
            };
            let message = line("error:").unwrap_or_else(|| format!("{module} did not start: {ended}"));
            let error = match ended.code() {
                Some(code) if code == i32::from(crate::exit::INPUT) => Error::input(message),
                _ => Error::machine(message),
            };
            return Err(match line("hint:") {
                Some(hint) => error.hint(hint),
                None => error.hint(format!("{} may say why", text::path(said))),
            });
        }
        if let Some(control) = Control::connect(module, &context.site)?
            && let Ok(Reply::Status(status)) = control.ask(&Request::Status { checks: false })
            && (status.settled || begun.elapsed() > SETTLING)
        {
            return Ok(*status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Keep a module running; `mwp up` starts this
#[derive(Debug, Args)]
pub(super) struct SuperviseArguments {
    #[arg(long)]
    module: String,
    #[command(flatten)]
    base: BaseOption,
    #[command(flatten)]
    loudness: Loudness,
}

pub(super) fn run_supervisor(arguments: &SuperviseArguments, context: &Context) -> Result<()> {
    let options = Options {
        module: Module::parse(&arguments.module)?,
        plugins_base: arguments.base.plugins_base_dir.clone(),
    };
    let (output, quiet) = (context.output, arguments.loudness.quiet);
    let watcher = move |line: &str| {
        if !quiet {
            output.note(line);
        }
    };
    supervise(&options, &context.site, Box::new(watcher))
}

fn print_down(modules: &[Module], context: &Context) {
    if context.output.is_json() {
        let modules: Vec<&str> = modules.iter().map(Module::as_str).collect();
        context.output.json(&serde_json::json!({"down": modules}));
    }
}

/// Stop a module: requests under way are answered, then everything ends
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp down")]
pub(super) struct DownArguments {
    /// The module [default: the one whose environment is loaded, or that is up]
    #[arg(long)]
    module: Option<String>,
}

pub(super) fn down(arguments: &DownArguments, context: &Context) -> Result<()> {
    let Some((module, control)) = find_running(arguments.module.as_deref(), context)? else {
        context.output.note(&not_up(arguments.module.as_deref(), context));
        print_down(&[], context);
        return Ok(());
    };
    // It may be gone before its answer has arrived.
    let ordered = control.order(&Request::Down);
    let begun = Instant::now();
    while Control::connect(&module, &context.site)?.is_some() {
        if begun.elapsed() > Duration::from_secs(10) {
            return ordered;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    context.output.note(&format!("{module} is down"));
    print_down(&[module], context);
    Ok(())
}
