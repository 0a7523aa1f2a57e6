//! `mwp bootstrap update`: what the template changed since, merged into the plugin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, answer, ask};
use crate::cli::common::take_turn;
use crate::cli::patch;
use crate::error::{Error, Result};
use crate::template::{self, Change, Outcome, Update};
use crate::text;

#[derive(Debug, Args)]
#[command(after_help = "Example: mwp bootstrap update --dry-run")]
pub(super) struct Arguments {
    /// The plugin's directory instead of the current one
    #[arg(
        short = 'C',
        long = "directory",
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    directory: PathBuf,
    /// Where the template is now: its name, or the path of its directory [default: where it was]
    #[arg(long)]
    template: Option<String>,
    /// Print what would change, as a diff
    #[arg(long)]
    dry_run: bool,
    /// Take the defaults of new questions instead of asking
    #[arg(long)]
    no_input: bool,
    /// Change an answer, or give a new one beforehand; may be given several times
    #[arg(long = "set", value_name = "QUESTION=ANSWER", value_parser = answer)]
    answers: Vec<(String, String)>,
    /// Go on though the plugin has changes that are not committed
    #[arg(long, short, visible_alias = "yes", short_alias = 'y')]
    force: bool,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<()> {
    let directory = &arguments.directory;
    // Two at once would each take the other's answers back.
    let _turn = (!arguments.dry_run).then(|| take_turn("bootstrap update", context)).transpose()?;
    if !arguments.dry_run {
        if template::finish_interrupted(directory)? {
            context.output.note("ended an update that was interrupted");
        }
        allow_uncommitted(&arguments, context)?;
    } else if template::was_interrupted(directory) {
        return Err(
            Error::input("an update of this plugin was interrupted").hint("`mwp bootstrap update` ends it")
        );
    }
    let answers: BTreeMap<String, String> = arguments.answers.into_iter().collect();
    let mut ask = ask::asker(!arguments.no_input && ask::is_possible(), context);
    let update = Update::plan(directory, arguments.template.as_deref(), answers, &context.site, &mut ask)?;
    if arguments.dry_run {
        update.changes().iter().for_each(|change| context.output.line(diff(change).trim_end()));
        if context.output.is_json() {
            context.output.json(&report(&update));
        }
        return Ok(());
    }
    update.apply()?;
    for change in update.changes() {
        let mark = mark(&change.outcome);
        context.output.line(&format!("{mark:13}  {}", text::visible(&change.path)));
    }
    if update.changes().is_empty() {
        context.output.line("up to date with its template");
    }
    conflicts(&update, directory)?;
    if context.output.is_json() {
        context.output.json(&report(&update));
    }
    Ok(())
}

fn mark(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Added => "added",
        Outcome::Changed => "changed",
        Outcome::Removed => "removed",
        Outcome::StaysRemoved => "stays removed",
        Outcome::Conflict(_) => "conflict",
    }
}

/// For `--json`.
fn report(update: &Update) -> Vec<serde_json::Value> {
    let entry = |change: &Change| serde_json::json!({"path": change.path, "outcome": mark(&change.outcome)});
    update.changes().iter().map(entry).collect()
}

/// Changes that are not committed could not be told from the template's afterwards.
fn allow_uncommitted(arguments: &Arguments, context: &Context) -> Result<()> {
    if arguments.force {
        return Ok(());
    }
    let uncommitted = template::uncommitted(&arguments.directory, &context.site);
    let Some(first) = uncommitted.first() else { return Ok(()) };
    let more =
        if uncommitted.len() > 1 { format!(" and {} more", uncommitted.len() - 1) } else { String::new() };
    let message = format!("not committed: {}{more}", text::visible(first));
    if !arguments.no_input && ask::is_possible() {
        context.output.warning(&message);
        if ask::confirmed("update all the same?", context)? {
            return Ok(());
        }
    }
    Err(Error::input(message)
        .hint("commit or stash it first, so that the update can be told apart; or `--force`"))
}

/// One error for each file that a person has to look at.
fn conflicts(update: &Update, directory: &Path) -> Result<()> {
    let problems: Vec<_> = update
        .conflicts()
        .map(|(path, reason)| {
            let place = text::path(&directory.join(path));
            Error::input(format!("{place}: {reason}"))
        })
        .flat_map(|error| error.problems)
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::many(crate::error::Fault::Input, problems).hint(
        "the update is done but for this: look for `<<<<<<<`, choose, and commit; `git diff` shows all of it",
    ))
}

/// As git shows a change.
fn diff(change: &Change) -> String {
    let path = text::visible(&change.path);
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    let mut out = match &change.outcome {
        Outcome::StaysRemoved => {
            return format!("# {path}: changed by the template; removed here, and stays so");
        }
        Outcome::Conflict(reason) => format!("# {path}: {reason}\n"),
        _ => String::new(),
    };
    let mode = |is_executable| if is_executable { "100755" } else { "100644" };
    match (before.map(template::File::is_executable), after.map(template::File::is_executable)) {
        (Some(old), Some(new)) if old != new => {
            out.push_str(&format!("# {path}: mode {} → {}\n", mode(old), mode(new)));
        }
        _ => {}
    }
    if before == after {
        return out;
    }
    // A file is text, or its content is not shown.
    match (text_of(before), text_of(after)) {
        (Ok(old), Ok(new)) => format!("{out}{}", patch::of_texts(&path, old, new)),
        _ => format!("{out}Binary files a/{path} and b/{path} differ"),
    }
}

/// Nothing for a file that is not there; an error for one that is no text.
fn text_of(file: Option<&template::File>) -> std::result::Result<Option<&str>, ()> {
    file.map(|file| file.text().ok_or(())).transpose()
}
