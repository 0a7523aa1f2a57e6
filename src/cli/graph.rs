//! `mwp graph`: the tasks and their order.

use clap::Args;

use super::Context;
use super::common::Common;
use crate::error::Result;
use crate::graph::{GraphFormat, Plan, Target, draw};
use crate::recipe;

/// Show the tasks of a plugin and their order
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp graph --format mermaid")]
pub(crate) struct Arguments {
    /// Text for people, dot for Graphviz, or mermaid for Markdown
    #[arg(long, value_enum, default_value = "text")]
    format: GraphFormat,
    /// Show a release instead of a build
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let dir = arguments.common.directory()?;
    let target = if arguments.release { Target::Release } else { Target::Build };
    let plan = recipe::plan(dir, target)?;
    if arguments.common.json {
        context.output.json(&tasks(&plan));
    } else {
        context.output.line(&draw(&plan, arguments.format));
    }
    Ok(())
}

fn tasks(plan: &Plan) -> serde_json::Value {
    let names = |positions: &[usize]| {
        positions.iter().map(|index| plan.tasks[*index].name.clone()).collect::<Vec<_>>()
    };
    plan.tasks
        .iter()
        .zip(&plan.first)
        .map(|(task, first)| {
            serde_json::json!({
                "task": task.name,
                "summary": task.summary,
                "origin": task.origin.file,
                "inputs": task.inputs,
                "optional_inputs": task.optional_inputs,
                "outputs": task.outputs,
                "tools": task.tools,
                "environment": task.environment,
                "dependencies": task.dependencies,
                "after": names(first),
            })
        })
        .collect()
}
