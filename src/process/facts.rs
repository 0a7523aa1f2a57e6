//! What the kernel tells of one process, in `/proc`.

use std::collections::BTreeSet;
use std::path::Path;

use super::tree::Processes;
use crate::fs;

/// The value of a variable in a process' environment.
pub(crate) fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = fs::read(&Path::new("/proc").join(pid.to_string()).join("environ")).ok()?;
    let prefix = format!("{name}=");
    let value =
        environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Children of this process that have ended and were not waited for.
pub(crate) fn zombies() -> BTreeSet<i32> {
    let is_dead = |pid: &i32| {
        let stat = fs::read(Path::new(&format!("/proc/{pid}/stat"))).unwrap_or_default();
        let end = stat.iter().rposition(|byte| *byte == b')').unwrap_or(0);
        stat.get(end + 2) == Some(&b'Z')
    };
    children_of(std::process::id()).into_iter().filter(is_dead).collect()
}

/// Bytes of memory that a process and its descendants hold.
pub(crate) fn memory_of(pid: u32, all: &Processes) -> Option<u64> {
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
pub(crate) fn children_of(pid: u32) -> BTreeSet<i32> {
    let children = fs::read(Path::new(&format!("/proc/{pid}/task/{pid}/children"))).unwrap_or_default();
    let children = String::from_utf8_lossy(&children).into_owned();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
