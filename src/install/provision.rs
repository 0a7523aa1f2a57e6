//! Provisioning: the plugins that root wants installed, at the start of a module.

use std::path::{Path, PathBuf};

use super::base::{Base, Standing};
use super::package::{Installation, install};
use crate::artifact::Artifact;
use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::{Module, PluginName};
use crate::site::Site;

/// What became of one file.
pub struct Provisioned {
    pub file: PathBuf,
    pub result: Result<(PluginName, Outcome)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Installed,
    Replaced,
    /// The installed one has the same hash.
    Unchanged,
    /// A devlink is left alone.
    Devlinked,
}

/// Installs each `*.plugin` of the module's provisioning directory that is absent, and replaces those whose hash
/// differs. A file that cannot be installed does not keep the others from it: each has its own result.
pub fn provision(
    module: &Module,
    plugins_base: Option<&Path>,
    site: &Site,
    on_wait: &mut dyn FnMut(&str),
) -> Result<Vec<Provisioned>> {
    let mut results = Vec::new();
    for file in fs::list(&site.provisioning(module))? {
        if file.extension().is_some_and(|extension| extension == "plugin") && file.is_file() {
            let result = one(&file, module, plugins_base, site, on_wait);
            results.push(Provisioned { file, result });
        }
    }
    Ok(results)
}

fn one(
    file: &Path,
    module: &Module,
    plugins_base: Option<&Path>,
    site: &Site,
    on_wait: &mut dyn FnMut(&str),
) -> Result<(PluginName, Outcome)> {
    let artifact = Artifact::open(file)?;
    let name = artifact.label().name.clone();
    if artifact.label().module != *module {
        return Err(Error::input(format!("`{name}` is a plugin of {}", artifact.label().module))
            .hint("move the file to the provisioning directory of that module"));
    }
    let base = Base::new(plugins_base, module, site);
    base.settle();
    let outcome = match base.get(name.as_str()).map(|installed| installed.standing) {
        Err(_) => Outcome::Installed,
        Ok(Standing::Devlink(_)) => return Ok((name, Outcome::Devlinked)),
        Ok(Standing::Installed(metadata)) if metadata.plugin_hash() == artifact.metadata().plugin_hash() => {
            return Ok((name, Outcome::Unchanged));
        }
        Ok(_) => Outcome::Replaced,
    };
    let installation = Installation { file, new_name: None, replace: true, plugins_base };
    install(&installation, site, on_wait)?;
    Ok((name, outcome))
}
