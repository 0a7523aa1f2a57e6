//! What a shell and `man` are to know of the commands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::{CompletionCandidate, ValueCandidates};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use super::{Context, described};
use crate::error::{Error, Result};
use crate::installed::{Base, modules};
use crate::plugin::Module;
use crate::site::{Environment, Site};
use crate::{fs, recipe, template, text};

/// The variable by which a shell asks what could come next.
pub(super) const VARIABLE: &str = "MWP_COMPLETE";

/// Print what makes a shell complete commands, options, plugins, tasks and templates
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp completions bash; in ~/.bashrc: source <(mwp completions bash)")]
pub(super) struct CompletionArguments {
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Write a page for `man` for each command into a directory
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp man ~/.local/share/man/man1")]
pub(super) struct ManArguments {
    /// The directory, made if need be
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn completions(arguments: &CompletionArguments, context: &Context) -> Result<()> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "mwp", "mwp", "mwp", &mut script)
        .map_err(|error| Error::machine(format!("cannot write the completions: {error}")))?;
    context.output.bytes(&script);
    Ok(())
}

pub(super) fn man(arguments: &ManArguments, context: &Context) -> Result<()> {
    let root = described();
    let mut pages = Vec::new();
    collect(&root, "mwp", &mut pages);
    fs::create_dir_all(&arguments.directory)?;
    for (name, page) in &pages {
        fs::write_atomic(&arguments.directory.join(format!("{name}.1")), page)?;
    }
    let pages = text::count(pages.len(), "page");
    context.output.note(&format!("{}: {pages} for man", text::path(&arguments.directory)));
    Ok(())
}

fn collect(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    let mut page = Vec::new();
    // Writing into memory does not fail.
    let _ = clap_mangen::Man::new(command.clone()).title(name).render(&mut page);
    pages.push((name.to_owned(), page));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        collect(sub, &format!("{name}-{}", sub.get_name()), pages);
    }
}

/// Names of installed plugins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plugins;

impl ValueCandidates for Plugins {
    fn candidates(&self) -> Vec<CompletionCandidate> {
        let site = Site::new(Environment::of_process());
        let modules = modules(None, &site).unwrap_or_default();
        let names =
            modules.iter().flat_map(|module| Base::new(None, module, &site).list().unwrap_or_default());
        names.map(|plugin| CompletionCandidate::new(plugin.name)).collect()
    }
}

/// Tasks of the plugin in the current directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tasks;

impl ValueCandidates for Tasks {
    fn candidates(&self) -> Vec<CompletionCandidate> {
        let plan = recipe::plan(std::path::Path::new("."), crate::graph::Target::Release);
        let tasks = plan.map(|plan| plan.tasks).unwrap_or_default();
        tasks.into_iter().map(|task| CompletionCandidate::new(task.name)).collect()
    }
}

/// Templates of all modules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Templates;

impl ValueCandidates for Templates {
    fn candidates(&self) -> Vec<CompletionCandidate> {
        let site = Site::new(Environment::of_process());
        let found = Module::KNOWN.iter().flat_map(|module| template::list(module, &site).unwrap_or_default());
        found
            .map(|template| CompletionCandidate::new(template.name).help(Some(template.description.into())))
            .collect()
    }
}
