//! Processes that the supervisor did not start itself, and that are its business all the same.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::process::MARK;
use crate::fs;
use crate::process::tree::{self, Processes};

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
    variable(pid, MARK)
}

/// The value of a variable in a process' environment.
pub(super) fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = fs::read(&Path::new("/proc").join(pid.to_string()).join("environ")).ok()?;
    let prefix = format!("{name}=");
    let value =
        environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Buries the dead that workers left to this process as their reaper. Whoever is waited for elsewhere is buried at
/// once, so one that was dead at the last look and still is, is nobody's.
#[derive(Debug, Default)]
pub(super) struct Undertaker(BTreeSet<i32>);

impl Undertaker {
    pub(super) fn look(&mut self) {
        let dead = zombies();
        for pid in dead.intersection(&self.0).filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        self.0 = dead;
    }
}

fn zombies() -> BTreeSet<i32> {
    let is_dead = |pid: &i32| {
        let stat = fs::read(Path::new(&format!("/proc/{pid}/stat"))).unwrap_or_default();
        let end = stat.iter().rposition(|byte| *byte == b')').unwrap_or(0);
        stat.get(end + 2) == Some(&b'Z')
    };
    children_of(std::process::id()).into_iter().filter(is_dead).collect()
}

/// Bytes of memory that a process and its descendants hold.
pub(super) fn memory_of(pid: u32, all: &Processes) -> Option<u64> {
    let pid = i32::try_from(pid).ok()?;
    let page = rustix::param::page_size() as u64;
    let resident = |pid: i32| {
        let statm = fs::read(Path::new(&format!("/proc/{pid}/statm"))).ok()?;
        String::from_utf8_lossy(&statm).split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let own = resident(pid)?;
    let others: u64 = all.descendants(pid).into_iter().filter_map(resident).sum();
    Some((own + others) * page)
}

/// The processes that were started by that one, without a look at all.
pub(super) fn children_of(pid: u32) -> BTreeSet<i32> {
    let children = fs::read(Path::new(&format!("/proc/{pid}/task/{pid}/children"))).unwrap_or_default();
    let children = String::from_utf8_lossy(&children).into_owned();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Ends what an earlier supervisor of this runtime home left behind when it was killed.
pub(super) fn end_leftovers(var: &Path, log: &Path) {
    let own = getpid().as_raw_nonzero().get();
    for dir in fs::list(Path::new("/proc")).unwrap_or_default() {
        let pid = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let Some(pid) = pid.filter(|pid| *pid != own) else { continue };
        let is_worker =
            variable(pid, VAR).is_some_and(|home| Path::new(&home) == var) && mark_of(pid).is_some();
        if (is_worker || is_nginx_of(&dir, log))
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The variable that names the module's `var` directory to whoever looks for leftovers.
pub(super) const VAR: &str = "MWP_VAR";

/// An nginx shows its title where others show their environment; the logs that it holds open tell whose it is.
fn is_nginx_of(dir: &Path, log: &Path) -> bool {
    let program = std::fs::read_link(dir.join("exe")).unwrap_or_default();
    let is_nginx = program.file_name().is_some_and(|name| name == "nginx" || name == "openresty");
    is_nginx
        && fs::list(&dir.join("fd"))
            .unwrap_or_default()
            .iter()
            .any(|descriptor| std::fs::read_link(descriptor).is_ok_and(|file| file.parent() == Some(log)))
}
