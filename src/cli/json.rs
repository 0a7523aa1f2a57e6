//! What `--json` asks for, and what a failure is as JSON.
//!
//! Standard output holds one document, whatever becomes of the command: its result, or what went wrong. With
//! `--json=events` it holds one object per line, the last of which is the result.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::{Arg, ArgMatches};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Fault, Problem};
use crate::graph::Event;

const JSON: &str = "json";

/// What standard output is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Text,
    Document,
    /// A line for each event of a build.
    Events,
}

/// What went wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    error: String,
    hint: Option<String>,
    fault: &'static str,
    problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        let task = error.task.as_deref();
        Failure {
            error: error.to_string(),
            hint: error.problems.iter().find_map(|problem| problem.hint.clone()),
            fault: word(error.fault),
            problems: error.problems.clone(),
            task: task.map(|task| task.name.clone()),
            log: task.map(|task| task.log.to_string_lossy().into_owned()),
        }
    }
}

/// A fault, for machines.
pub(super) fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Input => "input",
        Fault::Usage => "usage",
        Fault::Machine => "machine",
        Fault::Interrupted => "interrupted",
        Fault::DoneBut => "done_but",
    }
}

/// Commands that have a stream of events as well.
const STREAMS: [&str; 4] = ["build", "release", "watch", "lock"];

/// The help of `command` without the stream of events that it does not have.
pub(super) fn help_of(command: Option<&str>, help: &str) -> String {
    const START: &str = "; `=events`";
    const END: &str = "while it builds";
    if command.is_none_or(|command| STREAMS.contains(&command)) {
        return help.to_owned();
    }
    let help = help.replace("[=<events>]", "           ");
    match help.split_once(START).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1))) {
        Some((before, rest)) => format!("{before}{rest}"),
        None => help,
    }
}

/// `--json`, which all commands have.
pub(super) fn argument() -> Arg {
    Arg::new(JSON)
        .long(JSON)
        .help("Print one JSON document on standard output; `=events`: an object per line while it builds")
        .global(true)
        .overrides_with(JSON)
        .value_name("events")
        .num_args(0..=1)
        .require_equals(true)
        .value_parser(form)
        .default_missing_value("document")
        // Behind a command's own.
        .display_order(900)
}

fn form(value: &str) -> Result<Form, String> {
    match value {
        "document" => Ok(Form::Document),
        "events" => Ok(Form::Events),
        _ => Err("`--json` and `--json=events` are allowed".to_owned()),
    }
}

/// What the command was given that was asked for.
pub(super) fn innermost(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

impl Form {
    /// The form that these arguments ask for, of whichever command.
    pub(super) fn of(matches: &ArgMatches) -> Form {
        innermost(matches).get_one(JSON).copied().unwrap_or_default()
    }

    /// The same for a command line that is refused: what is behind `--` is another command's.
    pub(super) fn of_words(words: &[OsString]) -> Form {
        let mut ours = words.iter().take_while(|word| *word != "--");
        ours.find_map(|word| match word.to_str() {
            Some("--json") => Some(Form::Document),
            Some("--json=events") => Some(Form::Events),
            Some(word) if word.starts_with("--json=") => Some(Form::Document),
            _ => None,
        })
        .unwrap_or_default()
    }
}

/// One of several things that a command was to deal with, in its place among the others.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ItemResult {
    Done(Value),
    Failed {
        #[serde(flatten)]
        what: Value,
        #[serde(flatten)]
        failure: Failure,
    },
}

impl ItemResult {
    pub(super) fn failed(what: Value, error: &Error) -> ItemResult {
        ItemResult::Failed { what, failure: Failure::from(error) }
    }

    /// Whether a list says more than the failure of the one thing there is.
    pub(super) fn are_worth_a_list(entries: &[ItemResult]) -> bool {
        !matches!(entries, [ItemResult::Failed { .. }])
    }
}

/// An event of a build, for `--json=events`.
pub(super) fn event(directory: &Path, event: &Event<'_>) -> Value {
    let mut value = match event {
        Event::Waiting { holder } => json!({"event": "waiting", "holder": holder}),
        Event::Fresh { task } => json!({"event": "fresh", "task": task}),
        Event::Started { task, summary, reasons } => {
            json!({"event": "started", "task": task, "summary": summary, "reasons": reasons})
        }
        Event::Line { task, line } => json!({"event": "output", "task": task, "line": line}),
        Event::Warning { task, text } => json!({"event": "warning", "task": task, "message": text}),
        Event::LockChanged { task, changes } => {
            json!({"event": "lock_changed", "task": task, "changes": changes})
        }
        Event::Restored { task, took } => {
            json!({"event": "finished", "task": task, "restored": true, "milliseconds": milliseconds(*took)})
        }
        Event::Done { task, took } => {
            json!({"event": "finished", "task": task, "restored": false, "milliseconds": milliseconds(*took)})
        }
        Event::Failed { task, error, log, .. } => {
            let (failure, log) = (Failure::from(*error), log.to_string_lossy());
            json!({"event": "failed", "task": task, "error": failure.error, "hint": failure.hint,
                "fault": failure.fault, "log": log})
        }
        Event::Built { built } => json!({"event": "built", "plugin": built.plugin,
            "milliseconds": milliseconds(built.took)}),
    };
    value["directory"] = directory.to_string_lossy().into();
    value
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
