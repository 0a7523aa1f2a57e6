//! The directory that plugins are installed in, and what is there.

use std::fs::FileType;
use std::path::{Path, PathBuf};

use crate::artifact::{METADATA, Metadata};
use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::{Label, Module, PluginName};
use crate::site::Site;
use crate::{text, threads};

/// Our own directory in a base.
pub(crate) const OWN: &str = ".mwp";

/// In the root of a file system that is mounted as the base. No plugin can have that name.
const LOST_AND_FOUND: &str = "lost+found";

/// A plugins base directory.
#[derive(Debug, Clone)]
pub struct Base {
    pub dir: PathBuf,
}

/// What is in the place of an installed plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallState {
    Installed(Box<Metadata>),
    /// A link to a development directory.
    Devlink(PathBuf),
    /// A link to nothing.
    Broken(PathBuf),
    /// Its metadata cannot be read; why.
    Corrupt(String),
}

#[derive(Debug, Clone)]
pub struct Installed {
    pub name: String,
    pub home: PathBuf,
    pub state: InstallState,
}

impl Installed {
    /// What lists show as the version.
    pub fn version(&self) -> &str {
        match &self.state {
            InstallState::Installed(metadata) => &metadata.version,
            other => other.word(),
        }
    }

    pub fn release(&self) -> &str {
        match &self.state {
            InstallState::Installed(metadata) => &metadata.release,
            other => other.word(),
        }
    }
}

impl InstallState {
    fn word(&self) -> &'static str {
        match self {
            InstallState::Installed(_) => "installed",
            InstallState::Devlink(_) => "dev_link",
            InstallState::Broken(_) => "broken_link",
            InstallState::Corrupt(_) => "error",
        }
    }
}

impl Base {
    /// The directory that was given, or that of the module.
    pub fn new(given: Option<&Path>, module: &Module, site: &Site) -> Base {
        let given = given.map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()));
        Base { dir: given.unwrap_or_else(|| site.plugins_base(module)) }
    }

    pub(crate) fn own_dir(&self) -> PathBuf {
        self.dir.join(OWN)
    }

    pub fn home(&self, name: &PluginName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// Every plugin, by name.
    pub fn list(&self) -> Result<Vec<Installed>> {
        let look = |(home, kind): (PathBuf, Option<FileType>)| {
            let name = text_name(&home);
            let kind = kind?;
            let is_plugin =
                !name.starts_with('.') && name != LOST_AND_FOUND && (kind.is_dir() || kind.is_symlink());
            is_plugin.then(|| inspect(name, home, kind))
        };
        // Few are not worth a thread.
        let plugins = threads::map(fs::entries(&self.dir)?, 50, look);
        Ok(plugins.into_iter().flatten().collect())
    }

    /// The plugin of that name; the name may be one that no plugin can have, as long as something is there.
    pub fn get(&self, name: &str) -> Result<Installed> {
        let is_one_component = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        let home = self.dir.join(name);
        if is_one_component && let Ok(metadata) = home.symlink_metadata() {
            return Ok(inspect(name.to_owned(), home, metadata.file_type()));
        }
        let error = Error::input(format!(
            "the plugin `{}` is not installed in {}",
            text::visible(name),
            text::path(&self.dir)
        ));
        let names: Vec<String> = self.list()?.into_iter().map(|plugin| plugin.name).collect();
        Err(match text::nearest(name, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{}`?", text::visible(near))),
            None if names.is_empty() => error.hint("no plugin is installed there"),
            None => error.hint("`mwp list` shows the installed plugins"),
        })
    }
}

fn text_name(home: &Path) -> String {
    home.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn inspect(name: String, home: PathBuf, kind: FileType) -> Installed {
    let state = if kind.is_symlink() {
        let target = std::fs::read_link(&home).unwrap_or_default();
        if home.is_dir() { InstallState::Devlink(target) } else { InstallState::Broken(target) }
    } else {
        match fs::read(&home.join(METADATA)).and_then(|content| Metadata::parse(&content)) {
            Ok(metadata) => match Label::read(&home) {
                Ok(_) => InstallState::Installed(Box::new(metadata)),
                Err(error) => InstallState::Corrupt(error.to_string()),
            },
            Err(error) => InstallState::Corrupt(error.to_string()),
        }
    };
    Installed { name, home, state }
}
