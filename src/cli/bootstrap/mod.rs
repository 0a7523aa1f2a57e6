//! `mwp bootstrap`: list templates, make plugins from them, bring their later changes into the plugins.

mod update;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use serde_json::json;

use super::common::enter;
use super::output::Output;
use super::shells::Templates;
use super::style::Look;
use super::table::{Cell, table};
use super::{Context, ask};
use crate::error::{At, Error, Result};
use crate::fs;
use crate::plugin::{Module, PluginName};
use crate::template::{self, Request, Template};
use crate::text;

/// Make a new plugin from a template, or bring the template's later changes into one
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp bootstrap list --module mfdata")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the templates
    #[command(after_help = "Example: mwp bootstrap list --module mfdata")]
    List {
        #[command(flatten)]
        module: ModuleOption,
    },
    /// Make a plugin's directory from a template
    ///
    /// Templates of your own are in cookiecutter's layout. The answers and what the template made are kept in
    /// `.mwp-template.toml`, for `mwp bootstrap update`.
    #[command(after_help = "Example: mwp bootstrap create shop --template python3_flask")]
    Create(Create),
    /// Bring the template's later changes into a plugin
    ///
    /// What the template changed since is merged with what you changed, line by line; where both changed the same lines,
    /// they are marked as git marks them, and the exit code is 1. Files that you removed stay removed.
    Update(update::Arguments),
}

#[derive(Debug, Args)]
struct ModuleOption {
    /// The module that the plugin is for [default: the one that is loaded, else mfserv]
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,
}

/// Make a plugin from a template: `bootstrap create`, for short
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp new shop --template python3_flask")]
pub(crate) struct Create {
    /// The template's name, or the path of a template's directory
    #[arg(long, default_value = "default", add = ArgValueCandidates::new(Templates))]
    template: String,
    /// Take the defaults instead of asking
    #[arg(long)]
    no_input: bool,
    /// Release the plugin at once
    #[arg(long)]
    make: bool,
    /// Install the release, too
    #[arg(long)]
    install: bool,
    /// Remove the directory in the end and keep the release only
    #[arg(long)]
    delete: bool,
    /// Answer a question beforehand; may be given several times
    #[arg(long = "set", value_name = "QUESTION=ANSWER", value_parser = answer)]
    answers: Vec<(String, String)>,
    /// Take the answers of a file that `cookiecutter` keeps of a run, in its `replay` directory
    #[arg(long, value_name = "FILE")]
    replay_file: Option<PathBuf>,
    /// Your own defaults, in cookiecutter's form [default: COOKIECUTTER_CONFIG, else ~/.cookiecutterrc]
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    module: ModuleOption,
    /// The plugin's name; asked for on a terminal
    name: Option<String>,
}

pub(super) fn answer(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("`QUESTION=ANSWER` is allowed")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<()> {
    match arguments.command {
        Command::List { module } => list(&module.get(context)?, context),
        Command::Create(arguments) => create(arguments, context),
        Command::Update(arguments) => update::run(arguments, context),
    }
}

impl ModuleOption {
    fn get(&self, context: &Context) -> Result<Module> {
        match &self.module {
            Some(name) => Module::parse(&name.to_ascii_lowercase()),
            None => Ok(context.site.module.clone().unwrap_or(Module::Mfserv)),
        }
    }
}

fn list(module: &Module, context: &Context) -> Result<()> {
    let templates = template::list(module, &context.site)?;
    if context.output.is_json() {
        context.output.json(&templates);
        return Ok(());
    }
    if templates.is_empty() {
        context.output.note(&format!("there are no templates for {module}"));
    }
    let row = |template: &template::Summary| {
        vec![
            Cell::new(Look::Bold, text::visible(&template.name)),
            text::visible(&template.description).into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = templates.iter().map(row).collect();
    table(&rows, Output::width(), context.output.style()).iter().for_each(|row| context.output.line(row));
    Ok(())
}

pub(crate) fn create(create: Create, context: &Context) -> Result<()> {
    let module = create.module.get(context)?;
    let template = template::find(&create.template, &module, &context.site)?;
    let is_interactive = !create.no_input && ask::is_possible();
    let name = match &create.name {
        Some(name) => PluginName::parse(name).map_err(Error::of_command_line)?,
        None if is_interactive => ask::name(context)?,
        None => {
            return Err(Error::usage("the plugin's name is missing")
                .hint("`mwp new NAME`; on a terminal, without `--no-input`, it is asked for"));
        }
    };
    let mut answers = match &create.replay_file {
        Some(file) => replayed(file, &template)?,
        None => BTreeMap::new(),
    };
    answers.extend(create.answers);
    let defaults = template::defaults_of_person(create.config_file.as_deref(), &context.site)?;
    let request = Request {
        template: &template,
        module: &module,
        name: &name,
        parent: Path::new("."),
        answers,
        defaults,
    };
    let dir = template::create(&request, &context.site, &mut ask::asker(is_interactive, context))?;
    context.output.line(&format!(
        "created {} from the template `{}`",
        text::path(&dir),
        text::visible(&template.name)
    ));
    let is_released = create.make || create.install || create.delete;
    if is_released {
        let program = std::env::current_exe().at("find", Path::new("mwp"))?;
        template::release(&program, &dir, create.install, context.output.is_json(), &context.site)?;
        if create.delete {
            template::keep_release_only(&dir)?;
        }
    } else {
        context.output.next_step(&format!("`cd {name}`, then `mwp develop` puts it into service from there"));
    }
    if context.output.is_json() {
        context.output.json(&json!({
            "name": name.as_str(),
            "module": module.as_str(),
            "template": template.name,
            "directory": (!create.delete).then(|| dir.to_string_lossy()),
            "released": is_released,
        }));
    }
    Ok(())
}

/// Make a plugin of the directory that you are in: what is there stays as it is
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp init --template python3_flask")]
pub(crate) struct Init {
    /// The template's name, or the path of a template's directory
    #[arg(long, default_value = "default", add = ArgValueCandidates::new(Templates))]
    template: String,
    /// The plugin's name [default: that of the directory]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    module: ModuleOption,
    /// The directory [default: the current one]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(crate) fn init(arguments: &Init, context: &Context) -> Result<()> {
    let module = arguments.module.get(context)?;
    let template = template::find(&arguments.template, &module, &context.site)?;
    let dir = arguments.directory.as_deref().unwrap_or(Path::new("."));
    enter(dir)?;
    let real = std::fs::canonicalize(dir).at("enter", dir)?;
    let name = match (&arguments.name, real.file_name()) {
        (Some(name), _) => PluginName::parse(name).map_err(Error::of_command_line)?,
        (None, name) => PluginName::parse(&name.unwrap_or_default().to_string_lossy())
            .map_err(|error| error.hint("give the plugin a name of its own: `mwp init --name NAME`"))?,
    };
    let defaults = template::defaults_of_person(None, &context.site)?;
    let request = Request {
        template: &template,
        module: &module,
        name: &name,
        parent: &real,
        answers: BTreeMap::new(),
        defaults,
    };
    let made = template::init(&request, &context.site, &mut ask::asker(false, context))?;
    for kept in &made.kept {
        context.output.note(&format!("{} stays as it is", text::path(kept)));
    }
    let files = text::count(made.files, "file");
    context
        .output
        .line(&format!("{} is the plugin `{name}` now: {files} from the template", text::path(dir)));
    context.output.next_step("`mwp check` says what is still to be written, `mwp build` builds it");
    if context.output.is_json() {
        context.output.json(&json!({
            "name": name.as_str(),
            "module": module.as_str(),
            "template": template.name,
            "directory": dir.to_string_lossy(),
            "files": made.files,
            "kept": made.kept,
        }));
    }
    Ok(())
}

/// The answers that cookiecutter kept of a run, as far as this template asks for them.
fn replayed(file: &Path, template: &Template) -> Result<BTreeMap<String, String>> {
    let bad = |reason: &str| {
        Error::input(format!("{}: {reason}", text::path(file)))
            .hint("cookiecutter keeps such files in `~/.cookiecutter_replay`")
    };
    let value: serde_json::Value =
        serde_json::from_slice(&fs::read(file)?).map_err(|error| bad(&error.to_string()))?;
    let answers =
        value["cookiecutter"].as_object().ok_or_else(|| bad("it holds no object `cookiecutter`"))?;
    let answers = answers.iter().filter(|(name, _)| template.asks(name));
    Ok(answers.map(|(name, value)| (name.clone(), template::as_typed(value))).collect())
}
