//! Provisioning: the plugins that root wants installed, at the start of a module.

use std::path::{Path, PathBuf};

use super::Event;
use super::package::{Installation, install};
use super::runner::Runner;
use crate::artifact::{self, Artifact};
use crate::error::{Error, Result};
use crate::fs;
use crate::installed::{Base, InstallState};
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
    /// The installed one has the same hash and, where there are manifests, the same manifest.
    Unchanged,
    /// A devlink is left alone.
    Devlinked,
    /// A later file is of the same plugin.
    Superseded,
}

/// Installs each `*.plugin` of the module's provisioning directory that is absent, and replaces those whose hash
/// differs. A file that cannot be installed does not keep the others from it: each has its own result.
pub fn provision(
    module: &Module,
    plugins_base: Option<&Path>,
    site: &Site,
    runner: &dyn Runner,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Vec<Provisioned>> {
    let is_plugin =
        |file: &PathBuf| file.extension().is_some_and(|ending| ending == "plugin") && file.is_file();
    let files: Vec<PathBuf> = fs::list(&site.provisioning(module))?.into_iter().filter(is_plugin).collect();
    let names: Vec<Option<PluginName>> = files
        .iter()
        .map(|file| Artifact::open(file).ok().map(|artifact| artifact.label().name.clone()))
        .collect();
    let mut results = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        // Of several files of one plugin the last by name counts, at every start the same.
        let result = match &names[index] {
            Some(name) if names[index + 1..].iter().flatten().any(|later| later == name) => {
                Ok((name.clone(), Outcome::Superseded))
            }
            _ => bring(&file, module, plugins_base, site, runner, on_event),
        };
        results.push(Provisioned { file, result });
    }
    Ok(results)
}

/// Installs the file where its plugin is absent, and replaces one that differs; a devlink is left alone.
pub fn bring(
    file: &Path,
    module: &Module,
    plugins_base: Option<&Path>,
    site: &Site,
    runner: &dyn Runner,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(PluginName, Outcome)> {
    let artifact = Artifact::open(file)?;
    let name = artifact.label().name.clone();
    if artifact.label().module != *module {
        return Err(Error::input(format!("`{name}` is a plugin of {}", artifact.label().module))
            .hint("move the file to the provisioning directory of that module"));
    }
    let base = Base::new(plugins_base, module, site);
    base.settle(site, on_event)?;
    let outcome = match base.get(name.as_str()).map(|installed| installed.state) {
        Err(_) => Outcome::Installed,
        Ok(InstallState::Devlink(_)) => return Ok((name, Outcome::Devlinked)),
        Ok(InstallState::Installed(metadata))
            if metadata.plugin_hash() == artifact.metadata().plugin_hash()
                && has_same_content(file, &base.home(&name), site)? =>
        {
            return Ok((name, Outcome::Unchanged));
        }
        Ok(_) => Outcome::Replaced,
    };
    let installation = Installation {
        file,
        new_name: None,
        replace: true,
        must_be_installed: false,
        plugins_base,
        allow_external_links: false,
        limits: &[],
        runner,
    };
    install(&installation, site, on_event)?;
    Ok((name, outcome))
}

/// The hash is of metadata alone, as upstream has it; manifests tell the files. What was packed without one is known by
/// the hash.
fn has_same_content(file: &Path, home: &Path, site: &Site) -> Result<bool> {
    let shipped = artifact::manifest_of(file, &artifact::Limits::of(site)?)?;
    let installed = fs::read_optional(&home.join(artifact::MANIFEST))?;
    Ok(shipped.is_none() || installed.is_none() || shipped == installed)
}
