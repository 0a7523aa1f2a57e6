//! What is wrong with a command line, in the words that all other errors have: one `error:`, one `hint:`.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command};

use super::common::Common;
use super::output::Output;
use super::{Command as Verb, described, json, loudness};
use crate::error::{Error, Result};
use crate::text;

/// What people who know other tools type, and what it is called here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("create", "mwp new NAME"),
    ("make", "mwp build"),
    ("sync", "mwp build"),
    ("compile", "mwp lock"),
    ("update", "mwp lock --upgrade"),
    ("upgrade", "mwp lock --upgrade"),
    ("package", "mwp release"),
    ("publish", "mwp release"),
    ("dist", "mwp release"),
    ("start", "mwp up"),
    ("ps", "mwp status"),
    ("shell", "mwp env"),
    ("purge", "mwp superclean"),
    ("rm", "mwp uninstall NAME"),
];

/// The command line with the options before the command behind it: `mwp -v build` is `mwp build -v`.
pub(super) fn in_order(words: &[OsString]) -> Vec<OsString> {
    match command_at(words) {
        Some(at) if at > 1 && words[at - 1] != "--" => {
            let before = words[1..at].iter();
            [&words[0], &words[at]].into_iter().chain(before).chain(&words[at + 1..]).cloned().collect()
        }
        _ => words.to_vec(),
    }
}

/// Where the command stands, behind nothing but options that it may have before it.
fn command_at(words: &[OsString]) -> Option<usize> {
    if !words.get(1)?.as_encoded_bytes().starts_with(b"-") {
        return None;
    }
    let options = Common::augment_args(Command::new("mwp"))
        .args(loudness::arguments())
        .arg(json::argument())
        .disable_help_flag(true)
        .allow_external_subcommands(true);
    let matches = options.try_get_matches_from(words).ok()?;
    let (_, command) = matches.subcommand()?;
    let behind = command.get_raw("").map_or(0, Iterator::count);
    words.len().checked_sub(behind + 1)
}

/// Refuses JSON of commands that have none, and a stream of those that have a document.
pub(super) fn refuse_json(command: Option<&Verb>, output: &Output) -> Result<()> {
    if !output.is_json() {
        return Ok(());
    }
    let streams =
        matches!(command, None | Some(Verb::Build(_) | Verb::Release(_) | Verb::Watch(_) | Verb::Lock(_)));
    match command {
        Some(Verb::Metrics(_)) => {
            Err(Error::usage("metrics have a form of their own").hint("leave out `--json`"))
        }
        Some(Verb::Help(_) | Verb::Completions(_) | Verb::Man(_) | Verb::Shims(_) | Verb::Cronwrap(_)) => {
            Err(Error::usage("this command has no JSON").hint("leave out `--json`"))
        }
        Some(Verb::Watch(_)) if !output.has_events() => {
            Err(Error::usage("`watch` does not end, and has no document")
                .hint("`--json=events` prints an object per line"))
        }
        _ if output.has_events() && !streams => {
            Err(Error::usage("`--json=events` is for `build`, `release`, `lock` and `watch`")
                .hint("`--json` prints one document"))
        }
        _ => Ok(()),
    }
}

fn commands() -> Vec<Command> {
    described().get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect()
}

/// The error for what clap refuses.
pub(super) fn error(refusal: &clap::Error) -> Error {
    let value = |kind| match refusal.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let above = group(refusal);
    if refusal.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        && let Some(group) = &above
    {
        let message = format!("`{}` does nothing on its own", path(group));
        return Error::usage(message).hint(below(group));
    }
    if refusal.kind() == ErrorKind::InvalidSubcommand
        && let Some(name) = value(ContextKind::InvalidSubcommand)
    {
        return match &above {
            Some(group) => {
                let message = format!("`{}` has no `{}`", path(group), text::visible(&name));
                Error::usage(message).hint(below(group))
            }
            None => unknown_command(&name),
        };
    }
    if refusal.kind() == ErrorKind::ArgumentConflict
        && let Some(name) = value(ContextKind::InvalidSubcommand)
        && let Some(option) = value(ContextKind::PriorArg)
    {
        // `-j <N>`
        let option = option.split(' ').next().unwrap_or_default();
        return Error::usage(format!("found `{option}` before `{name}`"))
            .hint(format!("options of a command go behind it: `mwp {name} {option}`"));
    }
    let rendered = refusal.render().to_string();
    let (message, usage) = match rendered.split_once("\n\n") {
        Some((message, rest)) => (message, rest),
        None => (rendered.as_str(), ""),
    };
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ").replace('\'', "`");
    let usage = usage.lines().find_map(|line| line.trim().strip_prefix("Usage: "));
    let suggested =
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    let hint = match (suggested.into_iter().find_map(value), usage) {
        // As uv calls it; `--force` would be the near miss.
        _ if value(ContextKind::InvalidArg).as_deref() == Some("--frozen") => {
            "it is called `--locked` here".to_owned()
        }
        (_, Some(usage)) if is_directory(value(ContextKind::InvalidArg).as_deref()) => {
            match usage.contains("DIR]") {
                true => format!("name the directory without it: {}", usage.trim()),
                false => "`-C DIR` is for what works on a plugin's directory, as `mwp build` does".to_owned(),
            }
        }
        (Some(suggested), _) => format!("did you mean `{suggested}`?"),
        (None, Some(usage)) => format!("usage: {}", usage.trim()),
        (None, None) => "`mwp COMMAND --help` says what is allowed".to_owned(),
    };
    Error::usage(message).hint(hint)
}

/// Whether it is the option for directories.
fn is_directory(option: Option<&str>) -> bool {
    matches!(option, Some("-C" | "--directory"))
}

/// The command with commands of its own that was meant: what its usage names.
fn group(refusal: &clap::Error) -> Option<Vec<String>> {
    let rendered = refusal.render().to_string();
    let usage = rendered.lines().find_map(|line| line.trim().strip_prefix("Usage: mwp "))?;
    let names: Vec<String> =
        usage.split(' ').take_while(|word| !word.starts_with(['<', '['])).map(str::to_owned).collect();
    (!names.is_empty()).then_some(names)
}

fn path(group: &[String]) -> String {
    format!("mwp {}", group.join(" "))
}

/// The commands of a group, as the next step.
fn below(group: &[String]) -> String {
    let root = described();
    let found = group.iter().try_fold(&root, |command, name| command.find_subcommand(name));
    let names: Vec<String> = found
        .into_iter()
        .flat_map(Command::get_subcommands)
        .filter(|command| !command.is_hide_set())
        .map(|command| format!("`{} {}`", path(group), command.get_name()))
        .collect();
    format!("there are {}", names.join(", "))
}

fn unknown_command(name: &str) -> Error {
    let shown = text::visible(name);
    let error = Error::usage(format!("there is no command `{shown}`"));
    if let Some((_, here)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
        return error.hint(format!("it is called `{here}` here"));
    }
    let commands = commands();
    match text::nearest(name, commands.iter().map(Command::get_name)) {
        Some(nearest) => error.hint(format!("did you mean `mwp {nearest}`?")),
        None => error.hint("`mwp help` lists the commands"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_before_the_command_count_as_behind_it() {
        let order = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let words = in_order(&words).into_iter().map(|word| word.into_string().unwrap());
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order("mwp -v build x"), "mwp build -v x");
        assert_eq!(order("mwp -C shop --json check"), "mwp check -C shop --json");
        assert_eq!(order("mwp -Cshop -qv --json=events check x"), "mwp check -Cshop -qv --json=events x");
        assert_eq!(order("mwp -q -C build cache dir"), "mwp cache -q -C build dir");
        assert_eq!(order("mwp -q -- build"), "mwp -q -- build");
        assert_eq!(order("mwp -v"), "mwp -v");
        assert_eq!(order("mwp --dry-run build"), "mwp --dry-run build");
        assert_eq!(order("mwp build -v"), "mwp build -v");
    }

    #[test]
    fn a_command_that_is_none_has_its_near_miss_or_its_name_here() {
        let hint = |name| unknown_command(name).problems[0].hint.clone().unwrap();
        assert_eq!(hint("relase"), "did you mean `mwp release`?");
        assert_eq!(hint("update"), "it is called `mwp lock --upgrade` here");
        assert_eq!(hint("zzz"), "`mwp help` lists the commands");
    }
}
