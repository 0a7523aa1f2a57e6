//! Small text inputs as they were when a task last succeeded, so that an explanation can name the line that changed.
//!
//! Kept by digest in `.mwp/texts`; what is not there is shown by its digests alone.

use std::collections::BTreeSet;
use std::path::Path;

use super::reason::{ChangedLine, Reason};
use super::snapshot::{Entry, Snapshot};
use super::state::{STATE_DIR, State};
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::text;

/// Larger files are hardly written by hand.
const LARGEST: u64 = 64 * 1024;

/// With more inputs than that, nobody looks for a line.
const MOST: usize = 200;

pub(super) const DIRECTORY: &str = "texts";

fn worth_keeping(inputs: &Snapshot) -> impl Iterator<Item = &Entry> {
    let entries = if inputs.entries.len() <= MOST { &inputs.entries[..] } else { &[] };
    entries.iter().filter(|entry| entry.stat.is_file() && entry.stat.size <= LARGEST)
}

/// Keeps the texts of a record that was just made, and drops those of no record.
pub(super) fn keep(dir: &Path, inputs: &Snapshot, state: &State) -> Result<()> {
    let texts = dir.join(STATE_DIR).join(DIRECTORY);
    for entry in worth_keeping(inputs) {
        let kept = texts.join(entry.digest.to_string());
        if fs::exists(&kept) {
            continue;
        }
        let content = fs::read(&dir.join(entry.name.as_path())).unwrap_or_default();
        if std::str::from_utf8(&content).is_ok() && Digest::of(&content) == entry.digest {
            fs::create_private_dir(&texts)?;
            fs::write_atomic(&kept, &content)?;
        }
    }
    let used: BTreeSet<String> = state
        .inputs()
        .flat_map(|inputs| worth_keeping(inputs).map(|entry| entry.digest.to_string()))
        .collect();
    for path in fs::list(&texts)? {
        if path.file_name().and_then(|name| name.to_str()).is_none_or(|name| !used.contains(name)) {
            fs::remove_tree(&path)?;
        }
    }
    Ok(())
}

/// Adds the line to each reason whose old text is known.
pub(super) fn add_lines(dir: &Path, reasons: &mut [Reason], old: &Snapshot) {
    for reason in reasons {
        let (Reason::InputChanged { path, line, .. } | Reason::BehindLinkChanged { path, line, .. }) = reason
        else {
            continue;
        };
        let Some(entry) =
            old.entries.iter().rfind(|entry| super::reason::shown(entry.name.as_path()) == *path)
        else {
            continue;
        };
        let texts = dir.join(STATE_DIR).join(DIRECTORY);
        let old = fs::read_text_optional(&texts.join(entry.digest.to_string()));
        let new = fs::read_text_optional(&dir.join(entry.name.as_path()));
        if let (Ok(Some(old)), Ok(Some(new))) = (old, new) {
            *line = changed_line(&old, &new);
        }
    }
}

/// The first line that is not as it was, seen from both ends of the file.
fn changed_line(old: &str, new: &str) -> Option<ChangedLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let before = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let shorter = old.len().min(new.len()) - before;
    let after =
        old.iter().rev().zip(new.iter().rev()).take(shorter).take_while(|(old, new)| old == new).count();
    let shown = |lines: &[&str]| lines[before..lines.len() - after].first().map(|line| short(line));
    let (old, new) = (shown(&old), shown(&new));
    (old.is_some() || new.is_some()).then_some(ChangedLine { number: before + 1, old, new })
}

fn short(line: &str) -> String {
    const MOST: usize = 80;
    let line = text::visible(line.trim());
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_first_that_differs_seen_from_both_ends() {
        for (old, new, line) in [
            ("a\nb\nc\n", "a\nB\nc\n", "line 2: `b` → `B`"),
            ("a\nc\n", "a\nb\nc\n", "line 2: nothing → `b`"),
            ("a\nb\nc\n", "a\nc\n", "line 2: `b` → nothing"),
            ("a\na\n", "a\na\na\n", "line 3: nothing → `a`"),
            ("", "a", "line 1: nothing → `a`"),
        ] {
            assert_eq!(changed_line(old, new).unwrap().to_string(), line);
        }
        assert!(changed_line("a\n", "a").is_none());
        assert_eq!(short(&"x".repeat(90)).chars().count(), 81);
    }
}
