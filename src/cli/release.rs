//! `mwp release`: build what is stale, then pack.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use super::Context;
use super::build::{Building, build_timed};
use super::common::{Common, Places};
use super::pack::{Packing, Report, pack_all, refuse_bad_output};
use super::timings::{Page, TimingsOption};
use crate::error::{Error, Result};
use crate::exit;
use crate::graph::Target;
use crate::text;

/// Build what a release needs and pack it into one self-contained `.plugin` file
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp release --locked --output dist")]
pub(super) struct Arguments {
    /// Hand the file over to `mwp install --force`
    #[arg(long)]
    install: bool,
    #[command(flatten)]
    building: Building,
    #[command(flatten)]
    timings: TimingsOption,
    #[command(flatten)]
    packing: Packing,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    places: Places,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    refuse_bad_output(&arguments.packing, &common, context)?;
    let (built, projects) = build_timed(&arguments.building, &common, Target::Release, context);
    let page = arguments.timings.file(&common.named());
    let write = |releases: &[PathBuf]| match &page {
        Some(file) => Page { target: Target::Release, projects: &projects, releases }.write(file, context),
        None => Ok(()),
    };
    let built = match built {
        Ok(built) => built,
        Err(error) => return write(&[]).and(Err(error)),
    };
    if arguments.building.dry_run {
        if context.output.is_json() {
            context.output.json(&built);
        }
        return Ok(());
    }
    let reports = pack_all(&arguments.packing, &common, context)?;
    let files: Vec<PathBuf> = reports.iter().map(|report| PathBuf::from(&report.file)).collect();
    write(&files)?;
    if arguments.install {
        hand_over(&reports)?;
    } else if let [report] = reports.as_slice()
        && !common.loudness.quiet
    {
        let file = text::visible(report.file.strip_prefix("./").unwrap_or(&report.file));
        context.output.note(&format!("`mwp install {file}` installs it, here or where there is no network"));
    }
    if context.output.is_json() {
        context.output.json(&reports);
    }
    Ok(())
}

/// The stages meet in the file alone: installing is another process.
fn hand_over(reports: &[Report]) -> Result<()> {
    let program = std::env::current_exe()
        .map_err(|error| Error::machine(format!("cannot find mwp itself: {error}")))?;
    let status = Command::new(&program)
        .args(["install", "--force", "--"])
        .args(reports.iter().map(|report| &report.file))
        .status()
        .map_err(|error| Error::io("run", &program, &error))?;
    match status.code() {
        Some(0) => Ok(()),
        code => {
            let fault = if code == Some(i32::from(exit::MACHINE)) { Error::machine } else { Error::input };
            Err(fault("the release is made, and was not installed".to_owned()).hint("the reason is above"))
        }
    }
}
