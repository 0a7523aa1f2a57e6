//! Internal plugins of mfdata, which are there without anybody installing them: `guess_file_type`, which files come in
//! through, and `switch`, which sends them on.
//!
//! What an installed mfdata ships is taken from there. Where nothing is shipped, these two are made of the templates in
//! this very program, as a `.plugin` file that is installed as any other. What somebody has installed under such a name is
//! left alone then.

mod carried;
mod overrides;

use std::path::{Path, PathBuf};

use crate::artifact::Artifact;
use crate::error::{Error, Result};
use crate::fs;
use crate::install::{self, Event, Outcome, Runner};
use crate::installed::Base;
use crate::plugin::Module;
use crate::run::Settings;
use crate::site::Site;
use crate::text;

/// What became of one plugin.
pub struct Settled {
    pub name: String,
    pub result: Result<Outcome>,
}

/// Installs the plugins that the module's settings ask for, as far as they are absent or others by now, and writes how
/// they are to run. One that cannot be installed does not keep the others from it.
pub fn settle(
    module: &Module,
    plugins_base: Option<&Path>,
    site: &Site,
    runner: &dyn Runner,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Settled>> {
    if *module != Module::Mfdata {
        return Ok(Vec::new());
    }
    let settings = Settings::load(module, site)?.data.internal_plugins;
    let base = Base::new(plugins_base, module, site);
    base.settle(site, on_event)?;
    let mut settled = Vec::new();
    for name in &settings.names {
        let result = match shipped(name, site) {
            Some(file) => install::bring(&file, module, plugins_base, site, runner, on_event)
                .map(|(_, outcome)| outcome),
            None if carried::is_carried(name) => carried::bring(name, &base, site, runner, on_event),
            None if base.get(name).is_ok() => Ok(Outcome::Unchanged),
            None => Err(absent(name, site)),
        };
        let result = result.and_then(|outcome| overrides::write(name, &settings, site).map(|()| outcome));
        settled.push(Settled { name: name.clone(), result });
    }
    Ok(settled)
}

fn absent(name: &str, site: &Site) -> Error {
    let name = text::visible(name);
    let place = match shelf(site) {
        Some(dir) => format!("{} has no file of it", text::path(&dir)),
        None => "MFDATA_HOME, where it would be shipped, is not set".to_owned(),
    };
    Error::input(format!(
        "[internal_plugins] install_{name}: the plugin `{name}` is not installed, and {place}"
    ))
    .hint("install it, or take the key out of the module's config.ini")
}

/// Where an installed mfdata has plugins.
fn shelf(site: &Site) -> Option<PathBuf> {
    Some(site.environment.path("MFDATA_HOME")?.join("share/plugins"))
}

/// The newest file of the plugin there.
fn shipped(name: &str, site: &Site) -> Option<PathBuf> {
    let prefix = format!("{name}-");
    let is_candidate = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        file.starts_with(&prefix) && file.ends_with(".plugin")
    };
    // Names of plugins may hold a `-`, too.
    let is_it =
        |path: &PathBuf| Artifact::open(path).is_ok_and(|artifact| artifact.label().name.as_str() == name);
    let files = fs::list(&shelf(site)?).ok()?.into_iter().filter(is_candidate).filter(is_it);
    files.max_by_key(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
}
