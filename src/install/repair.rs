//! Making the virtualenv of an installed plugin anew, from the wheels that it was shipped with.

use std::path::Path;

use super::home::{self, MadeAfter};
use super::virtualenv::VIRTUALENV;
use super::{Event, machine};
use crate::artifact::{self, Limits};
use crate::error::{Error, Problem, Result};
use crate::fs::{self, Staging};
use crate::installed::{Base, InstallState, Installed};
use crate::plugin::Label;
use crate::python::virtualenv;
use crate::site::Site;
use crate::text;

/// `false` where the plugin has no virtualenv of ours. What was shipped in `local/`, or put there by `postinstall`,
/// stays.
pub fn repair(
    base: &Base,
    installed: &Installed,
    site: &Site,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<bool> {
    let home = &installed.home;
    if !matches!(installed.state, InstallState::Installed(_)) || !fs::exists(&home.join(artifact::MANIFEST)) {
        return Ok(false);
    }
    let _lock = base.lock(&format!("repair {}", installed.name), site, on_event)?;
    let label = Label::read(home)?;
    machine::check_module(&label, home, site)?;
    let made_after = MadeAfter::of(home)?;
    refuse_altered_wheels(home, &made_after)?;
    let Some(wheels) = machine::wheels(home, home, site)? else { return Ok(false) };
    fs::sweep(home);
    let staging = Staging::new_in(&base.own_dir())?;
    let staged = staging.join(VIRTUALENV);
    let made =
        virtualenv::create(&staged, &wheels.interpreter, &wheels.wheels, &wheels.lock, &Limits::of(site)?)?;
    keep(home, &staged, Path::new(VIRTUALENV), &made_after.kept_in_virtualenv(home)?)?;
    fs::put_in_place(&staged, &home.join(VIRTUALENV))?;
    home::remember_virtualenv(home, &wheels.interpreter, &made.digests)?;
    Ok(true)
}

/// What the virtualenv is made of has to be what was shipped.
fn refuse_altered_wheels(home: &Path, made_after: &MadeAfter) -> Result<()> {
    let is_other = |path: &Path| made_after.contains(path) || !path.starts_with(machine::SOURCES);
    let mut damages = artifact::verify(home, made_after.members(), &is_other)?;
    damages.retain(|damage| Path::new(&damage.path).starts_with(machine::SOURCES));
    if damages.is_empty() {
        return Ok(());
    }
    let problem = |damage: &artifact::Damage| Problem {
        message: format!("{}: {damage}", text::path(home)),
        hint: None,
    };
    let mut problems: Vec<Problem> = damages.iter().map(problem).collect();
    if let Some(last) = problems.last_mut() {
        last.hint = Some("install the plugin again with `mwp install --force FILE`".to_owned());
    }
    Err(Error::many(crate::error::Fault::Input, problems))
}

fn keep(home: &Path, staged: &Path, prefix: &Path, kept: &[std::path::PathBuf]) -> Result<()> {
    for path in kept {
        let Ok(inside) = path.strip_prefix(prefix) else { continue };
        let (from, to) = (home.join(path), staged.join(inside));
        if !fs::try_exists(&from)? || fs::try_exists(&to)? {
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy_tree(&from, &to)?;
    }
    Ok(())
}
