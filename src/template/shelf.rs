//! Where templates are kept: in the binary, or in directories of a site.
//!
//! A shelf is a directory of templates, each a directory with a `cookiecutter.json`; what starts with `_` is
//! shared by the templates beside it. On a disk, files are shared by symbolic links, which are followed. The
//! binary cannot hold links, so its templates name what they build upon: `"_bases": ["_common"]` lays the
//! files, the questions and the hooks of `_common` under those of the template. A site's templates may do so too.
//! What the templates of all modules in the binary share lies in `templates/shared`, as if beside each of them.

use std::path::{Path, PathBuf};

use crate::embedded;
use crate::error::{Error, Result};
use crate::fs;
use crate::plugin::Module;
use crate::site::Site;
use crate::text;

/// What makes a directory a template.
const QUESTIONS_FILE: &str = "cookiecutter.json";
/// Deeper trees are links in a circle.
const MAX_DEPTH: usize = 32;

/// A directory of templates.
#[derive(Debug, Clone)]
pub enum Shelf {
    /// Of two directories that have a path, the first counts.
    Embedded([&'static str; 2]),
    Disk(PathBuf),
}

/// A file of a template.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Relative to the directory that was walked, with `/`.
    pub(super) path: String,
    /// `None` for a directory.
    pub(super) content: Option<Vec<u8>>,
    pub(super) is_executable: bool,
}

impl Shelf {
    /// The shelves of a module, the first to have a template wins: the site's own, then those in the binary,
    /// then those of an installed MetWork module.
    pub fn of_module(module: &Module, site: &Site) -> Vec<Shelf> {
        let own = site.environment.path("MWP_TEMPLATES_DIR").filter(|path| path.is_absolute());
        let etc = site.etc.join("metwork.config.d").join(module.as_str()).join("templates");
        let embedded = Shelf::embedded(module);
        let is_loaded = site.module.as_ref() == Some(module);
        let home = site.environment.path("MFMODULE_HOME").filter(|path| is_loaded && path.is_absolute());
        let home = home.map(|home| Shelf::Disk(home.join("share/templates/plugins")));
        own.map(Shelf::Disk).into_iter().chain([Shelf::Disk(etc)]).chain(embedded).chain(home).collect()
    }

    /// What the binary has for a module, whatever the site has.
    pub(super) fn embedded(module: &Module) -> Option<Shelf> {
        let own = match module {
            Module::Mfserv => "mfserv",
            Module::Mfdata => "mfdata",
            Module::Mfbase => "mfbase",
            Module::Other(_) => return None,
        };
        Some(Shelf::Embedded([own, "shared"]))
    }

    /// The names of the templates here.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let mut names = self.directories("")?;
        names.retain(|name| !name.starts_with(['_', '.']));
        names.retain(|name| self.has(name));
        Ok(names)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let file = format!("{name}/{QUESTIONS_FILE}");
        match self {
            Shelf::Embedded(dirs) => {
                dirs.iter().any(|dir| embedded::read(&format!("{dir}/{file}")).is_some())
            }
            Shelf::Disk(dir) => dir.join(file).is_file(),
        }
    }

    /// The text of a template's `cookiecutter.json`.
    pub(super) fn questions(&self, name: &str) -> Result<String> {
        let file = format!("{name}/{QUESTIONS_FILE}");
        let content = self.read(&file)?.ok_or_else(|| {
            Error::input(format!(
                "{} is no template: it has no `{QUESTIONS_FILE}`",
                text::path(&self.path(name))
            ))
        })?;
        String::from_utf8(content)
            .map_err(|_| Error::input(format!("{} is not UTF-8 text", text::path(&self.path(&file)))))
    }

    /// A file, or `None` where there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Shelf::Embedded(dirs) => {
                let found = dirs.iter().find_map(|dir| embedded::read(&format!("{dir}/{path}")));
                Ok(found.map(<[u8]>::to_vec))
            }
            Shelf::Disk(dir) => {
                let path = dir.join(path);
                if path.is_file() { fs::read_optional(&path) } else { Ok(None) }
            }
        }
    }

    /// The names of the directories in a directory, sorted.
    pub(super) fn directories(&self, path: &str) -> Result<Vec<String>> {
        let mut names = match self {
            Shelf::Embedded(roots) => {
                let files = embedded_below(roots, path).into_iter();
                files.filter_map(|(path, _)| Some(path.split_once('/')?.0.to_owned())).collect()
            }
            Shelf::Disk(root) => {
                let entries = fs::list(&root.join(path))?;
                entries
                    .iter()
                    .filter(|path| path.is_dir())
                    .filter_map(|path| name_of(path))
                    .collect::<Vec<_>>()
            }
        };
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// All files below a directory, and on a disk the directories, in the order of their paths.
    pub(super) fn walk(&self, path: &str) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        match self {
            Shelf::Embedded(roots) => found.extend(embedded_below(roots, path).into_iter().map(found_in)),
            Shelf::Disk(root) => walk_disk(&root.join(path), "", 0, &mut found)?,
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// All files, those of both directories where it has two.
    pub(super) fn walk_all(&self) -> Result<Vec<Found>> {
        let Shelf::Embedded(roots) = self else { return self.walk("") };
        let mut found: Vec<_> = roots.iter().flat_map(|root| embedded::below(root)).map(found_in).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// For messages and for hooks; templates in the binary have a name but no place.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        match self {
            Shelf::Embedded(_) => PathBuf::from(name),
            Shelf::Disk(dir) => dir.join(name),
        }
    }
}

/// The files below this path, of the first directory that has it.
fn embedded_below(roots: &[&str], path: &str) -> Vec<embedded::File> {
    let of = |root| embedded::below(format!("{root}/{path}").trim_end_matches('/')).collect::<Vec<_>>();
    roots.iter().map(of).find(|files| !files.is_empty()).unwrap_or_default()
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn found_in((path, content): embedded::File) -> Found {
    // The binary keeps no modes: what names its interpreter is there to be run.
    let is_executable = content.starts_with(b"#!");
    Found { path: path.to_owned(), content: Some(content.to_vec()), is_executable }
}

fn walk_disk(dir: &Path, prefix: &str, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    if depth > MAX_DEPTH {
        let message = format!("{} is more than {MAX_DEPTH} directories deep", text::path(dir));
        return Err(Error::input(message).hint("look for symbolic links in a circle"));
    }
    for entry in fs::list(dir)? {
        let name = name_of(&entry).ok_or_else(|| {
            Error::input(format!("{} has a name that is not UTF-8; UTF-8 is allowed", text::path(&entry)))
                .hint("rename it")
        })?;
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if entry.is_dir() {
            walk_disk(&entry, &path, depth + 1, found)?;
            found.push(Found { path, content: None, is_executable: true });
        } else {
            let content = fs::read(&entry)?;
            found.push(Found { path, content: Some(content), is_executable: is_executable(&entry) });
        }
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0)
}
