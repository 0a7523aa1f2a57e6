//! What is wrong with a command line, in the words that all other errors have: one `error:`, one `hint:`.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::output::Output;
use super::{Command as Verb, described};
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

/// Options that every command may have before its name, as `mwp -v build`; those with a value.
const GLOBAL: [&str; 6] = ["-v", "--verbose", "-q", "--quiet", "--json", "--json=events"];
const GLOBAL_WITH_VALUE: [&str; 2] = ["-C", "--directory"];

/// The command line with the options before the command behind it.
pub(super) fn in_order(words: &[OsString]) -> Vec<OsString> {
    let is = |word: &OsString, known: &[&str]| word.to_str().is_some_and(|word| known.contains(&word));
    let mut at = 1;
    while let Some(word) = words.get(at) {
        at += match () {
            () if is(word, &GLOBAL) => 1,
            () if word.to_str().is_some_and(|word| word.starts_with("--directory=")) => 1,
            () if is(word, &GLOBAL_WITH_VALUE) => 2,
            () => break,
        };
    }
    match words.get(at) {
        Some(command) if at > 1 && !command.as_encoded_bytes().starts_with(b"-") => {
            let before = words[1..at].iter();
            [&words[0], command].into_iter().chain(before).chain(&words[at + 1..]).cloned().collect()
        }
        _ => words.to_vec(),
    }
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
        (Some(suggested), _) => format!("did you mean `{suggested}`?"),
        (None, Some(usage)) => format!("usage: {}", usage.trim()),
        (None, None) => "`mwp COMMAND --help` says what is allowed".to_owned(),
    };
    Error::usage(message).hint(hint)
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
