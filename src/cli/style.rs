//! How text for people looks: one vocabulary, and one place that decides whether a stream gets any of it.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Effects};

/// What a text is, not which colour it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Look {
    #[default]
    Plain,
    Ok,
    Warning,
    Error,
    Hint,
    Dim,
    Bold,
    Heading,
}

impl Look {
    fn ansi(self) -> anstyle::Style {
        let color = |color: AnsiColor| color.on_default();
        match self {
            Look::Plain => anstyle::Style::new(),
            Look::Ok => color(AnsiColor::Green),
            Look::Warning => color(AnsiColor::Yellow),
            Look::Error => color(AnsiColor::Red),
            Look::Hint => color(AnsiColor::Cyan),
            Look::Dim => Effects::DIMMED.into(),
            Look::Bold => Effects::BOLD.into(),
            Look::Heading => (Effects::BOLD | Effects::UNDERLINE).into(),
        }
    }
}

/// Whether to paint, decided once per stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    is_wanted: bool,
}

impl Style {
    /// For what is cut to the terminal's width.
    pub(super) const PLAIN: Style = Style { is_wanted: false };

    /// On a terminal alone, and not where `NO_COLOR` or `TERM=dumb` says otherwise.
    pub(super) fn of(stream: &impl IsTerminal) -> Style {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style { is_wanted: stream.is_terminal() && !is_unwanted && !is_dumb() }
    }

    pub(super) fn paint(self, look: Look, text: &str) -> String {
        self.apply(look.ansi(), text)
    }

    /// As [`paint`](Style::paint), to be found among other text.
    pub(super) fn label(self, look: Look, text: &str) -> String {
        self.apply(look.ansi().bold(), text)
    }

    fn apply(self, style: anstyle::Style, text: &str) -> String {
        match self.is_wanted && !style.is_plain() && !text.trim().is_empty() {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}

/// A terminal that only takes text.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}
