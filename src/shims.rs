//! What stands in for MetWork's own files where no MetWork is installed.

use crate::error::Result;
use crate::fs;
use crate::site::{Environment, Site};

const MAKE_FRAGMENT: &str = include_str!("../templates/shims/share/plugin.mk");

/// Points the variables that a plugin's Makefile includes by at our make fragment, where they point nowhere.
pub fn provide_make_fragment(site: &Site, environment: &mut Environment) -> Result<()> {
    let home = site.cache.join(concat!("share-", env!("CARGO_PKG_VERSION")));
    for (variable, place) in
        [("MFEXT_HOME", "share"), ("MFCOM_HOME", "share"), ("MFEXT_HOME", "opt/misc/share")]
    {
        if site.environment.path(variable).is_some() {
            continue;
        }
        let file = home.join(place).join("plugin.mk");
        if fs::read_optional(&file)?.as_deref() != Some(MAKE_FRAGMENT.as_bytes()) {
            fs::create_dir_all(&home.join(place))?;
            fs::write_atomic(&file, MAKE_FRAGMENT.as_bytes())?;
        }
        environment.set(variable, home.as_os_str());
    }
    Ok(())
}
