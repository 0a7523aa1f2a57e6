//! The files behind a set of patterns, with their stat records and digests, at one moment.
//!
//! A snapshot is taken with the previous one at hand, so that an untouched file is never read again: a stat record
//! that is equal, and older than the moment at which the file was read, vouches for the digest ("racily clean"
//! files are hashed). A directory whose record is equal has the same entries, so that only changed trees are
//! walked again. Equal content under another stat record is equal: only the record is refreshed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::name::Name;
use super::stat::{Instant, Stat};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::recipe::Task;
use crate::text;

/// Directories that never count: version control and our own state.
const NEVER_COUNT: [&str; 4] = [".git", ".hg", ".svn", ".mwp"];

/// Fewer files are looked at sooner than threads are started for it.
const WORTH_THREADS: usize = 4000;

/// One file or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the plugin's directory.
    pub name: Name,
    pub stat: Stat,
    pub digest: Digest,
}

impl Entry {
    fn read(dir: &Path, name: Name, stat: Stat) -> Result<Entry> {
        let path = dir.join(name.as_path());
        let digest = if stat.is_link() {
            let target = std::fs::read_link(&path).map_err(|error| Error::io("read", &path, &error))?;
            Digest::of(target.as_os_str().as_bytes())
        } else {
            Digest::of_file(&path)?
        };
        Ok(Entry { name, stat, digest })
    }

    /// Whether the record, read at that moment, still tells the content.
    fn vouches_for(&self, stat: &Stat, read_at: Instant) -> bool {
        self.stat == *stat && !stat.is_racy(read_at)
    }

    /// What counts of the mode: the kind of file and whether it can be executed.
    pub fn kind(&self) -> Kind {
        match (self.stat.is_link(), self.stat.is_executable()) {
            (true, _) => Kind::Link,
            (false, true) => Kind::Executable,
            (false, false) => Kind::File,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    File,
    Executable,
    Link,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    patterns: Vec<String>,
    /// Sorted by name; shared, because an untouched snapshot is passed on as it is.
    pub entries: Arc<Vec<Entry>>,
    /// The directories that were walked.
    directories: Vec<(Name, Stat)>,
    /// Optional files that were looked for and are not there.
    absent: Vec<Name>,
    read_at: Instant,
}

/// A snapshot, and whether it says the same as the previous one to the last record.
#[derive(Debug)]
pub struct Taken {
    pub snapshot: Snapshot,
    /// The previous snapshot can stay on the disk as it is.
    pub identical: bool,
    /// A pattern that has to match something and does not.
    pub missing: Option<String>,
}

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    /// Each must match something.
    pub required: Vec<String>,
    pub optional: Vec<String>,
    /// Paths below which nothing counts: the outputs of the task itself.
    pub except: Vec<String>,
}

impl Snapshot {
    /// Looks at the files now. `read_at` is a moment by the file system's clock before the call.
    pub fn take(
        dir: &Path,
        patterns: &Patterns,
        previous: Option<&Snapshot>,
        read_at: Instant,
    ) -> Result<Taken> {
        let wanted = patterns.in_order();
        let previous = previous.filter(|previous| previous.patterns == wanted);
        if let Some(previous) = previous.filter(|previous| previous.lists_the_same(dir)) {
            let (snapshot, gone, identical) = previous.look_at_names(dir, read_at)?;
            if gone.is_empty() {
                return Ok(Taken { snapshot, identical, missing: None });
            }
        }
        let Listing { names, directories, absent, missing } = Listing::walk(dir, patterns)?;
        let known: HashMap<&Name, &Entry> = previous
            .iter()
            .flat_map(|previous| previous.entries.iter())
            .map(|entry| (&entry.name, entry))
            .collect();
        let vouched_until = previous.map_or(Instant::NEVER, |previous| previous.read_at);
        let looked: Vec<Option<Entry>> = names
            .into_par_iter()
            .with_min_len(64)
            .map(|name| {
                let Some(stat) = stat_of_file(dir, &name) else { return Ok(None) };
                match known.get(&name).filter(|known| known.vouches_for(&stat, vouched_until)) {
                    Some(known) => Ok(Some((*known).clone())),
                    None => Entry::read(dir, name, stat).map(Some),
                }
            })
            .collect::<Result<_>>()?;
        let entries = Arc::new(looked.into_iter().flatten().collect());
        let snapshot = Snapshot { patterns: wanted, entries, directories, absent, read_at };
        Ok(Taken { snapshot, identical: false, missing })
    }

    /// No file was added or removed, as far as directories and their stat records tell.
    fn lists_the_same(&self, dir: &Path) -> bool {
        self.directories.iter().all(|(name, stat)| {
            !stat.is_racy(self.read_at) && Stat::of(&dir.join(name.as_path())).is_some_and(|now| now == *stat)
        }) && self.absent.iter().all(|name| !crate::fs::exists(&dir.join(name.as_path())))
    }

    /// The same names again and no others: what there is now, what is gone, and whether all records vouch.
    pub fn look_at_names(&self, dir: &Path, read_at: Instant) -> Result<(Snapshot, Vec<Name>, bool)> {
        let root = crate::fs::open(dir)?;
        let changed = |(index, entry): (usize, &Entry)| {
            let stat = Stat::at(&root, entry.name.as_path()).filter(|stat| !stat.is_dir());
            match stat {
                Some(stat) if entry.vouches_for(&stat, self.read_at) => None,
                other => Some((index, other)),
            }
        };
        let changed: Vec<(usize, Option<Stat>)> = if self.entries.len() < WORTH_THREADS {
            self.entries.iter().enumerate().filter_map(changed).collect()
        } else {
            self.entries.par_iter().enumerate().with_min_len(256).filter_map(changed).collect()
        };
        if changed.is_empty() {
            return Ok((self.clone(), Vec::new(), true));
        }
        let mut gone = Vec::new();
        let mut read = Vec::new();
        for (index, stat) in changed {
            match stat {
                Some(stat) => read.push((index, stat)),
                None => gone.push(index),
            }
        }
        let read: Vec<(usize, Entry)> = read
            .into_par_iter()
            .map(|(index, stat)| Ok((index, Entry::read(dir, self.entries[index].name.clone(), stat)?)))
            .collect::<Result<_>>()?;
        let mut entries = (*self.entries).clone();
        for (index, entry) in read {
            entries[index] = entry;
        }
        let names = gone.iter().map(|index| self.entries[*index].name.clone()).collect();
        for index in gone.into_iter().rev() {
            entries.remove(index);
        }
        Ok((Snapshot { entries: Arc::new(entries), read_at, ..self.without_entries() }, names, false))
    }

    fn without_entries(&self) -> Snapshot {
        Snapshot {
            patterns: self.patterns.clone(),
            entries: Arc::default(),
            directories: self.directories.clone(),
            absent: self.absent.clone(),
            read_at: self.read_at,
        }
    }

    /// The content as a whole: names, kinds and digests, no stat records.
    pub fn digest(&self) -> Digest {
        let content: Vec<_> =
            self.entries.iter().map(|entry| (&entry.name, entry.kind(), entry.digest)).collect();
        Digest::of_value(&content)
    }

    pub fn get(&self, name: &Path) -> Option<&Entry> {
        self.entries
            .binary_search_by(|entry| entry.name.as_path().as_os_str().cmp(name.as_os_str()))
            .ok()
            .map(|index| &self.entries[index])
    }
}

impl Task {
    /// What its inputs are; its own outputs are none.
    pub(super) fn input_patterns(&self) -> Patterns {
        Patterns {
            required: self.inputs.clone(),
            optional: self.optional_inputs.clone(),
            except: self.outputs.clone(),
        }
    }
}

impl Patterns {
    /// Required and optional ones in one list, by which a snapshot is known.
    fn in_order(&self) -> Vec<String> {
        let mut all = self.required.clone();
        all.push("?".to_owned());
        all.extend(self.optional.iter().cloned());
        all.push("!".to_owned());
        all.extend(self.except.iter().cloned());
        all
    }
}

fn stat_of_file(dir: &Path, name: &Name) -> Option<Stat> {
    Stat::of(&dir.join(name.as_path())).filter(|stat| !stat.is_dir())
}

/// The names behind a set of patterns.
struct Listing {
    names: Vec<Name>,
    directories: Vec<(Name, Stat)>,
    absent: Vec<Name>,
    /// A pattern that has to match something and does not.
    missing: Option<String>,
}

impl Listing {
    fn walk(dir: &Path, patterns: &Patterns) -> Result<Listing> {
        let mut names = BTreeSet::new();
        let mut directories = BTreeMap::new();
        let mut absent = Vec::new();
        let mut missing = None;
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
            let mut found = false;
            let plain =
                Path::new(pattern.strip_prefix("./").unwrap_or(pattern)).components().collect::<PathBuf>();
            let is_dir = dir.join(&plain).is_dir() && !dir.join(&plain).is_symlink();
            if is_glob(pattern) || is_dir {
                let base = if is_dir { plain.clone() } else { literal_base(&plain) };
                if !crate::fs::exists(&dir.join(&base)) {
                    absent.push(Name::new(&base));
                }
                let glob = if is_dir { None } else { Some(glob_set([pattern.as_str()])?) };
                for (name, stat) in walk(dir, &base, &counts)? {
                    if stat.is_dir() {
                        directories.insert(Name::new(&name), stat);
                    } else if glob.as_ref().is_none_or(|glob| glob.is_match(&name)) {
                        found = true;
                        names.insert(Name::new(&name));
                    }
                }
            } else if counts(&plain) && crate::fs::exists(&dir.join(&plain)) {
                found = true;
                names.insert(Name::new(&plain));
            } else if !required {
                absent.push(Name::new(&plain));
            }
            if required && !found && missing.is_none() {
                missing = Some(pattern.clone());
            }
        }
        let directories = directories.into_iter().collect();
        Ok(Listing { names: names.into_iter().collect(), directories, absent, missing })
    }
}

/// Every file and directory below `base`, with paths relative to `dir`; the stat record of a directory is taken
/// before its entries are read.
fn walk(dir: &Path, base: &Path, counts: &impl Fn(&Path) -> bool) -> Result<Vec<(PathBuf, Stat)>> {
    let root = dir.join(base);
    if Stat::of(&root).is_none() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let walker = WalkBuilder::new(&root)
        .standard_filters(false)
        .follow_links(false)
        .filter_entry(|entry| !NEVER_COUNT.iter().any(|name| entry.file_name() == *name))
        .build();
    for entry in walker {
        let entry = entry.map_err(|error| match error.io_error() {
            Some(io) => Error::machine(format!("cannot list {}: {}", text::path(&root), text::io_reason(io))),
            None => Error::machine(format!("cannot list {}: {error}", text::path(&root))),
        })?;
        let name = entry.path().strip_prefix(dir).unwrap_or(entry.path());
        let Some(stat) = Stat::of(entry.path()) else { continue };
        if (stat.is_dir() || stat.is_file() || stat.is_link()) && counts(name) {
            found.push((name.to_owned(), stat));
        }
    }
    Ok(found)
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// The leading part of a pattern that has no wildcard.
fn literal_base(pattern: &Path) -> PathBuf {
    pattern.components().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect()
}

fn glob_set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<GlobSet> {
    let invalid = |error: globset::Error| Error::input(format!("bad glob: {error}"));
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(invalid)?);
    }
    set.build().map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now_in(dir: &Path) -> Instant {
        std::thread::sleep(std::time::Duration::from_millis(20));
        Instant::now(dir).unwrap()
    }

    fn take(dir: &Path, previous: Option<&Snapshot>) -> Taken {
        let patterns = Patterns {
            required: vec!["in/**/*.txt".into(), "!in/skip/**".into()],
            optional: vec!["maybe".into()],
            except: vec!["in/out".into()],
        };
        Snapshot::take(dir, &patterns, previous, now_in(dir)).unwrap()
    }

    fn write(dir: &Path, name: &str, content: &str) {
        crate::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        crate::fs::write_atomic(&dir.join(name), content.as_bytes()).unwrap();
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.entries.iter().map(|entry| entry.name.as_path().to_str().unwrap()).collect()
    }

    #[test]
    fn patterns_include_exclude_and_leave_the_outputs_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "in/a.txt",
            "in/deep/b.txt",
            "in/c.md",
            "in/skip/d.txt",
            "in/out/e.txt",
            "in/.git/f.txt",
            "other.txt",
        ] {
            write(dir.path(), name, name);
        }
        assert_eq!(names(&take(dir.path(), None).snapshot), ["in/a.txt", "in/deep/b.txt"]);
        write(dir.path(), "maybe", "");
        assert_eq!(names(&take(dir.path(), None).snapshot), ["in/a.txt", "in/deep/b.txt", "maybe"]);
    }

    #[test]
    fn an_untouched_file_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "in/a.txt", "a");
        write(dir.path(), "in/b.txt", "b");
        let mut before = take(dir.path(), None).snapshot;
        // A digest that no content has: it can come from the record alone.
        let marked = Digest::of(b"of nothing that is there");
        Arc::make_mut(&mut before.entries)[0].digest = marked;
        write(dir.path(), "in/b.txt", "B");
        let after = take(dir.path(), Some(&before));
        assert_eq!(after.snapshot.entries[0].digest, marked);
        assert_eq!(after.snapshot.entries[1].digest, Digest::of(b"B"));
        assert!(!after.identical);
        assert!(take(dir.path(), Some(&after.snapshot)).identical);
    }

    #[test]
    fn a_file_as_young_as_its_record_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "in/a.txt", "a");
        let patterns = Patterns { required: vec!["in".into()], ..Patterns::default() };
        let mut racy = Snapshot::take(dir.path(), &patterns, None, Instant::NEVER).unwrap().snapshot;
        Arc::make_mut(&mut racy.entries)[0].digest = Digest::of(b"wrong");
        let again = Snapshot::take(dir.path(), &patterns, Some(&racy), Instant::NEVER).unwrap().snapshot;
        assert_eq!(again.entries[0].digest, Digest::of(b"a"));
    }

    #[test]
    fn new_removed_and_now_present_names_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "in/a.txt", "a");
        let first = take(dir.path(), None).snapshot;
        write(dir.path(), "in/new/b.txt", "b");
        let second = take(dir.path(), Some(&first)).snapshot;
        assert_eq!(names(&second), ["in/a.txt", "in/new/b.txt"]);
        write(dir.path(), "maybe", "");
        let third = take(dir.path(), Some(&second)).snapshot;
        assert_eq!(names(&third).last(), Some(&"maybe"));
        crate::fs::remove_tree(&dir.path().join("in/new")).unwrap();
        crate::fs::remove_file(&dir.path().join("maybe")).unwrap();
        assert_eq!(names(&take(dir.path(), Some(&third)).snapshot), ["in/a.txt"]);
    }

    #[test]
    fn names_that_are_not_utf_8_and_links_are_files_like_others() {
        use std::ffi::OsStr;
        let dir = tempfile::tempdir().unwrap();
        crate::fs::create_dir_all(&dir.path().join("in")).unwrap();
        let odd = Path::new(OsStr::from_bytes(b"in/\xff\n.txt"));
        crate::fs::write_atomic(&dir.path().join(odd), b"x").unwrap();
        crate::fs::symlink(Path::new("nowhere"), &dir.path().join("in/link.txt")).unwrap();
        let snapshot = take(dir.path(), None).snapshot;
        assert_eq!(snapshot.entries.len(), 2);
        assert_eq!(snapshot.get(Path::new("in/link.txt")).unwrap().kind(), Kind::Link);
        assert!(snapshot.get(odd).is_some());
    }
}
