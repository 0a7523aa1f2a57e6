//! The text of requirement files and locks, line by line, as pip reads it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};

use super::wheel::canonical_name;
use crate::site::Environment;

/// A line that means something; comments and empty lines do not. Its text is as it stands in the file, so that a
/// secret that comes in through `${VARIABLE}` is in no lock, log or message.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// `--index-url …`, `-r …`, `--pre`
    Option(String),
    /// A named requirement of PEP 508, with or without a URL.
    Named { text: String, requirement: Box<Requirement<VerbatimUrl>> },
    /// A URL, a path, `git+…` or `-e …`: only a tool can tell what it is; `name` where the line says so.
    Opaque { text: String, name: Option<String> },
}

/// The lines of one text.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    pub lines: Vec<Line>,
}

impl Requirements {
    pub fn parse(content: &str) -> Requirements {
        let lines = numbered(content, &Environment::default());
        Requirements { lines: lines.into_iter().map(|(_, line)| line).collect() }
    }

    /// Whether there is nothing to install.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| matches!(line, Line::Option(_)))
    }

    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(Line::as_option)
    }
}

/// Each line with the number of the line in the file on which it starts.
pub(super) fn numbered(content: &str, environment: &Environment) -> Vec<(usize, Line)> {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    let mut lines = Vec::new();
    let mut joined = String::new();
    let mut first = 1;
    for (index, line) in content.lines().enumerate() {
        if joined.is_empty() {
            first = index + 1;
        }
        let line = line.trim_end();
        let is_comment = line.trim_start().starts_with('#');
        // pip joins continued lines first, and drops comments then; a comment line ends a continuation.
        if let Some(part) = line.strip_suffix('\\').filter(|_| !is_comment) {
            joined.push_str(part);
            continue;
        }
        if is_comment && !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(line);
        lines.extend(Line::parse(&std::mem::take(&mut joined), environment).map(|line| (first, line)));
    }
    lines.extend(Line::parse(&joined, environment).map(|line| (first, line)));
    lines
}

impl Line {
    fn parse(line: &str, environment: &Environment) -> Option<Line> {
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
        let expanded = expand(&text, environment);
        match requirement(split_options(&expanded).0) {
            Some(requirement) => Some(Line::Named { text, requirement: Box::new(requirement) }),
            None => Some(Line::Opaque { name: name_in_fragment(&text), text }),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Line::Option(text) | Line::Named { text, .. } | Line::Opaque { text, .. } => text,
        }
    }

    pub fn as_option(&self) -> Option<&str> {
        match self {
            Line::Option(text) => Some(text),
            _ => None,
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

    /// The line without the options that concern it alone, and without `-e`.
    pub fn bare(&self) -> &str {
        let text = self.text();
        let text = match self {
            Line::Opaque { .. } => editable(text).unwrap_or(text),
            _ => text,
        };
        split_options(text).0
    }

    /// The options of this one requirement: `--hash=…`, `--config-settings=…`.
    pub fn own_options(&self) -> Vec<(String, String)> {
        match self {
            Line::Option(_) => Vec::new(),
            _ => options(split_options(editable(self.text()).unwrap_or(self.text())).1),
        }
    }

    /// `sha256:…` of each file that is allowed; empty where any is.
    pub fn hashes(&self) -> Vec<String> {
        let hashes = self.own_options().into_iter().filter(|(name, _)| name == "--hash");
        hashes.map(|(_, value)| value.to_ascii_lowercase()).collect()
    }

    /// The path as it is written, where the requirement is on this machine: `./lib/foo`, `file:…`, `x.whl`.
    pub fn local_path(&self, environment: &Environment) -> Option<PathBuf> {
        if let Line::Named { requirement, .. } = self {
            let Some(VersionOrUrl::Url(url)) = &requirement.version_or_url else { return None };
            return (url.scheme() == "file").then(|| url.to_file_path().ok())?;
        }
        let Line::Opaque { .. } = self else { return None };
        let text = expand(self.bare(), environment);
        let text = text.split(['#', ';']).next().unwrap_or_default().trim();
        if let Some(path) = text.strip_prefix("file:") {
            return match url::Url::parse(text).ok().filter(|_| path.starts_with("/")) {
                Some(url) => url.to_file_path().ok(),
                None => Some(PathBuf::from(path)),
            };
        }
        let text = match text.split_once('[') {
            Some((path, extras)) if extras.ends_with(']') => path,
            _ => text,
        };
        let is_path = text.contains('/')
            || text.starts_with('.')
            || is_archive(text)
            || editable(self.text()).is_some();
        (is_path && !text.contains("://")).then(|| PathBuf::from(text))
    }

    /// Whether no tool can take it for a requirement: neither a name, nor a URL, nor a path.
    pub fn is_nonsense(&self) -> bool {
        let Line::Opaque { text, .. } = self else { return false };
        let bare = self.bare();
        editable(text).is_none()
            && !bare.contains("://")
            && !bare.contains('/')
            && !bare.starts_with('.')
            && !bare.starts_with("file:")
            && !is_archive(bare.split(['#', ';', '[']).next().unwrap_or_default().trim())
    }
}

/// The requirement of PEP 508 that a text is, where it is one.
///
/// The crate's reader panics at names that end with a mark and at letters in markers that are not ASCII, for which the
/// standard has no meaning, and has no bound for how deep markers nest; so all of it is looked at first.
pub(super) fn requirement(text: &str) -> Option<Requirement<VerbatimUrl>> {
    let (before, marker) = text.split_once(';').unwrap_or((text, ""));
    let is_readable = ends_as_a_name(before)
        && marker.is_ascii()
        && marker.len() <= LONGEST_MARKER
        && marker.matches('(').count() <= DEEPEST_MARKER;
    is_readable.then(|| Requirement::from_str(text).ok()).flatten()
}

/// Whether the name in front, and those between brackets behind it, end with a letter or a digit.
fn ends_as_a_name(text: &str) -> bool {
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let ends_well = |name: &str| !name.ends_with(['-', '_', '.']);
    let text = text.trim_start();
    let rest = text.trim_start_matches(is_of_name);
    let extras =
        rest.trim_start().strip_prefix('[').map_or("", |extras| extras.split(']').next().unwrap_or(""));
    ends_well(&text[..text.len() - rest.len()]) && extras.split(|c| !is_of_name(c)).all(ends_well)
}

/// Those of real packages have some hundred bytes.
const LONGEST_MARKER: usize = 4096;
const DEEPEST_MARKER: usize = 100;

/// What stands behind `-e` or `--editable`.
pub(super) fn editable(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("--editable").or_else(|| text.strip_prefix("-e"))?;
    Some(rest.trim_start_matches(['=', ' ', '\t']))
}

pub(super) fn is_archive(path: &str) -> bool {
    [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar"].iter().any(|end| path.ends_with(end))
}

/// A requirement and its own options: those begin at the first word with a hyphen in front.
fn split_options(text: &str) -> (&str, &str) {
    match text.find(" -") {
        Some(position) => (text[..position].trim(), text[position..].trim()),
        None => (text.trim(), ""),
    }
}

/// Words of options as pairs of name and value: `--hash=x`, `--hash x`, `-ihttps://…`; short names become long.
pub(super) fn options(text: &str) -> Vec<(String, String)> {
    const SHORT: [(&str, &str); 7] = [
        ("-i", "--index-url"),
        ("-f", "--find-links"),
        ("-r", "--requirement"),
        ("-c", "--constraint"),
        ("-C", "--config-settings"),
        ("-e", "--editable"),
        ("--pypi-url", "--index-url"),
    ];
    const FLAGS: [&str; 4] = ["--no-index", "--pre", "--prefer-binary", "--require-hashes"];
    let words = shlex::split(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect());
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let short = SHORT.iter().find(|(short, _)| word.starts_with(short) && !word.starts_with("--"));
        let (name, value) = match (short, word.split_once('=')) {
            (Some((short, long)), _) => {
                let rest = word[short.len()..].trim_start_matches('=').to_owned();
                ((*long).to_owned(), Some(rest).filter(|rest| !rest.is_empty()))
            }
            (None, Some((name, value))) => (name.to_owned(), Some(value.to_owned())),
            (None, None) => (word, None),
        };
        let name = if name == "--pypi-url" { "--index-url".to_owned() } else { name };
        let value = match value {
            Some(value) => value,
            None if FLAGS.contains(&name.as_str()) => String::new(),
            None => words.next_if(|next| !next.starts_with('-')).unwrap_or_default(),
        };
        pairs.push((name, value));
    }
    pairs
}

/// `${NAME}` becomes the variable's value where it has one, as pip does it.
pub(super) fn expand(text: &str, environment: &Environment) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, found) = rest.split_at(start);
        expanded.push_str(before);
        let name = found[2..].split('}').next().unwrap_or_default();
        let is_name = !name.is_empty()
            && name.len() + 3 <= found.len()
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        match environment.text(name).filter(|_| is_name) {
            Some(value) => {
                expanded.push_str(value);
                rest = &found[name.len() + 3..];
            }
            None => {
                expanded.push_str("${");
                rest = &found[2..];
            }
        }
    }
    expanded.push_str(rest);
    expanded
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

/// A path without `.` and `..`, by name alone.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_standard_knows_is_no_requirement_and_ends_nothing() {
        for marker in
            ["extra == 'x'\u{fffd}\u{fffd}", "os_name == 'a' \u{e9}\u{e9}\u{e9}", &"(".repeat(200_000)]
        {
            let text = format!("six ; {marker}");
            assert!(requirement(&text).is_none(), "{marker:.40}");
            assert!(Requirements::parse(&text).lines[0].is_nonsense());
        }
        for text in ["six-==1.0", "six. >= 1", "six_[a]", "six[a-]", "six[b, a.]==1"] {
            assert!(requirement(text).is_none(), "{text}");
            assert!(Requirements::parse(text).lines[0].is_nonsense(), "{text}");
        }
        assert!(requirement("a.b-c_d[e-f, g]>=1.0").is_some());
        assert!(requirement(&format!("six ; {}os_name == 'a'{}", "(".repeat(90), ")".repeat(90))).is_some());
        assert!(requirement("six @ https://x/\u{e9} ; os_name == 'a'").is_some());
    }

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
        let numbers: Vec<usize> =
            numbered(text, &Environment::default()).into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [2, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_requirement_keeps_its_own_options_apart() {
        let lines = Requirements::parse(
            "a==1 \\\n  --hash=sha256:AB \\\n  --hash sha256:cd --config-settings=\"x=y z\"\nb>=1 ; extra == 'x'\n-e ./lib\n",
        )
        .lines;
        assert_eq!(
            (lines[0].bare(), lines[0].hashes()),
            ("a==1", vec!["sha256:ab".into(), "sha256:cd".into()])
        );
        assert!(lines[0].own_options().contains(&("--config-settings".into(), "x=y z".into())));
        assert_eq!((lines[1].bare(), lines[1].hashes()), ("b>=1 ; extra == 'x'", Vec::new()));
        assert_eq!(lines[2].bare(), "./lib");
        let pairs = options("-i https://x -f ./vendor --extra-index-url=https://y --no-index --pre");
        let names: Vec<_> = pairs.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            names,
            [
                "--index-url https://x",
                "--find-links ./vendor",
                "--extra-index-url https://y",
                "--no-index ",
                "--pre "
            ]
        );
        assert_eq!(options("-r'my file.txt'"), [("--requirement".into(), "my file.txt".into())]);
    }

    #[test]
    fn what_is_on_this_machine_is_known_by_its_path() {
        let mut environment = Environment::default();
        environment.set("LIBS", "/opt/libs");
        let path = |text: &str| {
            let (_, line) = numbered(text, &environment).remove(0);
            line.local_path(&environment).map(|path| path.to_string_lossy().into_owned())
        };
        for (text, expected) in [
            ("./lib/foo", "./lib/foo"),
            ("-e ./lib/foo[x]", "./lib/foo"),
            ("--editable=lib", "lib"),
            ("foo-1.0-py3-none-any.whl", "foo-1.0-py3-none-any.whl"),
            ("file:./lib#egg=foo", "./lib"),
            ("file:///srv/a%20b.whl", "/srv/a b.whl"),
            ("foo @ file:///srv/foo", "/srv/foo"),
            ("${LIBS}/foo ; python_version > '3'", "/opt/libs/foo"),
        ] {
            assert_eq!(path(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "flask",
            "flask>=3",
            "git+https://h/x.git",
            "-e git+file:///srv/x",
            "x @ https://h/x.whl",
            "--pre",
        ] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn variables_are_expanded_as_pip_does_it() {
        let mut environment = Environment::default();
        environment.set("TOKEN", "s3cret");
        environment.set("EMPTY", "");
        for (text, expected) in [
            ("https://${TOKEN}@h/simple", "https://s3cret@h/simple"),
            ("${EMPTY}${NO_SUCH}", "${EMPTY}${NO_SUCH}"),
            ("$TOKEN ${token} ${TOKEN", "$TOKEN ${token} ${TOKEN"),
            ("${${TOKEN}", "${s3cret"),
        ] {
            assert_eq!(expand(text, &environment), expected);
        }
    }

    #[test]
    fn what_is_neither_a_name_nor_a_place_is_nonsense() {
        for (text, expected) in [
            (";;", true),
            ("flask>>3", true),
            ("!", true),
            ("flask", false),
            ("./x", false),
            ("x.whl", false),
        ] {
            assert_eq!(Requirements::parse(text).lines[0].is_nonsense(), expected, "{text}");
        }
    }
}
