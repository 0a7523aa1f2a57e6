//! The jobs of one plugin: its `crontab`, rendered and checked, as lines for the user's crontab.
//!
//! Comments and blank lines are dropped, the rest is a Jinja2 template over the plugin environment. What a line would
//! do to lines that are not the plugin's is kept from it:
//!
//! - `NAME=value` would hold for everything that follows in the user's crontab: see [`super::variables`].
//! - `%` means a newline to cron. One that comes out of a value is escaped; one that the plugin's author wrote is
//!   left to mean what crontab(5) says.

use std::path::{Path, PathBuf};

use super::line::{self, Line};
use super::variables::{Become, Variables, is_job};
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::plugin::config::Templates;
use crate::site::Environment;
use crate::text;

/// The file in the plugin's directory.
pub(super) const FILE: &str = "crontab";

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
    /// What was left out, or does nothing here.
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

    /// The lines, or every problem with them. `is_cronie` is asked where that makes a difference.
    pub(super) fn render(&self, environment: &Environment, is_cronie: &dyn Fn() -> bool) -> Result<Jobs> {
        let template = self.lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n");
        let home = self.file.parent().unwrap_or(&self.file);
        let templates = Templates::over(environment).escaping(escape_percent).including(home);
        let rendered = templates.render(&template).map_err(|mistake| {
            let place = self.lines.get(mistake.line.saturating_sub(1)).map(|(number, _)| *number);
            Error::input(format!("{}: {}", self.place(place), text::visible(&mistake.reason)))
                .hint("the file is a Jinja2 template over the plugin's environment")
        })?;
        let rendered: Vec<&str> = rendered.split('\n').collect();
        // Loops and values of several lines move what follows.
        let is_in_step = rendered.len() == self.lines.len();
        let mut jobs = Jobs::default();
        let (mut variables, mut problems) = (Variables::default(), Vec::new());
        for (index, line) in rendered.into_iter().enumerate().filter(|(_, line)| is_meant(line)) {
            let place = self.place(is_in_step.then(|| self.lines[index].0));
            let placed = |problem: Problem| Problem {
                message: format!("{place}: {}", problem.message),
                hint: problem.hint,
            };
            match take(line, &mut variables, is_cronie) {
                Ok((line, warning)) => {
                    jobs.lines.extend(line);
                    jobs.warnings.extend(warning.map(placed));
                }
                Err(problem) => problems.push(placed(problem)),
            }
        }
        if !jobs.lines.iter().any(|line| is_job(line)) {
            jobs.lines.clear();
        }
        if problems.is_empty() { Ok(jobs) } else { Err(Error::many(Fault::Input, problems)) }
    }

    /// The file, and the line where it is known.
    fn place(&self, line: Option<usize>) -> String {
        match line {
            Some(line) => text::place(&self.file, line, None),
            None => format!("{} as rendered", text::path(&self.file)),
        }
    }
}

fn is_meant(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// What becomes of a line, and what is to be said about it.
fn take(
    line: &str,
    variables: &mut Variables,
    is_cronie: &dyn Fn() -> bool,
) -> std::result::Result<(Option<String>, Option<Problem>), Problem> {
    let line = line.trim();
    match line::parse(line)? {
        Line::Job { schedule, command } => {
            let own = variables.applied_to(command);
            if own == command {
                return Ok((Some(line.to_owned()), None));
            }
            let line = format!("{schedule} {own}");
            // The limit is for all of it.
            line::parse(&line)?;
            Ok((Some(line), None))
        }
        Line::Variable { name, value } => Ok(match variables.set(name, value, is_cronie) {
            Become::PartOfCommands => (None, None),
            Become::Line(line, warning) => (Some(line), warning),
            Become::LeftOut(problem) => (None, Some(problem)),
        }),
    }
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
            Some(template) => template.render(&environment, &|| false),
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
    fn variables_of_cron_itself_are_kept_and_what_has_no_opposite_is_left_out() {
        let content = "SHELL=/bin/bash\nCRON_TZ=UTC\nMAILTO=a{{RATE}}b\nMAILFROM=x\nLOGNAME=y\n@daily x";
        let jobs = render(content).unwrap();
        let job = "@daily export SHELL='/bin/bash'; exec '/bin/bash' -c 'x'";
        assert_eq!(jobs.lines, ["CRON_TZ=UTC", "MAILTO=a5%b", job]);
        let warnings: Vec<&str> = jobs.warnings.iter().map(|warning| warning.message.as_str()).collect();
        let expected = [
            "crontab:2: `CRON_TZ` does nothing here",
            "crontab:4: `MAILFROM` was left out",
            "crontab:5: `LOGNAME` was left out",
        ];
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        assert!(warnings.iter().zip(expected).all(|(warning, part)| warning.contains(part)), "{warnings:?}");
        assert_eq!(lines("SHELL=/bin/bash\nMAILTO=x"), [""; 0]);
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
        assert!(error.to_string().contains("crontab:3: "), "{error}");
        let error = render("* * * * * {{TWO}}\n").unwrap_err();
        assert!(error.to_string().contains("crontab` as rendered: found `b`"), "{error}");
    }

    #[test]
    fn the_limit_of_cron_counts_what_variables_add() {
        let content = format!("A={}\n* * * * * {}", "v".repeat(500), "x".repeat(500));
        assert!(render(&content).unwrap_err().to_string().contains("cron takes at most 998"));
    }
}
