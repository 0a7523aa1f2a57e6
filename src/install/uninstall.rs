//! Removing an installed plugin, whatever state it is in.

use super::overrides::OverrideFile;
use super::package::touch_monitor;
use super::runner::Runner;
use super::transaction::Transaction;
use super::{Event, jobs};
use crate::error::Result;
use crate::fs;
use crate::installed::{Base, Installed};
use crate::plugin::{Label, Module, PluginName};
use crate::site::Site;

/// Takes the plugin out of the base: a devlink, a broken link and a corrupt plugin too. An override file without live
/// keys goes with it; an edited one only with `clean`. Nothing below `/etc` is ever touched.
pub fn uninstall(
    base: &Base,
    name: &str,
    module: &Module,
    clean: bool,
    site: &Site,
    runner: &dyn Runner,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Installed> {
    let _lock = base.lock(&format!("uninstall {name}"), site, on_event)?;
    let installed = base.get(name)?;
    let mut transaction = Transaction::new(base, module, Some(name), "uninstalling", site)?;
    let label = PluginName::parse(name).ok().map(|name| Label { name, module: module.clone() });
    let mut superfluous = Vec::new();
    // Override files belong to the module, whichever bases the plugin is installed in.
    let elsewhere = site.plugins_base(module);
    let is_used_elsewhere = elsewhere != base.dir && fs::exists(&elsewhere.join(name));
    if let Some(label) = label.as_ref().filter(|_| !is_used_elsewhere) {
        let file = OverrideFile::of(label, site);
        let is_edited = file.is_edited()?;
        superfluous.extend(Some(file.path).filter(|_| clean || !is_edited));
        superfluous.push(file.beside);
    }
    for path in &superfluous {
        transaction.touches(path)?;
    }
    if let Some(label) = &label {
        runner.withdraw(base, label);
    }
    let removed = transaction
        .take_out(on_event)
        .and_then(|begun| begun.or_undo(superfluous.iter().try_for_each(|path| fs::remove_file(path))))
        .and_then(|begun| begun.commit(on_event));
    if let Some(label) = &label {
        match &removed {
            Ok(_) => runner.removed(base, label),
            Err(_) => runner.undone(base, label),
        }
    }
    let afterwards = removed?;
    jobs::follow(base, module, name, site, on_event);
    if let Some(label) = &label {
        let tmp = site.runtime_home(module).join("tmp").join(label.name.as_str());
        let _ = fs::remove_tree(&tmp);
        touch_monitor(label, site);
    }
    match afterwards {
        None => Ok(installed),
        Some(error) => Err(error),
    }
}
