//! Which rules a Makefile states, without running make.

use std::path::Path;

use crate::error::Result;
use crate::fs;

/// The tasks that run rules of a Makefile.
pub const TASKS: [&str; 2] = ["precustom", "custom"];

/// Whether the Makefile in `dir` states a rule for `target`.
pub(super) fn has_rule(dir: &Path, target: &str) -> Result<bool> {
    let makefile = fs::read_optional(&dir.join("Makefile"))?.unwrap_or_default();
    Ok(states_rule(&String::from_utf8_lossy(&makefile), target))
}

/// Whether a rule for `target` stands at the start of a line: `custom:`, `custom::`, `precustom custom:: x`.
fn states_rule(makefile: &str, target: &str) -> bool {
    makefile.lines().any(|line| {
        // Rules may come from elsewhere, or have computed names: to run make in vain does no harm.
        if includes_more(line) {
            return true;
        }
        let Some((targets, rest)) = line.split_once(':') else { return false };
        let is_rule = !line.starts_with(['\t', '#', ' ']) && !rest.starts_with('=') && !targets.contains('=');
        is_rule && targets.split_whitespace().any(|name| name == target || name.starts_with('$'))
    })
}

/// Whether a line includes something other than the usual fragment.
fn includes_more(line: &str) -> bool {
    let mut words = line.split_whitespace();
    matches!(words.next(), Some("include" | "-include" | "sinclude"))
        && words.any(|file| !file.ends_with("/plugin.mk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_at_the_start_of_a_line_only() {
        let makefile = "include $(MFEXT_HOME)/share/plugin.mk\n# custom:: no\nprecustom:: a\n\techo custom::\nX := custom:: y\nall: custom\n";
        assert!(states_rule(makefile, "precustom"));
        assert!(!states_rule(makefile, "custom"));
        assert!(states_rule("custom:\n\ttrue\n", "custom"));
        assert!(states_rule("a custom :: b\n", "custom"));
        assert!(states_rule("include rules.mk\n", "custom") && states_rule("$(X)::\n\ttrue\n", "custom"));
        assert!(!states_rule("custom := 1\ncustom=::\n", "custom"));
    }
}
