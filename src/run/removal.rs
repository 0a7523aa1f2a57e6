//! Old files below mfdata's directory of incoming files, which nobody waits for any more.
//!
//! A file is as old as its arrival: the time of the last change of its inode, which a rename sets. What it holds may be
//! from whenever. Never removed is what waits in a directory that an installed step watches, what a step has in its hands
//! (`templates/shims/python/acquisition/_claims.py`), and a link or a directory that somebody has put there to stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{DirEntry, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

use super::model::{Kept, Watched, is_unfinished};
use crate::fs;
use crate::text;

const TRASH: &str = "trash";
const TMP: &str = "tmp";
/// Below `tmp/P.S`: who has which files in hand.
const CLAIMS: &str = ".claims";
/// Below `tmp`: uploads on their way.
const NGINX: &str = "nginx";
/// Deeper trees are nobody's.
const MAX_DEPTH: usize = 32;
/// In the log.
const MOST_DIRS: usize = 10;
const EMPTY_FOR: Duration = Duration::from_secs(60);

/// What there is to know before anything is removed.
#[derive(Debug, Clone)]
pub struct Removal {
    /// Where files come in.
    input: PathBuf,
    kept: Kept,
    /// Directories where files wait for a step.
    watched: BTreeSet<PathBuf>,
    /// `P.S` of the steps that are there.
    steps: BTreeSet<String>,
    /// Plugins that cannot be read: whatever is in an inbox of theirs waits.
    unknown: Vec<String>,
}

/// What was removed, and what could not be.
#[derive(Debug, Default)]
pub struct Removed {
    /// How many files, by directory.
    files: BTreeMap<PathBuf, usize>,
    /// Why another one could not be, for the first such.
    pub failure: Option<String>,
}

impl Removal {
    pub fn new<'a>(
        input: PathBuf,
        kept: Kept,
        watched: impl Iterator<Item = &'a Watched>,
        unknown: Vec<String>,
    ) -> Removal {
        let mut removal = Removal { input, kept, watched: BTreeSet::new(), steps: BTreeSet::new(), unknown };
        for Watched { directory, queue, label } in watched {
            // An inbox that its step does not watch gets files from other steps all the same.
            removal.watched.extend([directory.clone(), removal.input.join(queue)]);
            removal.steps.insert(label.clone());
        }
        removal
    }

    /// Removes what is too old at this time.
    pub fn run(&self, now: SystemTime) -> Removed {
        let mut walk = Walk { now, removal: self, removed: Removed::default(), claimed: BTreeSet::new() };
        let Kept { trash, other, .. } = self.kept;
        for entry in entries(&self.input) {
            let (path, Some(metadata)) = (entry.path(), seen(&entry)) else { continue };
            match entry.file_name().to_str() {
                // A link may stand for a directory on another disk.
                _ if metadata.is_symlink() => {}
                _ if !metadata.is_dir() => walk.file(&path, &metadata, other),
                Some(TRASH) => walk.below(&path, trash, Emptied::Go, 0),
                Some(TMP) => walk.tmp(&path),
                _ => walk.below(&path, other, Emptied::Stay, 0),
            }
        }
        walk.removed
    }

    /// Whether files in this directory wait for a step.
    fn is_watched(&self, dir: &Path) -> bool {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let is_of_unknown = |plugin: &String| {
            name.strip_prefix("step.").is_some_and(|rest| rest.starts_with(&format!("{plugin}.")))
        };
        self.watched.contains(dir) || self.unknown.iter().any(is_of_unknown)
    }

    /// Whether there is a step that takes up again what it had in hand here.
    fn has_step(&self, dir: &Path) -> bool {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        self.steps.contains(name.as_ref())
            || self.unknown.iter().any(|plugin| name.starts_with(&format!("{plugin}.")))
    }
}

/// What becomes of a directory that is empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Emptied {
    Stay,
    Go,
}

struct Walk<'a> {
    now: SystemTime,
    removal: &'a Removal,
    removed: Removed,
    /// What steps have in hand.
    claimed: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn tmp(&mut self, tmp: &Path) {
        let lifetime = self.removal.kept.tmp;
        for entry in entries(tmp) {
            let (path, Some(metadata)) = (entry.path(), seen(&entry)) else { continue };
            if !metadata.is_dir() {
                self.file(&path, &metadata, lifetime);
            } else if entry.file_name() == NGINX {
                self.below(&path, lifetime, Emptied::Stay, 0);
            } else {
                self.claimed = claimed(&path, self.removal.has_step(&path));
                self.below(&path, lifetime, Emptied::Go, 0);
                self.remove_if_empty(&path);
            }
        }
    }

    /// What is in a directory; the directory itself stays.
    fn below(&mut self, dir: &Path, lifetime: Option<Duration>, emptied: Emptied, depth: usize) {
        for entry in entries(dir) {
            let (path, Some(metadata)) = (entry.path(), seen(&entry)) else { continue };
            if !metadata.is_dir() {
                self.file(&path, &metadata, lifetime);
            } else if entry.file_name() != CLAIMS && depth < MAX_DEPTH {
                self.below(&path, lifetime, emptied, depth + 1);
                if emptied == Emptied::Go {
                    self.remove_if_empty(&path);
                }
            }
        }
    }

    /// A file, or a link itself; neither a socket nor a pipe.
    fn file(&mut self, path: &Path, metadata: &Metadata, lifetime: Option<Duration>) {
        let is_old = lifetime.is_some_and(|lifetime| self.age(metadata) > lifetime);
        if !(metadata.is_file() || metadata.is_symlink()) || !is_old || self.is_awaited(path) {
            return;
        }
        match fs::remove_file(path) {
            Ok(()) => {
                let dir = path.parent().unwrap_or(path);
                let dir = dir.strip_prefix(&self.removal.input).unwrap_or(dir);
                *self.removed.files.entry(dir.to_owned()).or_default() += 1;
            }
            Err(error) => drop(self.removed.failure.get_or_insert_with(|| error.to_string())),
        }
    }

    /// Whether a step waits for the file or has it in hand, or for files in what it stands for, being a link.
    fn is_awaited(&self, path: &Path) -> bool {
        let waits =
            path.parent().is_some_and(|dir| self.removal.is_watched(dir)) && !is_unfinished(path.as_os_str());
        waits || self.claimed.contains(path) || self.removal.is_watched(path)
    }

    /// One that was made a moment ago is about to be used.
    fn remove_if_empty(&self, dir: &Path) {
        if dir.symlink_metadata().is_ok_and(|metadata| self.age(&metadata) > EMPTY_FOR) {
            // Most are not.
            let _ = fs::remove_empty_dir(dir);
        }
    }

    /// Since its arrival; in the future, by a clock that was put back, is now.
    fn age(&self, metadata: &Metadata) -> Duration {
        let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
        let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
        self.now.duration_since(UNIX_EPOCH + Duration::new(seconds, nanoseconds)).unwrap_or_default()
    }
}

/// What steps have in hand in `tmp/P.S`: every claim where a step will look at it, that of a live process where none is
/// there any more.
fn claimed(dir: &Path, has_step: bool) -> BTreeSet<PathBuf> {
    let mut claimed = BTreeSet::new();
    for holder in entries(&dir.join(CLAIMS)) {
        if !has_step && !is_held(&holder.path()) {
            continue;
        }
        for entry in entries(&holder.path()) {
            claimed.insert(dir.join(entry.file_name().to_string_lossy().replace(',', "/")));
        }
    }
    claimed
}

/// Its process holds a lock on it as long as it lives.
fn is_held(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|dir| flock(&dir, FlockOperation::NonBlockingLockShared).is_err())
}

/// What cannot be read has nothing in it for us.
fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

/// Of the entry itself: links are not followed.
fn seen(entry: &DirEntry) -> Option<Metadata> {
    entry.metadata().ok()
}

impl Removed {
    pub fn is_nothing(&self) -> bool {
        self.files.is_empty()
    }
}

/// In one line.
impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.files.values().sum();
        let dirs = self.files.iter().map(|(dir, count)| format!("{count} in {}", text::path(dir)));
        let dirs: Vec<String> = dirs.take(MOST_DIRS).collect();
        let more = if self.files.len() > dirs.len() { ", …" } else { "" };
        write!(
            f,
            "removed {} that nobody waits for: {}{more}",
            text::count(total, "old file"),
            dirs.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Input {
        root: tempfile::TempDir,
        removal: Removal,
    }

    impl Input {
        /// With a step `p/main`, which watches `incoming`, and a plugin `q` that cannot be read.
        fn new() -> Input {
            let root = tempfile::tempdir().unwrap();
            let input = root.path().join("in");
            let minutes = |minutes| Some(minutes * MINUTE);
            let kept = Kept { trash: minutes(1440), tmp: minutes(60), other: minutes(360) };
            let watched = Watched {
                directory: input.join("incoming"),
                queue: "step.p.main".to_owned(),
                label: "p.main".to_owned(),
            };
            let removal = Removal::new(input, kept, std::iter::once(&watched), vec!["q".to_owned()]);
            Input { root, removal }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join("in").join(name)
        }

        fn write(&self, names: &[&str]) {
            for name in names {
                let path = self.path(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write_atomic(&path, b"").unwrap();
            }
        }

        fn run_in(&self, minutes: u32) -> Removed {
            self.removal.run(SystemTime::now() + minutes * MINUTE)
        }

        /// What is there of these.
        fn left<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
            names.iter().copied().filter(|name| fs::exists(&self.path(name))).collect()
        }
    }

    #[test]
    fn each_place_has_a_lifetime_of_its_own_and_what_somebody_waits_for_has_none() {
        let input = Input::new();
        let tmp = ["tmp/p.main/a", "tmp/gone.main/x/a", "tmp/a", "tmp/nginx/0/a"];
        let other = ["a", "step.gone.main/a", "elsewhere/deep/a", "incoming/sub/a"];
        let unfinished = ["step.p.main/a.t", "incoming/a.tmp", "step.q.main/a.t"];
        let trash = ["trash/p.main/a", "trash/p.main/a.tags", "trash/switch.nomatch/a"];
        let awaited = ["step.p.main/a", "incoming/a", "step.q.main/a"];
        let all = [&tmp[..], &other, &unfinished, &trash, &awaited].concat();
        input.write(&all);
        // Of the file itself; what it holds is from long ago.
        let path = input.path("tmp/p.main/a");
        fs::append_to(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert!(input.run_in(59).is_nothing());
        assert_eq!(input.run_in(61).files.values().sum::<usize>(), tmp.len());
        assert_eq!(input.left(&all), [&other[..], &unfinished, &trash, &awaited].concat());
        input.run_in(361);
        assert_eq!(input.left(&all), [&trash[..], &awaited].concat());
        let removed = input.run_in(1441).to_string();
        assert_eq!(
            removed,
            "removed 3 old files that nobody waits for: 2 in `trash/p.main`, 1 in `trash/switch.nomatch`"
        );
        assert_eq!(input.left(&all), awaited);
        // Empty directories go where steps make them, and stay where somebody delivers to.
        assert!(input.run_in(1442).is_nothing());
        let dirs =
            ["tmp", "tmp/p.main", "tmp/gone.main", "trash", "trash/p.main", "tmp/nginx/0", "step.gone.main"];
        assert_eq!(input.left(&dirs), ["tmp", "trash", "tmp/nginx/0", "step.gone.main"]);
    }

    #[test]
    fn no_limit_is_for_ever() {
        let mut input = Input::new();
        input.removal.kept = Kept { trash: None, tmp: None, other: None };
        let all = ["tmp/p.main/a", "a", "step.p.main/a.t", "trash/p.main/a"];
        input.write(&all);
        assert!(input.run_in(1_000_000).is_nothing());
        assert_eq!(input.left(&all), all);
    }

    #[test]
    fn what_a_step_has_in_hand_stays() {
        let input = Input::new();
        let held = ["tmp/p.main/dead", "tmp/p.main/x/dead", "tmp/gone.main/live"];
        let all = [&held[..], &["tmp/gone.main/dead", "tmp/p.main/free"]].concat();
        input.write(&all);
        let claim = |dir: &str, names: &[&str]| {
            let dir = input.path(dir);
            fs::create_dir_all(&dir).unwrap();
            for name in names {
                fs::symlink(Path::new("/from/where"), &dir.join(name)).unwrap();
            }
            File::open(dir).unwrap()
        };
        let live = claim("tmp/gone.main/.claims/1", &["live"]);
        flock(&live, FlockOperation::LockExclusive).unwrap();
        claim("tmp/gone.main/.claims/2", &["dead"]);
        claim("tmp/p.main/.claims/3", &["dead", "x,dead"]);
        input.run_in(1441);
        assert_eq!(input.left(&all), held);
        let claims = ["tmp/gone.main/.claims/2/dead", "tmp/p.main/.claims/3/dead"];
        assert_eq!(input.left(&claims), claims);
    }

    #[test]
    fn links_are_not_followed_and_those_that_stand_for_directories_stay() {
        let input = Input::new();
        let outside = input.root.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write_atomic(&outside.join("file"), b"").unwrap();
        for name in ["incoming", "trash", "tmp/p.main/link", "elsewhere/link"] {
            fs::create_dir_all(input.path(name).parent().unwrap()).unwrap();
            fs::symlink(&outside, &input.path(name)).unwrap();
        }
        input.run_in(1441);
        assert!(fs::exists(&outside.join("file")));
        assert_eq!(
            input.left(&["incoming", "trash", "tmp/p.main/link", "elsewhere/link"]),
            ["incoming", "trash"]
        );
    }
}
