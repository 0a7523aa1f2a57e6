//! Which faults to inject into a command: what it calls, how each call may fail, and at which of its calls.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;

/// How system calls fail. What has another way to do the same is among them.
const ERRORS: &[(&str, &[&str])] = &[
    ("openat", &["EIO", "EMFILE", "EACCES", "ENOSPC", "EINTR"]),
    ("openat2", &["ENOSYS", "EIO"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("write", &["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
    ("writev", &["ENOSPC", "EIO"]),
    ("pwrite64", &["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
    ("copy_file_range", &["ENOSYS", "ENOSPC", "EIO", "EXDEV"]),
    ("sendfile", &["EINVAL", "ENOSPC"]),
    ("ioctl", &["EOPNOTSUPP", "EIO"]),
    ("fsync", &["EIO", "ENOSPC", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC", "EINTR"]),
    ("syncfs", &["EIO", "ENOSPC"]),
    ("rename", &["ENOSPC", "EIO", "EACCES", "EDQUOT"]),
    ("renameat", &["ENOSPC", "EIO", "EACCES"]),
    ("renameat2", &["ENOSYS", "EINVAL", "ENOSPC", "EIO", "EACCES"]),
    ("link", &["EPERM", "EIO", "ENOSPC"]),
    ("linkat", &["EPERM", "EIO", "ENOSPC"]),
    ("symlink", &["ENOSPC", "EIO"]),
    ("symlinkat", &["ENOSPC", "EIO"]),
    ("unlink", &["EIO", "EACCES"]),
    ("unlinkat", &["EIO", "EACCES"]),
    ("rmdir", &["EIO", "EACCES"]),
    ("mkdir", &["ENOSPC", "EIO", "EACCES", "EDQUOT"]),
    ("mkdirat", &["ENOSPC", "EIO", "EACCES", "EDQUOT"]),
    ("chmod", &["EIO", "EPERM"]),
    ("fchmod", &["EIO", "EPERM"]),
    ("fchmodat", &["EIO", "EPERM"]),
    ("utimensat", &["EIO", "EPERM"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("flock", &["EIO", "EINTR", "ENOLCK"]),
    ("getdents64", &["EIO", "EACCES"]),
    ("statx", &["EIO", "EACCES", "ENOSYS"]),
    ("newfstatat", &["EIO", "EACCES"]),
    ("fstat", &["EIO"]),
    ("statfs", &["EIO", "ENOSYS"]),
    ("fstatfs", &["EIO", "ENOSYS"]),
    ("readlink", &["EIO", "EACCES"]),
    ("readlinkat", &["EIO", "EACCES"]),
    ("lseek", &["EIO"]),
    ("fcntl", &["EMFILE", "EINVAL"]),
    ("pipe2", &["EMFILE", "ENFILE"]),
    ("socket", &["EMFILE", "EACCES"]),
    ("socketpair", &["EMFILE"]),
    ("clone", &["EAGAIN"]),
    ("clone3", &["EAGAIN", "ENOSYS"]),
    ("vfork", &["EAGAIN"]),
    ("execve", &["EACCES", "EIO", "ENOENT"]),
    ("wait4", &["EINTR"]),
    ("waitid", &["EINTR"]),
    ("prctl", &["EINVAL"]),
];

/// What strace follows to see what a command calls.
pub(super) fn calls() -> String {
    let names: Vec<&str> = ERRORS.iter().map(|(call, _)| *call).collect();
    format!("trace={}", names.join(","))
}

/// One way to disturb a command.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) call: &'static str,
    /// `None`: the process is killed there.
    pub(super) error: Option<&'static str>,
    pub(super) when: usize,
}

impl Fault {
    /// As strace has it.
    pub(super) fn option(&self) -> String {
        let Fault { call, error, when } = self;
        let what = error.map_or_else(|| "signal=KILL".to_owned(), |error| format!("error={error}"));
        format!("inject={call}:{what}:when={when}")
    }
}

/// How often any one thread of `mwp` itself made each call, from the log of strace.
pub(super) fn counts(log: &str) -> BTreeMap<&'static str, usize> {
    let mut seen: BTreeMap<(&str, &'static str), usize> = BTreeMap::new();
    let mut others = HashSet::new();
    let mut main = None;
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(char::is_whitespace) else { continue };
        let main = *main.get_or_insert(pid);
        let name = rest.trim_start().split('(').next().unwrap_or_default();
        let Some((name, _)) = ERRORS.iter().find(|(call, _)| *call == name) else { continue };
        if *name == "execve" && pid != main {
            others.insert(pid);
        }
        *seen.entry((pid, *name)).or_default() += 1;
    }
    let mut counts = BTreeMap::new();
    for ((pid, name), count) in seen {
        if !others.contains(pid) {
            let most: &mut usize = counts.entry(name).or_default();
            *most = count.max(*most);
        }
    }
    // The first is that of the command itself; those of what it starts come after it failed to find them elsewhere.
    counts.entry("execve").and_modify(|count| *count = 8);
    counts
}

/// `number` faults, of each system call about as many.
pub(super) fn choose(
    counts: &BTreeMap<&'static str, usize>,
    kill: bool,
    number: usize,
    random: &mut Rng,
) -> Vec<Fault> {
    let mut by_call: Vec<Vec<Fault>> = Vec::new();
    for (call, errors) in ERRORS {
        let most = counts.get(call).copied().unwrap_or(0);
        let first = if *call == "execve" { 2 } else { 1 };
        let errors: Vec<_> =
            if kill { vec![None] } else { errors.iter().map(|error| Some(*error)).collect() };
        let all = (first..=most).flat_map(|when| {
            errors.iter().map(move |error| Fault { call, error: *error, when }).collect::<Vec<_>>()
        });
        let mut all: Vec<Fault> = all.collect();
        random.shuffle(&mut all);
        by_call.push(all);
    }
    let mut chosen = Vec::new();
    while chosen.len() < number && by_call.iter().any(|faults| !faults.is_empty()) {
        chosen.extend(by_call.iter_mut().filter_map(Vec::pop));
    }
    chosen.truncate(number);
    chosen
}
