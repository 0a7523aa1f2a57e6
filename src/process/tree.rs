//! All processes that this one brought about, however they were started.
//!
//! The process is made the reaper of its descendants: those whose parent ended become its own children, whatever
//! sessions and groups they have put themselves into, so that none gets out of sight.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};

use crate::fs;

/// From now on orphans among the descendants are children of this process.
pub(crate) fn adopt_orphans() {
    // Where the kernel has no such thing, those that keep their parents are found all the same.
    let _ = set_child_subreaper(Some(getpid()));
}

/// Kills every descendant, and those that are born meanwhile. Whoever else waits for a child may miss its end.
pub(crate) fn kill_descendants() {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        // The dead are ours to bury: in a container nobody else may.
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let alive = descendants(getpid().as_raw_nonzero().get());
        if alive.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in alive.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Those that run; a zombie does not.
pub(crate) fn descendants(ancestor: i32) -> Vec<i32> {
    Processes::now().descendants(ancestor)
}

/// Whose child each process is: a look at all of them, for several questions.
#[derive(Debug)]
pub(crate) struct Processes(BTreeMap<i32, Vec<(i32, bool)>>);

impl Processes {
    pub(crate) fn now() -> Processes {
        let mut children: BTreeMap<i32, Vec<(i32, bool)>> = BTreeMap::new();
        for dir in fs::list(Path::new("/proc")).unwrap_or_default() {
            let pid = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            let Some(pid) = pid else { continue };
            let Ok(stat) = fs::read(&dir.join("stat")) else { continue };
            if let Some((parent, runs)) = parent_and_state(&stat) {
                children.entry(parent).or_default().push((pid, runs));
            }
        }
        Processes(children)
    }

    /// Those that run.
    pub(crate) fn descendants(&self, ancestor: i32) -> Vec<i32> {
        let mut found = Vec::new();
        let mut waiting = vec![ancestor];
        let mut seen = BTreeSet::from([ancestor]);
        while let Some(parent) = waiting.pop() {
            for (pid, runs) in self.0.get(&parent).into_iter().flatten() {
                // Numbers are used again while we look: what looks like a circle is cut.
                if seen.insert(*pid) {
                    waiting.push(*pid);
                    if *runs {
                        found.push(*pid);
                    }
                }
            }
        }
        found
    }
}

/// Of `PID (NAME) STATE PARENT …`, where the name may hold anything.
fn parent_and_state(stat: &[u8]) -> Option<(i32, bool)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut words = rest.split_whitespace();
    let runs = !matches!(words.next()?, "Z" | "X");
    Some((words.next()?.parse().ok()?, runs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(parent_and_state(b"12 (a) Z 1 (b) S 7 12 12"), Some((7, true)));
        assert_eq!(parent_and_state(b"12 (a) Z 7 12 12"), Some((7, false)));
        assert_eq!(parent_and_state(b"nonsense"), None);
    }

    #[test]
    fn a_child_is_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(descendants(getpid().as_raw_nonzero().get()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
