//! Everything of a module that has processes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::env::enclosing_plugin;
use crate::error::{At, Error, Fault, Problem, Result};
use crate::fs;
use crate::plugin::{Module, Plugin};
use crate::run::nginx::{Inputs, Nginx, configure};
use crate::run::{Service, Settings, plans};
use crate::site::{Environment, Site};
use crate::text;

/// What another supervisor is to run. Plugins that cannot be read are left out, and are among the problems.
#[derive(Debug, Clone)]
pub struct Roster {
    pub module: Module,
    pub settings: Settings,
    /// The runtime home.
    pub home: PathBuf,
    /// Those that have workers.
    pub services: Vec<Service>,
    pub problems: Vec<Problem>,
    /// Whether steps of mfdata wait for files, which redis and an observer have to tell them of.
    pub waits_for_files: bool,
    /// Whose the problems are.
    pub fault: Fault,
    pub(in crate::run) nginx: Option<Front>,
    /// What a process needs of this environment to find everything where it was found now.
    pub(in crate::run) environment: Environment,
    program: PathBuf,
    plugins_base: Option<PathBuf>,
}

/// nginx, in front of the apps.
#[derive(Debug, Clone)]
pub(in crate::run) struct Front {
    /// The program and its arguments.
    pub(in crate::run) words: Vec<String>,
    conf: PathBuf,
    text: String,
}

/// Variables that have a say in where things are and in what plugins find.
const VARIABLES: [&str; 9] = [
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "MWP_ETC_DIR",
    "NODE_PATH",
    "PATH",
    "PKG_CONFIG_PATH",
    "PYTHONPATH",
    "TZ",
];
/// Those of a loaded MetWork begin like this.
const PREFIXES: [&str; 2] = ["MF", "LAYERAPI2_"];

impl Roster {
    /// Looks at what is installed.
    pub fn read(module: &Module, plugins_base: Option<&Path>, site: &Site) -> Result<Roster> {
        if let Some(name) = enclosing_plugin(&site.environment) {
            let inside = format!("this is the environment of the plugin `{}`", text::visible(&name));
            return Err(Error::input(inside).hint("leave it (`exit`): what is written here would inherit it"));
        }
        let program = site.program.clone().ok_or_else(|| Error::machine("cannot tell where `mwp` is"))?;
        let plugins_base = plugins_base.map(|dir| std::path::absolute(dir).at("find", dir)).transpose()?;
        let settings = Settings::load(module, site)?;
        let home = site.runtime_home(module);
        let mut roster = Roster {
            module: module.clone(),
            home,
            services: Vec::new(),
            problems: Vec::new(),
            waits_for_files: false,
            fault: Fault::Input,
            nginx: None,
            environment: kept(module, site),
            program,
            plugins_base,
            settings,
        };
        let plugins = roster.read_plugins(site)?;
        roster.read_nginx(&plugins, site)?;
        Ok(roster)
    }

    fn read_plugins(&mut self, site: &Site) -> Result<Vec<(Plugin, Vec<Service>)>> {
        let mut plugins = Vec::new();
        for (name, plan) in plans(&self.module, self.plugins_base.as_deref(), &self.settings, site)? {
            let plan = match plan {
                Ok(plan) => plan,
                Err(error) => {
                    self.problems.extend(of_plugin(&name, error.problems));
                    continue;
                }
            };
            self.waits_for_files |= !plan.watched.is_empty();
            let services = plan.services;
            self.services.extend(services.iter().filter(|service| service.workers > 0).cloned());
            plugins.push((plan.plugin, services));
        }
        Ok(plugins)
    }

    fn read_nginx(&mut self, plugins: &[(Plugin, Vec<Service>)], site: &Site) -> Result<()> {
        if !self.module.has_nginx() || !self.settings.nginx.flag {
            return Ok(());
        }
        self.make_directories()?;
        let site = self.settings.applied_to(site, &self.module);
        let inputs = Inputs { module: &self.module, settings: &self.settings, site: &site, plugins };
        let configured = Nginx::find(&site).and_then(|nginx| Ok((configure(&nginx, &inputs)?, nginx)));
        match configured {
            Ok((configured, nginx)) => {
                let conf = self.var().join("nginx/nginx.conf");
                let arguments = nginx.arguments(&conf, &self.home);
                let words = std::iter::once(nginx.program.into_os_string()).chain(arguments);
                let words = words.map(|word| word.to_string_lossy().into_owned()).collect();
                self.nginx = Some(Front { words, conf, text: configured.text });
                for (plugin, problem) in configured.problems {
                    self.problems.extend(of_plugin(&plugin, vec![problem]));
                }
            }
            Err(error) => {
                self.fault = error.fault;
                self.problems.extend(error.problems);
            }
        }
        self.give_away()
    }

    pub(in crate::run) fn var(&self) -> PathBuf {
        self.home.join("var")
    }

    pub(in crate::run) fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    /// What starts a worker of a service; its number is to follow.
    pub(in crate::run) fn launcher(&self, service: &Service, options: &[&str]) -> Result<Vec<String>> {
        let mut words = self.command("worker", options)?;
        words.extend([service.id.plugin.clone(), service.id.section()]);
        Ok(words)
    }

    /// A command of ours for this module and its base.
    pub(in crate::run) fn command(&self, command: &str, options: &[&str]) -> Result<Vec<String>> {
        let mut words = self.order(command)?;
        if let Some(base) = &self.plugins_base {
            words.extend(["--plugins-base-dir", utf8(base)?].map(str::to_owned));
        }
        words.extend(options.iter().map(|option| (*option).to_owned()));
        Ok(words)
    }

    /// One for the supervisor of this module.
    pub(in crate::run) fn order(&self, command: &str) -> Result<Vec<String>> {
        Ok([utf8(&self.program)?, command, "--module", self.module.as_str()].map(str::to_owned).to_vec())
    }

    /// Where processes of the module write.
    pub(in crate::run) fn writable(&self) -> Vec<PathBuf> {
        let configured = self.settings.systemd.writable_paths.iter();
        std::iter::once(&self.home).chain(&self.plugins_base).chain(configured).cloned().collect()
    }

    /// What they have to find.
    pub(in crate::run) fn needed(&self) -> Vec<PathBuf> {
        vec![self.program.clone()]
    }

    /// Who owns the runtime home, and shall run what is in it.
    pub(in crate::run) fn owner(&self) -> Result<u32> {
        self.make_directories()?;
        Ok(self.home.metadata().at("read", &self.home)?.uid())
    }

    /// Puts in place what the processes need before they start.
    pub(in crate::run) fn make_ready(&self) -> Result<()> {
        self.make_directories()?;
        if let Some(front) = &self.nginx {
            fs::write_atomic(&front.conf, front.text.as_bytes())?;
        }
        self.give_away()
    }

    fn make_directories(&self) -> Result<()> {
        for dir in [self.log(), self.var().join("nginx")] {
            fs::create_own_dir_all(&dir)?;
        }
        self.give_away()
    }

    /// What root has made in a home, nginx' test of its configuration included, belongs to whom the home belongs to.
    fn give_away(&self) -> Result<()> {
        let home = self.home.metadata().at("read", &self.home)?;
        if !rustix::process::geteuid().is_root() || home.uid() == 0 {
            return Ok(());
        }
        let mut waiting = vec![self.var().join("nginx"), self.log()];
        let give = |path: &Path| -> Result<bool> {
            let metadata = path.symlink_metadata().at("read", path)?;
            if metadata.uid() == 0 {
                fs::set_owner(path, home.uid(), home.gid())?;
            }
            Ok(metadata.is_dir())
        };
        give(&self.var())?;
        while let Some(path) = waiting.pop() {
            if give(&path)? {
                waiting.extend(fs::list(&path)?);
            }
        }
        Ok(())
    }
}

fn kept(module: &Module, site: &Site) -> Environment {
    let is_kept =
        |name: &str| VARIABLES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let of_site = site.environment.iter().filter(|(name, _)| name.to_str().is_some_and(is_kept));
    let mut kept: Environment = of_site.map(|(name, value)| (name.clone(), value.clone())).collect();
    kept.set("MFMODULE_RUNTIME_HOME", site.runtime_home(module));
    kept
}

fn of_plugin(name: &str, problems: Vec<Problem>) -> impl Iterator<Item = Problem> {
    problems.into_iter().map(move |problem| Problem {
        message: format!("{}: {}", text::visible(name), problem.message),
        hint: problem.hint,
    })
}

/// A path that goes into a file of text.
pub(in crate::run) fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::input(format!("{} is not UTF-8; only UTF-8 can be written here", text::path(path)))
            .hint("move it to another path")
    })
}
