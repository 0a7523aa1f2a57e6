//! Lines of requirement files that no installer would take.

use std::path::Path;

use crate::error::{Problem, Result};
use crate::fs;
use crate::python::{Line, Requirements};
use crate::text;

/// In the directory of a plugin's Python sources.
const FILES: [&str; 3] = ["requirements-to-freeze.txt", "requirements3.txt", "build_constraint"];

pub(super) fn check(dir: &Path) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for name in FILES {
        let file = dir.join("python3_virtualenv_sources").join(name);
        let Some(content) = fs::read_text_optional(&file)? else { continue };
        let content = content.strip_prefix('\u{feff}').unwrap_or(&content);
        let sources = dir.join("python3_virtualenv_sources");
        problems.extend(unreadable(content, &sources).into_iter().map(|(line, found)| Problem {
            message: format!(
                "{}: found `{}`; a requirement such as `name==1.0`, an option, a URL or a path is allowed",
                text::place(&file, line, Some(1)),
                text::visible(&found)
            ),
            hint: Some("a comment starts with `#`; see `pip install --help` for the options".to_owned()),
        }));
    }
    Ok(problems)
}

/// Each with its number. Lines that end with a backslash are one with the next.
fn unreadable(content: &str, dir: &Path) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut start, mut joined) = (1, String::new());
    for (index, line) in content.lines().enumerate() {
        if joined.is_empty() {
            start = index + 1;
        }
        joined.push_str(line);
        joined.push('\n');
        if line.trim_end().ends_with('\\') && !line.trim_start().starts_with('#') {
            continue;
        }
        let whole = std::mem::take(&mut joined);
        found.extend(
            Requirements::parse(&whole)
                .lines
                .iter()
                .filter(|line| !is_meant(line, dir))
                .map(|line| (start, line.text().to_owned())),
        );
    }
    found
}

/// Whether pip could make anything of it.
fn is_meant(line: &Line, dir: &Path) -> bool {
    let Line::Opaque { text, .. } = line else { return true };
    let text = text.split(['#', ';']).next().unwrap_or_default().trim();
    let path = text.split('[').next().unwrap_or_default();
    text.starts_with("-e")
        || text.starts_with("--editable")
        || text.contains("://")
        || text.contains("${")
        || (!path.is_empty() && (path.contains('/') || path.starts_with('.') || dir.join(path).exists()))
        || [".whl", ".tar.gz", ".zip", ".tar.bz2"].iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_mean_nothing_are_found_by_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let content = "flask==3\n;;\n# ;;\n--pre\n-e ./x\n./lib/a[x] ; python_version > '3'\ngit+https://a/b#egg=c\n\
                       a @ https://x/y.whl\nfoo-1.0.tar.gz\nname = = 1\nb==1 \\\n  --hash=sha256:00\n==2\n${HOME}/w.whl\n";
        let found = unreadable(content, dir.path());
        assert_eq!(found, [(2, ";;".to_owned()), (10, "name = = 1".to_owned()), (13, "==2".to_owned())]);
    }
}
