//! The tree that is shipped: walks the plugin's directory, several directories at a time.
//!
//! What cannot be in a `.plugin` file is refused here, all of it at once: names that are not UTF-8 or hold
//! control characters (`.files.json` cannot list them), links that lead out of the plugin, sockets, devices.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::LABEL;
use super::exclude::{Exclusions, Verdict};
use super::links::{self, Links};
use crate::error::{Error, Fault, Problem, Result};
use crate::text;

/// More of the same kind is no help.
const MAX_PROBLEMS: usize = 20;

/// One entry of the shipped tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Relative to the plugin's directory, with `/` between.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// In seconds since 1970.
    pub(super) modified: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { executable: bool, stat: Stat },
    Link { target: String },
}

/// What tells whether a file changed since it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) size: u64,
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stat {
    pub(super) fn of(metadata: &Metadata) -> Stat {
        Stat {
            size: metadata.size(),
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(size: u64) -> Stat {
        Stat { size, device: 0, inode: 0, modified: (0, 0), changed: (0, 0) }
    }
}

/// The shipped tree, in byte order of the paths.
pub(super) struct Tree {
    pub(super) label: Node,
    /// Everything but the label.
    pub(super) nodes: Vec<Node>,
    pub(super) warnings: Vec<Problem>,
}

impl Tree {
    pub(super) fn walk(dir: &Path, exclusions: &Exclusions<'_>) -> Result<Tree> {
        let walk = Walk { dir, exclusions };
        let mut found = walk.directory("");
        found.nodes.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let mut problems = found.problems;
        check_links(&found.nodes, &mut problems);
        check_cases(&found.nodes, &mut problems);
        if let Some(error) = found.errors.into_iter().next() {
            return Err(error);
        }
        if !problems.is_empty() {
            problems.sort_by(|a, b| a.message.cmp(&b.message));
            let more = problems.len().saturating_sub(MAX_PROBLEMS);
            problems.truncate(MAX_PROBLEMS);
            if more > 0 {
                problems.push(Problem {
                    message: format!("and {} more", text::count(more, "problem")),
                    hint: None,
                });
            }
            return Err(Error::many(Fault::Input, problems));
        }
        let label = found.nodes.iter().position(|node| node.path == LABEL);
        let label = label.ok_or_else(|| Error::input(format!("{} has no `{LABEL}`", text::path(dir))))?;
        let label = found.nodes.remove(label);
        found.warnings.sort_by(|a, b| a.message.cmp(&b.message));
        Ok(Tree { label, nodes: found.nodes, warnings: found.warnings })
    }
}

/// What a directory and everything below it gave.
#[derive(Default)]
struct Found {
    nodes: Vec<Node>,
    warnings: Vec<Problem>,
    problems: Vec<Problem>,
    errors: Vec<Error>,
    /// There were entries, and the caller takes care of every one of them.
    all_left_to_caller: bool,
}

impl Found {
    fn add(&mut self, other: Found) {
        self.nodes.extend(other.nodes);
        self.warnings.extend(other.warnings);
        self.problems.extend(other.problems);
        self.errors.extend(other.errors);
    }

    fn refuse(&mut self, message: String, hint: &str) {
        self.problems.push(Problem { message, hint: Some(hint.to_owned()) });
    }
}

struct Walk<'a> {
    dir: &'a Path,
    exclusions: &'a Exclusions<'a>,
}

impl Walk<'_> {
    fn directory(&self, relative: &str) -> Found {
        let mut found = Found::default();
        let absolute = self.dir.join(relative);
        let entries = match std::fs::read_dir(&absolute).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                found.errors.push(Error::io("list", &absolute, &error));
                return found;
            }
        };
        let compiled = entries.iter().any(|entry| entry.file_name().as_bytes().ends_with(b".pyc"));
        let siblings = compiled.then(|| entries.iter().map(DirEntry::file_name).collect());
        let mut left_to_caller = 0;
        let mut directories = Vec::new();
        for entry in &entries {
            match self.entry(relative, entry, siblings.as_ref(), &mut found) {
                Some(Outcome::LeftToCaller) => left_to_caller += 1,
                Some(Outcome::Directory(node)) => directories.push(node),
                None => {}
            }
        }
        let below: Vec<(Node, Found)> = directories
            .into_par_iter()
            .map(|node| {
                let below = self.directory(&node.path);
                (node, below)
            })
            .collect();
        for (node, below) in below {
            if below.all_left_to_caller {
                left_to_caller += 1;
            } else {
                found.nodes.push(node);
            }
            found.add(below);
        }
        found.all_left_to_caller = !entries.is_empty() && left_to_caller == entries.len();
        found
    }

    fn entry(
        &self,
        relative: &str,
        entry: &DirEntry,
        siblings: Option<&HashSet<OsString>>,
        found: &mut Found,
    ) -> Option<Outcome> {
        let raw_name = entry.file_name();
        let name = raw_name.to_string_lossy();
        let name = name.as_ref();
        let path = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                found.errors.push(Error::io("read", &self.dir.join(&path), &error));
                return None;
            }
        };
        let has_source = || {
            let source = name.strip_suffix('c').unwrap_or(name);
            siblings.is_some_and(|names| names.contains(OsStr::new(source)))
        };
        match self.exclusions.judge(&path, kind.is_dir(), has_source) {
            Verdict::Ship => {}
            Verdict::ShipRequired => found.warnings.push(Problem {
                message: format!(
                    "`.releaseignore` excludes `{path}`, which is shipped all the same: a plugin needs it"
                ),
                hint: Some("take it out of `.releaseignore`".to_owned()),
            }),
            Verdict::Leave => return None,
            Verdict::LeaveToCaller => return Some(Outcome::LeftToCaller),
        }
        if raw_name.to_str().is_none() {
            found.refuse(
                format!(
                    "{}: found a name that is not UTF-8",
                    text::path(&Path::new(relative).join(&raw_name))
                ),
                "rename it, or exclude it in `.releaseignore`; `.files.json` can hold UTF-8 names only",
            );
            return None;
        }
        if name.chars().any(char::is_control) {
            found.refuse(
                format!("{}: found a control character in the name", text::path(Path::new(&path))),
                "rename it, or exclude it in `.releaseignore`",
            );
            return None;
        }
        match self.node(path, entry, found) {
            Ok(Some(node)) if node.kind == Kind::Directory => Some(Outcome::Directory(node)),
            Ok(Some(node)) => {
                found.nodes.push(node);
                None
            }
            Ok(None) => None,
            Err(error) => {
                found.errors.push(error);
                None
            }
        }
    }

    fn node(&self, path: String, entry: &DirEntry, found: &mut Found) -> Result<Option<Node>> {
        let absolute = || -> PathBuf { self.dir.join(&path) };
        let metadata = entry.metadata().map_err(|error| unreadable(&absolute(), &error))?;
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File { executable: metadata.mode() & 0o100 != 0, stat: Stat::of(&metadata) }
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(absolute()).map_err(|error| unreadable(&absolute(), &error))?;
            match target.to_str().filter(|target| !target.chars().any(char::is_control)) {
                Some(target) => Kind::Link { target: target.to_owned() },
                None => {
                    let message = format!("`{path}`: found a link to {}", text::path(&target));
                    found.refuse(
                        message,
                        "give it a target in plain UTF-8, or exclude it in `.releaseignore`",
                    );
                    return Ok(None);
                }
            }
        } else {
            let message =
                format!("`{path}`: found a {}; files, directories and links are allowed", special(&metadata));
            found.refuse(message, "remove it, or exclude it in `.releaseignore`");
            return Ok(None);
        };
        Ok(Some(Node { path, kind, modified: metadata.mtime() }))
    }
}

enum Outcome {
    Directory(Node),
    LeftToCaller,
}

fn special(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_socket() {
        "socket"
    } else if kind.is_fifo() {
        "named pipe"
    } else {
        "device"
    }
}

/// A file that another process removed or replaced while we look is not the machine's fault.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => changed(path, "vanished"),
        _ => Error::io("read", path, error),
    }
}

pub(super) fn changed(path: &Path, what: &str) -> Error {
    Error::input(format!("{} {what} while it was packed", text::path(path)))
        .hint("run the same command again when nothing writes in the plugin's directory")
}

fn check_links(nodes: &[Node], problems: &mut Vec<Problem>) {
    let links: Links<'_> = nodes
        .iter()
        .filter_map(|node| match &node.kind {
            Kind::Link { target } => Some((node.path.as_str(), target.as_str())),
            _ => None,
        })
        .collect();
    for (path, astray) in links::check(&links) {
        let target = links[path];
        problems.push(Problem {
            message: format!("`{path}`: found a link to `{target}`, {}", astray.reason()),
            hint: Some(
                "make it a relative link to something in the plugin, put a copy there, or exclude it in `.releaseignore`"
                    .to_owned(),
            ),
        });
    }
}

/// The installer refuses names that differ in case alone: on some file systems one would overwrite the other.
fn check_cases(nodes: &[Node], problems: &mut Vec<Problem>) {
    let mut seen: HashMap<String, &str> = HashMap::with_capacity(nodes.len());
    for node in nodes {
        if let Some(other) = seen.insert(node.path.to_lowercase(), &node.path) {
            problems.push(Problem {
                message: format!("found `{other}` and `{}`: the names differ in case alone", node.path),
                hint: Some("rename one of them, or exclude it in `.releaseignore`".to_owned()),
            });
        }
    }
}
