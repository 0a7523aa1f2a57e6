//! The names behind a set of patterns.
//!
//! What a link points to counts as well: a file by its content, a directory by everything in it. A link back to a
//! directory that is being walked is cut; one that leads nowhere counts as such.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::name::Name;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::fs::Stat;
use crate::text;

/// Directories that never count: version control and our own state.
const NEVER_COUNT: [&str; 4] = [".git", ".hg", ".svn", ".mwp"];

/// More names than that come of links that multiply.
const MOST_NAMES: usize = 1_000_000;

/// What to look at. Names are relative to the plugin's directory.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    /// Each must match something.
    pub required: Vec<String>,
    pub optional: Vec<String>,
    /// Files and directories by name, wherever they are; those that are not there count as such.
    pub files: Vec<PathBuf>,
    /// Paths below which nothing counts: the outputs of the task itself.
    pub except: Vec<String>,
    /// Of outputs, links are links, and empty directories count.
    pub are_outputs: bool,
}

impl Patterns {
    /// All of them in one list, by which a snapshot is known.
    pub(super) fn in_order(&self) -> Vec<String> {
        let files = self.files.iter().map(|file| text::visible_bytes(file.as_os_str().as_encoded_bytes()));
        let mut all = self.required.clone();
        all.push("?".to_owned());
        all.extend(self.optional.iter().cloned());
        all.push("=".to_owned());
        all.extend(files);
        all.push("!".to_owned());
        all.extend(self.except.iter().cloned());
        all
    }
}

#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Each with whether what it points to is meant.
    pub names: BTreeSet<(Name, bool)>,
    /// The directories that were walked.
    pub directories: BTreeMap<Name, Stat>,
    /// Optional files that were looked for and are not there.
    pub absent: Vec<Name>,
    /// A pattern that has to match something and does not.
    pub missing: Option<String>,
}

impl Listing {
    pub(super) fn of(dir: &Path, patterns: &Patterns) -> Result<Listing> {
        let mut listing = Listing::default();
        let excluded = glob_set(
            patterns
                .required
                .iter()
                .chain(&patterns.optional)
                .filter_map(|pattern| pattern.strip_prefix('!')),
        )?;
        let counts = |name: &Path| {
            !excluded.is_match(name) && !patterns.except.iter().any(|output| name.starts_with(output))
        };
        let both =
            patterns.required.iter().map(|p| (p, true)).chain(patterns.optional.iter().map(|p| (p, false)));
        for (pattern, required) in both.filter(|(pattern, _)| !pattern.starts_with('!')) {
            let plain: PathBuf =
                Path::new(pattern.strip_prefix("./").unwrap_or(pattern)).components().collect();
            // A file may well be named like a glob.
            let is_glob = is_glob(pattern) && !fs::exists(&dir.join(&plain));
            let base = if is_glob { literal_base(&plain) } else { plain };
            let glob = if is_glob { Some(glob_set([pattern.as_str()])?) } else { None };
            let found = listing.walk(dir, &base, glob, &counts, patterns.are_outputs)?;
            if required && !found && listing.missing.is_none() {
                listing.missing = Some(pattern.clone());
            }
        }
        for file in &patterns.files {
            listing.walk(dir, file, None, &|name| counts(name), patterns.are_outputs)?;
        }
        Ok(listing)
    }

    /// Adds what is at and below `base`; whether there is anything.
    fn walk(
        &mut self,
        dir: &Path,
        base: &Path,
        glob: Option<GlobSet>,
        counts: &dyn Fn(&Path) -> bool,
        are_outputs: bool,
    ) -> Result<bool> {
        if Stat::of(&dir.join(base))?.is_none() {
            self.absent.push(Name::new(base));
            return Ok(false);
        }
        let root = std::fs::canonicalize(dir.join(base)).ok();
        let mut walk = Walk { dir, glob, counts, are_outputs, root, base, inside: Vec::new(), listing: self };
        walk.visit(base)
    }
}

struct Walk<'a> {
    dir: &'a Path,
    glob: Option<GlobSet>,
    counts: &'a dyn Fn(&Path) -> bool,
    are_outputs: bool,
    /// Where the walk began, links resolved.
    root: Option<PathBuf>,
    base: &'a Path,
    /// Device and inode of the directories that are being walked.
    inside: Vec<(u64, u64)>,
    listing: &'a mut Listing,
}

impl Walk<'_> {
    /// Whether anything was found at or below `name`.
    fn visit(&mut self, name: &Path) -> Result<bool> {
        if name != Path::new("") && !(self.counts)(name) {
            return Ok(false);
        }
        let path = self.dir.join(name);
        let Some(stat) = Stat::of(&path)? else { return Ok(false) };
        if stat.is_dir() {
            let known_as = if name == Path::new("") { Path::new(".") } else { name };
            return self.enter(name, Name::new(known_as));
        }
        if !stat.is_plain() {
            // Whoever names a pipe or a device means something else; in a directory it is passed over.
            return if name == self.base { Err(not_plain(&path)) } else { Ok(false) };
        }
        let mut found = self.add(name, false)?;
        if stat.is_link() && !self.are_outputs {
            match Stat::behind(&path)? {
                Some(behind) if behind.is_dir() => {
                    if name == self.base || !self.is_walked_anyway(&path) {
                        found |= self.enter(name, Name::new(&name.join(".")))?;
                    }
                }
                Some(behind) if !behind.is_file() => {}
                _ => found |= self.add(name, true)?,
            }
        }
        Ok(found)
    }

    /// The stat record of a directory is taken before its entries are read.
    fn enter(&mut self, name: &Path, known_as: Name) -> Result<bool> {
        let path = self.dir.join(name);
        let metadata = path.metadata().at("look at", &path)?;
        let identity = (metadata.dev(), metadata.ino());
        if self.inside.contains(&identity) {
            return Ok(false);
        }
        self.inside.push(identity);
        self.listing.directories.insert(known_as, Stat::from(&metadata));
        let entries = fs::list(&path)?;
        let mut found = false;
        if entries.is_empty() && self.are_outputs {
            found = self.add(name, false)?;
        }
        for entry in entries {
            let Some(file_name) = entry.file_name() else { continue };
            if !NEVER_COUNT.iter().any(|never| file_name == *never) {
                found |= self.visit(&name.join(file_name))?;
            }
        }
        self.inside.pop();
        Ok(found)
    }

    /// A link to a directory of this very walk, whose files count under their own names. With a glob they may not.
    fn is_walked_anyway(&self, path: &Path) -> bool {
        let (Some(root), None, Ok(real)) = (&self.root, &self.glob, std::fs::canonicalize(path)) else {
            return false;
        };
        real.strip_prefix(root).is_ok_and(|inside| (self.counts)(&self.base.join(inside)))
    }

    fn add(&mut self, name: &Path, behind_link: bool) -> Result<bool> {
        if self.glob.as_ref().is_some_and(|glob| !glob.is_match(name)) {
            return Ok(false);
        }
        self.listing.names.insert((Name::new(name), behind_link));
        if self.listing.names.len() > MOST_NAMES {
            return Err(Error::input(format!(
                "{} stands for more than {MOST_NAMES} files",
                text::path(&self.dir.join(self.base))
            ))
            .hint("do its links lead round and round? exclude them with `!`"));
        }
        Ok(true)
    }
}

fn not_plain(path: &Path) -> Error {
    Error::input(format!("{} is neither a file nor a directory nor a link", text::path(path)))
        .hint("name the files that count")
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// The leading part of a pattern that has no wildcard.
pub(super) fn literal_base(pattern: &Path) -> PathBuf {
    pattern.components().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect()
}

fn glob_set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<GlobSet> {
    let invalid = |error: globset::Error| {
        Error::input(format!("bad glob: {error}"))
            .hint("correct the task's inputs: `*`, `**`, `?` and `{a,b}` are allowed")
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(invalid)?);
    }
    set.build().map_err(invalid)
}
