//! `_cmd_and_args`: from the text in the configuration to the words of a command.
//!
//! The text is split as a shell would, without a shell; placeholders are filled in after that, so that what they stand
//! for stays one word. `{debug_extra_options}` alone stands for several words.

use std::path::Path;

use crate::error::{Error, Result};
use crate::plugin::Plugin;
use crate::plugin::config::Section;
use crate::text;

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
        let place =
            || format!("{}: [{}] _cmd_and_args", text::path(&plugin.dir.join("config.ini")), section.name);
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

    /// Words that are complete.
    pub(super) fn of_words(words: Vec<String>) -> CommandLine {
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
