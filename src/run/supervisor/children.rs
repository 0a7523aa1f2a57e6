//! Processes that the supervisor did not start itself, and that are its business all the same.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::process::MARK;
use crate::fs;
use crate::process::{facts, tree};
use crate::run::nginx::running;

/// Kills descendants of this process whose mark says so, wherever they have put themselves, and says how many there
/// were.
pub(super) fn kill_marked(is_meant: impl Fn(&str) -> bool) -> usize {
    let mut found = 0;
    for pid in tree::descendants(getpid().as_raw_nonzero().get()) {
        if mark_of(pid).is_some_and(|mark| is_meant(&mark))
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = kill_process(pid, Signal::KILL);
            found += 1;
        }
    }
    found
}

fn mark_of(pid: i32) -> Option<String> {
    facts::variable(pid, MARK)
}

/// Processes that came to us from workers, hid their mark, and so cannot be told to be anybody's.
/// Those that are `known` are not.
pub(super) fn strays(known: &BTreeSet<u32>) -> Vec<(i32, String)> {
    let is_known = |pid: i32| u32::try_from(pid).is_ok_and(|pid| known.contains(&pid));
    let is_stray = |pid: &i32| !is_known(*pid) && !facts::is_dead(*pid) && mark_of(*pid).is_none();
    let strays = facts::children_of(std::process::id()).into_iter().filter(is_stray);
    strays.map(|pid| (pid, facts::command_of(pid))).collect()
}

/// Buries the dead that workers left to this process as their reaper. Whoever is waited for elsewhere is buried at
/// once, so one that was dead at the last look and still is, is nobody's.
#[derive(Debug, Default)]
pub(super) struct ZombieReaper(BTreeSet<i32>);

impl ZombieReaper {
    pub(super) fn look(&mut self) {
        let dead = facts::zombies();
        for pid in dead.intersection(&self.0).filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        self.0 = dead;
    }
}

/// Ends what an earlier supervisor of this runtime home left behind when it was killed.
pub(super) fn end_leftovers(var: &Path, log: &Path) {
    let own = getpid().as_raw_nonzero().get();
    for dir in fs::list(Path::new("/proc")).unwrap_or_default() {
        let pid = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let Some(pid) = pid.filter(|pid| *pid != own) else { continue };
        let is_worker =
            facts::variable(pid, VAR).is_some_and(|home| Path::new(&home) == var) && mark_of(pid).is_some();
        if (is_worker || running::is_nginx_of(pid, log))
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The variable that names the module's `var` directory to whoever looks for leftovers.
pub(super) const VAR: &str = "MWP_VAR";
