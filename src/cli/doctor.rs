//! `mwp doctor`: what this machine has and lacks.

use clap::Args;
use serde_json::json;

use super::Context;
use super::loudness::Loudness;
use super::style::Look;
use crate::doctor::{Finding, State, examine};
use crate::error::{Error, Fault, Problem, Result};
use crate::text;

/// Say what this machine has, and lacks, for building, installing and running plugins
///
/// It starts and changes nothing. Exit 1 where something is lacking that the installed plugins need.
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp doctor")]
pub(super) struct Arguments {
    #[command(flatten)]
    loudness: Loudness,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let findings = examine(&context.site);
    let lacks: Vec<Problem> = findings.iter().filter(|finding| finding.is_a_lack()).map(problem).collect();
    if context.output.is_json() {
        context.output.json(&json!({"ok": lacks.is_empty(), "findings": findings}));
    } else {
        for area in ["build", "install", "run", "machine"] {
            print(area, &findings, arguments.loudness.quiet, context);
        }
    }
    if lacks.is_empty() { Ok(()) } else { Err(Error::many(Fault::Input, lacks)) }
}

fn print(area: &str, findings: &[Finding], quiet: bool, context: &Context) {
    let shown =
        findings.iter().filter(|finding| finding.area == area && !(quiet && finding.state == State::Ok));
    let style = context.output.style();
    // What goes on stands below the text.
    let tell = |text: &str| context.output.row_below(&format!("  {text}"), WORD + 2);
    for (index, finding) in shown.enumerate() {
        if index == 0 {
            context.output.line(&style.paint(Look::Bold, area));
        }
        let (word, look) = word(finding.state);
        let word = style.paint(look, word) + &" ".repeat(WORD.saturating_sub(word.len()));
        let what = text::visible(&finding.what);
        let found = text::visible(&finding.found);
        match &finding.mend {
            None => tell(&format!("{word}  {what}: {found}")),
            Some(mend) => {
                let found = if found.is_empty() { found } else { format!(" {found};") };
                tell(&format!("{word}  {what}:{found} for {}", finding.purpose));
                tell(&format!("{:WORD$}  {mend}", ""));
            }
        }
    }
}

/// The longest word for a state.
const WORD: usize = "missing".len();

fn word(state: State) -> (&'static str, Look) {
    match state {
        State::Ok => ("ok", Look::Ok),
        State::Missing => ("missing", Look::Error),
        State::Bad => ("bad", Look::Error),
    }
}

fn problem(finding: &Finding) -> Problem {
    let what = text::visible(&finding.what);
    let found = match finding.state {
        State::Missing => "is not there".to_owned(),
        _ => format!("is no good: {}", text::visible(&finding.found)),
    };
    Problem { message: format!("{what} {found}; it is for {}", finding.purpose), hint: finding.mend.clone() }
}
