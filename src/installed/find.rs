//! Plugins by name, in the directories that they are installed in, or by directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Base, Installed};
use crate::error::{At, Error, Result};
use crate::fs;
use crate::plugin::{Label, Module};
use crate::site::Site;
use crate::text;

/// The module that was named, or is loaded; else all that have plugins.
pub fn modules(named: Option<&str>, site: &Site) -> Result<Vec<Module>> {
    match (named, &site.module) {
        (Some(name), _) => Ok(vec![Module::parse(name)?]),
        (None, Some(module)) => Ok(vec![module.clone()]),
        (None, None) => Ok(Module::KNOWN.to_vec()),
    }
}

/// Where installed plugins are looked for, each with the module that it is of.
#[derive(Debug, Clone)]
pub struct Bases(Vec<(Base, Module)>);

/// A plugin that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Absolute; the link itself where the plugin is a devlink.
    pub dir: PathBuf,
    /// The base directory that it was found in, `None` where it was given as a directory.
    pub base: Option<PathBuf>,
}

impl Bases {
    /// The one directory that was given, else that of the loaded module, else those of all modules.
    pub fn new(given: Option<&Path>, site: &Site) -> Result<Bases> {
        let given = given.map(absolute).transpose()?;
        let mut bases: Vec<(Base, Module)> = Vec::new();
        for module in modules(None, site)? {
            let base = Base::new(given.as_deref(), &module, site);
            if !bases.iter().any(|(known, _)| known.dir == base.dir) {
                bases.push((base, module));
            }
        }
        Ok(Bases(bases))
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Base, Module)> {
        self.0.iter()
    }

    /// The installed plugin of that name, in the first base that has one.
    pub fn get(&self, name: &str) -> Result<(Base, Module, Installed)> {
        for (base, module) in &self.0 {
            if let Ok(installed) = base.get(name) {
                // The label knows the module better than the order in which we look.
                let module =
                    Label::read(&installed.home).map_or_else(|_| module.clone(), |label| label.module);
                return Ok((base.clone(), module, installed));
            }
        }
        Err(self.absent(OsStr::new(name)))
    }

    /// The installed plugin with this home.
    pub fn get_at(&self, home: &Path) -> Result<(Base, Module, Installed)> {
        let path = std::path::absolute(home).at("find", home)?;
        let real = std::fs::canonicalize(&path).ok();
        // A link to nothing is told by its own path.
        let is_it =
            |home: &Path| home == path || (real.is_some() && std::fs::canonicalize(home).ok() == real);
        for (base, _) in &self.0 {
            if let Some(plugin) = base.list()?.into_iter().find(|plugin| is_it(&plugin.home)) {
                return self.get(&plugin.name);
            }
        }
        Err(Error::input(format!("{} is no home of an installed plugin", text::path(&path)))
            .hint("`mwp list` shows the plugins and their homes"))
    }

    /// The plugin of that name, or in that directory where it is written as a path (`.`, `..`, with a `/`).
    pub fn find(&self, name_or_dir: &OsStr) -> Result<Found> {
        if is_path(name_or_dir) {
            return Ok(Found { dir: absolute(Path::new(name_or_dir))?, base: None });
        }
        for (base, _) in &self.0 {
            let dir = base.dir.join(name_or_dir);
            if fs::exists(&dir) && !name_or_dir.is_empty() {
                if !dir.exists() {
                    return Err(broken_link(&dir));
                }
                return Ok(Found { dir, base: Some(base.dir.clone()) });
            }
        }
        Err(self.absent(name_or_dir))
    }

    fn absent(&self, name: &OsStr) -> Error {
        let shown = text::visible_bytes(name.as_encoded_bytes());
        let bases: Vec<String> = self.0.iter().map(|(base, _)| text::path(&base.dir)).collect();
        let error = Error::input(format!("the plugin `{shown}` is not installed in {}", bases.join(" or ")));
        let names = self.names();
        let nearest = name.to_str().and_then(|name| text::nearest(name, names.iter().map(String::as_str)));
        if let Some(nearest) = nearest {
            error.hint(format!("did you mean `{}`?", text::visible(nearest)))
        } else if !name.is_empty() && Path::new(name).is_dir() {
            error.hint(format!("write `./{shown}` for the directory here"))
        } else if names.is_empty() {
            error.hint("no plugin is installed there; a development directory is given by its path")
        } else {
            error.hint("`mwp list` shows the installed plugins; a development directory is given by its path")
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = self.0.iter().flat_map(|(base, _)| fs::list(&base.dir).unwrap_or_default());
        let names = entries.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        names.filter(|name| !name.starts_with('.')).collect()
    }
}

fn is_path(name_or_dir: &OsStr) -> bool {
    name_or_dir == "." || name_or_dir == ".." || name_or_dir.as_encoded_bytes().contains(&b'/')
}

fn broken_link(dir: &Path) -> Error {
    let target = std::fs::read_link(dir).unwrap_or_default();
    Error::input(format!("{} is a link to {}, which is not there", text::path(dir), text::path(&target)))
        .hint("bring that directory back, or uninstall the plugin")
}

/// With neither `.` nor `..` nor a `/` at the end; links stay as they are.
pub(crate) fn absolute(dir: &Path) -> Result<PathBuf> {
    let has_parents = dir.components().any(|part| part == std::path::Component::ParentDir);
    // What is above a link is not what stands before it.
    let path = if has_parents { std::fs::canonicalize(dir) } else { std::path::absolute(dir) };
    Ok(path.at("find", dir)?.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(root: &Path) -> Bases {
        for name in ["weather", "radar"] {
            fs::create_dir_all(&root.join(name)).unwrap();
        }
        Bases(vec![(Base { dir: root.to_owned() }, Module::Mfserv)])
    }

    #[test]
    fn a_name_is_looked_up_and_a_path_is_taken_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let bases = bases(root.path());
        let found = bases.find(OsStr::new("radar")).unwrap();
        assert_eq!((found.dir, found.base), (root.path().join("radar"), Some(root.path().to_owned())));
        let found = bases.find(OsStr::new("/some/./dir/")).unwrap();
        assert_eq!((found.dir, found.base), (PathBuf::from("/some/dir"), None));
    }

    #[test]
    fn a_slip_in_the_name_gets_a_suggestion() {
        let root = tempfile::tempdir().unwrap();
        let error = bases(root.path()).find(OsStr::new("wether")).unwrap_err();
        assert_eq!(error.problems[0].hint.as_deref(), Some("did you mean `weather`?"));
    }

    #[test]
    fn a_broken_devlink_is_told_from_an_absent_plugin() {
        let root = tempfile::tempdir().unwrap();
        fs::symlink(Path::new("/no/such"), &root.path().join("gone")).unwrap();
        let error = bases(root.path()).find(OsStr::new("gone")).unwrap_err();
        assert!(error.to_string().contains("is a link to `/no/such`, which is not there"), "{error}");
    }
}
