//! Whether somebody else than `mwp up` runs a module: systemd or circus, with what was written for them.

use std::path::Path;

use crate::fs;
use crate::plugin::Module;
use crate::process::facts;
use crate::run::nginx::running::is_nginx_of;
use crate::site::Site;

/// In the environment of each worker that another supervisor started: the `var` directory of the module.
pub(in crate::run) const MARK: &str = "MWP_WORKER_OF";

/// Who runs a module instead of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    Systemd,
    Circus,
    /// It cannot be told which.
    Unknown,
}

impl Runner {
    pub fn name(self) -> &'static str {
        match self {
            Runner::Systemd => "systemd",
            Runner::Circus => "circus",
            Runner::Unknown => "another supervisor",
        }
    }

    /// What makes the new version run.
    pub fn how_to_follow(self, module: &Module) -> String {
        match self {
            Runner::Systemd => format!(
                "`mwp systemd` writes the units anew, then `systemctl restart mwp-{module}.target` starts the new version"
            ),
            Runner::Circus => {
                "`mwp circus` writes circus.ini anew, then `circusctl reloadconfig` and `circusctl restart`"
                    .to_owned()
            }
            Runner::Unknown => "restart it there".to_owned(),
        }
    }

    /// What people type to see how it is.
    pub fn how_to_look(self, module: &Module) -> String {
        match self {
            Runner::Systemd => {
                format!("`systemctl status 'mwp-{module}*'` shows it, in --user where it is a user's")
            }
            Runner::Circus => "`circusctl status` shows it".to_owned(),
            Runner::Unknown => "end that one first".to_owned(),
        }
    }
}

/// Who runs the module, where its processes are not ours: workers by their mark, nginx by its logs.
pub fn other_runner(module: &Module, site: &Site) -> Option<Runner> {
    let home = site.runtime_home(module);
    let (var, log) = (home.join("var"), home.join("log"));
    for dir in fs::list(Path::new("/proc")).unwrap_or_default() {
        let Some(pid) = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let is_theirs = facts::variable(pid, MARK).is_some_and(|of| Path::new(&of) == var);
        if is_below_a_supervisor(pid) {
            continue;
        }
        // An nginx of ours that lost its supervisor belongs to nobody.
        let runner = runner_of(pid);
        if is_theirs || (runner != Runner::Unknown && is_nginx_of(pid, &log)) {
            return Some(runner);
        }
    }
    None
}

/// Whether `mwp up` runs it, which may be a unit of systemd itself.
fn is_below_a_supervisor(pid: i32) -> bool {
    let parents = std::iter::successors(facts::parent_of(pid), |pid| facts::parent_of(*pid));
    parents.take_while(|pid| *pid > 1).any(|pid| facts::command_of(pid).contains(" supervise "))
}

/// By its control group or its parents.
fn runner_of(pid: i32) -> Runner {
    let group = fs::read(&Path::new("/proc").join(pid.to_string()).join("cgroup")).unwrap_or_default();
    let group = String::from_utf8_lossy(&group).into_owned();
    if group.split(['/', '\n']).any(|part| part.starts_with("mwp-") && part.ends_with(".service")) {
        return Runner::Systemd;
    }
    let mut ancestor = pid;
    while let Some(parent) = facts::parent_of(ancestor).filter(|parent| *parent > 1) {
        let line = fs::read(&Path::new("/proc").join(parent.to_string()).join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains("circusd") {
            return Runner::Circus;
        }
        ancestor = parent;
    }
    Runner::Unknown
}
