//! What stays behind: generated files, version control, and what `.releaseignore` names.
//!
//! The patterns are those of `.gitignore`, yet the last line that names a file *or a directory above it* decides about
//! the file, as upstream has had it since 2023: `data/` and then `!data/keep.json` ships that one file, where git would
//! not look into `data` any more.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{FILES, LABEL, MANIFEST, METADATA};
use crate::error::{Error, Problem, Result};
use crate::fs;
use crate::text;

/// The patterns of the plugin's author.
const RELEASE_IGNORE: &str = ".releaseignore";

/// Each is held against each path.
const MOST_LINES: usize = 5000;

/// Without these the file would not be a plugin, whatever `.releaseignore` says.
const REQUIRED: [&str; 4] = [LABEL, ".layerapi2_dependencies", ".plugin_format_version", "config.ini"];

/// Whether an entry of the plugin's directory is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ship,
    /// Shipped although `.releaseignore` names it.
    ShipRequired,
    Leave,
    /// A directory that is left, but for what a later line asks for below it.
    LeaveButLookInto,
    /// Left behind because the caller makes it anew after the installation.
    LeaveToCaller,
}

/// What is decided about an entry and holds for everything below it, until a later line decides anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ruling {
    /// Of `.releaseignore`, from 1; 0 for none.
    line: usize,
    leaves: bool,
    git_leaves: bool,
}

pub(super) struct Exclusions<'a> {
    file: PathBuf,
    patterns: Patterns,
    caller: &'a (dyn Fn(&Path) -> bool + Sync),
}

#[derive(Debug)]
struct Patterns {
    globs: Gitignore,
    /// The lines with `!`, by their numbers, and whether any of them decided.
    wanted: Vec<(usize, String, AtomicBool)>,
    /// The first path that is shipped where git would leave it, and the line that decided.
    unlike_git: Mutex<Option<(String, usize)>>,
}

impl<'a> Exclusions<'a> {
    /// Reads the `.releaseignore` of the plugin in `dir`.
    pub(super) fn read(dir: &Path, caller: &'a (dyn Fn(&Path) -> bool + Sync)) -> Result<Exclusions<'a>> {
        let file = dir.join(RELEASE_IGNORE);
        let content = fs::read_text_optional(&file)?;
        if content.is_none() && file.is_symlink() {
            return Err(Error::input(format!("{} is a link that leads nowhere", text::path(&file)))
                .hint("correct or remove the link: what it would leave out must not be shipped"));
        }
        let content = content.unwrap_or_default();
        Ok(Exclusions { patterns: parse(&file, &content)?, file, caller })
    }

    /// Judges an entry by its path relative to the plugin, below a directory with the ruling `above`. A directory that
    /// is left is not entered.
    pub(super) fn judge(
        &self,
        path: &str,
        directory: bool,
        above: Ruling,
        has_source: impl Fn() -> bool,
    ) -> (Verdict, Ruling) {
        if is_never_shipped(path, directory) {
            return (Verdict::Leave, above);
        }
        let mut ruling = above;
        match self.patterns.matched(path, directory) {
            Some((line, leaves)) => {
                ruling.git_leaves |= leaves;
                if line > above.line {
                    (ruling.line, ruling.leaves) = (line, leaves);
                }
            }
            None if above.line == 0 && is_derived(path, directory, has_source) => ruling.leaves = true,
            None => {}
        }
        let verdict = if REQUIRED.contains(&path) {
            if ruling.leaves { Verdict::ShipRequired } else { Verdict::Ship }
        } else if (self.caller)(Path::new(path)) {
            Verdict::LeaveToCaller
        } else if !ruling.leaves {
            Verdict::Ship
        } else if directory && self.patterns.wanted.iter().any(|(line, ..)| *line > ruling.line) {
            Verdict::LeaveButLookInto
        } else {
            Verdict::Leave
        };
        if verdict == Verdict::Ship && !directory && ruling.line > 0 {
            self.patterns.note(path, ruling);
        }
        (verdict, ruling)
    }

    /// What the author of `.releaseignore` may have meant otherwise; known after the last entry was judged.
    pub(super) fn notes(&self) -> Vec<Problem> {
        let place = |line: usize| text::place(&self.file, line, Some(1));
        let mut notes = Vec::new();
        for (line, pattern, decided) in &self.patterns.wanted {
            if !decided.load(Ordering::Relaxed) {
                notes.push(Problem {
                    message: format!(
                        "{}: `{}` has no effect: no file is shipped because of it",
                        place(*line),
                        text::visible(pattern)
                    ),
                    hint: Some(
                        "correct the pattern, or remove the line; a later line may exclude it again"
                            .to_owned(),
                    ),
                });
            }
        }
        let unlike = self.patterns.unlike_git.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, line)) = &*unlike {
            notes.push(Problem {
                message: format!(
                    "{}: `{path}` is shipped because of this line; git would leave it, as it is below something excluded",
                    place(*line)
                ),
                hint: Some("here the last line that names a file or a directory above it decides".to_owned()),
            });
        }
        notes
    }
}

impl Patterns {
    /// The last line that names the path itself, and whether it leaves it behind.
    fn matched(&self, path: &str, directory: bool) -> Option<(usize, bool)> {
        if self.globs.is_empty() {
            return None;
        }
        let found = self.globs.matched(path, directory);
        let line = found.inner()?.from()?.to_str()?.parse().ok()?;
        Some((line, found.is_ignore()))
    }

    fn note(&self, path: &str, ruling: Ruling) {
        if let Some((.., decided)) = self.wanted.iter().find(|(line, ..)| *line == ruling.line) {
            decided.store(true, Ordering::Relaxed);
        }
        if ruling.git_leaves {
            let mut unlike = self.unlike_git.lock().unwrap_or_else(PoisonError::into_inner);
            // Directories are walked side by side: the first by name is told, whoever comes first.
            if unlike.as_ref().is_none_or(|(known, _)| path < known.as_str()) {
                *unlike = Some((path.to_owned(), ruling.line));
            }
        }
    }
}

fn parse(file: &Path, content: &str) -> Result<Patterns> {
    let refuse = |line: usize, pattern: &str, error: &ignore::Error| {
        let reason = match error {
            ignore::Error::Glob { err, .. } => err.clone(),
            other => other.to_string(),
        };
        Error::input(format!(
            "{}: found the pattern `{}`: {}; the syntax of .gitignore is allowed",
            text::place(file, line, Some(1)),
            text::visible(pattern),
            text::visible(&reason)
        ))
        .hint("correct or remove that line")
    };
    let mut builder = GitignoreBuilder::new(".");
    builder.allow_unclosed_class(false);
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    if content.lines().nth(MOST_LINES).is_some() {
        return Err(Error::input(format!("{} has more than {MOST_LINES} lines", text::path(file)))
            .hint("a pattern may stand for many paths: `*`, `**`, `?` and `[a-z]` are allowed"));
    }
    let mut wanted = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let number = index + 1;
        // The place of a pattern tells which line decided.
        let place = PathBuf::from(number.to_string());
        builder.add_line(Some(place), line).map_err(|error| refuse(number, line, &error))?;
        if line.starts_with('!') {
            wanted.push((number, line.trim_end().to_owned(), AtomicBool::new(false)));
        }
    }
    let globs = builder.build().map_err(|error| refuse(content.lines().count(), "", &error))?;
    Ok(Patterns { globs, wanted, unlike_git: Mutex::default() })
}

/// Version control, our own state, and what packing itself writes.
fn is_never_shipped(path: &str, directory: bool) -> bool {
    let (parent, name) = split(path);
    if matches!(name, ".git" | ".hg" | ".svn") {
        return true;
    }
    parent.is_none()
        && (matches!(path, METADATA | FILES | MANIFEST)
            || path.starts_with(".mwp")
            || (!directory && name.ends_with(".plugin")))
}

/// What running a plugin leaves in its directory.
pub(super) fn is_made_by_use(path: &str, has_source: impl Fn() -> bool) -> bool {
    let (parent, name) = split(path);
    name == "__pycache__"
        || is_compiled(name, has_source)
        || (parent.is_none()
            && matches!(name.split('.').collect::<Vec<_>>()[..], ["", "configuration_cache", ..]))
}

/// What a build makes: left behind unless `.releaseignore` asks for it with `!`.
pub(super) fn is_derived(path: &str, directory: bool, has_source: impl Fn() -> bool) -> bool {
    let (parent, name) = split(path);
    match parent {
        None => {
            matches!(name, ".configuration_cache" | "tmp_build" | "__pycache__")
                || name.starts_with(".configuration_cache.")
                || (!directory && (name.ends_with(".tar.gz") || is_compiled(name, has_source)))
        }
        Some(parent) if is_virtualenv_sources(parent) => {
            name.ends_with(".tmp")
                || name.starts_with("tempolayer")
                || name.starts_with("freezed_requirements.")
        }
        Some(_) => name == "__pycache__" || (!directory && is_compiled(name, has_source)),
    }
}

/// A module that ships without its source has only the compiled file.
fn is_compiled(name: &str, has_source: impl Fn() -> bool) -> bool {
    name.ends_with(".pyc") && has_source()
}

/// `python3_virtualenv_sources`
fn is_virtualenv_sources(parent: &str) -> bool {
    let version = parent.strip_prefix("python").and_then(|rest| rest.strip_suffix("_virtualenv_sources"));
    version.is_some_and(|version| version.len() == 1)
}

fn split(path: &str) -> (Option<&str>, &str) {
    path.rsplit_once('/').map_or((None, path), |(parent, name)| (Some(parent), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusions(patterns: &str) -> Exclusions<'static> {
        let patterns = parse(Path::new(".releaseignore"), patterns).unwrap();
        let file = PathBuf::from(".releaseignore");
        Exclusions { file, patterns, caller: &|path| path == Path::new("local/venv") }
    }

    fn judge(patterns: &str, path: &str) -> Verdict {
        judged(&exclusions(patterns), path)
    }

    /// As the walk judges: from the top down.
    fn judged(exclusions: &Exclusions<'_>, path: &str) -> Verdict {
        let (path, directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        let mut ruling = Ruling::default();
        for (end, _) in path.match_indices('/') {
            let verdict;
            (verdict, ruling) = exclusions.judge(&path[..end], true, ruling, || true);
            if matches!(verdict, Verdict::Leave | Verdict::LeaveToCaller) {
                return verdict;
            }
        }
        exclusions.judge(path, directory, ruling, || true).0
    }

    #[test]
    fn patterns_have_the_meaning_of_gitignore() {
        for (patterns, path, shipped) in [
            ("", "main.py", true),
            ("*.log", "log/a.log", false),
            ("*.log\n!keep.log", "log/keep.log", true),
            ("/local", "local/", false),
            ("/local", "sub/local/", true),
            ("local/", "local", true),
            ("local/", "sub/local/", false),
            ("doc/*.txt", "doc/a.txt", false),
            ("doc/*.txt", "sub/doc/a.txt", true),
            ("**/doc/*.txt", "sub/doc/a.txt", false),
            ("# a comment\n\n\\#file", "#file", false),
            ("a?c", "abc", false),
            ("[ab].py", "b.py", false),
            ("tests/**", "tests/deep/er.py", false),
            ("trailing   ", "trailing", false),
            ("\u{feff}*.log", "a.log", false),
        ] {
            let verdict = judge(patterns, path);
            assert_eq!(verdict == Verdict::Ship, shipped, "{patterns:?} on {path:?} gave {verdict:?}");
        }
    }

    #[test]
    fn generated_files_stay_behind_unless_asked_for() {
        for path in [
            ".git/",
            "sub/.git",
            ".hg/",
            ".svn/",
            ".mwp/",
            "old-1-1.metwork.mfserv.plugin",
            "dump.tar.gz",
            ".configuration_cache",
            "tmp_build/",
            "lib/__pycache__/",
            "lib/a.pyc",
            ".metadata.json",
            ".files.json",
            ".mwp_manifest.json",
            ".mwp-tmp-Ab12",
            "python3_virtualenv_sources/requirements3.txt.tmp",
            "python3_virtualenv_sources/tempolayer1/",
            "python3_virtualenv_sources/freezed_requirements.3",
        ] {
            assert_eq!(judge("", path), Verdict::Leave, "{path}");
        }
        for path in [
            "sub/data.tar.gz",
            "lib/thing.plugin",
            "sub/tmp_build/",
            "sub/.metadata.json",
            "python3_virtualenv_sources/src/",
            "python3_virtualenv_sources/requirements3.txt",
        ] {
            assert_eq!(judge("", path), Verdict::Ship, "{path}");
        }
        assert_eq!(judge("!/dump.tar.gz", "dump.tar.gz"), Verdict::Ship);
        assert_eq!(judge("!.git", ".git/"), Verdict::Leave);
    }

    #[test]
    fn what_makes_it_a_plugin_cannot_be_excluded() {
        assert_eq!(judge("*", "config.ini"), Verdict::ShipRequired);
        assert_eq!(judge(".*", ".layerapi2_label"), Verdict::ShipRequired);
        assert_eq!(judge("*", "sub/config.ini"), Verdict::Leave);
        assert_eq!(judge("*\n!main/**", "config.ini"), Verdict::ShipRequired);
        assert_eq!(judge("", "local/venv"), Verdict::LeaveToCaller);
    }

    #[test]
    fn the_last_line_that_names_a_file_or_a_directory_above_it_decides() {
        for (patterns, path, shipped) in [
            ("data/\n!data/keep.json", "data/keep.json", true),
            ("data/\n!data/keep.json", "data/other", false),
            ("data/\n!data/deep/er/keep.json", "data/deep/er/keep.json", true),
            ("!data/keep.json\ndata/", "data/keep.json", false),
            ("*\n!main/**", "main/a/b.py", true),
            ("*\n!main/**", "other/b.py", false),
            ("*\n!main/", "main/a/b.py", true),
            ("*\n!*.py", "main/a/b.py", true),
            ("*\n!main/**\n*.log", "main/a.log", false),
            ("node_modules/\n!node_modules/mine/\nnode_modules/mine/test/", "node_modules/mine/a.js", true),
            (
                "node_modules/\n!node_modules/mine/\nnode_modules/mine/test/",
                "node_modules/mine/test/a.js",
                false,
            ),
            ("!lib/__pycache__/a.pyc", "lib/__pycache__/a.pyc", true),
            ("!tmp_build/x", "tmp_build/y", false),
            ("data/\n!.git", "data/.git", false),
        ] {
            let verdict = judge(patterns, path);
            assert_eq!(verdict == Verdict::Ship, shipped, "{patterns:?} on {path:?} gave {verdict:?}");
        }
        assert_eq!(judge("data/\n!data/keep.json", "data/"), Verdict::LeaveButLookInto);
        assert_eq!(judge("!data/keep.json\ndata/", "data/"), Verdict::Leave);
    }

    #[test]
    fn what_has_no_effect_and_what_git_would_leave_is_told_once() {
        let notes = |patterns: &str, paths: &[&str]| -> Vec<String> {
            let exclusions = exclusions(patterns);
            for path in paths {
                judged(&exclusions, path);
            }
            exclusions.notes().into_iter().map(|note| note.message).collect()
        };
        let told = notes("data/\n!data/*.json\n!nothing\n", &["data/b.json", "data/a.json", "data/x"]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with(".releaseignore:3:1: `!nothing` has no effect"), "{told:?}");
        assert!(told[1].starts_with(".releaseignore:2:1: `data/a.json` is shipped"), "{told:?}");
        assert_eq!(notes("*.log\n!keep.log\n", &["keep.log", "a.log", "b"]), [""; 0]);
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_line() {
        let error = parse(Path::new(".releaseignore"), "*.log\na[b").unwrap_err().to_string();
        assert!(error.starts_with(".releaseignore:2:1: found the pattern `a[b`"), "{error}");
    }
}
