//! What the module's own `config.ini` says of installing, in its section `[install]`.
//!
//! Later wins: the module's configuration, the variable `MWP_LIMITS`, an option of the command.

use super::Installation;
use crate::artifact::Limits;
use crate::error::{Error, Problem, Result};
use crate::plugin::Module;
use crate::plugin::config::ModuleSettings;
use crate::site::Site;
use crate::text;

const SECTION: &str = "install";

/// How much of a file this machine takes, and whether it takes links that lead out of the plugin.
pub(super) fn limits(installation: &Installation<'_>, module: &Module, site: &Site) -> Result<Limits> {
    let given = ModuleSettings::of(module, site)?;
    let mut limits = Limits::default();
    if let Some(setting) = given.get(SECTION, "limits") {
        let place = text::place(&setting.file, setting.line, None);
        limits.set(&setting.value).map_err(|mut error| {
            let placed = |problem: Problem| Problem {
                message: format!("{place}: [{SECTION}] limits: {}", problem.message),
                hint: problem.hint,
            };
            error.problems = error.problems.into_iter().map(placed).collect();
            error
        })?;
    }
    limits.set(site.environment.text(Limits::VARIABLE).unwrap_or_default())?;
    for limit in installation.limits {
        limits.set(limit)?;
    }
    limits.external_links = match given.get(SECTION, "allow_external_links") {
        _ if installation.allow_external_links => true,
        None => false,
        Some(setting) => match setting.value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "y" | "t" => true,
            "0" | "false" | "no" | "n" | "f" | "" => false,
            _ => {
                let place = text::place(&setting.file, setting.line, None);
                let found = text::visible(&setting.value);
                return Err(Error::input(format!(
                    "{place}: [{SECTION}] allow_external_links: found `{found}`; 0 or 1 is allowed"
                ))
                .hint("mend the value, then run the same command again"));
            }
        },
    };
    Ok(limits)
}
