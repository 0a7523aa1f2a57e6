//! A virtualenv made from wheels, with nothing but a bare interpreter: no pip, no `venv` module, no network.
//!
//! It can be moved: its scripts find their interpreter beside themselves, and no file holds its path. Upstream puts a
//! copy of the lock into site-packages, where plugins that build upon this one look for it; so do we.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::interpreter::Interpreter;
use super::wheel::Wheel;
use crate::error::Result;
use crate::fs;

/// Where things are in a virtualenv.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
    short_version: String,
}

impl Layout {
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(super) fn site_packages(&self) -> PathBuf {
        self.root.join("lib").join(format!("python{}", self.short_version)).join("site-packages")
    }

    pub(super) fn headers(&self, project: &str) -> PathBuf {
        self.root.join("include/site").join(format!("python{}", self.short_version)).join(project)
    }

    /// As RECORD has it: `../../../bin/flask` for what is outside.
    pub(super) fn relative_to_site_packages(&self, path: &Path) -> String {
        if let Ok(inside) = path.strip_prefix(self.site_packages()) {
            return inside.to_string_lossy().into_owned();
        }
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        format!("../../../{}", inside.to_string_lossy())
    }
}

/// Makes a virtualenv at `root`, which must not exist, and installs the wheels.
pub fn create(root: &Path, interpreter: &Interpreter, wheels: &[Wheel], lock: &str) -> Result<()> {
    let layout = Layout { root: root.to_owned(), short_version: interpreter.short_version.clone() };
    fs::create_dir_all(&layout.bin())?;
    fs::create_dir_all(&layout.site_packages())?;
    let home = interpreter.executable.parent().unwrap_or(Path::new("/usr/bin"));
    let settings = format!(
        "home = {}\nimplementation = CPython\nversion_info = {}\ninclude-system-site-packages = false\nrelocatable = true\n",
        home.display(),
        interpreter.version
    );
    fs::write_atomic(&root.join("pyvenv.cfg"), settings.as_bytes())?;
    fs::symlink(&interpreter.executable, &layout.bin().join("python3"))?;
    fs::symlink(Path::new("python3"), &layout.bin().join("python"))?;
    fs::symlink(Path::new("python3"), &layout.bin().join(format!("python{}", interpreter.short_version)))?;
    for name in ["pip", "pip3"] {
        fs::write_atomic(&layout.bin().join(name), PIP.as_bytes())?;
        fs::set_mode(&layout.bin().join(name), 0o755)?;
    }
    // Wheels bring files of their own names; a project that installs `bin/pip` itself replaces ours.
    wheels.par_iter().try_for_each(|wheel| wheel.install(&layout))?;
    fs::write_atomic(&layout.site_packages().join("requirements3.txt"), lock.as_bytes())
}

/// pip for this virtualenv, by the interpreter's own pip: there is no copy of pip in each virtualenv.
const PIP: &str = "\
#!/bin/sh
here=$(dirname -- \"$(realpath -- \"$0\")\")
if \"$here/python3\" -c 'import pip' 2>/dev/null; then
    exec \"$here/python3\" -m pip \"$@\"
fi
exec \"$(readlink -f -- \"$here/python3\")\" -m pip --python \"$here/python3\" \"$@\"
";

/// The projects (`name version`) that are installed in the virtualenv at `root`, with their `.dist-info` paths.
pub fn installed(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for python in fs::list(&root.join("lib"))? {
        let entries = fs::list(&python.join("site-packages"))?;
        found.extend(
            entries.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "dist-info")),
        );
    }
    Ok(found)
}

/// What belongs to the virtualenv at `root`, whoever made it – us, `venv`, uv or upstream's `pip --prefix`: its
/// scaffolding, and what the RECORD files list. Everything else in that directory was put there by somebody else.
/// Paths start with `prefix`.
pub fn owned_files(root: &Path, prefix: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut owned = BTreeSet::new();
    if !root.is_dir() || root.is_symlink() {
        return Ok(owned);
    }
    for name in ["pyvenv.cfg", "CACHEDIR.TAG", ".gitignore", ".lock", "lib64"] {
        owned.insert(prefix.join(name));
    }
    for path in fs::list(&root.join("bin"))? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let scaffolding = name.starts_with("python")
            || name.starts_with("pip")
            || name.starts_with("activate")
            || name.starts_with("Activate")
            || matches!(name, "deactivate.bat" | "pydoc.bat");
        if scaffolding {
            owned.insert(prefix.join("bin").join(name));
        }
    }
    for python in fs::list(&root.join("lib"))? {
        let site_packages = python.join("site-packages");
        for name in [
            "requirements3.txt",
            "requirements2.txt",
            "_virtualenv.py",
            "_virtualenv.pth",
            "distutils-precedence.pth",
        ] {
            own(&mut owned, root, prefix, &site_packages.join(name));
        }
    }
    for dist_info in installed(root)? {
        let Some(site_packages) = dist_info.parent() else { continue };
        let record = fs::read_optional(&dist_info.join("RECORD"))?.unwrap_or_default();
        for line in String::from_utf8_lossy(&record).lines() {
            let name = match line.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next().unwrap_or_default(),
                None => line.split(',').next().unwrap_or_default(),
            };
            own(&mut owned, root, prefix, &site_packages.join(name));
        }
        // Installers add files that their RECORD does not list.
        for path in fs::list(&dist_info)? {
            own(&mut owned, root, prefix, &path);
        }
    }
    Ok(owned)
}

/// The files and links in the virtualenv at `root` that do not belong to it. Paths start with `prefix`.
pub fn foreign_files(root: &Path, prefix: &Path) -> Result<BTreeSet<PathBuf>> {
    let owned = owned_files(root, prefix)?;
    let mut foreign = BTreeSet::new();
    let mut waiting = vec![prefix.to_owned()];
    while let Some(dir) = waiting.pop() {
        let at = root.join(dir.strip_prefix(prefix).unwrap_or(&dir));
        for path in fs::list(&at)? {
            let Some(name) = path.file_name().filter(|name| *name != "__pycache__") else { continue };
            let inside = dir.join(name);
            if path.is_dir() && !path.is_symlink() {
                waiting.push(inside);
            } else if !owned.contains(&inside) {
                foreign.insert(inside);
            }
        }
    }
    Ok(foreign)
}

/// Adds a path below `root`, `..` resolved by name.
fn own(owned: &mut BTreeSet<PathBuf>, root: &Path, prefix: &Path, path: &Path) {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    if let Ok(inside) = plain.strip_prefix(root) {
        owned.insert(prefix.join(inside));
    }
}
