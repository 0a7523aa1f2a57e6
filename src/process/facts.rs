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
    children_of(std::process::id()).into_iter().filter(|pid| is_dead(*pid)).collect()
}

/// The words of `/proc/PID/stat` after the name, which may hold anything: state, parent, …
fn stat_of(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read(Path::new(&format!("/proc/{pid}/stat"))).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    Some(String::from_utf8_lossy(&stat[end + 1..]).split_whitespace().map(str::to_owned).collect())
}

pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    stat_of(pid)?.get(1)?.parse().ok()
}

/// Whether it has ended, and waits to be waited for.
pub(crate) fn is_dead(pid: i32) -> bool {
    stat_of(pid).is_none_or(|stat| stat.first().is_some_and(|state| state == "Z" || state == "X"))
}

/// The command line, as a person would type it.
pub(crate) fn command_of(pid: i32) -> String {
    let words = fs::read(Path::new(&format!("/proc/{pid}/cmdline"))).unwrap_or_default();
    let words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(crate::text::visible_bytes).collect::<Vec<_>>().join(" ")
}

/// Whether somebody stopped it by a signal.
pub(crate) fn is_suspended(pid: u32) -> bool {
    let stat = i32::try_from(pid).ok().and_then(stat_of);
    stat.is_some_and(|stat| stat.first().is_some_and(|state| state == "T" || state == "t"))
}

/// Seconds of processor time of a process and its descendants, those included that it has waited for.
pub(crate) fn processor_time_of(pid: u32, all: &Processes) -> Option<f64> {
    let pid = i32::try_from(pid).ok()?;
    let ticks = |pid: i32, columns: &[usize]| {
        let stat = stat_of(pid)?;
        Some(columns.iter().filter_map(|column| stat.get(*column)?.parse::<u64>().ok()).sum::<u64>())
    };
    // utime, stime, and those of children that have ended.
    let own = ticks(pid, &[11, 12, 13, 14])?;
    let others: u64 = all.descendants(pid).into_iter().filter_map(|pid| ticks(pid, &[11, 12, 13, 14])).sum();
    #[allow(clippy::cast_precision_loss)]
    Some((own + others) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

pub(crate) fn open_files_of(pid: u32) -> Option<u64> {
    Some(fs::list(Path::new(&format!("/proc/{pid}/fd"))).ok()?.len() as u64)
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

/// The files that a process has open for writing, of those processes that this user may look into: device and inode.
pub(crate) fn open_for_writing() -> BTreeSet<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    const ACCESS: u32 = 0o3;
    let is_for_writing = |info: &Path| {
        let text = fs::read_text(info).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        flags
            .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
            .is_some_and(|flags| flags & ACCESS != 0)
    };
    let mut open = BTreeSet::new();
    for process in fs::list(Path::new("/proc")).unwrap_or_default() {
        // What is no process, or one of somebody else, has no list.
        for descriptor in fs::list(&process.join("fd")).unwrap_or_default() {
            let Some(number) = descriptor.file_name() else { continue };
            let Some(file) = descriptor.metadata().ok().filter(std::fs::Metadata::is_file) else { continue };
            if is_for_writing(&process.join("fdinfo").join(number)) {
                open.insert((file.dev(), file.ino()));
            }
        }
    }
    open
}
