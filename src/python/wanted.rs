//! What a plugin asks for: its requirement file and every file that this includes, at any depth.

use std::fmt;
use std::path::{Path, PathBuf};

use super::decode::decode;
use super::requirements::{Line, numbered, options, plain};
use crate::digest::Digest;
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::site::Environment;
use crate::text;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::place(&self.file, self.line, None))
    }
}

/// A line and its place.
#[derive(Debug, Clone)]
pub struct Stated {
    pub line: Line,
    pub place: Place,
}

/// The lines of a text with their places.
pub fn stated(content: &str, file: &Path, environment: &Environment) -> Vec<Stated> {
    let lines = numbered(content, environment).into_iter();
    lines.map(|(line, text)| Stated { line: text, place: Place { file: file.to_owned(), line } }).collect()
}

/// Requirements with all that they include. An included file is looked for beside the file that names it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub requirements: Vec<Stated>,
    /// From `-c` files: versions for what is required elsewhere.
    pub constraints: Vec<Stated>,
    /// All options but those that include files.
    pub options: Vec<Stated>,
    /// Every file that was read, the first one first.
    pub files: Vec<PathBuf>,
    /// What the files mean, without comments and line ends.
    meaning: String,
    /// Lines that include what is not there.
    absent: Vec<Problem>,
    /// How often a file was read: each may be named many times, and name others many times.
    reads: usize,
}

/// More files, or the same ones more often, than anybody includes.
const MOST_READS: usize = 1000;
/// Files that include one another so deep.
const DEEPEST: usize = 50;

impl Wanted {
    /// `None` where there is no such file. That a file which another one names is missing is an error.
    pub fn read(file: &Path, environment: &Environment) -> Result<Option<Wanted>> {
        let mut wanted = Wanted::default();
        let Some(content) = fs::read_optional_within(file, fs::MOST_TEXT)? else { return Ok(None) };
        wanted.add(file, &content, false, &mut Vec::new(), environment)?;
        wanted.complete()?;
        Ok(Some(wanted))
    }

    /// The lines of `file` as constraints, those of its includes too.
    pub fn add_constraints(&mut self, file: &Path, environment: &Environment) -> Result<()> {
        self.add(file, &fs::read(file)?, true, &mut Vec::new(), environment)?;
        self.complete()
    }

    /// Where an included file is not there, that and whatever else is wrong is told at once.
    fn complete(&self) -> Result<()> {
        if self.absent.is_empty() {
            return Ok(());
        }
        let lines = self.requirements.iter().chain(&self.constraints);
        Err(Error::many(Fault::Input, self.absent.iter().cloned().chain(lines.flat_map(mistakes)).collect()))
    }

    fn add(
        &mut self,
        file: &Path,
        content: &[u8],
        as_constraints: bool,
        open: &mut Vec<PathBuf>,
        environment: &Environment,
    ) -> Result<()> {
        let file = &plain(file);
        if open.contains(file) {
            return Ok(());
        }
        let content = decode(content).map_err(|encoding| {
            Error::input(format!("{}: found bytes that are not {encoding}", text::path(file)))
                .hint(
                "save the file as UTF-8, or state in its first line that it is in latin-1, iso-8859-15 or cp1252: \
                 `# -*- coding: latin-1 -*-`",
            )
        })?;
        self.reads += 1;
        if self.reads > MOST_READS || open.len() > DEEPEST {
            let first = open.first().unwrap_or(file);
            return Err(Error::input(format!(
                "{}: the files that it includes are read more than {MOST_READS} times, or include one another more \
                 than {DEEPEST} deep",
                text::path(first)
            ))
            .hint("name each file once"));
        }
        open.push(file.clone());
        if !self.files.contains(file) {
            self.files.push(file.clone());
        }
        for (number, line) in numbered(&content, environment) {
            let place = Place { file: file.clone(), line: number };
            self.meaning.push_str(line.text());
            self.meaning.push('\n');
            let Some(option) = line.as_option() else {
                let list = if as_constraints { &mut self.constraints } else { &mut self.requirements };
                list.push(Stated { line, place });
                continue;
            };
            match included(option, environment) {
                Some((name, is_constraint)) => {
                    let path = file.parent().unwrap_or(Path::new("")).join(&name);
                    let Some(content) = fs::read_optional_within(&path, fs::MOST_TEXT)? else {
                        let message = format!("{place}: {} is not there", text::path(&path));
                        let hint = "a file is looked for beside the file that names it; correct the path, or make the file";
                        self.absent.push(Problem { message, hint: Some(hint.to_owned()) });
                        continue;
                    };
                    self.add(&path, &content, as_constraints || is_constraint, open, environment)?;
                }
                None => self.options.push(Stated { line, place }),
            }
        }
        open.pop();
        Ok(())
    }

    /// Requirements of projects and files that are not there; those of `directory` are looked for, and what is beside
    /// the file that states them.
    pub fn absent_paths(&self, directory: &Path, environment: &Environment) -> Vec<Problem> {
        let is_there = |stated: &Stated, path: &Path| {
            let beside = stated.place.file.parent().unwrap_or(Path::new(""));
            directory.join(path).exists() || beside.join(path).exists()
        };
        let absent = self.requirements.iter().filter(|stated| {
            !stated.line.is_nonsense()
                && stated.line.local_path(environment).is_some_and(|path| !is_there(stated, &path))
        });
        absent.map(absent_path).collect()
    }

    /// Whether there is nothing to install.
    pub fn is_empty(&self) -> bool {
        // What an address includes is for a tool to read.
        self.requirements.is_empty()
            && !self
                .options
                .iter()
                .any(|stated| stated.line.text().contains("://") && stated.line.text().starts_with("-r"))
    }

    /// What the files mean: comments, empty lines, line ends and spaces at line ends do not count.
    pub fn digest(&self) -> Digest {
        Digest::of(self.meaning.as_bytes())
    }

    /// Lines that no tool can understand, all at once.
    pub fn check(&self) -> Result<()> {
        let lines = self.requirements.iter().chain(&self.constraints);
        let problems: Vec<Problem> = lines.flat_map(mistakes).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::many(Fault::Input, problems)) }
    }
}

/// A requirement of a project or a file that is not there.
pub(super) fn absent_path(stated: &Stated) -> Problem {
    Problem {
        message: format!("{}: `{}` is not there", stated.place, text::visible(stated.line.text())),
        hint: Some(
            "a path is relative to `python3_virtualenv_sources`; correct it, or put the project there"
                .to_owned(),
        ),
    }
}

/// What no tool can understand in a line.
fn mistakes(stated: &Stated) -> Vec<Problem> {
    let shown = |text: &str| text::visible(text);
    let mut problems = Vec::new();
    if stated.line.is_nonsense() {
        problems.push(Problem {
            message: format!(
                "{}: found `{}`, which is no requirement; a name, a URL and a path are allowed",
                stated.place,
                shown(stated.line.text())
            ),
            hint: Some("write it as `flask>=3`, `name @ https://…` or `./lib/name`".to_owned()),
        });
    }
    for hash in stated.line.hashes().iter().filter(|hash| !is_hash(hash)) {
        problems.push(Problem {
            message: format!(
                "{}: found the hash `{}`; `sha256:`, `sha384:` or `sha512:` and its digits are allowed",
                stated.place,
                shown(hash)
            ),
            hint: Some("`pip hash FILE` prints that of a file".to_owned()),
        });
    }
    problems
}

/// As pip takes it.
fn is_hash(hash: &str) -> bool {
    let Some((name, digits)) = hash.split_once(':') else { return false };
    let length = match name {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The file that a line includes, and whether as constraints.
fn included(option: &str, environment: &Environment) -> Option<(String, bool)> {
    let (name, value) = options(option).into_iter().next()?;
    let is_constraint = match name.as_str() {
        "--requirement" => false,
        "--constraint" => true,
        _ => return None,
    };
    let value = super::requirements::expand(&value, environment);
    let value = value.strip_prefix("file://").map_or(value.as_str(), |path| path).to_owned();
    (!value.contains("://")).then_some((value, is_constraint))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new(files: &[(&str, &str)]) -> Files {
            let dir = tempfile::tempdir().unwrap();
            for (name, content) in files {
                let path = dir.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write_atomic(&path, content.as_bytes()).unwrap();
            }
            Files(dir)
        }

        fn wanted(&self) -> Result<Wanted> {
            Wanted::read(&self.0.path().join("r.txt"), &Environment::default()).map(Option::unwrap)
        }
    }

    fn texts(lines: &[Stated]) -> Vec<&str> {
        lines.iter().map(|stated| stated.line.text()).collect()
    }

    #[test]
    fn included_files_are_relative_to_the_file_that_names_them() {
        let files = Files::new(&[
            ("r.txt", "a\n-r sub/one.txt\n-c limits.txt\n--pre\nb"),
            ("sub/one.txt", "c\n--requirement=two.txt\n-r'../with space.txt'"),
            ("sub/two.txt", "# nothing\nd\n-r ../r.txt"),
            ("with space.txt", "e"),
            ("limits.txt", "f<2\n-r sub/more.txt"),
            ("sub/more.txt", "g<3"),
        ]);
        let wanted = files.wanted().unwrap();
        assert_eq!(texts(&wanted.requirements), ["a", "c", "d", "e", "b"]);
        assert_eq!(texts(&wanted.constraints), ["f<2", "g<3"]);
        assert_eq!(texts(&wanted.options), ["--pre"]);
        let names: Vec<_> = wanted.files.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(names, ["r.txt", "one.txt", "two.txt", "with space.txt", "limits.txt", "more.txt"]);
        assert!(wanted.requirements[2].place.to_string().ends_with("sub/two.txt:2"));
    }

    #[test]
    fn an_included_file_that_is_missing_is_named_with_its_line() {
        let error = Files::new(&[("r.txt", "a\n-r no.txt\n")]).wanted().unwrap_err().to_string();
        assert!(error.contains("r.txt:2: ") && error.contains("no.txt` is not there"), "{error}");
    }

    #[test]
    fn files_that_include_one_another_over_and_over_are_refused() {
        let twice: Vec<(String, String)> =
            (0..40).map(|n| (format!("{n}.txt"), format!("-r {0}.txt\n-r {0}.txt\n", n + 1))).collect();
        let deep: Vec<(String, String)> =
            (0..1000).map(|n| (format!("{n}.txt"), format!("-r {}.txt", n + 1))).collect();
        for mut files in [twice, deep] {
            files.push((format!("{}.txt", files.len()), "six".into()));
            files.push(("r.txt".into(), "-r 0.txt".into()));
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
            let error = Files::new(&files).wanted().unwrap_err().to_string();
            assert!(error.contains("r.txt`: the files that it includes"), "{error}");
        }
    }

    #[test]
    fn the_digest_tells_what_the_files_mean() {
        let digest = |text: &str, more: &str| {
            Files::new(&[("r.txt", text), ("m.txt", more)]).wanted().unwrap().digest()
        };
        assert_eq!(
            digest("flask\nsix\n-r m.txt", "a"),
            digest("# web\r\nflask  \r\n\r\nsix # old\n-r m.txt", "# x\na")
        );
        assert_ne!(digest("flask\n", ""), digest("flask>=2\n", ""));
        assert_ne!(digest("-r m.txt", "a"), digest("-r m.txt", "b"));
    }

    #[test]
    fn nothing_but_comments_and_options_is_empty() {
        for (text, is_empty) in
            [("# nothing\n\n--index-url https://x/simple", true), ("-r m.txt", true), ("six", false)]
        {
            assert_eq!(
                Files::new(&[("r.txt", text), ("m.txt", "")]).wanted().unwrap().is_empty(),
                is_empty,
                "{text}"
            );
        }
    }

    #[test]
    fn every_line_that_means_nothing_is_named() {
        let error = Files::new(&[("r.txt", "six\n;;\nflask>>3\n")]).wanted().unwrap().check().unwrap_err();
        assert_eq!(error.problems.len(), 2);
        assert!(error.problems[0].message.contains("r.txt:2: found `;;`"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn comments_and_space_never_change_the_meaning_and_names_always_do(
            names in proptest::collection::vec("[a-z]{1,6}", 1..6),
            noise in proptest::collection::vec("( |\t)*(#[a-z ]*)?", 6),
        ) {
            let plain = names.join("\n");
            let noisy: Vec<String> =
                names.iter().zip(&noise).map(|(name, noise)| format!("{noise}\n{name} {noise}\r")).collect();
            let digest = |text: &str| Files::new(&[("r.txt", text)]).wanted().unwrap().digest();
            proptest::prop_assert_eq!(digest(&plain), digest(&noisy.join("\n")));
            proptest::prop_assert_ne!(digest(&plain), digest(&format!("{plain}\nmore")));
        }
    }
}
