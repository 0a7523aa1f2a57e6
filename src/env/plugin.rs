//! The environment that a plugin's code runs in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::layer::{Layer, Layers};
use super::load::Loader;
use super::virtualenv::virtualenv_fault;
use super::{search_path, stand_ins, variables};
use crate::error::{Error, Result};
use crate::fs;
use crate::installed::absolute;
use crate::plugin::Plugin;
use crate::plugin::config::{ModuleSettings, default_variables};
use crate::site::{Environment, Site};

/// What becomes of the layers that are loaded already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Under {
    /// They stay, behind the plugin's.
    Loaded,
    /// All are unloaded first.
    Nothing,
}

/// A plugin and the environment of its code.
#[derive(Debug, Clone)]
pub struct PluginEnvironment {
    /// Its directory is absolute.
    pub plugin: Plugin,
    pub environment: Environment,
}

/// The environment of the plugin in `dir`, which need not be installed: `plugins_base` is where the plugins
/// that it builds upon are. Its TMPDIR exists when this returns.
pub fn of_plugin(dir: &Path, plugins_base: &Path, site: &Site) -> Result<Environment> {
    PluginEnvironment::new(dir, Some(plugins_base), Under::Loaded, site).map(|plugin| plugin.environment)
}

/// The plugin in whose environment we are.
pub fn enclosing_plugin(environment: &Environment) -> Option<String> {
    let is_name = |name: &str| name.strip_suffix(NAME).is_some_and(|module| !module.is_empty());
    let mut variables =
        environment.iter().filter(|(name, value)| name.to_str().is_some_and(is_name) && !value.is_empty());
    variables.next().map(|(_, value)| value.to_string_lossy().into_owned())
}

const CURRENT: &str = "_CURRENT_PLUGIN_";
const NAME: &str = "_CURRENT_PLUGIN_NAME";

impl PluginEnvironment {
    /// As [`of_plugin`]; without a base directory, that of the plugin's module.
    pub fn new(
        dir: &Path,
        plugins_base: Option<&Path>,
        under: Under,
        site: &Site,
    ) -> Result<PluginEnvironment> {
        let (mut plugin, others) = outline(dir, plugins_base, under, site)?;
        refuse_broken_virtualenvs(others.iter().chain([&plugin.plugin]))?;
        if let Some(tmp) = plugin.environment.path("TMPDIR") {
            fs::create_own_dir_all(&tmp).map_err(|error| {
                error.hint(
                    "the plugin's TMPDIR goes there: let it be written to, or name another home with \
                     MFMODULE_RUNTIME_HOME",
                )
            })?;
        }
        stand_ins::append_for_steps(&mut plugin.environment, &plugin.plugin.label.module, site)?;
        Ok(plugin)
    }

    /// As [`new`](PluginEnvironment::new), for whoever only looks: its TMPDIR need not exist, nor what stands for MetWork's modules.
    pub fn outlined(
        dir: &Path,
        plugins_base: Option<&Path>,
        under: Under,
        site: &Site,
    ) -> Result<PluginEnvironment> {
        outline(dir, plugins_base, under, site).map(|(plugin, _)| plugin)
    }
}

/// Where the interpreter of a virtualenv is gone, another `python3` further down PATH would take its place, without
/// any of the plugin's packages.
fn refuse_broken_virtualenvs<'a>(mut plugins: impl Iterator<Item = &'a Plugin>) -> Result<()> {
    plugins.try_for_each(|plugin| match virtualenv_fault(&plugin.dir.join("local")) {
        None => Ok(()),
        Some(fault) => Err(Error::input(format!(
            "the virtualenv of the plugin `{}` cannot be used: {fault}",
            plugin.label.name
        ))
        .hint(format!(
            "bring that Python back, or make the virtualenv anew: `mwp verify --repair {0}` where `{0}` is \
                 installed, `mwp build --force` where it is developed",
            plugin.label.name
        ))),
    })
}

/// The environment, and the plugins that this one builds upon.
fn outline(
    dir: &Path,
    plugins_base: Option<&Path>,
    under: Under,
    site: &Site,
) -> Result<(PluginEnvironment, Vec<Plugin>)> {
    let dir = absolute(dir)?;
    search_path::refuse_colon(&dir)?;
    let plugin = Plugin::load(&dir, site)?;
    let base = match plugins_base {
        Some(base) => absolute(base)?,
        None => site.plugins_base(&plugin.label.module),
    };
    let mut environment = site.environment.clone();
    forget_current_plugin(&mut environment);
    set_module(&mut environment, &plugin, &base, site);
    if !dir.starts_with(&base) {
        search_path::prepend(&mut environment, LAYERS_PATH, &dir);
    }

    let layers = Layers::with_plugins(&environment, &base);
    let own = Layer { label: plugin.label.to_string(), home: dir.clone() };
    let mut loader = Loader::new(&layers, environment);
    match under {
        Under::Nothing => loader.unload_all()?,
        // What it was loaded from may have changed.
        Under::Loaded if own.is_loaded(&loader.environment) => loader.unload(&own)?,
        Under::Loaded => {}
    }

    let mut others = Vec::new();
    inherited(&own, &layers, &loader.environment, site, &mut BTreeSet::new(), &mut others)?;
    for other in others.iter().chain([&plugin]) {
        set_configuration(&mut loader.environment, other);
    }
    set_identity(&mut loader.environment, &plugin);
    let tmp = site.runtime_home(&plugin.label.module).join("tmp").join(plugin.label.name.as_str());
    loader.environment.set("TMPDIR", tmp);
    loader.load_layer(&own)?;
    Ok((PluginEnvironment { plugin, environment: loader.environment }, others))
}

const LAYERS_PATH: &str = "LAYERAPI2_LAYERS_PATH";

/// What belongs to the plugin in whose environment we are is not for this one.
fn forget_current_plugin(environment: &mut Environment) {
    let names = environment.iter().filter_map(|(name, _)| name.to_str());
    let names: Vec<String> = names.filter(|name| name.contains(CURRENT)).map(str::to_owned).collect();
    for name in names {
        environment.remove(&name);
    }
}

/// What a MetWork environment always has.
fn set_module(environment: &mut Environment, plugin: &Plugin, base: &Path, site: &Site) {
    let module = &plugin.label.module;
    let defaults: [(&str, PathBuf); 5] = [
        ("MFMODULE", module.upper().into()),
        ("MFMODULE_LOWERCASE", module.as_str().into()),
        ("MFMODULE_VERSION", env!("CARGO_PKG_VERSION").into()),
        ("MFMODULE_RUNTIME_HOME", site.runtime_home(module)),
        ("MFCONFIG", site.configuration_name.clone().into()),
    ];
    let machine = site.machine_variables().map(|(name, value)| (name, PathBuf::from(value)));
    for (name, value) in defaults.into_iter().chain(machine) {
        if environment.path(name).is_none() {
            environment.set(name, value);
        }
    }
    for (name, value) in default_variables(module, site) {
        if environment.text(&name).is_none() {
            environment.set(name, value);
        }
    }
    // Files are stronger than what a loaded MetWork says. Whatever is wrong with them, `mwp up` says.
    if let Ok(settings) = ModuleSettings::of(module, site) {
        for (name, value) in settings.variables(module) {
            environment.set(name, value);
        }
    }
    environment.set("MFMODULE_PLUGINS_BASE_DIR", base);
    search_path::prepend(environment, LAYERS_PATH, base);
}

/// The plugins that a layer depends on, those that they depend on before them.
fn inherited(
    layer: &Layer,
    layers: &Layers,
    environment: &Environment,
    site: &Site,
    seen: &mut BTreeSet<PathBuf>,
    plugins: &mut Vec<Plugin>,
) -> Result<()> {
    seen.insert(layer.home.clone());
    for dependency in layer.dependencies(environment)? {
        if !dependency.label.starts_with("plugin_") {
            continue;
        }
        // One that is required and absent is an error when the layers are loaded.
        let Some(other) = layers.get(&dependency.label, environment) else { continue };
        if seen.contains(&other.home) {
            continue;
        }
        match Plugin::load(&other.home, site) {
            Ok(plugin) => {
                inherited(&other, layers, environment, site, seen, plugins)?;
                plugins.push(plugin);
            }
            Err(_) if dependency.optional => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn set_configuration(environment: &mut Environment, plugin: &Plugin) {
    for (name, value) in variables::of_configuration(plugin) {
        environment.set(name, value);
    }
    if plugin.config.general.add_plugin_dir_to_python_path {
        search_path::prepend(environment, "PYTHONPATH", &plugin.dir);
    }
}

fn set_identity(environment: &mut Environment, plugin: &Plugin) {
    let prefix = format!("{}{CURRENT}", plugin.label.module.upper());
    environment.set(format!("{prefix}NAME"), plugin.label.name.as_str());
    environment.set(format!("{prefix}DIR"), plugin.dir.as_os_str());
    environment.set(format!("{prefix}LABEL"), plugin.label.to_string());
}

#[cfg(test)]
mod tests;
