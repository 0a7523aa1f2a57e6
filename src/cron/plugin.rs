//! The jobs of one plugin: its `crontab`, rendered and checked, as lines for the user's crontab.
//!
//! Comments and blank lines are dropped, the rest is a Jinja2 template over the plugin environment. What a line would
//! do to lines that are not the plugin's is kept from it:
//!
//! - `NAME=value` would hold for everything that follows in the user's crontab. It becomes part of the plugin's own
//!   commands behind it (`export NAME='value'; …`).
//! - Variables that cron itself obeys cannot be made part of a command: those about mail are left out with a
//!   warning, others make the crontab a broken one.
//! - `%` means a newline to cron. One that comes out of a value is escaped; one that the plugin's author wrote is
//!   left to mean what crontab(5) says.

use std::path::{Path, PathBuf};

use super::line::{self, Line};
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::plugin::config::Templates;
use crate::site::Environment;
use crate::text;

/// The file in the plugin's directory.
pub(super) const FILE: &str = "crontab";

/// Cron reads them for itself, until the end of the user's crontab.
const OF_CRON: [&str; 6] = ["SHELL", "HOME", "LOGNAME", "USER", "CRON_TZ", "RANDOM_DELAY"];
/// To whom and how cron sends output.
const OF_MAIL: [&str; 4] = ["MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"];

/// A `crontab` that holds more than comments.
#[derive(Debug)]
pub(super) struct Template {
    file: PathBuf,
    /// With their numbers in the file.
    lines: Vec<(usize, String)>,
}

/// What goes into the user's crontab.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Jobs {
    pub(super) lines: Vec<String>,
    /// What was left out.
    pub(super) warnings: Vec<Problem>,
}

impl Template {
    /// Of the plugin at `home`; `None` where there are no jobs.
    pub(super) fn read(home: &Path) -> Result<Option<Template>> {
        let file = home.join(FILE);
        let Some(content) = fs::read_text_optional(&file)? else { return Ok(None) };
        let numbered = content.lines().enumerate().filter(|(_, line)| is_meant(line));
        let lines: Vec<_> = numbered.map(|(index, line)| (index + 1, line.to_owned())).collect();
        Ok((!lines.is_empty()).then_some(Template { file, lines }))
    }

    /// The lines, or every problem with them.
    pub(super) fn render(&self, environment: &Environment) -> Result<Jobs> {
        let template = self.lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n");
        let templates = Templates::over(environment).escaping(escape_percent);
        let rendered = templates.render(&template).map_err(|mistake| {
            let place = self.lines.get(mistake.line.saturating_sub(1)).map(|(number, _)| *number);
            Error::input(format!("{}: {}", self.place(place), text::visible(&mistake.reason)))
                .hint("the file is a Jinja2 template over the plugin's environment")
        })?;
        let rendered: Vec<&str> = rendered.split('\n').collect();
        // Loops and values of several lines move what follows.
        let is_in_step = rendered.len() == self.lines.len();
        let mut jobs = Jobs::default();
        let (mut exports, mut problems) = (String::new(), Vec::new());
        for (index, line) in rendered.into_iter().enumerate().filter(|(_, line)| is_meant(line)) {
            let place = self.place(is_in_step.then(|| self.lines[index].0));
            let placed = |problem: Problem| Problem {
                message: format!("{place}: {}", problem.message),
                hint: problem.hint,
            };
            match take(line, &mut exports) {
                Ok(Taken::Job(line)) => jobs.lines.push(line),
                Ok(Taken::Variable) => {}
                Ok(Taken::LeftOut(problem)) => jobs.warnings.push(placed(problem)),
                Err(problem) => problems.push(placed(problem)),
            }
        }
        if problems.is_empty() { Ok(jobs) } else { Err(Error::many(Fault::Input, problems)) }
    }

    /// The file, and the line where it is known.
    fn place(&self, line: Option<usize>) -> String {
        match line {
            Some(line) => format!("{}:{line}", text::path(&self.file)),
            None => format!("{} as rendered", text::path(&self.file)),
        }
    }
}

fn is_meant(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

enum Taken {
    Job(String),
    Variable,
    LeftOut(Problem),
}

fn take(line: &str, exports: &mut String) -> std::result::Result<Taken, Problem> {
    let line = line.trim();
    match line::parse(line)? {
        Line::Job { .. } if exports.is_empty() => Ok(Taken::Job(line.to_owned())),
        Line::Job { schedule, command } => {
            let line = format!("{schedule} {exports}{command}");
            // The limit is for all of it.
            line::parse(&line)?;
            Ok(Taken::Job(line))
        }
        Line::Variable { name, .. } if OF_MAIL.contains(&name) => Ok(Taken::LeftOut(Problem {
            message: format!(
                "`{name}` was left out: it would hold for all that follows in the user's crontab"
            ),
            hint: Some("send the output to a log: cronwrap.sh --log-capture-to FILE".to_owned()),
        })),
        Line::Variable { name, .. } if OF_CRON.contains(&name) => Err(Problem {
            message: format!(
                "found `{name}=`, which cron obeys for all that follows in the user's crontab; other variables are allowed"
            ),
            hint: Some(match name {
                "SHELL" => "call the shell in the command: `/bin/bash -c '…'`".to_owned(),
                _ => "set what is needed in the command itself".to_owned(),
            }),
        }),
        Line::Variable { name, value } => {
            exports.push_str(&format!("export {name}={}; ", for_cron(value)));
            Ok(Taken::Variable)
        }
    }
}

/// A word for the shell that cron reads nothing into: no backslash stands before another one or before `%`, which
/// cron would take for an escape.
fn for_cron(value: &str) -> String {
    let mut word = String::from("'");
    for character in value.replace("\\%", "%").chars() {
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

/// Cron takes `%` for a newline unless a backslash is before it.
fn escape_percent(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let mut before = None;
    for character in value.chars() {
        if character == '%' && before != Some('\\') {
            escaped.push('\\');
        }
        escaped.push(character);
        before = Some(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(content: &str) -> Result<Jobs> {
        let root = tempfile::tempdir().unwrap();
        fs::write_atomic(&root.path().join(FILE), content.as_bytes()).unwrap();
        let mut environment = Environment::default();
        for (name, value) in [("HERE", "/p q"), ("RATE", "5%"), ("TWO", "a\nb"), ("MINUTES", "*/5")] {
            environment.set(name, value);
        }
        match Template::read(root.path())? {
            Some(template) => template.render(&environment),
            None => Ok(Jobs::default()),
        }
    }

    fn lines(content: &str) -> Vec<String> {
        render(content).unwrap().lines
    }

    #[test]
    fn comments_and_blank_lines_are_dropped_and_values_put_in() {
        let content =
            "# {{ broken\n\n  # also\n{{ MINUTES }} * * * * cd \"{{HERE}}\" [{{NONE}}]\r\n   \n@daily x";
        assert_eq!(lines(content), ["*/5 * * * * cd \"/p q\" []", "@daily x"]);
        assert_eq!(lines("# nothing\n\n"), [""; 0]);
        let script =
            "{% for n in [1, 2] %}\n{{n}} * * * * x{{n}}\n{% endfor %}\n{% if NONE %}\n# a\nbad\n{% endif %}";
        assert_eq!(lines(script), ["1 * * * * x1", "2 * * * * x2"]);
    }

    #[test]
    fn a_percent_sign_in_a_value_is_no_newline_and_that_of_the_author_stays() {
        assert_eq!(lines("* * * * * a {{RATE}} % b \\% {{'\\\\%'}}"), ["* * * * * a 5\\% % b \\% \\%"]);
    }

    #[test]
    fn a_variable_holds_for_the_jobs_of_the_plugin_behind_it_alone() {
        let content = "@daily x\nA = \"it's {{RATE}}\"\n0 1 * * * a\nB=c:\\d\n@hourly b";
        let expected = [
            "@daily x",
            "0 1 * * * export A='it'\\''s 5\\%'; a",
            "@hourly export A='it'\\''s 5\\%'; export B='c:\\''d'; b",
        ];
        assert_eq!(lines(content), expected);
    }

    #[test]
    fn variables_of_cron_itself_are_refused_and_those_about_mail_left_out() {
        let error = render("SHELL=/bin/bash\n@daily x").unwrap_err();
        assert!(error.problems[0].message.contains("crontab`:1: found `SHELL=`"), "{error}");
        let jobs = render("# who\nMAILTO=\"\"\n@daily x").unwrap();
        assert_eq!(jobs.lines, ["@daily x"]);
        assert!(jobs.warnings[0].message.contains("crontab`:2: `MAILTO` was left out"));
    }

    #[test]
    fn every_problem_is_named_by_file_and_line() {
        let error = render("# one\n@daily good\n\n61 * * * * x\n==== BASE ====\n").unwrap_err();
        let places: Vec<bool> = [":4: found the minute `61`", ":5: found `==== BASE ====`"]
            .iter()
            .zip(&error.problems)
            .map(|(place, problem)| problem.message.contains(place))
            .collect();
        assert_eq!(places, [true, true], "{error}");
        let error = render("# one\n@daily good\n* * * * * {{ x\n").unwrap_err();
        assert!(error.to_string().contains("crontab`:3: "), "{error}");
        let error = render("* * * * * {{TWO}}\n").unwrap_err();
        assert!(error.to_string().contains("crontab` as rendered: found `b`"), "{error}");
    }

    #[test]
    fn the_limit_of_cron_counts_what_variables_add() {
        let content = format!("A={}\n* * * * * {}", "v".repeat(500), "x".repeat(500));
        assert!(render(&content).unwrap_err().to_string().contains("cron takes at most 998"));
    }
}
