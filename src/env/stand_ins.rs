//! What stands for programs and Python modules of MetWork, behind all else, so that the real ones win where they are.

use super::search_path;
use crate::error::Result;
use crate::plugin::Module;
use crate::shims;
use crate::site::{Environment, Site};

const MODULES: &str = "PYTHONPATH";

/// Programs, for the commands of services.
pub fn append_programs(environment: &mut Environment, site: &Site) -> Result<()> {
    search_path::append(environment, "PATH", &shims::programs(site)?);
    Ok(())
}

/// What steps are made of, for all that runs in the environment of a plugin of mfdata.
pub(super) fn append_for_steps(environment: &mut Environment, module: &Module, site: &Site) -> Result<()> {
    if *module != Module::Mfdata || has_own_steps(environment) {
        return Ok(());
    }
    append_programs(environment, site)?;
    search_path::append(environment, MODULES, &shims::modules(site)?);
    Ok(())
}

/// Whether there is MetWork's own package of this name: it comes with all that it needs.
fn has_own_steps(environment: &Environment) -> bool {
    let list = environment.get(MODULES).unwrap_or_default();
    std::env::split_paths(list).any(|dir| dir.join("acquisition/__init__.py").is_file())
}
