//! `mwp install` and `mwp provision`: `.plugin` files go onto the machine.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::common::limit;
use super::exec::BaseOption;
use super::in_service;
use super::json::ItemResult;
use super::loudness::Loudness;
use super::signals;
use crate::artifact::Metadata;
use crate::error::{Error, Fault, Result};
use crate::install::{self, Event, Installation, Outcome};
use crate::installed::modules;
use crate::internal;
use crate::plugin::{Label, PluginName};
use crate::run::UpModule;
use crate::text;

/// Install `.plugin` files: no network and no build tool is needed, and an update keeps the old version until the new
/// one is complete
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp install shop-0.0.1-1.metwork.mfserv.plugin")]
pub(super) struct Arguments {
    /// Replace a plugin that is already installed
    #[arg(long)]
    force: bool,
    /// Install under another name, so that the plugin can be there twice
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    new_name: Option<String>,
    #[command(flatten)]
    taking: Taking,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    base: BaseOption,
    #[command(flatten)]
    loudness: Loudness,
    /// The `.plugin` files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// How long a new version is waited for, where its module is up.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Waiting {
    /// Fail where not every worker serves in the end (an update does so without this)
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// Return when the new version is in place; what runs follows by itself, and what fails there is for `mwp status`
    #[arg(long)]
    no_wait: bool,
}

impl Waiting {
    fn runner(self, context: &Context) -> UpModule<'_> {
        let runner = UpModule::new(&context.site);
        if self.no_wait { runner.without_waiting() } else { runner }
    }

    /// Says how the plugin runs now.
    fn tell(self, label: &Label, context: &Context) -> Result<()> {
        if self.no_wait {
            in_service::announce(label, context);
            return Ok(());
        }
        if !self.wait {
            in_service::tell(label, context);
            return Ok(());
        }
        match in_service::problems(label, true, context) {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Error::many(Fault::Input, problems)),
        }
    }
}

/// What of a file is taken.
#[derive(Debug, Args)]
struct Taking {
    /// Take symbolic links that lead out of the plugin (`[install] allow_external_links` for a whole module)
    #[arg(long)]
    allow_external_links: bool,
    /// Take more than usual: members, wheels, bytes, ratio, names, depth or path, as in `bytes=64G`
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = limit)]
    limits: Vec<String>,
}

/// Replace an installed plugin by another version of it, in one step
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp hotswap shop-0.0.2-1.metwork.mfserv.plugin")]
pub(super) struct HotswapArguments {
    #[command(flatten)]
    taking: Taking,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    base: BaseOption,
    /// The `.plugin` file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn hotswap(arguments: &HotswapArguments, context: &Context) -> Result<()> {
    signals::end_programs_on_signal()?;
    let installation = Installation {
        file: &arguments.file,
        new_name: None,
        replace: true,
        must_be_installed: true,
        plugins_base: arguments.base.plugins_base_dir.as_deref(),
        allow_external_links: arguments.taking.allow_external_links,
        limits: &arguments.taking.limits,
        runner: &arguments.waiting.runner(context),
    };
    let (label, metadata, home) =
        install::install(&installation, &context.site, &mut |event| tell(context, event))?;
    context.output.note(&format!("swapped in {} {}-{}", label.name, metadata.version, metadata.release));
    arguments.waiting.tell(&label, context)?;
    if context.output.is_json() {
        context.output.json(&installed(&arguments.file, &label, &metadata, &home));
    }
    Ok(())
}

/// What is there now, for `--json`.
fn installed(file: &Path, label: &Label, metadata: &Metadata, home: &Path) -> Value {
    json!({
        "file": file.to_string_lossy(),
        "name": label.name.as_str(),
        "module": label.module.as_str(),
        "version": metadata.version,
        "release": metadata.release,
        "home": home.to_string_lossy(),
    })
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let new_name = match &arguments.new_name {
        Some(_) if arguments.files.len() > 1 => {
            return Err(Error::usage("`--new-name` goes with one file").hint("install the files one by one"));
        }
        Some(name) => Some(PluginName::parse(name).map_err(Error::of_command_line)?),
        None => None,
    };
    signals::end_programs_on_signal()?;
    let mut problems = Vec::new();
    let mut fault = Fault::Input;
    let mut entries = Vec::new();
    for file in &arguments.files {
        let installation = Installation {
            file,
            new_name: new_name.as_ref(),
            replace: arguments.force,
            must_be_installed: false,
            plugins_base: arguments.base.plugins_base_dir.as_deref(),
            allow_external_links: arguments.taking.allow_external_links,
            limits: &arguments.taking.limits,
            runner: &arguments.waiting.runner(context),
        };
        match install::install(&installation, &context.site, &mut |event| tell(context, event)) {
            Ok((label, metadata, home)) => {
                if !arguments.loudness.quiet {
                    context.output.note(&format!(
                        "installed {} {}-{} in {}",
                        label.name,
                        metadata.version,
                        metadata.release,
                        text::path(&home)
                    ));
                }
                let entry = installed(file, &label, &metadata, &home);
                let waiting = arguments.waiting;
                let told = match !arguments.loudness.quiet || waiting.wait || waiting.no_wait {
                    true => waiting.tell(&label, context),
                    false => Ok(()),
                };
                entries.push(match &told {
                    Ok(()) => ItemResult::Done(entry),
                    Err(error) => ItemResult::failed(entry, error),
                });
                problems.extend(told.err().into_iter().flat_map(|error| error.problems));
            }
            Err(error) if error.fault == Fault::Interrupted => return Err(error),
            Err(error) => {
                fault = error.fault;
                entries.push(ItemResult::failed(json!({"file": file.to_string_lossy()}), &error));
                problems.extend(error.problems);
            }
        }
    }
    if context.output.is_json() && ItemResult::are_worth_a_list(&entries) {
        context.output.json(&entries);
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::many(fault, problems)) }
}

/// Says on whom an operation waits, and what is not as it should be.
pub(super) fn tell(context: &Context, event: Event<'_>) {
    match event {
        Event::Waiting(holder) => context.output.note(&format!("waiting for {holder}")),
        Event::Warning(warning) => context.output.warnings_once(warning),
        Event::Detail(text) => context.output.detail(text),
    }
}

/// Install or update what is in the provisioning directory, as at the start of a module
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp provision --module mfserv")]
pub(super) struct ProvisionArguments {
    /// The module [default: the one whose environment is loaded]
    #[arg(long)]
    module: Option<String>,
    #[command(flatten)]
    base: BaseOption,
}

pub(super) fn provision(arguments: &ProvisionArguments, context: &Context) -> Result<()> {
    signals::end_programs_on_signal()?;
    let modules = modules(arguments.module.as_deref(), &context.site)?;
    let mut reports = Vec::new();
    let mut problems = Vec::new();
    let mut fault = Fault::Input;
    for module in &modules {
        let base = arguments.base.plugins_base_dir.as_deref();
        let results =
            install::provision(module, base, &context.site, &UpModule::new(&context.site), &mut |event| {
                tell(context, event);
            })?;
        for install::Provisioned { file, result } in results {
            let shown = file.to_string_lossy();
            let (outcome, entry) = match result {
                Ok((name, outcome)) => {
                    let outcome = word(outcome);
                    (
                        outcome,
                        ItemResult::Done(
                            json!({"file": shown, "name": name.to_string(), "outcome": outcome}),
                        ),
                    )
                }
                Err(error) => {
                    let what = json!({"file": shown, "name": null, "outcome": "failed"});
                    let entry = ItemResult::failed(what, &error);
                    fault = error.fault;
                    problems.extend(error.problems);
                    ("failed", entry)
                }
            };
            context.output.note(&format!("{}: {outcome}", text::path(&file)));
            reports.push(entry);
        }
    }
    let mut is_idle = reports.is_empty();
    // Without a module named, nobody says that it is to have any.
    if let [module] = modules.as_slice() {
        let base = arguments.base.plugins_base_dir.as_deref();
        let runner = UpModule::new(&context.site);
        let settled =
            internal::settle(module, base, &context.site, &runner, &mut |event| tell(context, event))?;
        for internal::Settled { name, result } in settled {
            match result {
                Ok(outcome) => {
                    is_idle = false;
                    context.output.note(&format!("{name}: {}", word(outcome)));
                }
                Err(error) => {
                    is_idle = false;
                    fault = error.fault;
                    problems.extend(error.problems);
                }
            }
        }
    }
    if is_idle {
        let named: Vec<String> =
            modules.iter().map(|module| text::path(&context.site.provisioning(module))).collect();
        context.output.note(&format!("nothing to provision in {}", named.join(" or ")));
    }
    if context.output.is_json() {
        context.output.json(&reports);
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::many(fault, problems)) }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Installed => "installed",
        Outcome::Replaced => "replaced",
        Outcome::Unchanged => "unchanged",
        Outcome::Superseded => "left alone, because a later file is of the same plugin",
        Outcome::Devlinked => "left alone, because it is installed as a devlink",
    }
}
