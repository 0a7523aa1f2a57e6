//! Three trees into one: what the template made then (base), what the plugin has now (ours), and what the template makes
//! today (theirs), file by file as git merges.
//!
//! A file that only one side changed is taken from that side; text that both changed is merged line by line, with
//! conflicts marked as git marks them. What the user removed stays removed. A file that the template gave another name
//! takes the user's changes along.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result};
use crate::fs;

/// Files by their path, with `/`.
pub(super) type Tree = BTreeMap<String, File>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub(super) content: Vec<u8>,
    pub(super) is_executable: bool,
}

/// What a merge does to one path.
#[derive(Debug, Clone)]
pub struct Change {
    pub path: String,
    pub outcome: Outcome,
    pub before: Option<File>,
    pub after: Option<File>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Added,
    /// Taken from the template, or merged.
    Changed,
    Removed,
    /// The template changed it; the user had removed it.
    StaysRemoved,
    /// The text has marks; or nothing was changed, and this says why.
    Conflict(&'static str),
}

/// What the plugin has at a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ours {
    Nothing,
    File(File),
    /// A directory, a link, or something below a link.
    Other,
}

impl File {
    /// Whether it has the marks of a conflict.
    pub(super) fn has_marks(&self) -> bool {
        let has = |mark: &[u8]| self.content.split(|byte| *byte == b'\n').any(|line| line.starts_with(mark));
        has(b"<<<<<<< ") && has(b">>>>>>> ")
    }

    pub(super) fn read(path: &Path) -> Result<File> {
        use std::os::unix::fs::PermissionsExt;
        let metadata = path.metadata().at("read", path)?;
        let is_executable = metadata.permissions().mode() & 0o100 != 0;
        Ok(File { content: fs::read(path)?, is_executable })
    }

    /// The text, for those who show it.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.content).ok().filter(|text| !text.contains('\0'))
    }

    pub fn is_executable(&self) -> bool {
        self.is_executable
    }
}

impl Ours {
    /// Of a path in the plugin; links are not followed.
    pub(super) fn of(directory: &Path, path: &str) -> Result<Ours> {
        let mut place = directory.to_owned();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            place.push(part);
            let metadata = match place.symlink_metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ours::Nothing),
                Err(error) => return Err(Error::io("read", &place, &error)),
            };
            match parts.peek() {
                Some(_) if metadata.is_dir() => {}
                None if metadata.is_file() => return Ok(Ours::File(File::read(&place)?)),
                _ => return Ok(Ours::Other),
            }
        }
        Ok(Ours::Nothing)
    }
}

/// Every path that changes, in order.
pub(super) fn merge(base: &Tree, theirs: &Tree, ours: &dyn Fn(&str) -> Result<Ours>) -> Result<Vec<Change>> {
    let renames = renames(base, theirs);
    let mut changes = Vec::new();
    for (path, new) in theirs {
        let from = renames.get(path.as_str()).copied();
        let here = ours(path)?;
        // The user's file has the old name still.
        if let Some((from, Ours::File(old), Ours::Nothing)) =
            from.map(|from| Ok::<_, Error>((from, ours(from)?, here.clone()))).transpose()?
        {
            changes.push(Change {
                path: from.to_owned(),
                outcome: Outcome::Removed,
                before: Some(old.clone()),
                after: None,
            });
            let (after, outcome) = three_way(base.get(from), &old, new);
            let outcome = outcome.map_or(Outcome::Added, Outcome::Conflict);
            changes.push(Change { path: path.clone(), outcome, before: None, after: Some(after) });
            continue;
        }
        let old = base.get(path).or_else(|| from.and_then(|from| base.get(from)));
        if old == Some(new) && base.contains_key(path) {
            continue;
        }
        let change = match here {
            Ours::Nothing if old.is_none() => (Outcome::Added, None, Some(new.clone())),
            Ours::Nothing => (Outcome::StaysRemoved, None, None),
            Ours::Other => {
                (Outcome::Conflict("it is no file in the plugin; the template's is left out"), None, None)
            }
            Ours::File(mine) if mine == *new => continue,
            Ours::File(mine) => {
                let (after, conflict) = three_way(old, &mine, new);
                if after == mine && conflict.is_none() {
                    continue;
                }
                (conflict.map_or(Outcome::Changed, Outcome::Conflict), Some(mine), Some(after))
            }
        };
        let (outcome, before, after) = change;
        changes.push(Change { path: path.clone(), outcome, before, after });
    }
    for (path, old) in base {
        if theirs.contains_key(path) || changes.iter().any(|change| change.path == *path) {
            continue;
        }
        let Ours::File(mine) = ours(path)? else { continue };
        let (outcome, after) = if mine == *old {
            (Outcome::Removed, None)
        } else {
            (
                Outcome::Conflict("the template has it no more, and the plugin changed it; it is kept"),
                Some(mine.clone()),
            )
        };
        changes.push(Change { path: path.clone(), outcome, before: Some(mine), after });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// One file of three, and why it is in conflict.
fn three_way(base: Option<&File>, ours: &File, theirs: &File) -> (File, Option<&'static str>) {
    let is_executable = match base {
        Some(base) if base.is_executable == ours.is_executable => theirs.is_executable,
        Some(_) => ours.is_executable,
        None => ours.is_executable || theirs.is_executable,
    };
    let with = |content: &[u8], conflict| (File { content: content.to_owned(), is_executable }, conflict);
    let old = base.map(|base| base.content.as_slice());
    if ours.content == theirs.content || old == Some(&theirs.content) {
        return with(&ours.content, None);
    }
    if old == Some(&ours.content) {
        return with(&theirs.content, None);
    }
    let is_text =
        ours.text().is_some() && theirs.text().is_some() && base.is_none_or(|base| base.text().is_some());
    if !is_text {
        return with(&ours.content, Some("both changed it, and it is no text; the plugin's is kept"));
    }
    let mut options = diffy::MergeOptions::new();
    options.set_conflict_style(diffy::ConflictStyle::Merge);
    match options.merge_bytes(old.unwrap_or_default(), &ours.content, &theirs.content) {
        Ok(merged) => with(&merged, None),
        Err(marked) => with(&marked, Some("both changed the same lines; they are marked")),
    }
}

/// New path → old path, of files that the template gave another name: most of their lines are the same.
fn renames<'a>(base: &'a Tree, theirs: &'a Tree) -> BTreeMap<&'a str, &'a str> {
    let gone = base.iter().filter(|(path, file)| !theirs.contains_key(*path) && !file.content.is_empty());
    let mut pairs = Vec::new();
    for (from, old) in gone {
        for (to, new) in theirs.iter().filter(|(path, _)| !base.contains_key(*path)) {
            let likeness = likeness(old, new);
            if likeness >= 50 {
                pairs.push((likeness, from.as_str(), to.as_str()));
            }
        }
    }
    pairs.sort_by(|a, b| b.cmp(a));
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, from, to) in pairs {
        if !found.contains_key(to) && !found.values().any(|taken| *taken == from) {
            found.insert(to, from);
        }
    }
    found
}

/// How many of a hundred lines two files share.
fn likeness(old: &File, new: &File) -> usize {
    if old.content == new.content {
        return 100;
    }
    let (Some(old), Some(new)) = (old.text(), new.text()) else { return 0 };
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for line in old.lines() {
        *lines.entry(line).or_default() += 1;
    }
    let mut shared = 0;
    for line in new.lines() {
        if let Some(count) = lines.get_mut(line).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    shared * 100 / old.lines().count().max(new.lines().count()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |text: &str| {
            let (text, is_executable) = text.strip_prefix("+x ").map_or((text, false), |text| (text, true));
            File { content: text.into(), is_executable }
        };
        files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    /// The plugin after the merge, with `!` behind what is in conflict.
    fn merged(
        base: &[(&str, &str)],
        ours: &[(&str, &str)],
        theirs: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let mut plugin = tree(ours);
        let here = plugin.clone();
        let look = |path: &str| Ok(here.get(path).map_or(Ours::Nothing, |file| Ours::File(file.clone())));
        let mut conflicts = Vec::new();
        for change in merge(&tree(base), &tree(theirs), &look).unwrap() {
            if matches!(change.outcome, Outcome::Conflict(_)) {
                conflicts.push(change.path.clone());
            }
            match change.after {
                Some(file) => plugin.insert(change.path, file),
                None => plugin.remove(&change.path),
            };
        }
        let shown = |(path, file): (String, File)| {
            let mark = if conflicts.contains(&path) { "!" } else { "" };
            let text = String::from_utf8_lossy(&file.content).into_owned();
            (format!("{path}{mark}"), if file.is_executable { format!("+x {text}") } else { text })
        };
        plugin.into_iter().map(shown).collect()
    }

    fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn one_side_that_changed_wins() {
        let base = [("a", "1"), ("b", "1"), ("gone", "1"), ("mine", "1")];
        let ours = [("a", "1"), ("b", "2"), ("gone", "1"), ("new", "x")];
        let theirs = [("a", "3"), ("b", "1"), ("mine", "4"), ("theirs", "y")];
        assert_eq!(
            merged(&base, &ours, &theirs),
            pairs(&[("a", "3"), ("b", "2"), ("new", "x"), ("theirs", "y")])
        );
    }

    #[test]
    fn lines_of_both_are_merged_and_the_same_line_is_a_conflict() {
        let base = "1\n2\n3\n4\n5\n";
        let both = merged(&[("f", base)], &[("f", "one\n2\n3\n4\n5\n")], &[("f", "1\n2\n3\n4\nfive\n")]);
        assert_eq!(both, pairs(&[("f", "one\n2\n3\n4\nfive\n")]));
        let conflict = merged(&[("f", "1\n")], &[("f", "mine\n")], &[("f", "theirs\n")]);
        assert_eq!(conflict[0].0, "f!");
        assert_eq!(conflict[0].1, "<<<<<<< ours\nmine\n=======\ntheirs\n>>>>>>> theirs\n");
    }

    #[test]
    fn what_cannot_be_merged_is_kept_and_told() {
        assert_eq!(merged(&[("f", "a\0")], &[("f", "b\0")], &[("f", "c\0")]), pairs(&[("f!", "b\0")]));
        assert_eq!(merged(&[("f", "a")], &[("f", "b")], &[]), pairs(&[("f!", "b")]));
        assert_eq!(merged(&[], &[("f", "a\n")], &[("f", "b\n")])[0].0, "f!");
    }

    #[test]
    fn a_file_takes_the_users_changes_to_its_new_name() {
        let old = "1\n2\n3\n4\n5\n6\n";
        let found = merged(&[("a", old)], &[("a", "1\n2\n3\n4\n5\nsix\n")], &[("b", "one\n2\n3\n4\n5\n6\n")]);
        assert_eq!(found, pairs(&[("b", "one\n2\n3\n4\n5\nsix\n")]));
        assert_eq!(merged(&[("a", old)], &[], &[("b", old)]), pairs(&[]));
    }

    #[test]
    fn the_right_to_be_run_is_merged_as_content_is() {
        assert_eq!(merged(&[("f", "1")], &[("f", "2")], &[("f", "+x 1")]), pairs(&[("f", "+x 2")]));
        assert_eq!(merged(&[("f", "1")], &[("f", "+x 1")], &[("f", "2")]), pairs(&[("f", "+x 2")]));
    }
}
