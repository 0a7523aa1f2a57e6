//! Tasks: whether what they need is there, and whether they could make anything of the files that they read.

use std::path::Path;

use super::Findings;
use crate::error::{Problem, Result};
use crate::fs;
use crate::graph::{self, Scope, Target, Task};
use crate::plugin::ConfigProblem;
use crate::recipe;
use crate::site::Site;
use crate::text;
use crate::tools::{self, Tools};

pub(super) fn check(dir: &Path, site: &Site) -> Result<Findings> {
    let plan = recipe::plan(dir, Target::Release)?;
    let tools = Tools::new(site, dir);
    let scope = Scope { dir, site, tools: &tools };
    let mut findings = Findings::default();
    let placed = |problem: Problem| ConfigProblem::of_problem(dir, problem);
    for (task, error) in graph::missing_inputs(dir, &plan)? {
        let problems = error.problems.into_iter().map(|problem| at_task(dir, task, problem));
        findings.problems.extend(problems.map(placed));
    }
    for task in &plan.tasks {
        if let Err(error) = task.action.refuses(&scope) {
            for problem in error.problems.into_iter().map(placed) {
                if !findings.problems.contains(&problem) {
                    findings.problems.push(problem);
                }
            }
        }
        let missing = task.action.programs().into_iter().find(|program| is_missing(program, dir, site));
        findings.warnings.extend(missing.map(|program| placed(missing_program(dir, task, &program))));
    }
    Ok(findings)
}

/// With the line of the task's heading.
fn at_task(dir: &Path, task: &Task, mut problem: Problem) -> Problem {
    let file = dir.join(&task.origin.file);
    let content = fs::read_text_optional(&file).ok().flatten().unwrap_or_default();
    let heads = [format!("[tasks.{}]", task.name), format!("[tasks.\"{}\"]", task.name)];
    let line = content.lines().position(|line| heads.iter().any(|head| line.trim_start().starts_with(head)));
    if let Some(line) = line {
        problem.message =
            problem.message.replacen(&text::path(&file), &text::place(&file, line + 1, None), 1);
    }
    problem
}

/// Found as commands of tasks are: in `bin/` and `node_modules/.bin/` first.
fn is_missing(program: &str, dir: &Path, site: &Site) -> bool {
    let home = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let own = [home.join("bin"), home.join("node_modules/.bin")];
    let path = site.environment.get("PATH").into_iter().flat_map(std::env::split_paths);
    let path = std::env::join_paths(own.into_iter().chain(path)).ok();
    // A build may bring what is in the plugin.
    let may_come = program.contains('/') && !program.starts_with('/')
        || home.join("package.json").exists() && !home.join("node_modules").exists();
    let is_tool = ["npm", "pnpm", "yarn", "python3"].contains(&program);
    which::which_in(program, path, &home).is_err() && (is_tool || !may_come)
}

fn missing_program(dir: &Path, task: &Task, program: &str) -> Problem {
    let error = tools::missing(program);
    let hint = error.problems.into_iter().find_map(|problem| problem.hint);
    let own = dir.join(&task.origin.file);
    let place = if own.exists() { format!("{}: ", text::path(&own)) } else { String::new() };
    let message = format!(
        "{place}task `{}` needs `{}`, which is not on this machine's PATH",
        text::visible(&task.name),
        text::visible(program)
    );
    at_task(dir, task, Problem { message, hint })
}
