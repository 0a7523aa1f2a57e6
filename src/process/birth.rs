//! What a process is before its program begins: its group or session, who ends it, its limits.
//!
//! The one place that does something between fork and exec, for std, tokio and duct alike.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

/// How a process comes into the world.
#[derive(Debug, Default)]
pub(crate) struct Birth {
    circle: Circle,
    parting: Option<Signal>,
    soft_open_files: Option<u64>,
    limits: Vec<(Resource, u64)>,
    cgroup: Option<File>,
}

/// Whose signals reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Circle {
    #[default]
    Parents,
    OwnGroup,
    OwnSession,
}

impl Birth {
    /// It leads a process group: what it starts can be signalled as a whole, and ^C does not reach it.
    pub(crate) fn in_group() -> Birth {
        Birth { circle: Circle::OwnGroup, ..Birth::default() }
    }

    /// It leads a session: it has no terminal.
    pub(crate) fn in_session() -> Birth {
        Birth { circle: Circle::OwnSession, ..Birth::default() }
    }

    /// It gets this signal from the kernel when the thread that started it ends, however that happens.
    #[must_use]
    pub(crate) fn ended_with_parent(mut self, signal: Signal) -> Birth {
        self.parting = Some(signal);
        self
    }

    /// The soft limit of descriptors alone; the hard one stays.
    #[must_use]
    pub(crate) fn soft_open_files(mut self, number: Option<u64>) -> Birth {
        self.soft_open_files = number;
        self
    }

    /// As far as the machine allows; `None` for no limit of ours.
    #[must_use]
    pub(crate) fn limit(mut self, resource: Resource, wanted: Option<u64>) -> Birth {
        self.limits.extend(wanted.map(|wanted| (resource, wanted)));
        self
    }

    /// The control group with this `cgroup.procs`, if it may enter it.
    #[must_use]
    pub(crate) fn in_cgroup(mut self, procs: Option<File>) -> Birth {
        self.cgroup = procs;
        self
    }

    /// Has the command start so. A `tokio` command gives this one by `as_std_mut`.
    #[allow(unsafe_code)]
    pub(crate) fn of(self, command: &mut Command) {
        if self.circle == Circle::OwnGroup {
            command.process_group(0);
        }
        // SAFETY: setsid, prctl, write, getrlimit and setrlimit are single system calls, and nothing here allocates, so
        // it may run between fork and exec.
        unsafe {
            command.pre_exec(move || Ok(self.begin()?));
        }
    }

    fn begin(&self) -> rustix::io::Result<()> {
        if self.circle == Circle::OwnSession {
            rustix::process::setsid()?;
        }
        if self.parting.is_some() {
            rustix::process::set_parent_process_death_signal(self.parting)?;
        }
        if let Some(procs) = &self.cgroup {
            // Whoever may not enter it runs without.
            let _ = rustix::io::write(procs, b"0");
        }
        if let Some(number) = self.soft_open_files {
            let maximum = getrlimit(Resource::Nofile).maximum;
            setrlimit(Resource::Nofile, Rlimit { current: Some(number), maximum })?;
        }
        for (resource, wanted) in &self.limits {
            let exactly = |value| Rlimit { current: Some(value), maximum: Some(value) };
            // Only root may go beyond the machine's own limit.
            let lower = (*wanted).min(getrlimit(*resource).maximum.unwrap_or(u64::MAX));
            setrlimit(*resource, exactly(*wanted)).or_else(|_| setrlimit(*resource, exactly(lower)))?;
        }
        Ok(())
    }
}
