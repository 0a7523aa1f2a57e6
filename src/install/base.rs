//! The directory that plugins are installed in, and what is there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Event, jobs, journal, ownership, recovery};
use crate::artifact::{METADATA, Metadata};
use crate::error::{Error, Result};
use crate::fs::{self, Lock};
use crate::plugin::{Label, Module, PluginName};
use crate::site::Site;
use crate::text;

/// Our own directory in a base.
pub(super) const OWN: &str = ".mwp";

/// How long an operation waits for another one, unless `MWP_LOCK_TIMEOUT` gives other seconds.
const PATIENCE: Duration = Duration::from_secs(300);

/// A plugins base directory.
#[derive(Debug, Clone)]
pub struct Base {
    pub dir: PathBuf,
}

/// How an installed plugin stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
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
    pub standing: Standing,
}

impl Installed {
    /// What lists show as the version.
    pub fn version(&self) -> &str {
        match &self.standing {
            Standing::Installed(metadata) => &metadata.version,
            other => other.word(),
        }
    }

    pub fn release(&self) -> &str {
        match &self.standing {
            Standing::Installed(metadata) => &metadata.release,
            other => other.word(),
        }
    }
}

impl Standing {
    fn word(&self) -> &'static str {
        match self {
            Standing::Installed(_) => "installed",
            Standing::Devlink(_) => "dev_link",
            Standing::Broken(_) => "broken_link",
            Standing::Corrupt(_) => "error",
        }
    }
}

impl Base {
    /// The directory that was given, or that of the module.
    pub fn new(given: Option<&Path>, module: &Module, site: &Site) -> Base {
        let given = given.map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()));
        Base { dir: given.unwrap_or_else(|| site.plugins_base(module)) }
    }

    pub(super) fn own_dir(&self) -> PathBuf {
        self.dir.join(OWN)
    }

    pub fn home(&self, name: &PluginName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// Takes the base for a change, after undoing what a killed command left half done.
    pub(super) fn lock(&self, doing: &str, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Lock> {
        ownership::refuse_change(self)?;
        fs::create_own_dir_all(&self.own_dir())?;
        self.warn(site, on_event);
        let patience = site.environment.text("MWP_LOCK_TIMEOUT").and_then(|seconds| seconds.parse().ok());
        let patience = patience.map_or(PATIENCE, Duration::from_secs);
        let lock = Lock::acquire(&self.own_dir().join("lock"), doing, patience, |holder| {
            on_event(Event::Waiting(holder));
        })?;
        self.recover(site, on_event);
        Ok(lock)
    }

    /// Undoes what a killed command left half done, unless one is at work now. For commands that only look: they
    /// must not see half a change. A base that cannot be written is looked at as it is; that of another user is an
    /// error where there is something to undo.
    pub fn settle(&self, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.warn(site, on_event);
        if !ownership::is_own(self) {
            return ownership::refuse_half_done(self);
        }
        if recovery::is_needed(self)
            && let Ok(_lock) = Lock::acquire(&self.own_dir().join("lock"), "recover", Duration::ZERO, |_| {})
        {
            self.recover(site, on_event);
        }
        Ok(())
    }

    /// The caller holds the lock.
    fn recover(&self, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) {
        if ownership::is_own(self) {
            recovery::recover(self, site).iter().for_each(|warning| on_event(Event::Warning(warning)));
            jobs::catch_up(self, site);
        }
    }

    fn warn(&self, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) {
        let runtime_home = self.dir.parent().filter(|var| var.ends_with("var")).and_then(Path::parent);
        for dir in [Some(self.dir.as_path()), Some(site.cache.as_path()), runtime_home].into_iter().flatten()
        {
            if let Some(warning) = ownership::open_to_others(dir) {
                on_event(Event::Warning(&warning));
            }
        }
    }

    /// The plugin that a change is under way of: what is in its home is not final.
    pub fn unfinished(&self) -> Option<String> {
        journal::plugin(self)
    }

    /// Every plugin, by name.
    pub fn list(&self) -> Result<Vec<Installed>> {
        let mut plugins = Vec::new();
        for home in fs::list(&self.dir)? {
            let name = text_name(&home);
            if !name.starts_with('.') && (home.is_dir() || home.is_symlink()) {
                plugins.push(inspect(name, home));
            }
        }
        Ok(plugins)
    }

    /// The plugin of that name; the name may be one that no plugin can have, as long as something is there.
    pub fn get(&self, name: &str) -> Result<Installed> {
        let is_one_component = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        let home = self.dir.join(name);
        if is_one_component && fs::exists(&home) {
            return Ok(inspect(name.to_owned(), home));
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

fn inspect(name: String, home: PathBuf) -> Installed {
    let standing = if home.is_symlink() {
        let target = std::fs::read_link(&home).unwrap_or_default();
        if home.is_dir() { Standing::Devlink(target) } else { Standing::Broken(target) }
    } else {
        match fs::read(&home.join(METADATA)).and_then(|content| Metadata::parse(&content)) {
            Ok(metadata) => match Label::read(&home) {
                Ok(_) => Standing::Installed(Box::new(metadata)),
                Err(error) => Standing::Corrupt(error.to_string()),
            },
            Err(error) => Standing::Corrupt(error.to_string()),
        }
    };
    Installed { name, home, standing }
}
