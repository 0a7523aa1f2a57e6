//! The only place that prints: data on standard output, everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Serialize;
use serde_json::json;

use super::json::{Failure, Form};
use super::loudness::Loudness;
use super::painted::painted;
use super::style::{self, Look, Style};
use super::wrap::{columns, wrap};
use crate::error::{Error, Problem};
use crate::text;

/// More problems at once are no help to a person, unless one asked for all there is (`-v`).
const MOST_PROBLEMS: usize = 20;
/// What goes on in another line of a terminal.
const HANGING: usize = 2;
/// A name or a value can be as long as it likes; a line should not be.
const LONGEST_LINE: usize = 4000;

static FAILED: AtomicBool = AtomicBool::new(false);
static IS_VERBOSE: AtomicBool = AtomicBool::new(false);
static IS_QUIET: AtomicBool = AtomicBool::new(false);
static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// What standard output is for; text, where nobody said.
static FORM: OnceLock<Form> = OnceLock::new();
/// Whether the document is there.
static HAS_DOCUMENT: AtomicBool = AtomicBool::new(false);

/// How to print, decided once per process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    terminal: bool,
    /// Of standard output, and of standard error.
    style: Style,
    error_style: Style,
}

impl Output {
    pub(crate) fn of_process() -> Output {
        let can_rewrite = std::env::var_os("CI").is_none() && !style::is_dumb();
        Output {
            terminal: io::stderr().is_terminal() && can_rewrite,
            style: Style::of(&io::stdout()),
            error_style: Style::of(&io::stderr()),
        }
    }

    /// Whether a person watches: lines may be rewritten.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// What standard output is for, from now on.
    pub(super) fn speak(&self, form: Form) {
        let _ = FORM.set(form);
    }

    fn form() -> Form {
        FORM.get().copied().unwrap_or_default()
    }

    /// Whether standard output is for JSON alone.
    pub(crate) fn is_json(&self) -> bool {
        Output::form() != Form::Text
    }

    /// Whether it is for the events of a build.
    pub(super) fn has_events(&self) -> bool {
        Output::form() == Form::Events
    }

    /// Data: a line on standard output, which is for people where that one is for JSON.
    pub(crate) fn line(&self, text: &str) {
        match self.is_json() {
            true => self.note(text),
            false => self.print(text),
        }
    }

    /// As [`line`](Output::line), for people: on a narrow terminal it breaks between words.
    pub(super) fn row(&self, text: &str) {
        self.row_below(text, HANGING);
    }

    /// As [`row`](Output::row); what goes on is indented by so much more than the row.
    pub(super) fn row_below(&self, text: &str, indent: usize) {
        match self.is_json() {
            true => self.note(text),
            false => self.print(&wrap(text, Output::width(), indent)),
        }
    }

    /// How rows of standard output look.
    pub(super) fn style(&self) -> Style {
        match self.is_json() {
            true => self.error_style,
            false => self.style,
        }
    }

    /// How notes look.
    pub(super) fn error_style(&self) -> Style {
        self.error_style
    }

    /// A reader that went away (`| head`) is no error.
    fn print(&self, text: &str) {
        if let Err(error) = writeln!(io::stdout(), "{text}")
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            FAILED.store(true, Ordering::Relaxed);
        }
    }

    /// How many columns a terminal on standard output has.
    pub(super) fn width() -> Option<usize> {
        columns(io::stdout())
    }

    /// Data in place of what a terminal showed before, else below it; false where nobody reads any more.
    pub(crate) fn frame(&self, text: &str) -> bool {
        let frame = match rustix::termios::tcgetwinsize(io::stdout()) {
            // From the top, each line to its end, then what is left: nothing flickers. What has no room would scroll.
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row) - 1);
                let cut = |line: &str| line.chars().take(columns).collect::<String>() + "\u{1b}[K\r\n";
                let text = wrap(text, Some(columns), HANGING);
                format!("\u{1b}[H{}\u{1b}[J", text.lines().take(rows).map(cut).collect::<String>())
            }
            _ => format!("{text}\n"),
        };
        let mut stream = io::stdout();
        stream.write_all(frame.as_bytes()).and_then(|()| stream.flush()).is_ok()
    }

    /// Whether data was lost on its way to standard output: a full disk.
    pub(crate) fn has_failed() -> bool {
        FAILED.load(Ordering::Relaxed)
    }

    /// Data that need not be UTF-8, as it is; never among JSON.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut stream = io::stdout();
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    }

    /// Data for a machine: the one JSON document on standard output, or the last line of a stream.
    pub(crate) fn json(&self, value: &impl Serialize) {
        self.json_indented_by(2, value);
    }

    /// As [`json`](Output::json), with another indentation than two spaces.
    pub(crate) fn json_indented_by(&self, spaces: usize, value: &impl Serialize) {
        HAS_DOCUMENT.store(true, Ordering::Relaxed);
        if self.has_events() {
            return self.event(&json!({"event": "result", "ok": true, "result": value}));
        }
        let indentation = " ".repeat(spaces);
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(indentation.as_bytes());
        if value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter)).is_ok() {
            self.print(&String::from_utf8_lossy(&text));
        }
    }

    /// A line of a stream of JSON.
    pub(super) fn event(&self, value: &serde_json::Value) {
        self.print(&value.to_string());
    }

    /// Sees to it that there is a document where JSON was asked for, however the command ended. What a command has
    /// printed says itself what failed.
    pub(super) fn complete_json(&self, failed: Option<&Error>) {
        if !self.is_json() || HAS_DOCUMENT.load(Ordering::Relaxed) {
            return;
        }
        match failed.map(Failure::from) {
            None => self.json(&json!({"ok": true})),
            Some(failure) if self.has_events() => {
                let mut last = json!({"event": "result", "ok": false});
                if let (Some(last), Ok(serde_json::Value::Object(failure))) =
                    (last.as_object_mut(), serde_json::to_value(failure))
                {
                    last.extend(failure);
                }
                self.event(&last);
            }
            Some(failure) => self.json(&failure),
        }
    }

    /// What a person should know about the run, on standard error.
    pub(crate) fn note(&self, text: &str) {
        if !IS_QUIET.load(Ordering::Relaxed) {
            self.verbatim(&self.wrapped(text));
        }
    }

    /// A note as the terminal has room for it.
    pub(super) fn wrapped(&self, text: &str) -> String {
        wrap(text, columns(io::stderr()), HANGING)
    }

    /// As [`note`](Output::note), as wide as it is: what others have written.
    pub(super) fn verbatim(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A question that the person answers on the same line.
    pub(crate) fn prompt(&self, text: &str) {
        let mut stream = io::stderr();
        let _ = write!(stream, "{text}").and_then(|()| stream.flush());
    }

    /// A warning that several steps of one command come upon.
    pub(crate) fn warning_once(&self, text: &str) {
        static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned()) {
            self.warning(text);
        }
    }

    pub(crate) fn warning(&self, text: &str) {
        self.verbatim(&self.warning_line(text));
    }

    /// A warning for whoever prints lines in another way.
    pub(crate) fn warning_line(&self, text: &str) -> String {
        self.labelled("warning", Look::Warning, text)
    }

    /// What to do about a warning or an error.
    pub(crate) fn hint(&self, text: &str) {
        self.verbatim(&self.labelled("hint", Look::Hint, text));
    }

    /// A hint without anything wrong: what to do next.
    pub(super) fn next_step(&self, text: &str) {
        if !IS_QUIET.load(Ordering::Relaxed) {
            self.hint(text);
        }
    }

    /// As [`error`](Output::error), for what does not end the command.
    pub(crate) fn warnings(&self, warning: &Error) {
        self.problems("warning", Look::Warning, &warning.problems);
    }

    fn problems(&self, label: &str, look: Look, problems: &[Problem]) {
        let shown = if IS_VERBOSE.load(Ordering::Relaxed) { problems.len() } else { MOST_PROBLEMS };
        for problem in problems.iter().take(shown) {
            self.verbatim(&self.labelled(label, look, &problem.message));
            if let Some(hint) = &problem.hint {
                self.hint(hint);
            }
        }
        if problems.len() > shown {
            self.verbatim(&format!("… and {} more", problems.len() - shown));
        }
    }

    /// As [`warnings`](Output::warnings); what was said before is not said again by the same command.
    pub(crate) fn warnings_once(&self, warning: &Error) {
        if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(warning.to_string()) {
            self.warnings(warning);
        }
    }

    /// How much is told from now on: warnings and errors alone (`-q`), or details, too (`-v`).
    pub(super) fn say(&self, loudness: Loudness) {
        IS_QUIET.store(loudness.quiet, Ordering::Relaxed);
        IS_VERBOSE.store(loudness.verbose, Ordering::Relaxed);
    }

    /// A note for those who want to know more.
    pub(crate) fn detail(&self, text: &str) {
        if IS_VERBOSE.load(Ordering::Relaxed) {
            self.note(text);
        }
    }

    /// One `error:` line per problem, each with its `hint:` line.
    pub(crate) fn error(&self, error: &Error) {
        self.problems("error", Look::Error, &error.problems);
    }

    /// Help, or the version.
    pub(crate) fn usage(&self, command: Option<&str>, refusal: &clap::Error) {
        let help = painted(&super::json::help_of(command, &refusal.render().to_string()), self.style);
        let _ = io::stdout().write_all(help.as_bytes());
    }

    /// `error: …`, with what goes on below the text.
    fn labelled(&self, label: &str, look: Look, text: &str) -> String {
        // Whoever made the text has seen to it; should one have forgotten, nothing steers the terminal all the same.
        let text = text::visible_lines(&shortened(text));
        let label = format!("{label}:");
        let indent = label.len() + 1;
        let text = text.replace('\n', &format!("\n{}", " ".repeat(indent)));
        let text = format!("{} {text}", self.error_style.label(look, &label));
        wrap(&text, columns(io::stderr()), indent)
    }
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_LINE) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            Cow::Owned(format!("{}… ({} more characters)", &text[..end], text[end..].chars().count()))
        }
    }
}
