//! `mwp inject`: a file for a step of mfdata, by hand.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Context;
use super::json::ItemResult;
use crate::error::{Error, Fault, Result};
use crate::plugin::Module;
use crate::run::Control;
use crate::run::inject::{Destination, Injected, Injector};
use crate::text;

/// Put files into the inbox of a step of mfdata, with their tags
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp inject --plugin archive --step main image.png")]
pub(super) struct Arguments {
    /// The plugin that the step is of
    #[arg(long, default_value = "guess_file_type")]
    plugin: String,
    #[arg(long, default_value = "main")]
    step: String,
    /// Put them where files come in, instead: into the first watched directory
    #[arg(long, conflicts_with_all = ["plugin", "step"])]
    incoming: bool,
    /// They go away from where they are
    #[arg(long = "move")]
    moves: bool,
    /// They get unique names instead of their own
    #[arg(long)]
    random_basename: bool,
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let destination = match arguments.incoming {
        true => Destination::Incoming,
        false => Destination::Step { plugin: &arguments.plugin, step: &arguments.step },
    };
    if !arguments.random_basename {
        refuse_same_names(&arguments.files)?;
    }
    let mut injector = Injector::new(destination, &context.site)?;
    // All of them or none, as far as that can be known.
    let refused: Vec<Error> = arguments.files.iter().filter_map(|file| Injector::check(file).err()).collect();
    if let Some(first) = refused.first() {
        let fault = first.fault;
        let problems = refused.into_iter().flat_map(|error| error.problems).collect();
        return Err(Error::many(fault, problems).hint_if_none("nothing was injected"));
    }
    (injector.moves, injector.renames) = (arguments.moves, arguments.random_basename);
    let mut problems = Vec::new();
    let mut fault = Fault::Input;
    let mut waiting = 0;
    let mut entries = Vec::new();
    for file in &arguments.files {
        match injector.inject(file) {
            Ok(Injected { path, warnings }) => {
                waiting += 1;
                let shown = text::visible_bytes(path.as_os_str().as_encoded_bytes());
                context.output.line(&shown);
                entries.push(ItemResult::Done(json!({"file": file, "path": shown, "warnings": warnings})));
                warnings.iter().for_each(|warning| context.output.warning(warning));
            }
            Err(error) => {
                fault = error.fault;
                entries.push(ItemResult::failed(json!({"file": file}), &error));
                problems.extend(error.problems);
            }
        }
    }
    if waiting > 0 && Control::connect(&Module::Mfdata, &context.site)?.is_none() {
        context.output.note(&format!(
            "mfdata is not up: {} until `mwp up --module mfdata`",
            if waiting == 1 { "the file waits" } else { "the files wait" }
        ));
    }
    if context.output.is_json() && ItemResult::are_worth_a_list(&entries) {
        context.output.json(&entries);
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::many(fault, problems)) }
}

/// One would take the place of the other before anybody has looked at it.
fn refuse_same_names(files: &[PathBuf]) -> Result<()> {
    let mut names = HashSet::new();
    match files.iter().find(|file| !names.insert(file.file_name())) {
        None => Ok(()),
        Some(file) => Err(Error::usage(format!("{} has the name of another of the files", text::path(file)))
            .hint("inject them one by one, or with `--random-basename`")),
    }
}
