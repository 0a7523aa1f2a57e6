//! Units for systemd: the processes of a module as services, wanted by one target.
//!
//! ```text
//! mwp-mfserv.target
//! ├─ mwp-mfserv-app-hello-main@1.service …   a template per service, an instance per worker
//! ├─ mwp-mfserv-nginx.service
//! └─ mwp-mfserv-logs.timer                   logrotate, where the machine has it
//! ```
//!
//! Or one unit for `mwp up`, which then does all of that: `mwp-mfserv.service`, told by the supervisor when it is ready
//! ([`crate::run::supervisor`]).
//!
//! Sockets are not handed over by systemd: nginx takes no listening socket from it but over its own undocumented
//! variable, and workers listen where nginx looks for them; nothing would be won, as no request is lost without it.
//!
//! They ask nothing of systemd that Debian 12 (252) has not. A worker's command and environment are those that the
//! installed plugin has when it starts; how many there are, their limits and their logs are as they were when the
//! units were written. Units of ours that are no longer wanted are removed, unless there are problems: what cannot be
//! read keeps what it has.

mod harden;
mod quote;
mod rotation;
mod unit;

use std::path::{Path, PathBuf};

use super::{OurFiles, Roster, Target, Written};
use crate::error::Result;
use crate::fs;
use crate::run::Service;
use crate::site::Site;

/// Whose systemd is to run the units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    System,
    /// That of the user.
    User,
}

/// Who looks after the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// systemd itself: a unit for each.
    Processes,
    /// `mwp up`, in one unit.
    Supervisor,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Units {
    pub files: Written,
    pub target: String,
    /// Whether anything rotates the logs.
    pub rotates: bool,
}

/// Writes the units into a directory, and beside the module's other files what they refer to.
pub fn write(roster: &Roster, dir: &Path, manager: Manager, form: Form, site: &Site) -> Result<Units> {
    roster.make_ready()?;
    let first_line = format!("# mwp systemd: {}", roster.module);
    let ours = OurFiles { first_line: &first_line };
    let composer = unit::Composer::new(roster, manager)?;

    if form == Form::Supervisor {
        let name = format!("mwp-{}.service", roster.module);
        let unit = Target { path: dir.join(&name), text: composer.supervisor()?, mode: 0o666 };
        fs::create_dir_all(dir)?;
        ours.write(&[composer.environment_file()])?;
        let mut files = ours.write(std::slice::from_ref(&unit))?;
        files.removed = ours.remove_others(dir, &[unit], |name| name.starts_with("mwp-"))?;
        return Ok(Units { files, target: name, rotates: true });
    }
    let rotation = rotation::Rotation::new(roster, site)?;
    let mut targets = Vec::new();
    let mut wants = Vec::new();
    let mut put = |name: String, text: String| {
        targets.push(Target { path: dir.join(name), text, mode: 0o666 });
    };
    for service in &roster.services {
        put(template_name(roster, service), composer.service(service)?);
        wants.extend(instance_names(roster, service));
    }
    if let Some(front) = &roster.nginx {
        let name = format!("mwp-{}-nginx.service", roster.module);
        put(name.clone(), composer.nginx(front, &listening(roster))?);
        wants.push(name);
    }
    if let Some(rotation) = &rotation {
        let name = format!("mwp-{}-logs", roster.module);
        put(format!("{name}.service"), composer.rotation(&rotation.command)?);
        put(format!("{name}.timer"), composer.timer());
        wants.push(format!("{name}.timer"));
    }
    let target = format!("mwp-{}.target", roster.module);
    put(target.clone(), composer.target(&wants));

    fs::create_dir_all(dir)?;
    let mut beside = vec![composer.environment_file()];
    beside.extend(rotation.as_ref().map(|rotation| rotation.file.clone()));
    ours.write(&beside)?;
    let mut files = ours.write(&targets)?;
    if roster.problems.is_empty() {
        files.removed = ours.remove_others(dir, &targets, |name| name.starts_with("mwp-"))?;
    }
    Ok(Units { files, target, rotates: rotation.is_some() })
}

fn template_name(roster: &Roster, service: &Service) -> String {
    stem(roster, service) + "@.service"
}

fn instance_names(roster: &Roster, service: &Service) -> Vec<String> {
    (1..=service.workers).map(|worker| format!("{}@{worker}.service", stem(roster, service))).collect()
}

fn stem(roster: &Roster, service: &Service) -> String {
    let [plugin, name] = [&service.id.plugin, &service.id.name].map(|part| quote::name_part(part));
    format!("mwp-{}-{}-{plugin}-{name}", roster.module, service.id.kind.word())
}

/// Whoever nginx sends requests to: it starts after them and stops before them.
fn listening(roster: &Roster) -> Vec<String> {
    let listening = roster.services.iter().filter(|service| service.listens());
    listening.flat_map(|service| instance_names(roster, service)).collect()
}

/// The directory of a systemd's own units, where one puts them who does not link them.
pub fn is_unit_directory(dir: &Path) -> bool {
    let dir: PathBuf = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    dir.ends_with("systemd/system") || dir.ends_with("systemd/user")
}
