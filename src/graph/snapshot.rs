//! The files behind a set of patterns, with their stat records and digests, at one moment.
//!
//! A snapshot is taken with the previous one at hand, so that an untouched file is never read again: a stat record
//! that is equal, and older than the moment at which the file was read, vouches for the digest ("racily clean"
//! files are hashed). A directory whose record is equal has the same entries, so that only changed trees are
//! walked again. Equal content under another stat record is equal: only the record is refreshed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use super::listing::Patterns;

use super::entries::{Entries, Found};
use super::listing::Listing;
use super::name::Name;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{Instant, Stat};
use crate::threads;

/// One file, link or, of outputs, empty directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the plugin's directory.
    pub name: Name,
    /// The name is a link, and this is what it points to.
    pub behind_link: bool,
    pub stat: Stat,
    pub digest: Digest,
}

impl Entry {
    pub(super) fn read(dir: &Path, name: Name, behind_link: bool, stat: Stat) -> Result<Entry> {
        let path = dir.join(name.as_path());
        let digest = if stat.is_link() {
            let target = std::fs::read_link(&path).map_err(|error| Error::io("read", &path, &error))?;
            Digest::of(target.as_os_str().as_bytes())
        } else if stat.is_file() {
            Digest::of_file(&path)?
        } else {
            return Ok(Entry { behind_link, ..Entry::directory(name, stat) });
        };
        Ok(Entry { name, behind_link, stat, digest })
    }

    /// What has no content of its own.
    fn directory(name: Name, stat: Stat) -> Entry {
        Entry { name, behind_link: false, stat, digest: Digest::of(b"") }
    }

    /// Whether the record, read at that moment, still tells the content.
    fn vouches_for(&self, stat: &Stat, read_at: Instant) -> bool {
        self.stat == *stat && !stat.is_racy(read_at)
    }

    pub fn kind(&self) -> FileKind {
        FileKind::of(&self.stat)
    }

    /// Name, kind and content.
    pub(super) fn is_same_as(&self, other: &Entry) -> bool {
        self.name == other.name
            && self.behind_link == other.behind_link
            && self.kind() == other.kind()
            && self.digest == other.digest
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    File,
    Executable,
    Link,
    /// Without entries.
    Directory,
    /// What a link points to, where that is nothing.
    Dangling,
}

impl FileKind {
    /// What counts of the mode: the kind of file and whether it can be executed.
    pub(super) fn of(stat: &Stat) -> FileKind {
        if *stat == Stat::NOWHERE {
            FileKind::Dangling
        } else if stat.is_link() {
            FileKind::Link
        } else if stat.is_dir() {
            FileKind::Directory
        } else if stat.is_executable() {
            FileKind::Executable
        } else {
            FileKind::File
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::File => "file",
            FileKind::Executable => "executable",
            FileKind::Link => "link",
            FileKind::Directory => "empty directory",
            FileKind::Dangling => "nothing",
        })
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    patterns: Vec<String>,
    /// The state writes entries behind all records, so that they need not be read with them.
    #[serde(skip)]
    pub entries: Entries,
    /// The directories that were walked; of outputs none, which are looked at by name.
    #[serde(skip)]
    pub(super) directories: Entries,
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

/// What became of the files that a snapshot names.
#[derive(Debug)]
pub(super) struct Looked {
    pub snapshot: Snapshot,
    pub gone: Vec<Name>,
    /// Directories of outputs that are links now.
    pub linked: Vec<Name>,
    /// All records still tell the content.
    pub identical: bool,
    /// A file is a link now, or a link a file: what it points to counts as well, or no longer.
    is_relinked: bool,
}

impl Snapshot {
    pub(super) fn empty() -> Snapshot {
        Snapshot {
            patterns: Vec::new(),
            entries: Entries::default(),
            directories: Entries::default(),
            absent: Vec::new(),
            read_at: Instant::NEVER,
        }
    }

    /// Looks at the files now. `read_at` is a moment by the file system's clock before the call.
    pub fn take(
        dir: &Path,
        patterns: &Patterns,
        previous: Option<&Snapshot>,
        read_at: Instant,
    ) -> Result<Taken> {
        let wanted = patterns.in_order();
        let previous = previous.filter(|previous| previous.patterns == wanted && !patterns.are_outputs);
        if let Some(previous) = previous
            && previous.lists_the_same(dir)?
        {
            let looked = previous.look_at_names(dir, &[], read_at)?;
            let looked = looked.filter(|looked| looked.gone.is_empty() && !looked.is_relinked);
            if let Some(Looked { snapshot, identical, .. }) = looked {
                return Ok(Taken { snapshot, identical, missing: None });
            }
        }
        let Listing { names, directories, absent, missing } = Listing::of(dir, patterns)?;
        let known: HashMap<(&Name, bool), &Entry> = previous
            .iter()
            .flat_map(|previous| previous.entries.iter())
            .map(|entry| ((&entry.name, entry.behind_link), entry))
            .collect();
        let vouched_until = previous.map_or(Instant::NEVER, |previous| previous.read_at);
        let names = names.into_iter().collect();
        let looked: Vec<Option<Entry>> = threads::try_map(names, 64, |(name, behind_link)| {
            let path = dir.join(name.as_path());
            let stat = match behind_link {
                true => Some(Stat::behind(&path)?.unwrap_or(Stat::NOWHERE)),
                false => Stat::of(&path)?,
            };
            let Some(stat) = stat else { return Ok(None) };
            match known.get(&(&name, behind_link)).filter(|known| known.vouches_for(&stat, vouched_until)) {
                Some(known) => Ok(Some((*known).clone())),
                None => Entry::read(dir, name, behind_link, stat).map(Some),
            }
        })?;
        let entries = looked.into_iter().flatten().collect::<Vec<_>>().into();
        let directories = if patterns.are_outputs { BTreeMap::new() } else { directories };
        let directories = directories.into_iter().map(|(name, stat)| Entry::directory(name, stat));
        let directories = directories.collect::<Vec<_>>().into();
        let snapshot = Snapshot { patterns: wanted, entries, directories, absent, read_at };
        Ok(Taken { snapshot, identical: false, missing })
    }

    /// No file was added or removed, as far as directories and their stat records tell.
    fn lists_the_same(&self, dir: &Path) -> Result<bool> {
        if self.directories.changed(dir, self.read_at)?.is_none_or(|changed| !changed.is_empty()) {
            return Ok(false);
        }
        for name in &self.absent {
            if Stat::of(&dir.join(name.as_path()))?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same names again and no others, and the directories that they are in at and below `outputs`; `None` where the
    /// record cannot be read.
    pub(super) fn look_at_names(
        &self,
        dir: &Path,
        outputs: &[PathBuf],
        read_at: Instant,
    ) -> Result<Option<Looked>> {
        let found = self.entries.looked_at(dir, outputs, self.read_at)?;
        let Some(Found { changed, linked }) = found else { return Ok(None) };
        if changed.is_empty() {
            let (snapshot, gone) = (self.clone(), Vec::new());
            return Ok(Some(Looked { snapshot, gone, linked, identical: true, is_relinked: false }));
        }
        let is_relinked = changed.iter().any(|(index, stat)| {
            let Entry { behind_link, stat: before, .. } = &self.entries[*index];
            !behind_link && stat.is_some_and(|now| now.is_link() != before.is_link())
        });
        let mut gone = Vec::new();
        let mut read = Vec::new();
        for (index, stat) in changed {
            match stat {
                Some(stat) => read.push((index, stat)),
                None => gone.push(index),
            }
        }
        let read: Vec<(usize, Entry)> = threads::try_map(read, 1, |(index, stat)| {
            let Entry { name, behind_link, .. } = &self.entries[index];
            Ok((index, Entry::read(dir, name.clone(), *behind_link, stat)?))
        })?;
        let names = gone.iter().map(|index| self.entries[*index].name.clone()).collect();
        let mut snapshot = Snapshot { read_at, ..self.clone() };
        snapshot.entries.change(|list| {
            for (index, entry) in read {
                list[index] = entry;
            }
            for index in gone.into_iter().rev() {
                list.remove(index);
            }
        });
        Ok(Some(Looked { snapshot, gone: names, linked, identical: false, is_relinked }))
    }

    /// The content as a whole: names, kinds and digests, no stat records.
    pub fn digest(&self) -> Result<Digest> {
        let content: Vec<_> = self
            .entries
            .iter()
            .map(|entry| (&entry.name, entry.behind_link, entry.kind(), entry.digest))
            .collect();
        Digest::of_value(&content)
    }

    /// Calls `each` with every name: faster than to go through the entries, of which no list is made.
    pub fn each_name(&self, each: impl FnMut(&Path)) {
        self.entries.each_name(each);
    }

    /// The entry of that name itself, not of what it points to.
    pub fn get(&self, name: &Path) -> Option<&Entry> {
        self.entries
            .binary_search_by(|entry| {
                (entry.name.as_path().as_os_str(), entry.behind_link).cmp(&(name.as_os_str(), false))
            })
            .ok()
            .map(|index| &self.entries[index])
    }
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
            ..Patterns::default()
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
        before.entries.change(|list| list[0].digest = marked);
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
        racy.entries.change(|list| list[0].digest = Digest::of(b"wrong"));
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
    fn the_whole_plugin_is_an_input_like_others() {
        let dir = tempfile::tempdir().unwrap();
        let whole = Patterns { files: vec!["".into()], ..Patterns::default() };
        let take = |previous| Snapshot::take(dir.path(), &whole, previous, now_in(dir.path())).unwrap();
        write(dir.path(), "in/a.txt", "a");
        let first = take(None).snapshot;
        assert!(take(Some(&first)).identical);
        write(dir.path(), "b.txt", "b");
        assert_eq!(names(&take(Some(&first)).snapshot), ["b.txt", "in/a.txt"]);
    }

    #[test]
    fn an_input_that_is_a_link_to_a_directory_is_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "real/a.txt", "a");
        crate::fs::symlink(Path::new("real"), &dir.path().join("in")).unwrap();
        let named = Patterns { required: vec!["in".into()], ..Patterns::default() };
        let take = |previous: Option<&Snapshot>| {
            Snapshot::take(dir.path(), &named, previous, now_in(dir.path())).unwrap()
        };
        let first = take(None).snapshot;
        assert_eq!(names(&first), ["in", "in/a.txt"]);
        write(dir.path(), "real/a.txt", "b");
        let second = take(Some(&first)).snapshot;
        assert_ne!(second.digest().unwrap(), first.digest().unwrap());
        write(dir.path(), "real/b.txt", "b");
        assert_eq!(names(&take(Some(&second)).snapshot), ["in", "in/a.txt", "in/b.txt"]);
    }

    #[test]
    fn a_file_that_becomes_a_link_counts_with_what_it_points_to() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("in.txt");
        let named = Patterns { files: vec!["in.txt".into()], ..Patterns::default() };
        let take = |previous: Option<&Snapshot>| {
            Snapshot::take(dir.path(), &named, previous, now_in(dir.path())).unwrap()
        };
        write(dir.path(), "in.txt", "a");
        let mut before = take(None).snapshot;
        crate::fs::rename(&input, &dir.path().join("real.txt")).unwrap();
        crate::fs::symlink(Path::new("real.txt"), &input).unwrap();
        before = take(Some(&before)).snapshot;
        for content in ["b", "c"] {
            write(dir.path(), "real.txt", content);
            let after = take(Some(&before)).snapshot;
            assert_ne!(after.digest().unwrap(), before.digest().unwrap(), "{content}");
            before = after;
        }
        crate::fs::remove_file(&input).unwrap();
        write(dir.path(), "in.txt", "c");
        assert_eq!(names(&take(Some(&before)).snapshot), ["in.txt"]);
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
        let behind = snapshot.entries.iter().find(|entry| entry.behind_link).unwrap();
        assert_eq!((snapshot.entries.len(), behind.kind()), (3, FileKind::Dangling));
        assert_eq!(snapshot.get(Path::new("in/link.txt")).unwrap().kind(), FileKind::Link);
        assert!(snapshot.get(odd).is_some());
    }
}
