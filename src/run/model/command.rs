//! `_cmd_and_args`: from the text in the configuration to the words of a command.
//!
//! The text is split as a shell would, without a shell; placeholders are filled in after that, so that what they stand
//! for stays one word. `{debug_extra_options}` alone stands for several words.

use std::path::Path;

use crate::error::{Error, Result};
use crate::plugin::Plugin;
use crate::plugin::config::Section;
use crate::text;

/// What an author may write; the last one is filled in by mfdata.
const PLACEHOLDERS: [&str; 9] = [
    "{plugin_name}",
    "{plugin_dir}",
    "{app_name}",
    "{extra_name}",
    "{step_name}",
    "{timeout}",
    "{debug_extra_options}",
    SOCKET,
    "{STANDARD_STEP_ARGUMENTS}",
];
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
    ) -> Result<CommandLine> {
        let place = || {
            let origin = section.entry("_cmd_and_args").and_then(|entry| entry.origin.as_ref());
            let place = match origin {
                Some(origin) => text::place(&origin.file, origin.line, Some(origin.column)),
                None => text::path(&plugin.dir.join("config.ini")),
            };
            format!("{place}: [{}] _cmd_and_args", section.name)
        };
        let options = if section.bool("debug") { section.text("_debug_extra_options") } else { "" };
        let written = written.replace("{debug_extra_options}", options);
        let words = shlex::split(&written).filter(|words| !words.is_empty()).ok_or_else(|| {
            Error::input(format!("{}: found `{}`; quotes go in pairs", place(), text::visible(&written)))
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

    /// What looks like a placeholder in a command as written and is none: it is handed over as it stands. Each with the
    /// number of characters before it and the placeholder that may be meant.
    pub fn unknown_placeholders(written: &str) -> Vec<(usize, String, Option<&'static str>)> {
        let mut found = Vec::new();
        for (start, _) in written.match_indices('{') {
            let rest = &written[start..];
            let Some(end) = rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) else {
                continue;
            };
            let word = &rest[..end + 2];
            // `${NAME}` is for a shell that is called; `{}` and `{a,b}` are no placeholders.
            if end == 0 || !word.ends_with('}') || written[..start].ends_with('$') {
                continue;
            }
            let is_known =
                PLACEHOLDERS.contains(&word) || word.starts_with("{MFDATA_") || word.starts_with("{CUSTOM_");
            if !is_known {
                let nearest = text::nearest(word, PLACEHOLDERS);
                let nearest = PLACEHOLDERS.into_iter().find(|known| Some(*known) == nearest);
                found.push((written[..start].chars().count(), word.to_owned(), nearest));
            }
        }
        found
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_placeholder_and_is_none_is_found() {
        let unknown = |written: &str| {
            let found = CommandLine::unknown_placeholders(written).into_iter();
            found.map(|(at, word, near)| format!("{at} {word} {}", near.unwrap_or("-"))).collect::<Vec<_>>()
        };
        assert_eq!(unknown("a {plugn_dir}/{app_name}"), ["2 {plugn_dir} {plugin_dir}"]);
        assert_eq!(unknown("\u{e9} {unix_socketpath}"), ["2 {unix_socketpath} {unix_socket_path}"]);
        assert_eq!(unknown("awk '{print}'"), ["5 {print} -"]);
        for fine in [
            "{}",
            "{a,b}",
            "${HOME}",
            "{\"k\": 1}",
            "{MFDATA_CURRENT_STEP_DIR}",
            "{CUSTOM_X}",
            "{timeout",
            "{",
        ] {
            assert_eq!(unknown(fine), [""; 0], "{fine}");
        }
    }
}
