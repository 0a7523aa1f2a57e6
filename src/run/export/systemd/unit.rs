//! The text of each unit.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::{Manager, quote};
use crate::error::Result;
use crate::run::Service;
use crate::run::export::{Front, Roster, Target};

/// A service that ends is started again after so many seconds, however often it fails.
const PAUSE: u64 = 1;
/// SIGQUIT: nginx answers what it has taken, and ends.
const QUIT: i32 = 3;
/// Between two looks at the size of the logs.
const LOOK_AT_LOGS: &str = "*:0/10";

const PREAMBLE: &str = "# Written anew each time: changes are lost here, and kept by `systemctl edit`.\n";

pub(super) struct Composer<'a> {
    roster: &'a Roster,
    manager: Manager,
    /// `User=`, where systemd's own is not the one that is meant.
    user: Option<u32>,
}

/// A unit in the making.
#[derive(Default)]
struct Unit(String);

impl Unit {
    fn section(&mut self, name: &str) -> &mut Unit {
        self.0 += &format!("\n[{name}]\n");
        self
    }

    fn set(&mut self, key: &str, value: impl Display) -> &mut Unit {
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
        Ok(Composer { roster, manager, user })
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
        let log = quote::path(&self.roster.log())?;
        let [out, err] = service.log_names("%i");
        unit.set("StandardOutput", format!("append:{log}/{out}"));
        match out == err {
            true => unit.set("StandardError", "inherit"),
            false => unit.set("StandardError", format!("append:{log}/{err}")),
        };
        Ok(unit.0)
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
        let log = quote::path(&self.roster.log())?;
        unit.set("StandardOutput", format!("append:{log}/nginx.log")).set("StandardError", "inherit");
        Ok(unit.0)
    }

    pub(super) fn rotation(&self, command: &[String]) -> Result<String> {
        let mut unit = self.begin(&format!("Log rotation of {}", self.roster.module));
        self.begin_service(&mut unit, "oneshot")?;
        unit.set("ExecStart", quote::command(command, None)?);
        Ok(unit.0)
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
        let by = match self.manager {
            Manager::System => "multi-user.target",
            Manager::User => "default.target",
        };
        unit.section("Install").set("WantedBy", by);
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
