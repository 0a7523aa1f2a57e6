//! A virtualenv made from wheels, with nothing but a bare interpreter: no pip, no `venv` module, no network.
//!
//! It can be moved: its scripts find their interpreter beside themselves, and no file holds its path. Upstream puts a
//! copy of the lock into site-packages, where plugins that build upon this one look for it; so do we.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::contents::{Contents, Layout};
use super::interpreter::Interpreter;
use super::plan::Plan;
use super::wheel::Wheel;
use crate::artifact::Limits;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Beneath};
use crate::{text, threads};

/// A virtualenv that was made.
#[derive(Debug, PartialEq)]
pub struct Made {
    /// What people should know of it.
    pub warnings: Vec<String>,
    /// What was written to the files that wheels brought, by path in the virtualenv.
    pub digests: HashMap<String, Digest>,
}

/// Makes a virtualenv at `root`, which must not exist, and installs the wheels that `lock` names.
///
/// Every file is made new, beneath `root` and never through a link: a wheel may bring any name.
pub fn create(
    root: &Path,
    interpreter: &Interpreter,
    wheels: &[Wheel],
    lock: &str,
    limits: &Limits,
) -> Result<Made> {
    let layout = Layout::new(&interpreter.short_version);
    let plan = Plan::of(wheels, lock, &layout, limits)?;
    let mut place = Beneath::create(root)?;
    let bytes = plan.wheels.iter().map(|(_, contents)| contents.bytes).sum();
    make_sure_of_room(root, bytes, place.free_space())?;
    let home = interpreter.executable.parent().unwrap_or(Path::new("/usr/bin"));
    let settings = format!(
        "home = {}\nimplementation = CPython\nversion_info = {}\ninclude-system-site-packages = false\nrelocatable = true\n",
        home.display(),
        interpreter.version
    );
    place.file("pyvenv.cfg")?.write_new(settings.as_bytes(), 0o644)?;
    place.link("bin/python3", &interpreter.executable)?;
    place.symlink("bin/python", "python3")?;
    place.symlink(format!("bin/python{}", interpreter.short_version), "python3")?;
    // A project that installs `bin/pip` itself has its own.
    for name in ["bin/pip", "bin/pip3"].into_iter().filter(|name| !plan.has(name)) {
        place.file(name)?.write_new(PIP.as_bytes(), 0o755)?;
    }
    place.directory(layout.site_packages(), 0o755)?;
    let copy = format!("{}/requirements3.txt", layout.site_packages());
    if !plan.has(&copy) {
        place.file(&copy)?.write_new(lock.as_bytes(), 0o644)?;
    }
    let write =
        |(wheel, contents): &&(&Wheel, Contents)| wheel.write(contents, &layout, limits, &mut place.share());
    let mut wheels: Vec<&(&Wheel, Contents)> = plan.wheels.iter().collect();
    // Making a file takes longer than filling it.
    wheels.sort_by_key(|(_, contents)| Reverse(contents.files.len()));
    let written = threads::try_each(&wheels, threads::processors(), "unpacking wheels", write)?;
    Ok(Made { warnings: plan.warnings(), digests: written.into_iter().flatten().collect() })
}

fn make_sure_of_room(root: &Path, bytes: u64, free: Option<u64>) -> Result<()> {
    match free.filter(|free| bytes > *free) {
        None => Ok(()),
        Some(free) => Err(Error::machine(format!(
            "the wheels unpack to {}, and only {} are free at {}",
            text::size(bytes),
            text::size(free),
            text::path(root)
        ))
        .hint("free some space, and run the same command again")),
    }
}

/// Looks at the wheels as [`create`] would, before there is a virtualenv: what it would refuse is refused.
pub fn check(wheels: &[Wheel], lock: &str, limits: &Limits) -> Result<Vec<String>> {
    // Which Python it is does not matter for what is in the way of what.
    Plan::of(wheels, lock, &Layout::new("3"), limits).map(|plan| plan.warnings())
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

#[cfg(test)]
mod tests;
