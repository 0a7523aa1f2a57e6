//! `mwp bootstrap`: list templates, make plugins from them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use clap::{Args, Subcommand};

use super::Context;
use crate::error::{At, Error, Result};
use crate::plugin::{Module, PluginName};
use crate::template::{self, Question, Request};
use crate::text;

/// Make a new plugin from a template
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the templates
    List {
        #[command(flatten)]
        module: ModuleOption,
        /// Print what a machine reads, as JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Make a plugin's directory from a template
    Create(Create),
}

#[derive(Debug, Args)]
struct ModuleOption {
    /// The module that the plugin is for [default: the one that is loaded, else mfserv]
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,
}

#[derive(Debug, Args)]
struct Create {
    /// The template's name, or the path of a template's directory
    #[arg(long, default_value = "default")]
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
    #[command(flatten)]
    module: ModuleOption,
    /// The plugin's name
    name: String,
}

pub(super) fn answer(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("`QUESTION=ANSWER` is allowed")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<()> {
    match arguments.command {
        Command::List { module, json } => list(&module.get(context)?, json, context),
        Command::Create(create) => make(create, context),
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

fn list(module: &Module, json: bool, context: &Context) -> Result<()> {
    let templates = template::list(module, &context.site)?;
    if json {
        context.output.json(&templates);
        return Ok(());
    }
    if templates.is_empty() {
        context.output.note(&format!("there are no templates for {module}"));
    }
    let width = templates.iter().map(|template| template.name.len()).max().unwrap_or_default();
    for template in &templates {
        let name = text::visible(&template.name);
        let line = format!("{name:width$}  {}", text::visible(&template.description));
        context.output.line(line.trim_end());
    }
    Ok(())
}

fn make(create: Create, context: &Context) -> Result<()> {
    let module = create.module.get(context)?;
    let name = PluginName::parse(&create.name)?;
    let template = template::find(&create.template, &module, &context.site)?;
    let answers: BTreeMap<String, String> = create.answers.into_iter().collect();
    let request =
        Request { template: &template, module: &module, name: &name, parent: Path::new("."), answers };
    let interactive = !create.no_input && io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut ask = |question: &Question, default: &str| {
        if interactive { ask_person(question, default, context) } else { Ok(default.to_owned()) }
    };
    let dir = template::create(&request, &context.site, &mut ask)?;
    context.output.line(&format!(
        "created {} from the template `{}`",
        text::path(&dir),
        text::visible(&template.name)
    ));
    if create.make || create.install || create.delete {
        let program = std::env::current_exe().at("find", Path::new("mwp"))?;
        template::release(&program, &dir, create.install, &context.site)?;
        if create.delete {
            template::keep_release_only(&dir)?;
        }
    } else {
        context.output.hint(&format!("`cd {name}`, then `make develop` puts it into service from there"));
    }
    Ok(())
}

/// Asks on the terminal until the answer is allowed; an empty answer takes the default.
fn ask_person(question: &Question, default: &str, context: &Context) -> Result<String> {
    loop {
        for (index, choice) in question.choices.iter().enumerate() {
            context.output.note(&format!("  {}. {}", index + 1, text::visible(choice)));
        }
        context.output.prompt(&format!("{} [{}]: ", text::visible(&question.name), text::visible(default)));
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        if read.map_err(|_| Error::interrupted())? == 0 {
            context.output.note("");
            return Err(Error::interrupted());
        }
        let given = line.trim();
        let number = given.parse().ok().and_then(|number: usize| number.checked_sub(1));
        let answer = match number.and_then(|index| question.choices.get(index)) {
            Some(choice) => choice,
            None if given.is_empty() => default,
            None => given,
        };
        match question.check(answer) {
            Ok(()) => return Ok(answer.to_owned()),
            Err(error) => context.output.error(&error),
        }
    }
}
