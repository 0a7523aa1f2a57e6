//! The commands of layerapi2. A usage error is exit code 1 here.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Parser;

use super::with;
use crate::cli::env::script;
use crate::cli::exec::become_command;
use crate::cli::{Context, code};
use crate::env::{Layer, Layers, Loader, Step, changes};
use crate::error::{Error, Result};
use crate::plugin::Module;
use crate::site::Environment;
use crate::{exit, text};

/// Exit code of a usage error.
const USAGE: u8 = 1;

/// Execute a command with some layers loaded
#[derive(Debug, Parser)]
#[command(name = "layer_wrapper", version)]
struct Wrapper {
    /// Accepted and ignored
    #[arg(short, long)]
    debug: bool,
    /// Unload all layers first
    #[arg(short, long)]
    empty: bool,
    /// Start in the home of the last layer
    #[arg(short, long)]
    cwd: bool,
    /// Set PREFIX_NAME, PREFIX_LABEL and PREFIX_DIR for the last layer
    #[arg(short = 'x', long, value_name = "PREFIX")]
    extra_env_prefix: Option<String>,
    /// Start from an empty environment
    #[arg(short = 'E', long)]
    empty_env: bool,
    /// Variables to keep with --empty-env, between commas
    #[arg(short = 'k', long, value_name = "NAMES", default_value = "")]
    empty_env_keeps: String,
    /// Labels or homes of layers, between commas; one after a `-` is optional
    #[arg(short, long, value_name = "LAYERS", allow_hyphen_values = true, default_value = "")]
    layers: String,
    /// `VARIABLE,DIR`: put a directory in front of a search path; may be given several times
    #[arg(short, long, value_name = "VARIABLE,DIR")]
    prepend_env: Vec<String>,
    /// Put directories in front that do not exist, too
    #[arg(short, long)]
    force_prepend: bool,
    /// Leave out the optional dependencies of layers
    #[arg(long)]
    dont_load_optional: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(super) fn wrapper(words: &[OsString], context: &Context) -> u8 {
    with(words, USAGE, context, |arguments: Wrapper| code(wrap(&arguments, context), context))
}

/// Those in the path, and what is installed.
fn layers(context: &Context) -> Layers {
    let bases = Module::KNOWN.iter().map(|module| context.site.plugins_base(module));
    Layers::with_plugins_of(&context.site.environment, bases)
}

fn wrap(arguments: &Wrapper, context: &Context) -> Result<u8> {
    let layers = layers(context);
    let mut loader = Loader::new(&layers, context.site.environment.clone());
    loader.force = arguments.force_prepend;
    loader.without_optional = arguments.dont_load_optional;
    if arguments.empty || arguments.empty_env {
        loader.unload_all()?;
    }
    if arguments.empty_env {
        loader.environment = only(&loader.environment, &arguments.empty_env_keeps);
    }
    let wanted: Vec<&str> = arguments.layers.split(',').filter(|label| !label.is_empty()).collect();
    for label in &wanted {
        match label.strip_prefix('-') {
            Some(label) => loader.load_if_possible(label),
            None => loader.load(label)?,
        }
    }
    let last = wanted.last().filter(|label| !label.starts_with('-'));
    let last = last.and_then(|label| layers.get(label, &loader.environment));
    let mut environment = loader.environment;
    if let (Some(prefix), Some(last)) = (&arguments.extra_env_prefix, &last) {
        environment.set(format!("{prefix}_NAME"), last.home.file_name().unwrap_or_default());
        environment.set(format!("{prefix}_LABEL"), last.label.as_str());
        environment.set(format!("{prefix}_DIR"), last.home.as_os_str());
    }
    for prepend in &arguments.prepend_env {
        let Some((variable, dir)) = prepend.trim().split_once(',') else {
            let shown = text::visible(prepend);
            return Err(Error::input(format!("found `--prepend-env {shown}`; `VARIABLE,DIR` is allowed")));
        };
        let mut list = OsString::from(dir);
        if let Some(old) = environment.get(variable).filter(|old| !old.is_empty()) {
            list.push(":");
            list.push(old);
        }
        environment.set(variable, list);
    }
    let directory = last.filter(|_| arguments.cwd).map(|layer| layer.home);
    become_command(&arguments.command, directory.as_deref(), &environment, context);
    // Upstream does not tell one failure from another.
    Ok(exit::INPUT)
}

/// The variables named between commas.
fn only(environment: &Environment, names: &str) -> Environment {
    let names: Vec<&str> = names.split(',').collect();
    let kept = environment.iter().filter(|(name, _)| name.to_str().is_some_and(|name| names.contains(&name)));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// List the installed layers
#[derive(Debug, Parser)]
#[command(name = "layers", version)]
struct List {
    /// `LABEL HOME` per line
    #[arg(short, long)]
    raw: bool,
    /// `yes`: only loaded layers; `no`: only others
    #[arg(short = 'm', long, value_name = "FILTER")]
    loaded_filter: Option<String>,
}

pub(super) fn list(words: &[OsString], context: &Context) -> u8 {
    with(words, USAGE, context, |arguments: List| {
        let environment = &context.site.environment;
        for layer in layers(context).iter() {
            let is_loaded = layer.is_loaded(environment);
            let is_wanted = match arguments.loaded_filter.as_deref() {
                None => true,
                Some("yes") => is_loaded,
                Some("no") => !is_loaded,
                Some(_) => false,
            };
            let label = text::visible(&layer.label);
            let home = text::visible_bytes(layer.home.as_os_str().as_bytes());
            if is_wanted && arguments.raw {
                context.output.line(&format!("{label} {home}"));
            } else if is_wanted {
                let loaded = if is_loaded { "(*) " } else { "" };
                context.output.line(&format!("- {loaded}{label} [{home}]"));
            }
        }
        exit::DONE
    })
}

#[derive(Debug, Parser)]
#[command(version)]
struct OneLayer {
    /// The label or the home of a layer
    layer: String,
}

/// Print the home of a layer; exit code 1 where there is none
pub(super) fn home(words: &[OsString], context: &Context) -> u8 {
    with(words, USAGE, context, |arguments: OneLayer| {
        let environment = &context.site.environment;
        match layers(context).get(&arguments.layer, environment) {
            Some(layer) => {
                context.output.line(&text::visible_bytes(layer.home.as_os_str().as_bytes()));
                exit::DONE
            }
            None => exit::INPUT,
        }
    })
}

/// Prints `1` or `0`.
fn answer(words: &[OsString], context: &Context, is_so: impl Fn(&Layer) -> bool) -> u8 {
    with(words, USAGE, context, |arguments: OneLayer| {
        let environment = &context.site.environment;
        let layer = layers(context).get(&arguments.layer, environment);
        context.output.line(if layer.is_some_and(|layer| is_so(&layer)) { "1" } else { "0" });
        exit::DONE
    })
}

pub(super) fn is_installed(words: &[OsString], context: &Context) -> u8 {
    answer(words, context, |_| true)
}

pub(super) fn is_loaded(words: &[OsString], context: &Context) -> u8 {
    answer(words, context, |layer| layer.is_loaded(&context.site.environment))
}

/// Print what loads or unloads a layer, for bash to `eval`
#[derive(Debug, Parser)]
#[command(version)]
struct Commands {
    /// Accepted and ignored
    #[arg(short, long)]
    debug: bool,
    /// Leave out the optional dependencies of layers
    #[arg(long)]
    dont_load_optional: bool,
    /// Put directories in front that do not exist, too
    #[arg(short, long)]
    force_prepend: bool,
    /// The label or the home of a layer
    layer: String,
}

pub(super) fn load_commands(words: &[OsString], context: &Context) -> u8 {
    print_commands(words, context, |loader, arguments| {
        loader.force = arguments.force_prepend;
        loader.without_optional = arguments.dont_load_optional;
        loader.load(&arguments.layer)
    })
}

pub(super) fn unload_commands(words: &[OsString], context: &Context) -> u8 {
    print_commands(words, context, |loader, arguments| {
        let layer = layers(context).get(&arguments.layer, &loader.environment);
        let absent = || Error::input(format!("there is no layer `{}`", text::visible(&arguments.layer)));
        loader.unload(&layer.ok_or_else(absent)?)
    })
}

fn print_commands(
    words: &[OsString],
    context: &Context,
    act: impl Fn(&mut Loader<'_>, &Commands) -> Result<()>,
) -> u8 {
    with(words, USAGE, context, |arguments: Commands| {
        let before = &context.site.environment;
        let layers = layers(context);
        let mut loader = Loader::new(&layers, before.clone());
        if let Err(error) = act(&mut loader, &arguments) {
            context.output.error(&error);
            return exit::INPUT;
        }
        for step in loader.steps() {
            let (done, layer, profile) = match step {
                Step::Loaded(layer) => ("Loading", layer, ".layerapi2_interactive_profile"),
                Step::Unloaded(layer) => ("Unloading", layer, ".layerapi2_interactive_unprofile"),
            };
            let home = text::visible_bytes(layer.home.as_os_str().as_bytes());
            let label = text::visible(&layer.label);
            context.output.line(&format!("# {done} of {label} layer located in {home}"));
            let profile = layer.home.join(profile);
            if profile.is_file() {
                let mut line = OsString::from("source ");
                line.push(crate::env::quoted(profile.as_os_str()));
                line.push(";\n");
                context.output.bytes(line.as_bytes());
            }
        }
        context.output.bytes(script(&changes(before, &loader.environment), ";\n").as_bytes());
        exit::DONE
    })
}
