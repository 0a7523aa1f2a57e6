//! `mwp explain`: for each task, fresh or why not.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::Context;
use super::build::store;
use super::common::Common;
use super::progress::Progress;
use super::shells::Tasks;
use super::style::Look;
use crate::error::Result;
use crate::graph::{self, Mode, Project, Target};
use crate::recipe;

/// Say for each task whether it is up to date, and if not, why: which input, its old and its new value
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp explain virtualenv")]
pub(crate) struct Arguments {
    /// Only this task
    #[arg(add = ArgValueCandidates::new(Tasks))]
    task: Option<String>,
    /// Explain a release instead of a build
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let dir = arguments.common.directory()?;
    let mode = Mode::default();
    let store = store(context);
    let progress = Progress::new(context.output, &arguments.common, false);
    let target = if arguments.release { Target::Release } else { Target::Build };
    let plan = recipe::plan(dir, target)?;
    let project = Project::new(dir, plan, &context.site, &store, &mode, &progress);
    if let Some(task) = &arguments.task {
        project.plan.position(task)?;
    }
    let mut statuses = graph::explain(&project)?;
    if let Some(task) = &arguments.task {
        statuses.retain(|status| status.task == *task);
    }
    if context.output.is_json() {
        context.output.json(&statuses);
        return Ok(());
    }
    let style = context.output.style();
    for status in &statuses {
        let (look, verdict) =
            if status.fresh { (Look::Ok, "up to date") } else { (Look::Warning, "has to run") };
        context.output.row(&format!("{}: {}", status.task, style.paint(look, verdict)));
        for reason in &status.reasons {
            context.output.row(&format!("  because {reason}"));
        }
    }
    Ok(())
}
