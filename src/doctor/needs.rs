//! What the installed plugins need of the machine.

use crate::cron;
use crate::fs;
use crate::installed::{Base, InstallState};
use crate::plugin::{Module, Plugin};
use crate::site::Site;

#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Modules that have plugins.
    pub(super) modules: Vec<Module>,
    pub(super) python: bool,
    pub(super) node: bool,
    pub(super) nginx: bool,
    pub(super) redis: bool,
    pub(super) cron: bool,
    pub(super) libmagic: bool,
}

impl Needs {
    pub(super) fn of(site: &Site) -> Needs {
        let mut needs = Needs::default();
        for module in Module::KNOWN {
            let plugins = Base::new(None, &module, site).list().unwrap_or_default();
            let mut is_there = false;
            for plugin in plugins {
                if !matches!(plugin.state, InstallState::Installed(_) | InstallState::Devlink(_)) {
                    continue;
                }
                let home = &plugin.home;
                let loaded = Plugin::load(home, site).ok().filter(|loaded| loaded.label.module == module);
                // Where all modules share a base, each looks at its own.
                let Some(loaded) = loaded else { continue };
                is_there = true;
                needs.python |= fs::exists(&home.join("python3_virtualenv_sources"));
                needs.node |= fs::exists(&home.join("node_modules"));
                needs.cron |= cron::has_jobs(home);
                let mut sections = loaded.config.sections.iter().map(|section| section.name.as_str());
                needs.nginx |= sections.any(|name| name.starts_with("app_"));
                needs.libmagic |= plugin.name == "guess_file_type";
            }
            if is_there {
                needs.redis |= module == Module::Mfdata;
                needs.modules.push(module);
            }
        }
        needs
    }
}
