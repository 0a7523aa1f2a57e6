//! Colours of what goes to standard output: on a terminal alone, and not where `NO_COLOR` or `TERM=dumb` says otherwise.

use std::io::{self, IsTerminal};

/// Whether the person who runs this has not said otherwise.
pub(super) fn are_wanted() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    !unwanted
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Color {
    Plain,
    Red,
    Green,
    Yellow,
}

/// Whether to colour, decided once per process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    color: bool,
}

impl Style {
    /// For what is cut to the terminal's width.
    pub(super) const PLAIN: Style = Style { color: false };

    pub(super) fn of_process() -> Style {
        Style { color: io::stdout().is_terminal() && are_wanted() }
    }

    pub(super) fn paint(self, color: Color, text: &str) -> String {
        let code = match color {
            Color::Plain => return text.to_owned(),
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
        };
        match self.color && !text.trim().is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}
