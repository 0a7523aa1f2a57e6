//! `mwp check`: what building, packing, installing and running would refuse, every problem at once.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Context;
use super::annotations::{Level, annotate, write_code_quality};
use super::common::{Common, Places};
use super::json::word;
use super::style::Look;
use crate::check;
use crate::error::{Error, Fault, Problem, Result};
use crate::plugin::config::{Config, ConfigProblem, Origin};
use crate::plugin::{self, Checked};
use crate::text;

/// Find what building, packing, installing and running a plugin would refuse, all of it at once
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp check shop --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Print one fact about the plugin and nothing else
    #[arg(long, value_name = "FACT", conflicts_with_all = ["json", "quiet", "verbose"])]
    print: Option<Fact>,
    /// Write what is found as GitLab's report of code quality, too
    #[arg(long, value_name = "FILE", conflicts_with = "print")]
    code_quality: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fact {
    Name,
    Module,
    Version,
    Release,
}

/// What `--json` prints per plugin.
#[derive(Serialize)]
struct Report {
    directory: String,
    ok: bool,
    label: Option<String>,
    version: Option<String>,
    release: Option<String>,
    problems: Vec<ConfigProblem>,
    warnings: Vec<ConfigProblem>,
    error: Option<String>,
    hint: Option<String>,
    fault: Option<&'static str>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    let mut reports = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    let mut fault = Fault::Input;
    let mut found = Vec::new();
    for dir in common.named() {
        // A fact is asked for by scripts, often and beside a real check.
        let is_check = arguments.print.is_none();
        let checked =
            if is_check { check::check(&dir, &context.site) } else { plugin::check(&dir, &context.site) };
        if context.output.is_json() {
            reports.push(report(&dir, &checked));
        } else {
            say(&dir, &checked, arguments, context);
        }
        if is_check {
            annotate(Level::Warning, &checked.warnings, context);
            annotate(Level::Error, &checked.problems, context);
            found.extend(checked.problems.iter().map(|problem| (Level::Error, problem.clone())));
            found.extend(checked.warnings.iter().map(|warning| (Level::Warning, warning.clone())));
        }
        if let Err(error) = checked.into_plugin(&dir) {
            if error.fault == Fault::Machine {
                fault = Fault::Machine;
            }
            problems.extend(error.problems);
        }
    }
    if let Some(file) = &arguments.code_quality {
        write_code_quality(file, &found, &context.site.environment)?;
    }
    if context.output.is_json() {
        context.output.json(&reports);
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::many(fault, problems)) }
}

fn say(dir: &Path, checked: &Checked, arguments: &Arguments, context: &Context) {
    let warnings = if arguments.print.is_none() { checked.warnings.as_slice() } else { &[] };
    let warnings = warnings.iter().map(|warning| warning.clone().into()).collect();
    context.output.warnings(&Error::many(Fault::Input, warnings));
    let (true, Some(label), Some(config)) = (checked.is_good(), &checked.label, &checked.config) else {
        return;
    };
    if arguments.common.loudness.quiet {
        return;
    }
    let general = &config.general;
    if let Some(fact) = arguments.print {
        context.output.line(match fact {
            Fact::Name => label.name.as_str(),
            Fact::Module => label.module.as_str(),
            Fact::Version => &general.version,
            Fact::Release => &general.release,
        });
        return;
    }
    let (look, verdict) = match checked.warnings.len() {
        0 => (Look::Ok, "is good".to_owned()),
        number => (Look::Warning, format!("is good, with {}", text::count(number, "warning"))),
    };
    let verdict = context.output.style().paint(look, &verdict);
    context.output.row(&format!(
        "{}: {label} {}-{} {verdict}",
        text::path(dir),
        general.version,
        general.release
    ));
    if arguments.common.loudness.verbose {
        say_values(config, context);
    }
}

/// Every value that counts, with where it comes from.
fn say_values(config: &Config, context: &Context) {
    for section in &config.sections {
        let title = format!("[{}]", text::visible(&section.name));
        context.output.row(&context.output.style().paint(Look::Bold, &title));
        for entry in &section.entries {
            let origin = match &entry.origin {
                Some(Origin { file, line, column }) => text::place(file, *line, Some(*column)),
                None => "default".to_owned(),
            };
            let value = text::visible(&entry.value.to_string());
            let origin = context.output.style().paint(Look::Dim, &format!("({origin})"));
            context.output.row(&format!("{} = {value}  {origin}", text::visible(&entry.key)));
        }
    }
}

fn report(dir: &Path, checked: &Checked) -> Report {
    let general = checked.config.as_ref().map(|config| &config.general);
    Report {
        directory: dir.to_string_lossy().into_owned(),
        ok: checked.is_good(),
        label: checked.label.as_ref().map(ToString::to_string),
        version: general.map(|general| general.version.clone()),
        release: general.map(|general| general.release.clone()),
        problems: checked.problems.clone(),
        warnings: checked.warnings.clone(),
        error: checked.problems.first().map(|problem| problem.message.clone()),
        hint: checked.problems.iter().find_map(|problem| problem.hint.clone()),
        fault: (!checked.is_good()).then(|| word(checked.fault.unwrap_or(Fault::Input))),
    }
}
