//! What stays behind: generated files, version control, and what `.releaseignore` names.

use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{FILES, LABEL, MANIFEST, METADATA};
use crate::error::{Error, Result};
use crate::fs;
use crate::text;

/// The patterns of the plugin's author.
const RELEASE_IGNORE: &str = ".releaseignore";

/// Without these the file would not be a plugin, whatever `.releaseignore` says.
const REQUIRED: [&str; 4] = [LABEL, ".layerapi2_dependencies", ".plugin_format_version", "config.ini"];

/// Whether an entry of the plugin's directory is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ship,
    /// Shipped although `.releaseignore` names it.
    ShipRequired,
    Leave,
    /// Left behind because the caller makes it anew after the installation.
    LeaveToCaller,
}

pub(super) struct Exclusions<'a> {
    patterns: Gitignore,
    caller: &'a (dyn Fn(&Path) -> bool + Sync),
}

impl<'a> Exclusions<'a> {
    /// Reads the `.releaseignore` of the plugin in `dir`.
    pub(super) fn read(dir: &Path, caller: &'a (dyn Fn(&Path) -> bool + Sync)) -> Result<Exclusions<'a>> {
        let file = dir.join(RELEASE_IGNORE);
        let content = fs::read_text_optional(&file)?.unwrap_or_default();
        Ok(Exclusions { patterns: parse(&file, &content)?, caller })
    }

    /// Judges an entry by its path relative to the plugin. A directory that is left is not entered.
    pub(super) fn judge(&self, path: &str, directory: bool, has_source: impl Fn() -> bool) -> Verdict {
        if is_never_shipped(path, directory) {
            return Verdict::Leave;
        }
        if REQUIRED.contains(&path) {
            let named = self.patterns.matched(path, directory).is_ignore();
            return if named { Verdict::ShipRequired } else { Verdict::Ship };
        }
        if (self.caller)(Path::new(path)) {
            return Verdict::LeaveToCaller;
        }
        match self.patterns.matched(path, directory) {
            Match::Ignore(_) => Verdict::Leave,
            Match::Whitelist(_) => Verdict::Ship,
            Match::None if is_derived(path, directory, has_source) => Verdict::Leave,
            Match::None => Verdict::Ship,
        }
    }
}

fn parse(file: &Path, content: &str) -> Result<Gitignore> {
    let refuse = |line: usize, pattern: &str, error: &ignore::Error| {
        let reason = match error {
            ignore::Error::Glob { err, .. } => err.clone(),
            other => other.to_string(),
        };
        Error::input(format!(
            "{}:{line}: found the pattern `{}`: {}; the syntax of .gitignore is allowed",
            text::path(file),
            text::visible(pattern),
            text::visible(&reason)
        ))
        .hint("correct or remove that line")
    };
    let mut builder = GitignoreBuilder::new(".");
    builder.allow_unclosed_class(false);
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    for (index, line) in content.lines().enumerate() {
        builder.add_line(None, line).map_err(|error| refuse(index + 1, line, &error))?;
    }
    builder.build().map_err(|error| refuse(content.lines().count(), "", &error))
}

/// Version control, our own state, and what packing itself writes.
fn is_never_shipped(path: &str, directory: bool) -> bool {
    let (parent, name) = split(path);
    if matches!(name, ".git" | ".hg" | ".svn") {
        return true;
    }
    parent.is_none()
        && (matches!(path, METADATA | FILES | MANIFEST)
            || path == ".mwp"
            || path.starts_with(".mwp-tmp-")
            || (!directory && name.ends_with(".plugin")))
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

    fn judge(patterns: &str, path: &str) -> Verdict {
        let (path, directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        let patterns = parse(Path::new(".releaseignore"), patterns).unwrap();
        Exclusions { patterns, caller: &|path| path == Path::new("local/venv") }.judge(
            path,
            directory,
            || true,
        )
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
        assert_eq!(judge("", "local/venv"), Verdict::LeaveToCaller);
    }

    #[test]
    fn a_bad_pattern_is_named_with_its_line() {
        let error = parse(Path::new(".releaseignore"), "*.log\na[b").unwrap_err().to_string();
        assert!(error.starts_with("`.releaseignore`:2: found the pattern `a[b`"), "{error}");
    }
}
