//! `mwp systemd`: units for a module's processes.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Context;
use super::circus::NO_FILES;
use super::exec::BaseOption;
use super::loudness::Loudness;
use super::up::module_to_start;
use crate::error::{Error, Result};
use crate::run::Roster;
use crate::run::systemd::{self, Form, Manager, Units};
use crate::text;

/// Write units for systemd that run a module: nginx and every app, step and daemon of the installed plugins
///
/// Run it again after plugins came or went, or after a change of how many workers there are, of limits or of logs.
/// Commands and environments need no new units: each worker starts with what is installed then. What is stopped has
/// its requests answered first.
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp systemd --supervisor --output units")]
pub(super) struct Arguments {
    /// The module [default: the one whose environment is loaded, or that has plugins]
    #[arg(long)]
    module: Option<String>,
    /// Where to write them; units of ours that are there and no longer wanted are removed, others stay
    #[arg(short, long, value_name = "DIR", default_value = "systemd")]
    output: PathBuf,
    /// For the user's own systemd instead of the machine's
    #[arg(long)]
    user: bool,
    /// One unit that runs `mwp up`, in place of one for each process
    #[arg(long)]
    supervisor: bool,
    #[command(flatten)]
    base: BaseOption,
    #[command(flatten)]
    loudness: Loudness,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let base = arguments.base.plugins_base_dir.as_deref();
    let module = module_to_start(arguments.module.as_deref(), base, "mwp systemd", context)?;
    let roster = Roster::read(&module, base, &context.site)?;
    let manager = if arguments.user { Manager::User } else { Manager::System };
    let form = if arguments.supervisor { Form::Supervisor } else { Form::Processes };
    let units = systemd::write(&roster, &arguments.output, manager, form, &context.site)?;
    if !arguments.loudness.quiet {
        tell(&units, arguments, context);
    }
    if roster.waits_for_files && form == Form::Processes {
        context.output.warning(NO_FILES);
        context.output.hint("`mwp systemd --supervisor --module mfdata` writes a unit that does it all");
    }
    if !units.rotates {
        context.output.warning("nothing keeps the logs small: there is no `logrotate` on this machine");
        context.output.hint("install it, then run the same command again");
    }
    if context.output.is_json() && roster.problems.is_empty() {
        let files = &units.files;
        context.output.json(&serde_json::json!({
            "module": roster.module.as_str(),
            "target": units.target,
            "changed": files.changed,
            "unchanged": files.unchanged,
            "removed": files.removed,
        }));
    }
    match roster.problems.is_empty() {
        true => Ok(()),
        false => Err(Error::many(roster.fault, roster.problems)),
    }
}

fn tell(units: &Units, arguments: &Arguments, context: &Context) {
    let files = &units.files;
    let removed = match files.removed.len() {
        0 => String::new(),
        number => format!(", {} removed", text::count(number, "stale unit")),
    };
    let units_there = text::count(files.changed.len() + files.unchanged.len(), "unit");
    let changed = files.changed.len();
    let dir = text::path(&arguments.output);
    context.output.note(&format!("{dir}: {units_there}, {changed} of them new or changed{removed}"));
    if changed == 0 && files.removed.is_empty() {
        return;
    }
    let systemctl = if arguments.user { "systemctl --user" } else { "systemctl" };
    let take = match systemd::is_unit_directory(&arguments.output) {
        true => format!("{systemctl} daemon-reload"),
        // Links are to whole paths.
        false => format!("{systemctl} link {}/mwp-*", quoted(&arguments.output)),
    };
    context.output.hint(&format!("`{take}`, then `{systemctl} enable --now {}`", units.target));
}

/// A path as a shell takes it, whole.
fn quoted(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| text::visible(&path), |quoted| text::visible(&quoted))
}
