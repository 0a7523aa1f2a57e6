//! What an archive may put into a plugin's directory, and what it is refused for.
//!
//! Judges member by member, before anything of it is written. Regular files, directories and links that stay
//! inside are allowed (those that lead out where the machine's operator says so); names are relative, plain and used
//! once. Links are only collected here: they are judged and made when every file is written, so that none of them can
//! lead a file astray.

use std::borrow::Cow;
use std::collections::HashMap;

use super::limits::{Limits, TooLarge};
use super::links::{self, Astray, Links};
use super::members::{Member, Refusal, Type};
use super::{FILES, LABEL, MANIFEST, METADATA, ROOT};
use crate::text;

/// Upstream reads this by executing it, and it is made anew wherever it is missing: never unpacked.
const EXECUTED_CACHE: &str = ".configuration_cache";

/// The next step for whoever has a plugin with a link that leads out.
const TAKES_LINKS: &str = "`mwp install --allow-external-links` takes such links, `allow_external_links=1` \
                           below `[install]` of the module's settings does so for good; look first at where \
                           they lead";
const NEVER_A_LINK: &str = "put what it leads to in its place, and pack the plugin again: the installation \
                            itself reads or writes there, and takes no link out";

/// What to do with a member; paths are relative to the plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// The plugin's own directory.
    Root,
    Directory {
        path: String,
        mode: u32,
    },
    File {
        path: String,
        mode: u32,
    },
    /// To be made at the end.
    Link {
        path: String,
        target: String,
    },
    /// To be made at the end.
    HardLink {
        path: String,
    },
    LeftOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Only named in the paths of others so far.
    Above,
    Directory,
    File,
    Link,
}

/// Links of both kinds, in the order of the archive.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) links: Vec<(String, String)>,
    pub(super) hard_links: Vec<(String, String)>,
}

pub(super) struct Policy<'a> {
    limits: &'a Limits,
    /// Names that differ in case alone are one name to the file system.
    folds_case: bool,
    /// What the files may add up to.
    most_bytes: u64,
    /// By path, in lower case where that is the same to the file system; the path itself where it differs.
    seen: HashMap<Box<str>, (Option<Box<str>>, Seen)>,
    root: bool,
    bytes: u64,
    name_bytes: usize,
    collected: Collected,
}

impl<'a> Policy<'a> {
    /// The files cannot add up to more than the `stream` that they are in may be long: what announces more is
    /// refused before it is written.
    pub(super) fn new(limits: &'a Limits, stream: u64, folds_case: bool) -> Policy<'a> {
        Policy {
            limits,
            folds_case,
            most_bytes: limits.bytes.min(stream),
            seen: HashMap::new(),
            root: false,
            bytes: 0,
            name_bytes: 0,
            collected: Collected::default(),
        }
    }

    /// The manifest says that the files add up to this: more than that, or than what is allowed, is refused.
    pub(super) fn announce(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.limits.bytes {
            return Err(Refusal::Content(TooLarge { limit: self.limits.bytes }.to_string()));
        }
        self.most_bytes = bytes;
        Ok(())
    }

    pub(super) fn accept(&mut self, member: &Member) -> Result<Accepted, Refusal> {
        let below = member.path.strip_prefix(ROOT.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        if !below.and_then(|path| std::str::from_utf8(path).ok()).is_some_and(is_description) {
            self.bytes = self.bytes.saturating_add(member.size);
        }
        if self.bytes > self.most_bytes {
            return Err(Refusal::Content(TooLarge { limit: self.most_bytes }.to_string()));
        }
        let is_directory = member.kind == Type::Directory;
        let Some(path) = self.path(&member.path, is_directory)? else {
            return if std::mem::replace(&mut self.root, true) {
                Err(refuse(&member.path, "twice"))
            } else {
                Ok(Accepted::Root)
            };
        };
        let top = path.split('/').next().unwrap_or(path).to_ascii_lowercase();
        if top.starts_with(".mwp") && path != MANIFEST {
            return Err(refuse(&member.path, "a name that mwp keeps for itself"));
        }
        let kind = match &member.kind {
            Type::Directory => Seen::Directory,
            Type::File | Type::HardLink { .. } => Seen::File,
            Type::Link { .. } => Seen::Link,
            Type::Other(what) => return Err(refuse(&member.path, &format!("which is {what}"))),
        };
        self.enter(path, kind, &member.path)?;
        // In whatever form: a file, a link, a directory and what is in it.
        if top == EXECUTED_CACHE {
            return Ok(Accepted::LeftOut);
        }
        let path = path.to_owned();
        Ok(match &member.kind {
            Type::Directory => Accepted::Directory { path, mode: member.mode & 0o755 | 0o700 },
            // Who may read stays as it is; nobody else may write, and set-user-ID and the like are dropped.
            Type::File => Accepted::File { path, mode: member.mode & 0o755 | 0o600 },
            Type::Link { target } => {
                let target = text_of(target, self.limits)
                    .map_err(|what| refuse(&member.path, &format!("a link {what}")))?;
                self.keep(target.len())?;
                self.collected.links.push((path.clone(), target.to_owned()));
                Accepted::Link { path, target: target.to_owned() }
            }
            Type::HardLink { target } => {
                self.hard_link(&path, target, &member.path)?;
                Accepted::HardLink { path }
            }
            Type::Other(_) => Accepted::LeftOut,
        })
    }

    /// What is to be linked, once it is known that every link stays inside.
    pub(super) fn links(self) -> Result<Collected, Refusal> {
        let links: Links<'_> =
            self.collected.links.iter().map(|(path, target)| (path.as_str(), target.as_str())).collect();
        let is_refused = |(path, astray): &(&str, Astray)| {
            !astray.is_external() || !self.limits.external_links || is_written_by_us(path)
        };
        let astray = links::check(&links).into_iter().filter(is_refused).min_by_key(|(path, _)| *path);
        if let Some((path, astray)) = astray {
            let (shown, target) = (text::visible(path), text::visible(links[path]));
            let reason = format!("has `{ROOT}/{shown}`, a link to `{target}`, {}", astray.reason());
            return Err(match astray.is_external() {
                true if is_written_by_us(path) => Refusal::Hinted { reason, hint: NEVER_A_LINK },
                true => Refusal::Hinted { reason, hint: TAKES_LINKS },
                false => Refusal::Content(reason),
            });
        }
        Ok(self.collected)
    }

    /// The path below the plugin's directory, or `None` for that directory itself.
    fn path<'m>(&self, raw: &'m [u8], is_directory: bool) -> Result<Option<&'m str>, Refusal> {
        let path = text_of(raw, self.limits).map_err(|what| refuse(raw, &format!("a name {what}")))?;
        if path.starts_with('/') {
            return Err(refuse(raw, "a name that is absolute"));
        }
        let path = if is_directory { path.strip_suffix('/').unwrap_or(path) } else { path };
        for name in path.split('/') {
            match name {
                "" => return Err(refuse(raw, "a name with an empty part")),
                ".." => return Err(refuse(raw, "a name that leads out of the plugin")),
                "." => return Err(refuse(raw, "a name with a `.` in it")),
                _ => {}
            }
        }
        if path == ROOT {
            return if is_directory { Ok(None) } else { Err(refuse(raw, "which should be a directory")) };
        }
        let below = path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/'));
        let below = below.ok_or_else(|| refuse(raw, &format!("a name that is not below `{ROOT}/`")))?;
        match self.limits.path_fault(path) {
            Some(fault) => Err(refuse(raw, &fault)),
            None => Ok(Some(below)),
        }
    }

    /// Takes a path, which must be free, below directories only.
    fn enter(&mut self, path: &str, kind: Seen, raw: &[u8]) -> Result<(), Refusal> {
        for (end, _) in path.match_indices('/') {
            let above = &path[..end];
            match self.look_up(above) {
                None => self.insert(above, Seen::Above)?,
                Some((other, _)) if other != above => return Err(collision(raw, other)),
                Some((_, Seen::Above | Seen::Directory)) => {}
                Some((_, Seen::File | Seen::Link)) => {
                    let above = text::visible(above);
                    return Err(refuse(raw, &format!("which is below `{ROOT}/{above}`, no directory")));
                }
            }
        }
        match self.look_up(path) {
            None => {}
            Some((other, _)) if other != path => return Err(collision(raw, other)),
            Some((_, Seen::Above)) if kind == Seen::Directory => {}
            Some((_, Seen::Above)) => return Err(refuse(raw, "which is a directory for other members")),
            Some(_) => return Err(refuse(raw, "twice")),
        }
        self.insert(path, kind)
    }

    /// What was seen under the path, or under one that differs in case alone.
    fn look_up<'s>(&'s self, path: &'s str) -> Option<(&'s str, Seen)> {
        let folded = self.folded(path);
        let (key, (original, kind)) = self.seen.get_key_value(folded.as_ref())?;
        Some((original.as_deref().unwrap_or(key), *kind))
    }

    fn folded<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if self.folds_case { Cow::Owned(path.to_lowercase()) } else { Cow::Borrowed(path) }
    }

    /// Counts names that are kept in memory.
    fn keep(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.name_bytes += bytes;
        if self.name_bytes <= self.limits.names {
            return Ok(());
        }
        let limit = text::size(self.limits.names as u64);
        Err(Refusal::Content(format!("has more than {limit} of names")))
    }

    /// Keeps a path; directories that only others name are members like any other.
    fn insert(&mut self, path: &str, kind: Seen) -> Result<(), Refusal> {
        if !is_description(path) {
            self.keep(path.len())?;
        }
        if self.seen.len() >= self.limits.members {
            return Err(Refusal::Content(format!("has more than {} members", self.limits.members)));
        }
        let folded = self.folded(path).into_owned();
        let original = (folded != path).then(|| path.into());
        self.seen.insert(folded.into(), (original, kind));
        Ok(())
    }

    /// A hard link may only give a second name to a file that came before.
    fn hard_link(&mut self, path: &str, target: &[u8], raw: &[u8]) -> Result<(), Refusal> {
        let shown = text::visible_bytes(target);
        let bad = || refuse(raw, &format!("a hard link to `{shown}`, which is no file that came before it"));
        let Ok(Some(target)) = self.path(target, false) else { return Err(bad()) };
        if target == path || self.look_up(target) != Some((target, Seen::File)) || target == EXECUTED_CACHE {
            return Err(bad());
        }
        self.keep(target.len())?;
        self.collected.hard_links.push((path.to_owned(), target.to_owned()));
        Ok(())
    }
}

/// What is made when packing has a limit of its own, and does not count: it is none of the plugin's files.
fn is_description(path: &str) -> bool {
    matches!(path, METADATA | FILES | MANIFEST)
}

/// Whether the installation itself writes there: through such a link it would write elsewhere.
pub(super) fn is_written_by_us(path: &str) -> bool {
    matches!(path, LABEL | METADATA | FILES | MANIFEST | "config.ini" | "local" | "postinstall")
        || path.starts_with("local/")
        || path.starts_with(".mwp")
        || path.starts_with(".configuration_cache")
}

/// A name or a link's target as text, of bounded length.
fn text_of<'r>(raw: &'r [u8], limits: &Limits) -> Result<&'r str, String> {
    if raw.is_empty() {
        return Err("that is empty".to_owned());
    }
    if raw.len() > limits.path {
        return Err(format!("of more than {} bytes", limits.path));
    }
    let text = std::str::from_utf8(raw).map_err(|_| "that is not UTF-8".to_owned())?;
    if text.chars().any(char::is_control) {
        return Err("with a control character".to_owned());
    }
    Ok(text)
}

fn refuse(path: &[u8], what: &str) -> Refusal {
    // A name can be as long as it likes; a message should not be.
    let shown = text::visible_bytes(&path[..path.len().min(300)]);
    Refusal::Content(format!("has `{shown}`, {what}").replace(", twice", " twice"))
}

fn collision(path: &[u8], other: &str) -> Refusal {
    refuse(path, &format!("which differs from `{ROOT}/{}` in case alone", text::visible(other)))
}
