//! Help in the colours that clap would give it: those of clap cost eight crates.

use super::help::OVERVIEW;
use super::style::{Look, Style};

const HEADINGS: [&str; 3] = ["Arguments:", "Commands:", "Options:"];

/// The help of a command with its headings, and with what is typed as it stands. The first page has neither.
pub(super) fn painted(help: &str, style: Style) -> String {
    if help.trim_end() == OVERVIEW {
        return help.to_owned();
    }
    let mut lists_commands = false;
    let lines = help.split('\n').map(|line| {
        let (indent, text) = line.split_at(line.len() - line.trim_start_matches(' ').len());
        if let Some(usage) = line.strip_prefix("Usage: ") {
            return format!("{} {}", style.paint(Look::Heading, "Usage:"), usage_line(usage, style));
        }
        if HEADINGS.contains(&line) {
            lists_commands = line == "Commands:";
            return style.paint(Look::Heading, line);
        }
        match indent.len() {
            2 if lists_commands => format!("{indent}{}", first_word(text, style)),
            // What an option does stands further to the right.
            2 | 6 if text.starts_with('-') => format!("{indent}{}", options(text, style)),
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `mwp build [OPTIONS] [DIR]...`, with options that have to be there.
fn usage_line(usage: &str, style: Style) -> String {
    let end = usage.find(" [").into_iter().chain(usage.find(" <")).min().unwrap_or(usage.len());
    let (command, arguments) = usage.split_at(end);
    style.paint(Look::Bold, command) + &options(arguments, style)
}

fn first_word(text: &str, style: Style) -> String {
    let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    style.paint(Look::Bold, word) + rest
}

/// `-j, --jobs <N>`, and what it does behind two spaces.
fn options(text: &str, style: Style) -> String {
    let (names, rest) = text.split_at(text.find("  ").unwrap_or(text.len()));
    let names = names.split(' ').map(|word| match word.starts_with('-') {
        true => {
            let (name, value) = word.split_at(word.find([',', '[', '=']).unwrap_or(word.len()));
            style.paint(Look::Bold, name) + value
        }
        false => word.to_owned(),
    });
    names.collect::<Vec<_>>().join(" ") + rest
}
