//! Text for people on a narrow terminal: lines break between words.

use std::os::fd::AsFd;

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// How many columns there are, where the stream is a terminal.
pub(super) fn columns(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Breaks each line of a text where it has more columns than there are; what goes on is indented by `indent` more than
/// the line. A word that has no room in a line of its own stays whole: it may be a path that is copied.
pub(super) fn wrap(text: &str, columns: Option<usize>, indent: usize) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    let lines = text.split('\n').map(|line| {
        let own = line.len() - line.trim_start_matches(' ').len();
        // What is left has to hold some words.
        let hanging = " ".repeat((own + indent).min(columns / 2));
        textwrap::fill(line, by_words(columns).subsequent_indent(&hanging))
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn by_words<'a>(columns: usize) -> Options<'a> {
    Options::new(columns)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_what_goes_on_is_indented() {
        assert_eq!(wrap("error: one two three", Some(14), 4), "error: one two\n    three");
        assert_eq!(wrap("  because it changed", Some(14), 2), "  because it\n    changed");
        assert_eq!(wrap("at /a/long/path/there now", Some(8), 2), "at\n  /a/long/path/there\n  now");
        assert_eq!(wrap("a\n  b", Some(9), 2), "a\n  b");
        assert_eq!(wrap("one two three", None, 2), "one two three");
    }

    #[test]
    fn colours_take_no_columns() {
        let painted = "\u{1b}[31mone\u{1b}[0m two three";
        assert_eq!(wrap(painted, Some(7), 0), "\u{1b}[31mone\u{1b}[0m two\nthree");
    }
}
