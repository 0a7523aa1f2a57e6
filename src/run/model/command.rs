//! `_cmd_and_args`: from the text in the configuration to the words of a command.
//!
//! The text is split as a shell would, without a shell; placeholders are filled in after that, so that what they stand
//! for stays one word. `{debug_extra_options}` alone stands for several words.

use std::path::Path;

use super::step::StepPlaceholders;
use crate::error::{Error, Result};
use crate::plugin::Plugin;
use crate::plugin::config::Section;
use crate::text;

/// What an author may write, beside what is for steps alone.
const PLACEHOLDERS: [&str; 8] = [
    "{plugin_name}",
    "{plugin_dir}",
    "{app_name}",
    "{extra_name}",
    "{step_name}",
    "{timeout}",
    "{debug_extra_options}",
    SOCKET,
];
/// What begins like this is a placeholder of steps, and means nothing elsewhere.
const OF_STEPS: [&str; 3] = ["{MFDATA_", "{CUSTOM_", "{STANDARD_"];
const SOCKET: &str = "{unix_socket_path}";
/// The number of the worker, as circus writes it.
const WORKER: [&str; 2] = ["$(circus.wid)", "((circus.wid))"];

/// A command whose worker is not yet known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    pub(super) fn parse(
        written: &str,
        name: &str,
        plugin: &Plugin,
        section: &Section,
        step: Option<&StepPlaceholders>,
    ) -> Result<CommandLine> {
        // `before`: how many characters of the value stand before what is meant.
        let place = |before: &str| {
            let origin = section.entry("_cmd_and_args").and_then(|entry| entry.origin.as_ref());
            let place = match origin {
                // Further lines of a value are indented, who knows how far.
                Some(origin) if before.contains('\n') => text::place(&origin.file, origin.line, None),
                Some(origin) => {
                    text::place(&origin.file, origin.line, Some(origin.column + before.chars().count()))
                }
                None => text::path(&plugin.dir.join("config.ini")),
            };
            format!("{place}: [{}] _cmd_and_args", section.name)
        };
        if let Some((before, word, nearest)) = mistaken_placeholder(written, step) {
            let error = Error::input(format!(
                "{}: found `{word}`, which is no placeholder and would be handed over as it stands",
                place(before)
            ));
            return Err(error.hint(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if word.starts_with("{CUSTOM_") && step.is_some() => {
                    "write the key that it stands for below `[custom]`".to_owned()
                }
                None => "it is for steps of mfdata: write the value itself".to_owned(),
            }));
        }
        let filled = step.map(|step| step.fill(written));
        let written = filled.as_deref().unwrap_or(written);
        let options = if section.bool("debug") { section.text("_debug_extra_options") } else { "" };
        let written = written.replace("{debug_extra_options}", options);
        let words = shlex::split(&written).filter(|words| !words.is_empty()).ok_or_else(|| {
            Error::input(format!("{}: found `{}`; quotes go in pairs", place(""), text::visible(&written)))
                .hint("words are split as in a shell: quote with ' or \", or escape with \\")
        })?;
        let dir = plugin.dir.to_string_lossy();
        let timeout = section.int("timeout").to_string();
        let known: [(&str, &str); 6] = [
            ("{plugin_name}", plugin.label.name.as_str()),
            ("{plugin_dir}", &dir),
            ("{app_name}", name),
            ("{extra_name}", name),
            ("{step_name}", name),
            ("{timeout}", &timeout),
        ];
        let fill = |word: String| known.iter().fold(word, |word, (from, to)| word.replace(from, to));
        Ok(CommandLine(words.into_iter().map(fill).collect()))
    }

    /// What looks like a placeholder in a command as written and is none, nor a slip in one: it is handed over as it
    /// stands. Each with the number of characters before it.
    pub fn unknown_placeholders(written: &str) -> Vec<(usize, &str)> {
        let unknown = braced(written).filter(|(_, word)| {
            !PLACEHOLDERS.contains(word)
                && !OF_STEPS.iter().any(|start| word.starts_with(start))
                && text::nearest(word, PLACEHOLDERS).is_none()
        });
        unknown.map(|(before, word)| (before.chars().count(), word)).collect()
    }

    /// Words that are complete.
    pub(in crate::run) fn of_words(words: Vec<String>) -> CommandLine {
        CommandLine(words)
    }

    /// Whether its workers listen on sockets of their own.
    pub fn uses_socket(&self) -> bool {
        self.0.iter().any(|word| word.contains(SOCKET))
    }

    /// The words for one worker.
    pub fn words(&self, worker: &str, socket: &Path) -> Vec<String> {
        let socket = socket.to_string_lossy();
        let fill = |word: &String| {
            let word = word.replace(SOCKET, &socket);
            WORKER.iter().fold(word, |word, name| word.replace(name, worker))
        };
        self.0.iter().map(fill).collect()
    }

    /// The program, for messages.
    pub fn program(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

/// Words in braces, with what stands before them. `${NAME}` is for a shell that is called; `{}` and `{a,b}` are none.
fn braced(written: &str) -> impl Iterator<Item = (&str, &str)> {
    written.match_indices('{').filter_map(|(start, _)| {
        let (before, rest) = written.split_at(start);
        let end = rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        let word = rest.get(..end + 2)?;
        (end > 0 && word.ends_with('}') && !before.ends_with('$')).then_some((before, word))
    })
}

/// The first word that is a slip in a placeholder, or one that nobody fills in; with what stands before it, and the one
/// that may be meant.
fn mistaken_placeholder<'a>(
    written: &'a str,
    step: Option<&StepPlaceholders>,
) -> Option<(&'a str, &'a str, Option<String>)> {
    braced(written).find_map(|(before, word)| {
        if PLACEHOLDERS.contains(&word) || step.is_some_and(|step| step.has(word)) {
            return None;
        }
        let known = step.iter().flat_map(|step| step.names()).chain(PLACEHOLDERS);
        let nearest = text::nearest(word, known).map(str::to_owned);
        let is_meant = nearest.is_some() || OF_STEPS.iter().any(|start| word.starts_with(start));
        is_meant.then_some((before, word, nearest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_placeholder_and_is_none_is_found() {
        let unknown = |written: &str| {
            let found = CommandLine::unknown_placeholders(written).into_iter();
            found.map(|(at, word)| format!("{at} {word}")).collect::<Vec<_>>()
        };
        let mistaken = |written| {
            mistaken_placeholder(written, None).map(|(before, word, near)| {
                format!("{} {word} {}", before.chars().count(), near.unwrap_or_default())
            })
        };
        assert_eq!(mistaken("a {plugn_dir}/{app_name}").unwrap(), "2 {plugn_dir} {plugin_dir}");
        assert_eq!(mistaken("\u{e9} {unix_socketpath}").unwrap(), "2 {unix_socketpath} {unix_socket_path}");
        assert_eq!(mistaken("a {STANDARD_STEP_ARGUMENTS}").unwrap(), "2 {STANDARD_STEP_ARGUMENTS} ");
        assert_eq!(mistaken("awk '{print}'"), None);
        assert_eq!(unknown("awk '{print}'"), ["5 {print}"]);
        for fine in ["{}", "{a,b}", "${HOME}", "{\"k\": 1}", "{timeout", "{"] {
            assert_eq!(unknown(fine), [""; 0], "{fine}");
        }
    }
}
