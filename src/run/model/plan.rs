//! What the installed plugins of a module come to: services with their environments, ready to be started.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Service, ServiceKind, Settings, Watched, watched};
use crate::env::{PluginEnvironment, Under, append_programs};
use crate::error::{Error, Fault, Problem, Result};
use crate::installed::{Base, InstallState, Installed};
use crate::plugin::{ConfigProblem, Module, Plugin};
use crate::process::GroupLimits;
use crate::site::{Environment, Site};

/// One plugin, as it is to run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub plugin: Plugin,
    pub version: String,
    pub release: String,
    /// The development directory of a devlink.
    pub devlink: Option<PathBuf>,
    /// Directories that its steps take files from.
    pub watched: Vec<Watched>,
    /// Those that have a command.
    pub services: Vec<Service>,
    pub environment: Environment,
    /// Of all its processes together.
    pub limits: GroupLimits,
    /// The home itself, wherever it has been moved: device and inode.
    identity: (u64, u64),
}

impl Plan {
    /// The plugin in `home`, which is in `base`.
    pub fn of(installed: &Installed, base: &Base, site: &Site) -> Result<Plan> {
        let home = &installed.home;
        let identity = identity(home)?;
        let PluginEnvironment { plugin, mut environment } =
            PluginEnvironment::new(home, Some(&base.dir), Under::Loaded, site)?;
        refuse_odd_overrides(&plugin, site)?;
        append_programs(&mut environment, site)?;
        let services = Service::of_plugin(&plugin, site)?;
        let devlink = match &installed.state {
            InstallState::Devlink(_) => std::fs::canonicalize(home).ok(),
            _ => None,
        };
        let (version, release) = match devlink {
            Some(_) => (plugin.config.general.version.clone(), plugin.config.general.release.clone()),
            None => (installed.version().to_owned(), installed.release().to_owned()),
        };
        let limits = limits(&plugin);
        let watched = watched(&plugin, site);
        Ok(Plan { plugin, version, release, devlink, watched, services, environment, limits, identity })
    }

    pub fn name(&self) -> &str {
        self.plugin.label.name.as_str()
    }

    /// Tells the home from another one at the same place.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Whether processes of this plan are what `other` asks for, too.
    pub fn runs_like(&self, other: &Plan) -> bool {
        self.identity == other.identity
            && self.services == other.services
            && self.environment == other.environment
    }

    /// The environment of one service.
    pub fn environment_of(&self, service: &Service) -> Environment {
        let mut environment = self.environment.clone();
        let debug = if service.debug { "1" } else { "0" };
        environment.set(format!("{}_CURRENT_APP_DEBUG", self.plugin.label.module.upper()), debug);
        if service.id.kind == ServiceKind::Step {
            environment.set(
                format!("{}_CURRENT_STEP_NAME", self.plugin.label.module.upper()),
                service.id.name.as_str(),
            );
        }
        environment
    }
}

fn limits(plugin: &Plugin) -> GroupLimits {
    let general = plugin.config.section("general");
    let memory = general.and_then(|general| u64::try_from(general.int("memory_max")).ok());
    let cpu = general.map(|general| general.float("cpu_max"));
    GroupLimits {
        memory_max: memory.filter(|bytes| *bytes > 0),
        cpu_max: cpu.filter(|cores| *cores > 0.0 && cores.is_finite()),
    }
}

/// A value of an override that is none would count as 0, and `numprocesses=abc` would take an app out of service: what runs
/// goes on as it was until somebody has mended it.
fn refuse_odd_overrides(plugin: &Plugin, site: &Site) -> Result<()> {
    let overrides = site.overrides(&plugin.label);
    let is_odd =
        |warning: &ConfigProblem| overrides.contains(&warning.file) && warning.message.contains("counts as");
    let warnings = crate::plugin::check(&plugin.dir, site).warnings;
    let odd: Vec<Problem> = warnings.into_iter().filter(is_odd).map(Into::into).collect();
    if odd.is_empty() { Ok(()) } else { Err(Error::many(Fault::Input, odd)) }
}

fn identity(home: &Path) -> Result<(u64, u64)> {
    use crate::error::At;
    let metadata = home.metadata().at("read", home)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Every plugin of a module: its plan, or why there is none.
pub type Plans = BTreeMap<String, Result<Plan>>;

/// Looks at all installed plugins of the module. The settings are those of the module.
pub fn plans(
    module: &Module,
    plugins_base: Option<&Path>,
    settings: &Settings,
    site: &Site,
) -> Result<Plans> {
    let base = Base::new(plugins_base, module, site);
    base.settle(site, &mut |_| {})?;
    let site = settings.applied_to(site, module);
    let mut plans = Plans::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for installed in base.list()? {
        let found = plan(&installed, &base, module, &site).and_then(|plan| keep_apart(plan, &mut owners));
        plans.insert(installed.name, found);
    }
    Ok(plans)
}

/// `a_b` with an app `c` and `a` with an app `b_c` would share sockets and logs: the first has them.
fn keep_apart(plan: Plan, owners: &mut BTreeMap<String, String>) -> Result<Plan> {
    for service in &plan.services {
        let stem = service.id.file_stem();
        if let Some(owner) = owners.get(&stem) {
            return Err(Error::input(format!(
                "its {} `{}` would have the sockets and logs of the plugin `{owner}`, {stem}",
                service.id.kind.word(),
                service.id.name
            ))
            .hint("rename it, or one of the plugins"));
        }
    }
    owners.extend(plan.services.iter().map(|service| (service.id.file_stem(), plan.name().to_owned())));
    Ok(plan)
}

/// The plan of one plugin.
pub fn plan(installed: &Installed, base: &Base, module: &Module, site: &Site) -> Result<Plan> {
    match &installed.state {
        InstallState::Corrupt(reason) => {
            return Err(Error::input(format!("its metadata cannot be read: {reason}"))
                .hint("install it again with `mwp install --force FILE`"));
        }
        InstallState::Broken(target) => {
            return Err(Error::input(format!(
                "it is a link to {}, which is not there",
                crate::text::path(target)
            ))
            .hint(format!("bring that directory back, or run `mwp uninstall {}`", installed.name)));
        }
        InstallState::Installed(_) | InstallState::Devlink(_) => {}
    }
    let plan = Plan::of(installed, base, site)?;
    if plan.plugin.label.module != *module {
        return Err(Error::input(format!("it is a plugin of {}", plan.plugin.label.module))
            .hint("it belongs into the plugins base of that module"));
    }
    if plan.name() != installed.name {
        return Err(Error::input(format!("its label says `{}`", plan.plugin.label))
            .hint("install it under the name that its label has"));
    }
    Ok(plan)
}
