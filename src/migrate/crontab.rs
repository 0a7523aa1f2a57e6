//! `crontab`: wrappers and variables of today.

use std::sync::LazyLock;

use regex::Regex;

use super::{Facts, Findings, variables};
use crate::error::Result;

const FILE: &str = "crontab";

static LAYER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"layer_wrapper\s+--layers=plugin_([A-Za-z0-9_-]+)@[a-z0-9]+\s+--\s+").expect("a pattern")
});

pub(super) fn migrate(facts: &Facts<'_>, report: &mut Findings) -> Result<()> {
    let Some(old) = facts.read(FILE)? else { return Ok(()) };
    let mut new = String::new();
    for (index, line) in old.lines().enumerate() {
        // What the old installer put between the parts of several files.
        if line.trim().starts_with("====") {
            continue;
        }
        let line = LAYER.replace_all(line, "plugin_wrapper $1 -- ");
        let line = variables::renamed(&line).into_owned();
        let is_comment = line.trim_start().starts_with('#');
        if !is_comment && line.contains("cronwrap") && line.contains(">>") {
            report.note(
                FILE,
                index + 1,
                "the output goes to a file that nobody rotates: `cronwrap.sh --log-capture-to NAME` does"
                    .to_owned(),
            );
        }
        new.push_str(&line);
        new.push('\n');
    }
    report.write(FILE, Some(old), new);
    Ok(())
}
