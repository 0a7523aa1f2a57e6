//! One worker, as it is to be now: what units of systemd and watchers of circus start and stop.

use super::others::MARK;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::fs;
use crate::installed::Base;
use crate::plugin::Module;
use crate::process::sockets::connections;
use crate::run::{Control, Plan, Service, Settings, plan};
use crate::site::{Environment, Site};
use crate::text;

/// A worker of a service of an installed plugin.
#[derive(Debug)]
pub struct Worker {
    plan: Plan,
    service: Service,
    number: u32,
    socket: PathBuf,
}

/// Which worker.
#[derive(Debug, Clone, Copy)]
pub struct Which<'a> {
    pub module: &'a Module,
    /// Where plugins are installed, instead of the module's own directory.
    pub plugins_base: Option<&'a Path>,
    pub plugin: &'a str,
    /// Of `config.ini`: `app_main`.
    pub section: &'a str,
    pub number: u32,
}

impl Worker {
    pub fn find(which: &Which<'_>, site: &Site) -> Result<Worker> {
        let Which { module, plugins_base, plugin, section, number } = *which;
        let settings = Settings::load(module, site)?;
        let base = Base::new(plugins_base, module, site);
        base.settle(site, &mut |_| {})?;
        let applied = settings.applied_to(site, module);
        let plan = plan(&base.get(plugin)?, &base, module, &applied)?;
        let service = plan.services.iter().find(|service| service.id.section() == section).cloned();
        let service = service.ok_or_else(|| {
            Error::input(format!(
                "the plugin `{}` has no command in a section [{}]",
                text::visible(plugin),
                text::visible(section)
            ))
            .hint(format!("it has changed: run `mwp systemd` or `mwp circus --module {module}` again"))
        })?;
        let socket = service.socket(number, &site.runtime_home(module).join("var"));
        Ok(Worker { plan, service, number, socket })
    }

    /// Fails where the module is up by itself: two of a worker would take each other's socket.
    pub fn refuse_a_second(module: &Module, site: &Site) -> Result<()> {
        match Control::connect(module, site)? {
            None => Ok(()),
            Some(_) => Err(Error::input(format!("{module} is up by `mwp up`, which runs this worker"))
                .hint("end that with `mwp down`, or stop this one")),
        }
    }

    /// Its words. The socket that an earlier process left is removed: most servers refuse to listen where one is.
    pub fn command(&self) -> Result<Vec<OsString>> {
        if self.service.listens() {
            fs::remove_file(&self.socket)?;
        }
        let words = self.service.command.words(&self.number.to_string(), &self.socket);
        Ok(words.into_iter().map(OsString::from).collect())
    }

    pub fn environment(&self) -> Environment {
        let mut environment = self.plan.environment_of(&self.service);
        if let Some(var) = self.socket.parent() {
            environment.set(MARK, var);
        }
        environment
    }

    /// Where it starts.
    pub fn home(&self) -> &Path {
        &self.service.home
    }

    /// Takes it away from nginx and waits until nobody is connected any more, for as long as its stop allows.
    pub fn drain(&self) -> Result<()> {
        if !self.service.listens() {
            return Ok(());
        }
        fs::remove_file(&self.socket)?;
        let begun = Instant::now();
        while begun.elapsed() < self.service.stop.drain && !matches!(connections(&self.socket), Ok(0)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
