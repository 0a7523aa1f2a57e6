//! `mwp diff`: what changed from one plugin to another.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::Context;
use super::exec::BaseOption;
use super::shells::Plugins;
use super::style::{Look, Style};
use super::subject::{Extent, Subject};
use crate::contents::{Change, Diff, diff};
use crate::error::Result;
use crate::{exit, text};

/// Show what differs between two plugins: metadata, configuration, packages, files
///
/// Of a directory that counts what a release of it as it is would hold, of an installed plugin what came in its file.
/// When and where a file was made does not count.
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp diff shop shop-1.1.0-1.metwork.mfserv.plugin")]
pub(super) struct Arguments {
    /// End with exit code 1 where they differ
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    base: BaseOption,
    /// A `.plugin` file, an installed plugin, or a directory
    #[arg(value_name = "OLD", add = ArgValueCandidates::new(Plugins))]
    old: PathBuf,
    /// What it is compared with
    #[arg(value_name = "NEW", add = ArgValueCandidates::new(Plugins))]
    new: PathBuf,
}

#[derive(Serialize)]
struct Report {
    old: String,
    new: String,
    same: bool,
    #[serde(flatten)]
    diff: Diff,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<u8> {
    let read = |given: &Path| Subject::read(given, Extent::Shipped, &arguments.base, context);
    let (old, new) = (read(&arguments.old)?, read(&arguments.new)?);
    let diff = diff(&old.contents, &new.contents);
    let same = diff.is_empty();
    if context.output.is_json() {
        let name = |path: &Path| path.to_string_lossy().into_owned();
        context.output.json(&Report { old: name(&arguments.old), new: name(&arguments.new), same, diff });
    } else if same {
        context.output.line("no difference");
    } else {
        let style = context.output.style();
        for (title, changes) in sections(&diff) {
            context.output.line(title);
            for change in changes {
                context.output.row(&row(change, style));
            }
        }
    }
    Ok(if !same && arguments.exit_code { exit::INPUT } else { exit::DONE })
}

fn sections(diff: &Diff) -> impl Iterator<Item = (&'static str, &Vec<Change>)> {
    let Diff { metadata, configuration, python, node, files } = diff;
    let sections = [
        ("metadata", metadata),
        ("configuration", configuration),
        ("packages of Python", python),
        ("packages of Node.js", node),
        ("files", files),
    ];
    sections.into_iter().filter(|(_, changes)| !changes.is_empty())
}

fn row(change: &Change, style: Style) -> String {
    let name = text::visible(&change.name);
    match (change.old.as_deref().map(text::visible), change.new.as_deref().map(text::visible)) {
        (None, new) => style.paint(Look::Ok, &format!("  + {name}: {}", new.unwrap_or_default())),
        (Some(old), None) => style.paint(Look::Error, &format!("  - {name}: {old}")),
        (Some(old), Some(new)) if old == new => {
            style.paint(Look::Warning, &format!("  ~ {name}: {old}, with other files"))
        }
        (Some(old), Some(new)) => style.paint(Look::Warning, &format!("  ~ {name}: {old} → {new}")),
    }
}
