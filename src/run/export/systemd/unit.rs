//! The text of each unit.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::harden::{Groups, Hardening, Rights};
use super::{Manager, quote};
use crate::error::Result;
use crate::run::export::{Front, Roster, Target};
use crate::run::{LogTarget, Service};

/// A service that ends is started again after so many seconds, however often it fails.
const PAUSE: u64 = 1;
/// SIGQUIT: nginx answers what it has taken, and ends.
const QUIT: i32 = 3;
/// Between two looks at the size of the logs.
const LOOK_AT_LOGS: &str = "*:0/10";

/// Beyond what one worker may take.
const SETTLING: Duration = Duration::from_secs(120);

const PREAMBLE: &str = "# Written anew each time: changes are lost here, and kept by `systemctl edit`.\n";

pub(super) struct Composer<'a> {
    roster: &'a Roster,
    manager: Manager,
    /// `User=`, where systemd's own is not the one that is meant.
    user: Option<u32>,
    /// `None` where it is switched off.
    hardening: Option<Hardening>,
    rights: Rights,
}

/// A unit in the making.
#[derive(Default)]
pub(super) struct Unit(String);

impl Unit {
    fn section(&mut self, name: &str) -> &mut Unit {
        self.0 += &format!("\n[{name}]\n");
        self
    }

    pub(super) fn set(&mut self, key: &str, value: impl Display) -> &mut Unit {
        self.0 += &format!("{key}={value}\n");
        self
    }

    fn set_some(&mut self, key: &str, value: Option<impl Display>) -> &mut Unit {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }
}

impl<'a> Composer<'a> {
    pub(super) fn new(roster: &'a Roster, manager: Manager) -> Result<Composer<'a>> {
        let user = match manager {
            Manager::System => Some(roster.owner()?).filter(|user| *user != 0),
            Manager::User => None,
        };
        let hardening = roster.settings.systemd.hardening.then(|| Hardening {
            manager,
            writable: roster.writable(),
            needed: roster.needed(),
        });
        let is_root = manager == Manager::System && user.is_none();
        Ok(Composer {
            roster,
            manager,
            user,
            hardening,
            rights: if is_root { Rights::Root } else { Rights::None },
        })
    }

    /// `home`: what is written to besides.
    fn harden(&self, unit: &mut Unit, rights: Rights, groups: Groups, home: Option<&Path>) -> Result<()> {
        match &self.hardening {
            Some(hardening) => hardening.apply(unit, rights, groups, home.as_slice()),
            None => Ok(()),
        }
    }

    /// Those of whoever listens for the module.
    fn listening(&self) -> Rights {
        let nginx = &self.roster.settings.nginx;
        let is_low = nginx.port < 1024 || nginx.https_port.is_some_and(|port| port < 1024);
        if self.rights == Rights::None && is_low { Rights::LowPorts } else { self.rights }
    }

    /// One for all workers of a service; `%i` is a worker's number.
    pub(super) fn service(&self, service: &Service) -> Result<String> {
        let mut unit = self.begin(&format!("{} of {}, worker %i", service.id, self.roster.module));
        self.begin_service(&mut unit, "exec")?;
        unit.set("WorkingDirectory", quote::path(&service.home)?);
        let launcher = |options: &[&str]| -> Result<String> {
            quote::command(&self.roster.launcher(service, options)?, Some("%i"))
        };
        unit.set("ExecStart", launcher(&[])?);
        if service.listens() && !service.stop.drain.is_zero() {
            unit.set("ExecStop", launcher(&["--drain"])?);
        }
        end(&mut unit, service.stop.signal, service.longest_stop());
        unit.set_some("LimitAS", service.limits.address_space)
            .set_some("LimitNOFILE", service.limits.open_files)
            .set_some("LimitSTACK", service.limits.stack)
            .set_some("LimitFSIZE", service.limits.file_size);
        if let Some(age) = service.max_age {
            unit.set("RuntimeMaxSec", age.as_secs()).set("RuntimeRandomizedExtraSec", age.as_secs());
        }
        self.log(&mut unit, service.log_names("%i"))?;
        // A devlink leads out of the runtime home.
        let home = std::fs::canonicalize(&service.home).unwrap_or_else(|_| service.home.clone());
        self.harden(&mut unit, self.rights, Groups::Given, Some(&home))?;
        Ok(unit.0)
    }

    /// Where the two streams go.
    fn log(&self, unit: &mut Unit, [out, err]: [String; 2]) -> Result<()> {
        if let LogTarget::Journald { .. } = self.roster.settings.log.target {
            // A unit has one name for both.
            unit.set("StandardOutput", "journal").set("StandardError", "inherit");
            let name = Path::new(&out).file_stem().unwrap_or_default().to_string_lossy();
            unit.set("SyslogIdentifier", name);
            return Ok(());
        }
        let log = quote::path(&self.roster.log())?;
        unit.set("StandardOutput", format!("append:{log}/{out}"));
        match out == err {
            true => unit.set("StandardError", "inherit"),
            false => unit.set("StandardError", format!("append:{log}/{err}")),
        };
        Ok(())
    }

    pub(super) fn nginx(&self, front: &Front, behind: &[String]) -> Result<String> {
        let mut unit = self.begin(&format!("nginx of {}", self.roster.module));
        let network = (self.manager == Manager::System).then(|| "network.target".to_owned());
        for name in network.iter().chain(behind) {
            unit.set("After", name);
        }
        self.begin_service(&mut unit, "exec")?;
        unit.set("WorkingDirectory", quote::path(&self.roster.home)?)
            .set("ExecStart", quote::command(&front.words, None)?)
            .set("ExecReload", "/bin/kill -HUP $MAINPID");
        end(&mut unit, QUIT, Duration::from_secs(self.roster.settings.nginx.timeout));
        self.log(&mut unit, [(); 2].map(|()| "nginx.log".to_owned()))?;
        self.harden(&mut unit, self.listening(), Groups::Given, None)?;
        Ok(unit.0)
    }

    pub(super) fn rotation(&self, command: &[String]) -> Result<String> {
        let mut unit = self.begin(&format!("Log rotation of {}", self.roster.module));
        self.begin_service(&mut unit, "oneshot")?;
        unit.set("ExecStart", quote::command(command, None)?);
        self.harden(&mut unit, self.rights, Groups::Given, None)?;
        Ok(unit.0)
    }

    /// `mwp up` itself, with everything that it starts.
    pub(super) fn supervisor(&self) -> Result<String> {
        let roster = self.roster;
        let mut unit = Unit(PREAMBLE.to_owned());
        unit.section("Unit").set("Description", format!("{} and its plugins", roster.module));
        if self.manager == Manager::System {
            unit.set("After", "network.target");
        }
        self.begin_service(&mut unit, "notify")?;
        // The guardian is the main process, and the supervisor below it is who knows.
        unit.set("NotifyAccess", "all").set("Delegate", "yes");
        // Installing sets the user's crontab, by a program with the rights of a group.
        let provision: &[&str] = if self.hardening.is_some() { &["--no-provision"] } else { &[] };
        unit.set("ExecStart", quote::command(&roster.command("up", provision)?, None)?)
            .set("ExecReload", quote::command(&roster.order("reload")?, None)?)
            .set("TimeoutStartSec", (roster.settings.supervisor.start_timeout + SETTLING).as_secs())
            // `mwp down` is an order; a guardian that was killed comes back.
            .set("Restart", "on-failure")
            .set("RestartSec", PAUSE)
            .set("KillMode", "mixed");
        let stops = roster.services.iter().map(Service::longest_stop);
        let longest = stops.max().unwrap_or_default();
        let nginx = Duration::from_secs(roster.settings.nginx.timeout);
        unit.set("TimeoutStopSec", (longest + nginx + SETTLING).as_secs());
        self.harden_supervisor(&mut unit)?;
        unit.section("Install").set("WantedBy", self.wanted_by());
        Ok(unit.0)
    }

    fn harden_supervisor(&self, unit: &mut Unit) -> Result<()> {
        let Some(hardening) = &self.hardening else { return Ok(()) };
        let real = |service: &Service| std::fs::canonicalize(&service.home).ok();
        let homes: Vec<PathBuf> = self.roster.services.iter().filter_map(real).collect();
        let homes: Vec<&Path> = homes.iter().map(PathBuf::as_path).collect();
        hardening.apply(unit, self.listening(), Groups::Own, &homes)
    }

    fn wanted_by(&self) -> &'static str {
        match self.manager {
            Manager::System => "multi-user.target",
            Manager::User => "default.target",
        }
    }

    pub(super) fn timer(&self) -> String {
        let mut unit = self.begin(&format!("Log rotation of {}", self.roster.module));
        unit.section("Timer").set("OnCalendar", LOOK_AT_LOGS);
        unit.0
    }

    pub(super) fn target(&self, wants: &[String]) -> String {
        let mut unit = Unit(PREAMBLE.to_owned());
        unit.section("Unit").set("Description", format!("{} and its plugins", self.roster.module));
        for name in wants {
            unit.set("Wants", name);
        }
        unit.section("Install").set("WantedBy", self.wanted_by());
        unit.0
    }

    /// What the services find in their environment; there may be secrets among it.
    pub(super) fn environment_file(&self) -> Target {
        let variables = self.roster.environment.iter();
        let variables = variables.filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let text = variables.map(|(name, value)| quote::variable(name, value)).collect();
        Target { path: self.environment_path(), text, mode: 0o600 }
    }

    fn environment_path(&self) -> PathBuf {
        self.roster.var().join("systemd.env")
    }

    fn begin(&self, description: &str) -> Unit {
        let mut unit = Unit(PREAMBLE.to_owned());
        unit.section("Unit")
            .set("Description", description)
            .set("PartOf", format!("mwp-{}.target", self.roster.module));
        unit
    }

    fn begin_service(&self, unit: &mut Unit, kind: &str) -> Result<()> {
        if kind != "oneshot" {
            unit.set("StartLimitIntervalSec", 0);
        }
        unit.section("Service").set("Type", kind).set_some("User", self.user);
        unit.set("EnvironmentFile", quote::path(&self.environment_path())?);
        Ok(())
    }
}

/// How it ends, and that it comes back.
fn end(unit: &mut Unit, signal: i32, time: Duration) {
    let name = signal_hook::low_level::signal_name(signal);
    unit.set("Restart", "always")
        .set("RestartSec", PAUSE)
        .set("KillMode", "mixed")
        .set("KillSignal", name.map_or_else(|| signal.to_string(), str::to_owned))
        // 0 would be for ever.
        .set("TimeoutStopSec", time.as_secs().max(1));
}
