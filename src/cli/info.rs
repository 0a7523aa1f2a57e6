//! `mwp info` and `mwp hash`: what a `.plugin` file says about itself.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::artifact::{Artifact, Metadata};
use crate::error::Result;
use crate::text;

/// Show what a `.plugin` file holds
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The `.plugin` file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Print the hash that tells one build of a plugin from another
#[derive(Debug, Args)]
pub(super) struct HashArguments {
    /// The `.plugin` file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let artifact = Artifact::open(&arguments.file)?;
    if arguments.json {
        context.output.json(&Report::new(&artifact));
    } else {
        context.output.line(layout(&artifact).trim_end());
    }
    Ok(())
}

pub(super) fn run_hash(arguments: &HashArguments, context: &Context) -> Result<()> {
    context.output.line(&Artifact::open(&arguments.file)?.metadata().plugin_hash());
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    module: &'a str,
    #[serde(flatten)]
    metadata: &'a Metadata,
    hash: String,
    files: &'a [String],
}

impl<'a> Report<'a> {
    fn new(artifact: &'a Artifact) -> Report<'a> {
        Report {
            name: artifact.label().name.as_str(),
            module: artifact.label().module.as_str(),
            metadata: artifact.metadata(),
            hash: artifact.metadata().plugin_hash(),
            files: artifact.files(),
        }
    }
}

/// The layout of upstream's `plugins.info`.
fn layout(artifact: &Artifact) -> String {
    let metadata = artifact.metadata();
    let fields = [
        ("Name", artifact.label().name.as_str()),
        ("Version", &metadata.version),
        ("Release", &metadata.release),
        ("Summary", &metadata.summary),
        ("Size", &metadata.size),
        ("Build Host", &metadata.build_host),
        ("Build Date", &metadata.build_date),
        ("License", &metadata.license),
        ("Maintainer", &metadata.packager),
        ("Vendor", &metadata.vendor),
        ("URL", &metadata.url),
    ];
    let mut page = String::from("Metadata:\n\n");
    for (name, value) in fields {
        let _ = writeln!(page, "{name}: {}", text::visible(value));
    }
    page.push_str("\nList of files:\n\n");
    for file in artifact.files() {
        let _ = writeln!(page, "- {}", text::visible(file));
    }
    page
}
