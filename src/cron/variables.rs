//! `NAME=value` in a plugin's crontab, kept for the jobs of that plugin that stand behind it.
//!
//! A user's crontab is one file, and cron lets a variable hold from its line to the end: of the next plugin's jobs, and
//! of the user's own. So:
//!
//! - What a command can do for itself becomes a part of it: `export NAME='value'; …`. `SHELL` becomes
//!   `exec '/bin/bash' -c '…'`, and `HOME` goes with a `cd`, as cron starts a job there. Nothing has to be undone.
//! - What cron alone can do stays a line: `MAILTO`, and cronie's `CRON_TZ` and `RANDOM_DELAY`. At the end of the block
//!   another line puts back what held before it, or what cron does without. Debian's cron takes the latter two for
//!   variables like others, and does nothing about them: that is a warning.
//! - `MAILFROM` and the like have no value that means their absence, so they could not be taken back: they are left out
//!   with a warning. So is `LOGNAME`, which cron sets to the user's name whatever a crontab says.

use super::line::{self, Line};
use crate::error::Problem;

/// Lines that cron needs to see, and their value where nobody says anything; `None` for the user's name.
const LINES: [(&str, Option<&str>); 3] =
    [("MAILTO", None), ("CRON_TZ", Some("")), ("RANDOM_DELAY", Some("0"))];
/// Of those, what cronie alone knows.
const OF_CRONIE: [&str; 2] = ["CRON_TZ", "RANDOM_DELAY"];
const LEFT_OUT: [&str; 4] = ["MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING", "LOGNAME"];

/// What the lines so far have set.
#[derive(Debug, Default)]
pub(super) struct Variables {
    exports: Vec<(String, String)>,
    shell: Option<String>,
    home: Option<String>,
}

/// What becomes of one.
pub(super) enum Become {
    /// Of every command behind it.
    PartOfCommands,
    /// A line, and perhaps a warning.
    Line(String, Option<Problem>),
    LeftOut(Problem),
}

impl Variables {
    /// `is_cronie` is asked where it matters.
    pub(super) fn set(&mut self, name: &str, value: &str, is_cronie: &dyn Fn() -> bool) -> Become {
        if LEFT_OUT.contains(&name) {
            let (why, hint) = match name {
                "LOGNAME" => ("cron sets it to the name of the user", "give what you need another name"),
                _ => (
                    "it would hold for all that follows in the user's crontab",
                    "send the output to a log: cronwrap.sh --log-capture-to FILE",
                ),
            };
            let message = format!("`{name}` was left out: {why}");
            return Become::LeftOut(Problem { message, hint: Some(hint.to_owned()) });
        }
        if is_line(name) {
            let warning = (OF_CRONIE.contains(&name) && !is_cronie()).then(|| Problem {
                message: format!("`{name}` does nothing here: this machine's cron does not know it"),
                hint: Some(match name {
                    "CRON_TZ" => "give the times in the machine's time zone, or install cronie".to_owned(),
                    _ => "give cronwrap.sh the option --random-sleep, or install cronie".to_owned(),
                }),
            });
            return Become::Line(format!("{name}={}", as_value(&unescaped(value))), warning);
        }
        self.exports.retain(|(other, _)| other != name);
        self.exports.push((name.to_owned(), value.to_owned()));
        match name {
            "SHELL" => self.shell = Some(value.to_owned()),
            "HOME" => self.home = Some(value.to_owned()),
            _ => {}
        }
        Become::PartOfCommands
    }

    /// The command as it is to run.
    pub(super) fn applied_to(&self, command: &str) -> String {
        let mut line = String::new();
        for (name, value) in &self.exports {
            line.push_str(&format!("export {name}={}; ", word(value)));
        }
        if let Some(home) = &self.home {
            line.push_str(&format!("cd {} || exit; ", word(home)));
        }
        let Some(shell) = &self.shell else { return line + command };
        // What is behind the first `%` is input, which the shell passes on.
        let (command, input) = command.split_at(end_of_command(command));
        line + "exec " + &word(shell) + " -c " + &word(command) + input
    }
}

fn is_line(name: &str) -> bool {
    LINES.iter().any(|(line, _)| *line == name)
}

/// Whether cron reads a job there.
pub(super) fn is_job(line: &str) -> bool {
    matches!(line::parse(line), Ok(Line::Job { .. }))
}

/// Whether a line of a block is put back by one that needs the user's name.
pub(super) fn needs_user(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with("MAILTO="))
}

/// The lines that put back, behind the lines of a block, what held in the text before it.
pub(super) fn restored(lines: &[String], before: &[u8], user: &str) -> Vec<String> {
    let is_set = |name: &str| lines.iter().any(|line| variable(line) == Some(name));
    let mut restored = Vec::new();
    for (name, neutral) in LINES.iter().filter(|(name, _)| is_set(name)) {
        let earlier = before.split(|byte| *byte == b'\n').rev().map(String::from_utf8_lossy);
        let mut earlier = earlier.filter(|line| variable(line) == Some(name));
        restored.push(match earlier.next() {
            Some(line) => line.trim().to_owned(),
            None => format!("{name}={}", as_value(neutral.unwrap_or(user))),
        });
    }
    restored
}

fn variable(line: &str) -> Option<&str> {
    let line = line.trim();
    match line::parse(line) {
        Ok(Line::Variable { name, .. }) if !line.starts_with('#') => Some(name),
        _ => None,
    }
}

/// As cron reads it again: an empty one and blanks at the ends need quotes.
fn as_value(value: &str) -> String {
    let is_plain = !value.is_empty() && value.trim() == value && !value.starts_with(['"', '\'']);
    match value.contains('"') {
        _ if is_plain => value.to_owned(),
        true => format!("'{value}'"),
        false => format!("\"{value}\""),
    }
}

/// Where cron takes `%` for the end of the command.
fn end_of_command(command: &str) -> usize {
    let mut is_escaped = false;
    for (index, byte) in command.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'%' => return index,
            _ => {}
        }
    }
    command.len()
}

fn unescaped(value: &str) -> String {
    value.replace("\\%", "%")
}

/// A word for the shell that cron reads nothing into: no backslash stands before another one or before `%`, which
/// cron would take for an escape.
fn word(value: &str) -> String {
    let mut word = String::from("'");
    for character in unescaped(value).chars() {
        match character {
            '\'' => word.push_str("'\\''"),
            '\\' => word.push_str("\\''"),
            '%' => word.push_str("\\%"),
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(variables: &[(&str, &str)]) -> Variables {
        let mut set = Variables::default();
        for (name, value) in variables {
            assert!(matches!(set.set(name, value, &|| true), Become::PartOfCommands));
        }
        set
    }

    #[test]
    fn another_shell_runs_the_command_and_its_input_stays_input() {
        let set = set(&[("SHELL", "/bin/bash")]);
        let start = "export SHELL='/bin/bash'; exec '/bin/bash' -c ";
        for (command, told) in [
            ("[[ a == a ]]", "'[[ a == a ]]'"),
            ("date +\\%F 'x'", "'date +\\%F '\\''x'\\'''"),
            ("cat%one%two", "'cat'%one%two"),
            ("echo \\\\%in", "'echo \\''\\'''%in"),
        ] {
            assert_eq!(set.applied_to(command), format!("{start}{told}"));
        }
    }

    #[test]
    fn the_last_of_two_values_counts_and_a_home_is_where_it_starts() {
        let set = set(&[("A", "1"), ("HOME", "/h"), ("A", "2")]);
        assert_eq!(set.applied_to("x"), "export HOME='/h'; export A='2'; cd '/h' || exit; x");
    }

    #[test]
    fn what_held_before_is_put_back_or_what_cron_does_without() {
        let lines = ["MAILTO=x", "CRON_TZ=UTC", "RANDOM_DELAY=5", "@daily y"].map(str::to_owned);
        assert_eq!(restored(&lines, b"", "me"), ["MAILTO=me", "CRON_TZ=\"\"", "RANDOM_DELAY=0"]);
        let before =
            b"MAILTO=\"\"\n# MAILTO=no\n MAILTO = 'a b'\nCRON_TZ=Asia/Tokyo\r\n1 * * * * RANDOM_DELAY=9\n";
        assert_eq!(
            restored(&lines, before, "me"),
            ["MAILTO = 'a b'", "CRON_TZ=Asia/Tokyo", "RANDOM_DELAY=0"]
        );
        assert_eq!(restored(&["@daily y".to_owned()], before, "me"), [""; 0]);
    }
}
