//! A development directory put into service by a link: a devlink.

use std::path::{Path, PathBuf};

use super::overrides::OverrideFile;
use super::package::touch_monitor;
use super::transaction::{Transaction, is_taken};
use super::{Event, jobs};
use crate::error::{At, Error, Result};
use crate::fs;
use crate::installed::{Base, InstallState};
use crate::plugin::Plugin;
use crate::site::Site;
use crate::text;

/// Links the plugin in `dir` into the base. `false` where it already is.
pub fn develop(
    dir: &Path,
    plugins_base: Option<&Path>,
    site: &Site,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(PathBuf, bool)> {
    let target = std::fs::canonicalize(dir).at("enter", dir)?;
    let plugin = Plugin::load(&target, site)?;
    let label = &plugin.label;
    let base = Base::new(plugins_base, &label.module, site);
    let _lock = base.lock(&format!("develop {}", label.name), site, on_event)?;
    let home = base.home(&label.name);
    if is_taken(&base, &label.name)? {
        let installed = base.get(label.name.as_str())?;
        let hint = format!("uninstall it first: `mwp uninstall {}`", label.name);
        match installed.state {
            InstallState::Devlink(_) if std::fs::canonicalize(&home).is_ok_and(|linked| linked == target) => {
                return Ok((home, false));
            }
            InstallState::Devlink(other) => {
                let other = text::path(&other);
                return Err(
                    Error::input(format!("the plugin `{}` is a devlink to {other}", label.name)).hint(hint)
                );
            }
            InstallState::Broken(_) => {}
            _ => {
                return Err(
                    Error::input(format!("the plugin `{}` is already installed", label.name)).hint(hint)
                );
            }
        }
    }
    let mut transaction = Transaction::new(&base, &label.module, Some(label.name.as_str()), "linking", site)?;
    fs::symlink(&target, &transaction.tree())?;
    let overrides = OverrideFile::of(label, site);
    transaction.touches(&overrides.path)?;
    transaction.touches(&overrides.beside)?;
    let begun = transaction.swap_in(&overrides, &label.name, on_event)?;
    let afterwards = begun.commit(on_event)?;
    jobs::follow(&base, &label.module, label.name.as_str(), site, on_event);
    touch_monitor(label, site);
    match afterwards {
        None => Ok((home, true)),
        Some(error) => Err(error),
    }
}
