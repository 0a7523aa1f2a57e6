//! One line of a crontab, as crontab(5) has it, checked field by field.
//!
//! Cron itself lets much pass that never does what was meant (`30-10` never fires, `0~5` is minute 0 on Debian, no
//! command is fine): what is wrong is said here, in the words of whoever wrote it.

use crate::error::Problem;
use crate::text;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Job { schedule: &'a str, command: &'a str },
    Variable { name: &'a str, value: &'a str },
}

/// Debian's cron refuses longer commands, others cut them off.
pub(super) const LONGEST_COMMAND: usize = 998;

const NICKNAMES: [&str; 8] =
    ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// For values from `low` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of the month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    Field { name: "day of the week", low: 0, high: 7, names: &WEEKDAYS },
];

/// Reads a line that is neither blank nor a comment.
pub(super) fn parse(line: &str) -> Result<Line<'_>, Problem> {
    let line = line.trim_matches([' ', '\t']);
    if let Some(bad) = line.chars().find(|character| character.is_control() && *character != '\t') {
        let bad = text::visible(&bad.to_string());
        return Err(problem(format!("found the control character `{bad}`; text is allowed"), None));
    }
    if let Some((name, value)) = variable(line) {
        return Ok(Line::Variable { name, value });
    }
    let (schedule, command) = if line.starts_with('@') { nickname(line)? } else { fields(line)? };
    if command.len() > LONGEST_COMMAND {
        return Err(problem(
            format!("the command has {} bytes; cron takes at most {LONGEST_COMMAND}", command.len()),
            Some("put it into a script of the plugin"),
        ));
    }
    Ok(Line::Job { schedule, command })
}

fn problem(message: String, hint: Option<&str>) -> Problem {
    Problem { message, hint: hint.map(str::to_owned) }
}

/// `NAME = value`, quotes around the value taken off, as cron does.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = unquoted(name.trim_end_matches([' ', '\t']));
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| (name, unquoted(value.trim_matches([' ', '\t']))))
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

/// The first word, and what is behind the white space after it.
fn word(line: &str) -> (&str, &str) {
    match line.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_start_matches([' ', '\t'])),
        None => (line, ""),
    }
}

fn nickname(line: &str) -> Result<(&str, &str), Problem> {
    let (nickname, command) = word(line);
    if !NICKNAMES.contains(&nickname) {
        let near = text::nearest(&nickname.to_ascii_lowercase(), NICKNAMES);
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        let message = format!(
            "found the time `{}`; {} or five fields are allowed",
            text::visible(nickname),
            NICKNAMES.join(", ")
        );
        return Err(problem(message, hint.as_deref()));
    }
    if command.is_empty() {
        return Err(problem(format!("there is no command behind `{nickname}`"), None));
    }
    Ok((nickname, command))
}

fn fields(line: &str) -> Result<(&str, &str), Problem> {
    let mut rest = line;
    for (index, field) in FIELDS.iter().enumerate() {
        let (found, behind) = word(rest);
        if found.is_empty() || (index == 0 && !looks_like_time(found)) {
            return Err(no_job(line));
        }
        check_field(found, field)?;
        rest = behind;
    }
    if rest.is_empty() {
        return Err(no_job(line));
    }
    let length = line.len() - rest.len();
    Ok((line[..length].trim_end_matches([' ', '\t']), rest))
}

fn looks_like_time(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit() || first == '*')
}

fn no_job(line: &str) -> Problem {
    let message = format!(
        "found `{}`; `MINUTE HOUR DAY MONTH WEEKDAY COMMAND`, `@daily COMMAND`, `NAME=value` or a comment is allowed",
        text::visible(line)
    );
    problem(message, Some("a comment starts with `#`"))
}

/// A list of `*`, values and ranges, the latter with steps.
fn check_field(found: &str, field: &Field) -> Result<(), Problem> {
    let allowed = || {
        let names = match field.names {
            [first, .., last] => format!(" ({first} to {last})"),
            _ => String::new(),
        };
        format!(
            "{}-{}{names}, `*`, ranges `A-B`, steps `*/N` and lists with `,` are allowed",
            field.low, field.high
        )
    };
    let bad = |hint: Option<&str>| {
        problem(format!("found the {} `{}`; {}", field.name, text::visible(found), allowed()), hint)
    };
    for part in found.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let is_many = range == "*" || range.contains('-');
        match step {
            Some(_) if !is_many => return Err(bad(Some("a step needs `*` or a range before it"))),
            Some(step) if number(step).is_none_or(|step| step == 0) => return Err(bad(None)),
            _ => {}
        }
        if range == "*" {
            continue;
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (field.value(first), field.value(last)) {
            (Some(first), Some(last)) if first <= last => {}
            (Some(_), Some(_)) => {
                return Err(bad(Some(
                    "a range that runs backwards never fires: write two, as in `22-23,0-5`",
                )));
            }
            _ if range.contains('~') => {
                return Err(bad(Some("for a random delay, give cronwrap.sh the option --random-sleep")));
            }
            _ => return Err(bad(None)),
        }
    }
    Ok(())
}

impl Field {
    fn value(&self, found: &str) -> Option<u32> {
        let by_name = self.names.iter().position(|name| found.eq_ignore_ascii_case(name));
        match by_name {
            Some(index) => Some(self.low + u32::try_from(index).ok()?),
            None => number(found).filter(|value| (self.low..=self.high).contains(value)),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_every_form_are_read() {
        for (line, schedule, command) in [
            ("* * * * * true", "* * * * *", "true"),
            ("0\t2 * * *  cmd  a % b", "0\t2 * * *", "cmd  a % b"),
            (" */5 0-23/2 1,15 jan-DEC mon-fri,7 x=1 y", "*/5 0-23/2 1,15 jan-DEC mon-fri,7", "x=1 y"),
            ("@daily /bin/true", "@daily", "/bin/true"),
            ("@reboot\tA=b c", "@reboot", "A=b c"),
            ("00 007 * * 0 x", "00 007 * * 0", "x"),
        ] {
            assert_eq!(parse(line), Ok(Line::Job { schedule, command }), "{line}");
        }
    }

    #[test]
    fn variables_are_told_from_jobs() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("  _a1 =  \"x y\"  ", "_a1", "x y"),
            ("'A'='x'", "A", "x"),
            ("A=", "A", ""),
            ("A=b=c # no comment", "A", "b=c # no comment"),
        ] {
            assert_eq!(parse(line), Ok(Line::Variable { name, value }), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_allowed() {
        for (line, message) in [
            ("==== BASE ====", "found `==== BASE ====`; `MINUTE HOUR DAY MONTH WEEKDAY COMMAND`"),
            ("* * * * *", "found `* * * * *`; `MINUTE"),
            ("* * * true", "found the month `true`; 1-12 (jan to dec), `*`"),
            ("60 * * * * x", "found the minute `60`; 0-59, `*`"),
            ("* 24 * * * x", "found the hour `24`; 0-23"),
            ("* * 0 * * x", "found the day of the month `0`; 1-31"),
            ("* * * january * x", "found the month `january`"),
            ("* * * * 8 x", "found the day of the week `8`; 0-7 (sun to sat)"),
            ("* * * * fri-sun x", "found the day of the week `fri-sun`"),
            ("30-10 * * * * x", "found the minute `30-10`"),
            ("5/2 * * * * x", "found the minute `5/2`"),
            ("*/0 * * * * x", "found the minute `*/0`"),
            ("*/ * * * * x", "found the minute `*/`"),
            ("1,,2 * * * * x", "found the minute `1,,2`"),
            ("1, * * * * x", "found the minute `1,`"),
            ("*-5 * * * * x", "found the minute `*-5`"),
            ("0~5 * * * * x", "found the minute `0~5`"),
            ("5x * * * * x", "found the minute `5x`"),
            ("-5 * * * * x", "found `-5 * * * * x`"),
            ("99999999999 * * * * x", "found the minute `99999999999`"),
            ("@dayly x", "found the time `@dayly`; @reboot, "),
            ("@Daily x", "found the time `@Daily`"),
            ("@daily", "there is no command behind `@daily`"),
            ("* * * * * a\u{1b}b", "found the control character `\\u{1b}`"),
            ("A B=c", "found `A B=c`"),
            ("1=2", "found the minute `1=2`"),
        ] {
            let problem = parse(line).expect_err(line);
            assert!(problem.message.starts_with(message), "{line}: {}", problem.message);
        }
        let hint = |line: &str| parse(line).unwrap_err().hint.unwrap();
        assert_eq!(hint("@dayly x"), "did you mean `@daily`?");
        assert!(hint("* * * * fri-sun x").contains("22-23,0-5"));
        assert!(hint("0~5 * * * * x").contains("--random-sleep"));
    }

    #[test]
    fn a_command_has_as_many_bytes_as_cron_takes() {
        let line = |length: usize| format!("* * * * * {}", "x".repeat(length));
        assert!(parse(&line(LONGEST_COMMAND)).is_ok());
        let problem = parse(&line(LONGEST_COMMAND + 1)).unwrap_err();
        assert_eq!(problem.message, "the command has 999 bytes; cron takes at most 998");
    }
}
