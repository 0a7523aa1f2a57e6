//! `mwp circus`: a circus.ini for a module's processes.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::exec::BaseOption;
use super::loudness::Loudness;
use super::up::module_to_start;
use crate::error::{Error, Fault, Result};
use crate::run::Roster;
use crate::run::circus;
use crate::text;

/// Write a circus.ini that runs a module: nginx and every app, step and daemon of the installed plugins
///
/// Run it again after plugins came or went, or after a change of how many workers there are, of limits or of logs.
/// Commands and environments need no new file: each worker starts with what is installed then.
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp circus --module mfserv --output circus.ini")]
pub(super) struct Arguments {
    /// The module [default: the one whose environment is loaded, or that has plugins]
    #[arg(long)]
    module: Option<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "circus.ini")]
    output: PathBuf,
    #[command(flatten)]
    base: BaseOption,
    #[command(flatten)]
    loudness: Loudness,
}

/// For steps of mfdata.
pub(super) const NO_FILES: &str =
    "files reach the steps only where redis runs and directories are watched, which is not among this";

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let base = arguments.base.plugins_base_dir.as_deref();
    let module = module_to_start(arguments.module.as_deref(), base, "mwp circus", context)?;
    let roster = Roster::read(&module, base, &context.site)?;
    let watchers = circus::write(&roster, &arguments.output)?;
    if !watchers.warnings.is_empty() {
        context.output.warnings(&Error::many(Fault::Input, watchers.warnings));
    }
    if !arguments.loudness.quiet {
        let file = text::path(&arguments.output);
        if watchers.files.changed.is_empty() {
            context.output.note(&format!("{file} is as it should be"));
        } else {
            let services = text::count(roster.services.len(), "service");
            context.output.note(&format!("{file}: {services}"));
            let quoted = |text: &str| shlex::try_quote(text).map_or_else(|_| text.to_owned(), Into::into);
            let file = text::visible(&quoted(&arguments.output.to_string_lossy()));
            context.output.hint(&format!(
                "`circusd {file}` runs them, `circusctl --endpoint {} status` shows them",
                quoted(&watchers.endpoint)
            ));
        }
    }
    if roster.waits_for_files {
        context.output.warning(NO_FILES);
        context.output.hint("`mwp up --module mfdata` does it all");
    }
    if context.output.is_json() && roster.problems.is_empty() {
        context.output.json(&serde_json::json!({
            "module": roster.module.as_str(),
            "file": arguments.output.to_string_lossy(),
            "is_changed": !watchers.files.changed.is_empty(),
            "endpoint": watchers.endpoint,
            "services": roster.services.len(),
        }));
    }
    match roster.problems.is_empty() {
        true => Ok(()),
        false => Err(Error::many(roster.fault, roster.problems)),
    }
}
