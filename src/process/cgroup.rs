//! Control groups, version 2: a group of processes that nobody leaves by daemonizing, with limits of its own.
//!
//! Only where the machine has them and this user may make them (root, or a unit of systemd with `Delegate=yes`). The
//! kill and the figures need nothing more; limits need the controllers `memory` and `cpu` in our hands. Source of the
//! rules: the kernel's `admin-guide/cgroup-v2`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{At, Result};
use crate::fs;

/// What all processes of a group may use together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GroupLimits {
    /// Bytes of memory.
    pub memory_max: Option<u64>,
    /// Processors: 1.5 are one and a half.
    pub cpu_max: Option<f64>,
}

/// A directory of groups that is ours.
#[derive(Debug)]
pub(crate) struct Groups {
    dir: PathBuf,
    /// The controllers that limits can be set with.
    controllers: Vec<String>,
}

/// A group of processes; ends with what is in it.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
}

/// For the kernel, time is divided into pieces of so many microseconds.
const PERIOD: u64 = 100_000;
/// Processes that are killed are gone by then.
const GONE: Duration = Duration::from_secs(5);

impl Groups {
    /// A directory of that name beside the group that we are in; whatever an earlier one left there is ended. None where
    /// that cannot be.
    pub(crate) fn claim(name: &str) -> Option<Groups> {
        let own = own_group()?;
        let dir = own.join(name);
        kill_below(&dir);
        std::fs::create_dir_all(&dir).ok()?;
        // Whether a group can be ended as a whole: Linux 5.14.
        if !dir.join("cgroup.kill").exists() {
            let _ = std::fs::remove_dir(&dir);
            return None;
        }
        let controllers = enable(&own, &dir);
        Some(Groups { dir, controllers })
    }

    /// Whether these limits can be kept; else which controller is missing.
    pub(crate) fn missing_for(&self, limits: &GroupLimits) -> Option<&'static str> {
        let lacks = |name: &str| !self.controllers.iter().any(|known| known == name);
        match limits {
            GroupLimits { memory_max: Some(_), .. } if lacks("memory") => Some("memory"),
            GroupLimits { cpu_max: Some(_), .. } if lacks("cpu") => Some("cpu"),
            _ => None,
        }
    }

    /// Has all groups below `name` keep within these limits together.
    pub(crate) fn limit(&self, name: &str, limits: &GroupLimits) -> Result<()> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir)?;
        let memory = limits.memory_max.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let cpu = limits.cpu_max.map_or_else(
            || format!("max {PERIOD}"),
            |cores| format!("{} {PERIOD}", (cores * PERIOD as f64).max(1000.0) as u64),
        );
        for (file, value) in [("memory.max", memory), ("cpu.max", cpu)] {
            let path = dir.join(file);
            // Absent where the controller is.
            if path.exists() {
                set(&path, &value)?;
            }
        }
        Ok(())
    }

    /// A group of its own for a process of `name`.
    pub(crate) fn group(&self, name: &str, process: &str) -> Result<Group> {
        let dir = self.dir.join(name).join(process);
        fs::create_dir_all(&dir)?;
        Ok(Group { dir })
    }

    /// Seconds of processor time of everything that ever ran below `name`.
    pub(crate) fn processor_time_of(&self, name: &str) -> Option<f64> {
        let stat = std::fs::read_to_string(self.dir.join(name).join("cpu.stat")).ok()?;
        let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        Some(Duration::from_micros(usage.trim().parse().ok()?).as_secs_f64())
    }

    /// Bytes of memory of everything below `name`.
    pub(crate) fn memory_of(&self, name: &str) -> Option<u64> {
        std::fs::read_to_string(self.dir.join(name).join("memory.current")).ok()?.trim().parse().ok()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        kill_below(&self.dir);
    }
}

impl Group {
    /// Where a process writes `0` to be in the group.
    pub(crate) fn entry(&self) -> Result<File> {
        let path = self.dir.join("cgroup.procs");
        OpenOptions::new().write(true).open(&path).at("open", &path)
    }

    /// Ends everything that is in it, whatever it has become.
    pub(crate) fn kill(&self) {
        // It may have nobody in it, or be gone.
        let _ = set(&self.dir.join("cgroup.kill"), "1");
    }

    /// Whether somebody is in it.
    pub(crate) fn is_populated(&self) -> bool {
        let events = std::fs::read_to_string(self.dir.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // What is still ending is removed by whoever claims the directory next.
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// The directory of the group that this process is in.
fn own_group() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4)).flatten()
    })?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Path::new(mount).join(own.trim_start_matches('/')))
}

/// Hands the controllers down to `dir` and what is in it, and says which those are.
fn enable(own: &Path, dir: &Path) -> Vec<String> {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let wanted = ["memory", "cpu"];
    for from in [own, dir] {
        let available = read(from.join("cgroup.controllers"));
        for name in wanted.iter().filter(|name| available.split_whitespace().any(|known| known == **name)) {
            let control = from.join("cgroup.subtree_control");
            if set(&control, &format!("+{name}")).is_err() && from == own {
                // A group hands nothing down as long as it has processes itself: those that are ours move.
                move_to(&own.join("mwp-supervisor"));
                let _ = set(&control, &format!("+{name}"));
            }
        }
    }
    let enabled = read(dir.join("cgroup.subtree_control"));
    enabled.split_whitespace().map(str::to_owned).collect()
}

/// Moves this process and its parent, which guards it, into a group.
fn move_to(dir: &Path) {
    if std::fs::create_dir_all(dir).is_ok() {
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        for pid in [i32::try_from(std::process::id()).ok(), parent].into_iter().flatten() {
            let _ = set(&dir.join("cgroup.procs"), &pid.to_string());
        }
    }
}

/// Ends whatever is in the groups below and removes them.
fn kill_below(dir: &Path) {
    if !dir.is_dir() {
        return;
    }
    let _ = set(&dir.join("cgroup.kill"), "1");
    let begun = Instant::now();
    while !remove_below(dir) && begun.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn remove_below(dir: &Path) -> bool {
    for path in fs::list(dir).unwrap_or_default() {
        if path.is_dir() {
            remove_below(&path);
        }
    }
    std::fs::remove_dir(dir).is_ok()
}

fn set(path: &Path, value: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(path).at("open", path)?;
    file.write_all(value.as_bytes()).at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        let root = tempfile::tempdir().unwrap();
        let groups = Groups { dir: root.path().join("groups"), controllers: vec!["memory".to_owned()] };
        let dir = root.path().join("groups/hello");
        fs::create_dir_all(&dir).unwrap();
        for file in ["memory.max", "cpu.max"] {
            fs::write_atomic(&dir.join(file), b"").unwrap();
        }
        let limits = GroupLimits { memory_max: Some(512), cpu_max: Some(1.5) };
        groups.limit("hello", &limits).unwrap();
        let read = |file: &str| fs::read_text(&dir.join(file)).unwrap();
        assert_eq!((read("memory.max").as_str(), read("cpu.max").as_str()), ("512", "150000 100000"));
        assert_eq!(groups.missing_for(&limits), Some("cpu"));
        assert_eq!(groups.missing_for(&GroupLimits { cpu_max: None, ..limits }), None);
    }

    #[test]
    fn nobody_leaves_a_group_by_daemonizing() {
        let Some(groups) = Groups::claim(&format!("mwp-test-{}", std::process::id())) else {
            return eprintln!("no control groups of version 2 in our hands here");
        };
        let group = groups.group("hello", "1").unwrap();
        let path = group.dir.join("cgroup.procs");
        let script = format!("echo $$ > '{}'; setsid -f env -i sleep 7600; exit 0", path.display());
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        assert!(group.is_populated());
        group.kill();
        let begun = Instant::now();
        while group.is_populated() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
