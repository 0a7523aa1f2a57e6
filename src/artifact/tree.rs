//! The tree that is shipped: walks the plugin's directory, several directories at a time.
//!
//! What cannot be in a `.plugin` file is refused here, all of it at once: names that are not UTF-8 or hold
//! control characters (`.files.json` cannot list them), endless links, sockets, devices, and what is beyond the limits
//! that hold when the file is installed.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::exclude::{Exclusions, Ruling, Verdict};
use super::header::mode_of;
use super::limits::Limits;
use super::links::{self, Links};
use super::{LABEL, ROOT, policy};
use crate::error::{Error, Fault, Problem, Result};
use crate::fs::{Directory, Seen, Stat};
use crate::text;
use crate::threads;

/// More of the same kind is no help.
const MAX_PROBLEMS: usize = 20;

/// One entry of the shipped tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Relative to the plugin's directory, with `/` between.
    pub(super) path: String,
    pub(super) kind: NodeKind,
    /// In seconds since 1970.
    pub(super) modified: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeKind {
    Directory {
        mode: u32,
    },
    /// The mode is that in the archive.
    File {
        mode: u32,
        stat: Stat,
    },
    Link {
        target: String,
    },
}

impl Node {
    pub(super) fn size(&self) -> u64 {
        match &self.kind {
            NodeKind::File { stat, .. } => stat.size,
            NodeKind::Directory { .. } | NodeKind::Link { .. } => 0,
        }
    }
}

/// The shipped tree, in the order of its members: of each directory first the directories, then the files by their
/// extensions, and then what is in those directories. Files of one kind in one place have much in common, and are the
/// smaller for it when they are compressed one after the other.
pub(super) struct Tree {
    pub(super) label: Node,
    /// Everything but the label.
    pub(super) nodes: Vec<Node>,
    pub(super) warnings: Vec<Problem>,
}

/// What the walk found, good or not.
pub(super) struct Survey {
    /// As in [`Tree`].
    pub(super) nodes: Vec<Node>,
    /// Sorted, and no more of them than are of help.
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Tree {
    pub(super) fn walk(dir: &Path, exclusions: &Exclusions<'_>, limits: &Limits) -> Result<Tree> {
        let Survey { mut nodes, problems, warnings } = Survey::of(dir, exclusions, limits)?;
        if !problems.is_empty() {
            return Err(Error::many(Fault::Input, problems));
        }
        let label = nodes.iter().position(|node| node.path == LABEL);
        let label = label.ok_or_else(|| {
            Error::input(format!("{} has no `{LABEL}`", text::path(dir)))
                .hint("name the directory of a plugin")
        })?;
        let label = nodes.remove(label);
        Ok(Tree { label, nodes, warnings })
    }

    /// Files and links, the label's first.
    pub(super) fn files(&self) -> impl Iterator<Item = &Node> {
        let is_file = |node: &&Node| !matches!(node.kind, NodeKind::Directory { .. });
        std::iter::once(&self.label).chain(self.nodes.iter().filter(is_file))
    }
}

impl Survey {
    pub(super) fn of(dir: &Path, exclusions: &Exclusions<'_>, limits: &Limits) -> Result<Survey> {
        let walk = Walk { dir, exclusions };
        let mut found = Found::default();
        walk.directory("", Ruling::default()).flatten_into(&mut found);
        let Found { nodes, mut warnings, mut problems, errors, .. } = found;
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        check_links(&nodes, &mut problems, &mut warnings);
        check_limits(&nodes, limits, &mut problems);
        warnings.sort_by(|a, b| a.message.cmp(&b.message));
        problems.sort_by(|a, b| a.message.cmp(&b.message));
        let more = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        if more > 0 {
            problems
                .push(Problem { message: format!("and {} more", text::count(more, "problem")), hint: None });
        }
        Ok(Survey { nodes, problems, warnings })
    }
}

/// What a directory gave.
#[derive(Default)]
struct Found {
    nodes: Vec<Node>,
    warnings: Vec<Problem>,
    problems: Vec<Problem>,
    errors: Vec<Error>,
    /// What its directories gave.
    below: Vec<Found>,
    /// There were entries, and the caller takes care of every one of them.
    all_left_to_caller: bool,
}

impl Found {
    /// With everything below, in the order of the members.
    fn flatten_into(self, all: &mut Found) {
        all.nodes.extend(self.nodes);
        all.warnings.extend(self.warnings);
        all.problems.extend(self.problems);
        all.errors.extend(self.errors);
        self.below.into_iter().for_each(|below| below.flatten_into(all));
    }

    fn holds_nothing(&self) -> bool {
        self.nodes.is_empty() && self.below.iter().all(Found::holds_nothing)
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
    fn directory(&self, relative: &str, ruling: Ruling) -> Found {
        let mut found = Found::default();
        let absolute = self.dir.join(relative);
        let listed = match Directory::list(&absolute) {
            Ok(listed) => listed,
            Err(error) => {
                found.errors.push(Error::io("list", &absolute, &error));
                return found;
            }
        };
        let compiled = listed.names().any(|name| name.to_bytes().ends_with(b".pyc"));
        let siblings = compiled.then(|| listed.names().map(CStr::to_bytes).collect());
        let mut left_to_caller = 0;
        let (mut directories, mut files) = (Vec::new(), Vec::new());
        for (name, is_directory) in listed.entries() {
            let place = Place { relative, listed: &listed, name };
            match self.entry(&place, is_directory, ruling, siblings.as_ref(), &mut found) {
                Some(Outcome::LeftToCaller) => left_to_caller += 1,
                Some(Outcome::Directory(directory)) => directories.push(directory),
                Some(Outcome::File(node)) => files.push(node),
                None => {}
            }
        }
        // A thread may be in the middle of many directories: none of them is kept open.
        let entries = listed.count();
        drop(listed);
        directories.sort_unstable_by(|a, b| a.node.path.cmp(&b.node.path));
        let below = threads::map(directories, 1, |directory| {
            let below = self.directory(&directory.node.path, directory.ruling);
            (directory, below)
        });
        for (directory, below) in below {
            if below.all_left_to_caller {
                left_to_caller += 1;
            } else if !directory.only_if_needed || !below.holds_nothing() {
                found.nodes.push(directory.node);
            }
            found.below.push(below);
        }
        found.nodes.extend(by_extension(files, relative));
        found.all_left_to_caller = entries > 0 && left_to_caller == entries;
        found
    }

    fn entry(
        &self,
        place: &Place<'_>,
        is_directory: io::Result<bool>,
        ruling: Ruling,
        siblings: Option<&HashSet<&[u8]>>,
        found: &mut Found,
    ) -> Option<Outcome> {
        let path = place.path();
        let is_directory = match is_directory {
            Ok(is_directory) => is_directory,
            Err(error) => {
                found.errors.push(Error::io("read", &self.dir.join(&path), &error));
                return None;
            }
        };
        let has_source = || {
            let source = place.name.to_bytes().strip_suffix(b"c").unwrap_or(place.name.to_bytes());
            siblings.is_some_and(|names| names.contains(source))
        };
        let (verdict, ruling) = self.exclusions.judge(&path, is_directory, ruling, has_source);
        match verdict {
            Verdict::Ship | Verdict::LeaveButLookInto => {}
            Verdict::ShipRequired => found.warnings.push(Problem {
                message: format!(
                    "`.releaseignore` excludes `{path}`, which is shipped all the same: a plugin needs it"
                ),
                hint: Some("take it out of `.releaseignore`".to_owned()),
            }),
            Verdict::Leave => return None,
            Verdict::LeaveToCaller => return Some(Outcome::LeftToCaller),
        }
        let Ok(name) = place.name.to_str() else {
            let raw = OsStr::from_bytes(place.name.to_bytes());
            found.refuse(
                format!(
                    "{}: found a name that is not UTF-8",
                    text::path(&Path::new(place.relative).join(raw))
                ),
                "rename it, or exclude it in `.releaseignore`; `.files.json` can hold UTF-8 names only",
            );
            return None;
        };
        if name.chars().any(char::is_control) {
            found.refuse(
                format!("{}: found a control character in the name", text::path(Path::new(&path))),
                "rename it, or exclude it in `.releaseignore`",
            );
            return None;
        }
        match self.node(path, place, found) {
            Ok(Some(node)) if matches!(node.kind, NodeKind::Directory { .. }) => {
                let only_if_needed = verdict == Verdict::LeaveButLookInto;
                Some(Outcome::Directory(Subdirectory { node, ruling, only_if_needed }))
            }
            Ok(node) => node.map(Outcome::File),
            Err(error) => {
                found.errors.push(error);
                None
            }
        }
    }

    fn node(&self, path: String, place: &Place<'_>, found: &mut Found) -> Result<Option<Node>> {
        let absolute = || -> PathBuf { self.dir.join(&path) };
        let Seen { stat, seconds } =
            place.listed.look_at(place.name).map_err(|error| unreadable(&absolute(), &error))?;
        let kind = if stat.is_dir() {
            NodeKind::Directory { mode: mode_of(stat.mode, true) }
        } else if stat.is_file() {
            NodeKind::File { mode: mode_of(stat.mode, false), stat }
        } else if stat.is_link() {
            let target = std::fs::read_link(absolute()).map_err(|error| unreadable(&absolute(), &error))?;
            match target.to_str().filter(|target| !target.chars().any(char::is_control)) {
                Some(target) => NodeKind::Link { target: target.to_owned() },
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
                format!("`{path}`: found a {}; files, directories and links are allowed", special(stat));
            found.refuse(message, "remove it, or exclude it in `.releaseignore`");
            return Ok(None);
        };
        Ok(Some(Node { path, kind, modified: seconds }))
    }
}

/// A name in a directory that is walked.
struct Place<'a> {
    /// The directory, relative to the plugin's.
    relative: &'a str,
    listed: &'a Directory,
    name: &'a CStr,
}

impl Place<'_> {
    /// Relative to the plugin's directory; where it is no UTF-8 with other characters in between.
    fn path(&self) -> String {
        let name = self.name.to_string_lossy();
        if self.relative.is_empty() {
            return name.into_owned();
        }
        let mut path = String::with_capacity(self.relative.len() + 1 + name.len());
        path.push_str(self.relative);
        path.push('/');
        path.push_str(&name);
        path
    }
}

/// The files of the directory `relative`, by their extensions and then by their names.
fn by_extension(files: Vec<Node>, relative: &str) -> impl Iterator<Item = Node> {
    let name_at = if relative.is_empty() { 0 } else { relative.len() + 1 };
    let extension_at =
        |node: &Node| node.path[name_at..].rfind('.').map_or(node.path.len(), |dot| name_at + dot + 1);
    let mut files: Vec<(usize, Node)> = files.into_iter().map(|node| (extension_at(&node), node)).collect();
    files.sort_unstable_by(|(a_at, a), (b_at, b)| {
        let by_extension = a.path.as_bytes()[*a_at..].cmp(&b.path.as_bytes()[*b_at..]);
        by_extension.then_with(|| a.path.as_bytes()[name_at..].cmp(&b.path.as_bytes()[name_at..]))
    });
    files.into_iter().map(|(_, node)| node)
}

enum Outcome {
    Directory(Subdirectory),
    /// A file or a link.
    File(Node),
    LeftToCaller,
}

/// A directory to be entered.
struct Subdirectory {
    node: Node,
    ruling: Ruling,
    /// It is shipped only where something below it is.
    only_if_needed: bool,
}

fn special(stat: Stat) -> &'static str {
    match FileType::from_raw_mode(stat.mode) {
        FileType::Socket => "socket",
        FileType::Fifo => "named pipe",
        _ => "device",
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

/// A link that leads out may be meant: the machine that installs it decides, but for those that no machine takes.
fn check_links(nodes: &[Node], problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let links: Links<'_> = nodes
        .iter()
        .filter_map(|node| match &node.kind {
            NodeKind::Link { target } => Some((node.path.as_str(), target.as_str())),
            _ => None,
        })
        .collect();
    for (path, astray) in links::check(&links) {
        let target = links[path];
        let message = format!("`{path}`: found a link to `{target}`, {}", astray.reason());
        if astray.is_external() && policy::is_written_by_us(path) {
            let hint =
                "put what it leads to in its place: the installation itself reads or writes there".to_owned();
            problems.push(Problem { message, hint: Some(hint) });
        } else if astray.is_external() {
            warnings.push(Problem {
                message,
                hint: Some(
                    "it is installed with `--allow-external-links` alone; better make it in `postinstall`, or name the \
                     place by a key of `[custom]`, which each machine can override"
                        .to_owned(),
                ),
            });
        } else {
            let hint = "correct the link, or exclude it in `.releaseignore`".to_owned();
            problems.push(Problem { message, hint: Some(hint) });
        }
    }
}

/// What is packed is installed: the same limits hold on both sides.
fn check_limits(nodes: &[Node], limits: &Limits, problems: &mut Vec<Problem>) {
    const LEAVE: &str = "leave it out with `.releaseignore`";
    let raise = |setting: String| {
        format!("{LEAVE}, or set `{}={setting}` here and where it is installed", Limits::VARIABLE)
    };
    let mut refuse = |message: String, hint: String| problems.push(Problem { message, hint: Some(hint) });
    let (mut bytes, mut names) = (0_u64, 0_usize);
    let mut path = String::new();
    for node in nodes {
        if let Some(fault) = path_fault(node, &mut path, limits) {
            refuse(fault, LEAVE.to_owned());
        }
        if let NodeKind::Link { target } = &node.kind {
            names += target.len();
            if target.len() > limits.path {
                let fault = format!("`{}`: found a link of more than {} bytes", node.path, limits.path);
                refuse(fault, LEAVE.to_owned());
            }
        }
        names += node.path.len();
        bytes = bytes.saturating_add(node.size());
    }
    if bytes > limits.bytes
        && let Some(largest) = nodes.iter().max_by_key(|node| node.size())
    {
        let message = format!(
            "`{}` has {}, and all files have {}; at most {} are installed",
            largest.path,
            text::size(largest.size()),
            text::size(bytes),
            text::size(limits.bytes)
        );
        refuse(message, raise(format!("bytes={bytes}")));
    }
    // Label, metadata, list of files and manifest come on top.
    let members = nodes.len() + 4;
    if members > limits.members || names > limits.names {
        let (most, fullest) = fullest(nodes);
        let (found, allowed, setting) = if members > limits.members {
            let found = format!("{members} files, directories and links");
            (found, limits.members.to_string(), format!("members={members}"))
        } else {
            let found = format!("{} of names", text::size(names as u64));
            (found, text::size(limits.names as u64), format!("names={names}"))
        };
        let message =
            format!("`{fullest}` has {most} of the plugin's {found}; at most {allowed} are installed");
        refuse(message, raise(setting));
    }
}

/// `path` is used to put its path in the archive together.
fn path_fault(node: &Node, path: &mut String, limits: &Limits) -> Option<String> {
    path.clear();
    path.extend([ROOT, "/", &node.path]);
    if matches!(node.kind, NodeKind::Directory { .. }) {
        path.push('/');
    }
    let fault = limits.path_fault(path)?;
    let shown: String = node.path.chars().take(300).collect();
    Some(format!("`{shown}`: found {fault}"))
}

/// Which entry of the plugin's directory holds the most members, and how many.
fn fullest(nodes: &[Node]) -> (usize, &str) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for node in nodes {
        let top = node.path.split('/').next().unwrap_or_default();
        *counts.entry(top).or_default() += 1;
    }
    let most = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)));
    most.map_or((0, ""), |(top, count)| (count, top))
}
