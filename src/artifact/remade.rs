//! What of a plugin's directory is not packed: what is made anew after the installation, what is ours alone, and what
//! only development needs, where the plugin says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::node::DevPackages;
use crate::error::Result;
use crate::python::virtualenv;
use crate::site::Site;

/// The virtualenv is made anew from its wheels; what a custom step put beside it is shipped.
const VIRTUALENV: &str = "local";

pub struct Remade {
    kept: BTreeSet<PathBuf>,
    /// CI systems keep caches inside the project; they are nobody's to ship.
    cache: Option<PathBuf>,
    /// Packages of Node that only development needs.
    development: DevPackages,
    omits_development: bool,
}

impl Remade {
    /// Of the plugin in `directory`.
    pub fn of(directory: &Path, omits_development: bool, site: &Site) -> Result<Remade> {
        let kept = virtualenv::foreign_files(&directory.join(VIRTUALENV), Path::new(VIRTUALENV))?;
        let here = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let cache = std::fs::canonicalize(&site.cache).ok();
        let cache = cache.and_then(|cache| Some(cache.strip_prefix(&here).ok()?.to_owned()));
        let development = DevPackages::of(directory)?;
        Ok(Remade { kept, cache, development, omits_development })
    }

    /// Packages that only development needs, and that are packed all the same.
    pub fn shipped_for_development(&self) -> Option<&DevPackages> {
        Some(&self.development).filter(|packages| !self.omits_development && !packages.is_empty())
    }

    /// Whether a path, relative to the plugin, is left out with all below it.
    pub fn contains(&self, path: &Path) -> bool {
        (path.starts_with(VIRTUALENV) && !self.kept.iter().any(|foreign| foreign.starts_with(path)))
            || (self.omits_development && self.development.contains(path))
            || self.cache.as_ref().is_some_and(|cache| path.starts_with(cache))
    }
}
