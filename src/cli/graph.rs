//! `mwp graph`: the tasks and their order.

use clap::{Args, ValueEnum};

use super::Context;
use super::common::Common;
use super::output::Output;
use super::style::Look;
use super::table::{Cell, table};
use crate::error::Result;
use crate::graph::{self, Plan, Target, Task};
use crate::recipe;

/// Show the tasks of a plugin and their order
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp graph --format mermaid")]
pub(crate) struct Arguments {
    /// Text for people, dot for Graphviz, or mermaid for Markdown
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Show a release instead of a build
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Dot,
    Mermaid,
}

/// Before tasks whose outputs count, and before those that go first alone: a dashed arrow, as in the other formats.
const COUNTS: &str = "←";
const ORDER_ALONE: &str = "⇠";

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let dir = arguments.common.directory()?;
    let target = if arguments.release { Target::Release } else { Target::Build };
    let plan = recipe::plan(dir, target)?;
    if context.output.is_json() {
        context.output.json(&tasks(&plan));
        return Ok(());
    }
    match arguments.format {
        Format::Text => print(&plan, &context.output),
        Format::Dot => context.output.line(&graph::dot(&plan)),
        Format::Mermaid => context.output.line(&graph::mermaid(&plan)),
    }
    Ok(())
}

/// A row for each task, and what the arrows mean where there is more than one kind.
fn print(plan: &Plan, output: &Output) {
    let edges = graph::edges(plan);
    let row = |task: &Task| {
        let first = |arrow: &str, counts: bool| {
            let edges = edges.iter().filter(|(_, to, strong)| *to == task.name && *strong == counts);
            let names: Vec<&str> = edges.map(|(from, _, _)| *from).collect();
            (!names.is_empty()).then(|| format!("{arrow} {}", names.join(", ")))
        };
        let arrows: Vec<String> = first(COUNTS, true).into_iter().chain(first(ORDER_ALONE, false)).collect();
        vec![
            Cell::new(Look::Bold, &task.name),
            task.summary.as_str().into(),
            Cell::new(Look::Dim, arrows.join("  ")),
        ]
    };
    let rows: Vec<Vec<Cell>> = plan.tasks.iter().map(row).collect();
    for line in table(&rows, Output::width(), output.style()) {
        output.line(&line);
    }
    if edges.iter().any(|(_, _, counts)| !counts) {
        let legend = format!("{COUNTS} what it makes counts   {ORDER_ALONE} goes first, no more");
        output.row(&output.style().paint(Look::Dim, &legend));
    }
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
