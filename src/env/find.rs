//! Plugins by name, in the directories that they are installed in, or by directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};
use crate::fs;
use crate::plugin::Module;
use crate::site::Site;
use crate::text;

/// Where installed plugins are looked for.
#[derive(Debug, Clone)]
pub struct Bases(Vec<PathBuf>);

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
        if let Some(given) = given {
            return Ok(Bases(vec![absolute(given)?]));
        }
        let modules = match &site.module {
            Some(module) => vec![module.clone()],
            None => Module::KNOWN.to_vec(),
        };
        let mut bases: Vec<PathBuf> = modules.iter().map(|module| site.plugins_base(module)).collect();
        bases.dedup();
        Ok(Bases(bases))
    }

    /// The plugin of that name, or in that directory where it is written as a path (`.`, `..`, with a `/`).
    pub fn find(&self, name_or_dir: &OsStr) -> Result<Found> {
        if is_path(name_or_dir) {
            return Ok(Found { dir: absolute(Path::new(name_or_dir))?, base: None });
        }
        for base in &self.0 {
            let dir = base.join(name_or_dir);
            if fs::exists(&dir) && !name_or_dir.is_empty() {
                if !dir.exists() {
                    return Err(broken_link(&dir));
                }
                return Ok(Found { dir, base: Some(base.clone()) });
            }
        }
        Err(self.absent(name_or_dir))
    }

    fn absent(&self, name: &OsStr) -> Error {
        let shown = text::visible_bytes(name.as_encoded_bytes());
        let bases: Vec<String> = self.0.iter().map(|base| text::path(base)).collect();
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
        let entries = self.0.iter().flat_map(|base| fs::list(base).unwrap_or_default());
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
pub(super) fn absolute(dir: &Path) -> Result<PathBuf> {
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
        Bases(vec![root.to_owned()])
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
        let error = Bases(vec![root.path().to_owned()]).find(OsStr::new("gone")).unwrap_err();
        assert!(error.to_string().contains("is a link to `/no/such`, which is not there"), "{error}");
    }
}
