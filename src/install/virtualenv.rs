//! The virtualenv of a plugin that is being installed: made from the shipped wheels, with neither network nor tools.

use std::collections::HashMap;
use std::path::Path;

use super::machine::Wheels;
use crate::artifact::Limits;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs;
use crate::python::virtualenv;

pub(super) const VIRTUALENV: &str = "local";

/// Makes `local/`; what the plugin ships there itself stays and wins. Returns the digests of what is there as wheels
/// brought it, by path in there, as far as they are known.
pub(super) fn make(tree: &Path, wheels: &Wheels, limits: &Limits) -> Result<HashMap<String, Digest>> {
    let target = tree.join(VIRTUALENV);
    let shipped = tree.join(".mwp-shipped-local");
    if target.is_symlink() {
        // What is behind it is not ours to move about.
        return Err(Error::input(format!(
            "`{VIRTUALENV}` of the plugin is a link, and its virtualenv goes there"
        ))
        .hint("make it a directory, or leave it out with `.releaseignore`, and pack the plugin again"));
    }
    let has_own_files = fs::try_exists(&target)?;
    if has_own_files {
        fs::rename(&target, &shipped)?;
    }
    // Overlaps of wheels were told at the release, to whoever can mend them.
    let made = virtualenv::create(&target, &wheels.interpreter, &wheels.wheels, &wheels.lock, limits)?;
    if !has_own_files {
        return Ok(made.digests);
    }
    lay_over(&shipped, &target)?;
    fs::remove_tree(&shipped)?;
    Ok(HashMap::new())
}

fn lay_over(from: &Path, to: &Path) -> Result<()> {
    for path in fs::list(from)? {
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        if path.is_dir() && !path.is_symlink() && target.is_dir() && !target.is_symlink() {
            lay_over(&path, &target)?;
        } else {
            fs::remove_tree(&target)?;
            fs::rename(&path, &target)?;
        }
    }
    Ok(())
}
