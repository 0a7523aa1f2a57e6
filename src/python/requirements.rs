//! Requirement files: what pip reads, line by line.

use std::path::Path;
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl};

use super::wheel::canonical_name;
use crate::digest::Digest;
use crate::fs;

/// A line that means something; comments and empty lines do not.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// `--index-url …`, `-r …`, `--pre`
    Option(String),
    /// A named requirement of PEP 508, with or without a URL.
    Named { text: String, requirement: Box<Requirement<VerbatimUrl>> },
    /// A URL, a path, `git+…` or `-e …`: only a tool can tell what it is; `name` where the line says so.
    Opaque { text: String, name: Option<String> },
}

/// A requirement file.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    pub lines: Vec<Line>,
}

impl Requirements {
    pub fn parse(content: &str) -> Requirements {
        let content = content.strip_prefix('\u{feff}').unwrap_or(content);
        let mut lines = Vec::new();
        let mut joined = String::new();
        for line in content.lines() {
            let line = line.trim_end();
            // pip joins continued lines first, and drops comments then; a comment line ends a continuation.
            if let Some(part) = line.strip_suffix('\\').filter(|_| !line.trim_start().starts_with('#')) {
                joined.push_str(part);
                continue;
            }
            joined.push_str(line);
            lines.extend(Line::parse(&std::mem::take(&mut joined)));
        }
        lines.extend(Line::parse(&joined));
        Requirements { lines }
    }

    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Option(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether there is anything to install, as far as this file alone tells.
    pub fn is_empty(&self) -> bool {
        !self.lines.iter().any(|line| match line {
            Line::Option(text) => names_file(text).is_some(),
            _ => true,
        })
    }

    /// The digest of what the file means: comments, empty lines, line ends and spaces at line ends do not count;
    /// files that it names with `-r` or `-c` do.
    pub fn digest(&self, dir: &Path) -> Digest {
        let mut text = String::new();
        self.collect(dir, 0, &mut text);
        Digest::of(text.as_bytes())
    }

    fn collect(&self, dir: &Path, depth: usize, text: &mut String) {
        for line in &self.lines {
            text.push_str(line.text());
            text.push('\n');
            let Some(file) = names_file(line.text()).filter(|_| depth < 8) else { continue };
            if let Ok(Some(content)) = fs::read_text_optional(&dir.join(file)) {
                Requirements::parse(&content).collect(dir, depth + 1, text);
            }
        }
    }
}

/// The file that a `-r` or `-c` line names.
fn names_file(option: &str) -> Option<&str> {
    ["--requirement", "--constraint", "-r", "-c"]
        .into_iter()
        .find_map(|prefix| option.strip_prefix(prefix))
        .map(|rest| rest.trim_start_matches(['=', ' ', '\t']))
        .filter(|file| !file.contains("://"))
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        let text = without_comment(line).trim();
        if text.is_empty() {
            return None;
        }
        let is_editable =
            text.starts_with("-e ") || text.starts_with("-e\t") || text.starts_with("--editable");
        if text.starts_with('-') && !is_editable {
            return Some(Line::Option(text.to_owned()));
        }
        let text = text.to_owned();
        if is_editable {
            return Some(Line::Opaque { name: name_in_fragment(&text), text });
        }
        // Options of one requirement, such as `--hash=…`, are for the tool.
        let bare = text.split_once(" --").map_or(text.as_str(), |(bare, _)| bare).trim();
        match Requirement::<VerbatimUrl>::from_str(bare) {
            Ok(requirement) => Some(Line::Named { text, requirement: Box::new(requirement) }),
            Err(_) => Some(Line::Opaque { name: name_in_fragment(&text), text }),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Line::Option(text) | Line::Named { text, .. } | Line::Opaque { text, .. } => text,
        }
    }

    /// The canonical name of the project, where the line tells it.
    pub fn name(&self) -> Option<String> {
        match self {
            Line::Option(_) => None,
            Line::Named { requirement, .. } => Some(canonical_name(requirement.name.as_ref())),
            Line::Opaque { name, .. } => name.as_deref().map(canonical_name),
        }
    }
}

/// A comment starts the line or follows white space: `git+https://…#egg=x` has none.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (index, character) in line.char_indices() {
        if character == '#' && before.is_whitespace() {
            return &line[..index];
        }
        before = character;
    }
    line
}

/// `…#egg=NAME`
fn name_in_fragment(text: &str) -> Option<String> {
    let (_, name) = text.split_once("egg=")?;
    let name = name.split(['&', '[', ' ']).next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let text = "\u{feff}# a comment\n--index-url https://x/simple # ours\n\nDjango >= 3.0,<3.1  # web\r\n\
            six==1.0 --hash=sha256:ab\ngit+https://h/x.git@v1#egg=foo\n-e ./lib\nurllib3 @ https://h/u.whl\n\
            requests \\\n  >= 2 ; python_version > '3'";
        let requirements = Requirements::parse(text);
        let names: Vec<_> = requirements.lines.iter().map(|line| (line.name(), line.text())).collect();
        assert_eq!(
            names,
            [
                (None, "--index-url https://x/simple"),
                (Some("django".into()), "Django >= 3.0,<3.1"),
                (Some("six".into()), "six==1.0 --hash=sha256:ab"),
                (Some("foo".into()), "git+https://h/x.git@v1#egg=foo"),
                (None, "-e ./lib"),
                (Some("urllib3".into()), "urllib3 @ https://h/u.whl"),
                (Some("requests".into()), "requests   >= 2 ; python_version > '3'"),
            ]
        );
        assert_eq!(requirements.options().count(), 1);
    }

    #[test]
    fn comments_and_line_ends_do_not_change_the_digest_and_requirements_do() {
        let digest = |text: &str| Requirements::parse(text).digest(Path::new("/nowhere"));
        assert_eq!(digest("flask\nsix\n"), digest("# web\r\nflask  \r\n\r\nsix # old"));
        assert_ne!(digest("flask\n"), digest("flask>=2\n"));
    }

    #[test]
    fn a_file_of_comments_or_options_is_empty() {
        assert!(Requirements::parse("# nothing\n\n--index-url https://x/simple").is_empty());
        assert!(!Requirements::parse("-r other.txt").is_empty());
        assert!(!Requirements::parse("six").is_empty());
    }
}
