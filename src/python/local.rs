//! Requirements that are projects on this machine: which of their files count, and a copy to build from.
//!
//! Build tools leave `build/` and `*.egg-info` where they work, and make wheels of what an earlier run left there; a
//! copy keeps both from happening.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{At, Result};
use crate::fs;

/// The first moment that a zip file, and so a wheel, can hold; a day later, for every time zone.
const FIRST_OF_ZIP: Duration = Duration::from_secs(315_532_800 + 86_400);

/// The files and links below `path` that count for what is built from it; itself where it is a file. Links that lead
/// out of it are followed.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(path, path, &mut Vec::new(), &mut |from, _, _| {
        found.push(from.to_owned());
        Ok(())
    })?;
    Ok(found)
}

/// Copies the project at `from` to `to`, without what earlier builds left in it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    walk(from, from, &mut Vec::new(), &mut |path, inside, link| {
        let target = to.join(inside);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        match link {
            Some(link) => fs::symlink(link, &target),
            None => copy_file(path, &target),
        }
    })
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let metadata = from.metadata().at("read", from)?;
    let mut source = fs::open(from)?;
    let mut file = fs::create_file_with_mode(to, metadata.mode() & 0o777 | 0o200)?;
    io::copy(&mut source, &mut file).at("copy to", to)?;
    // The time goes into the wheel, where nothing is older than 1980.
    let modified = metadata.modified().at("read", from)?.max(SystemTime::UNIX_EPOCH + FIRST_OF_ZIP);
    file.set_modified(modified).at("set the time of", to)
}

type Visit<'a> = dyn FnMut(&Path, &Path, Option<&Path>) -> Result<()> + 'a;

/// Calls `visit` with each file, its path inside `root`, and, where it is a link that stays inside, its target.
fn walk(root: &Path, path: &Path, open: &mut Vec<PathBuf>, visit: &mut Visit<'_>) -> Result<()> {
    fn enter(
        path: &Path,
        inside: &Path,
        real_root: &Path,
        open: &mut Vec<PathBuf>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let real = std::fs::canonicalize(path);
        if path.is_symlink() {
            // A link that dangles, that stays inside, or that leads round in a circle is what it is.
            let stays =
                real.as_ref().is_ok_and(|real| real.starts_with(real_root) || real_root.starts_with(real));
            if (stays || real.is_err()) && inside != Path::new("") {
                let target = std::fs::read_link(path).at("read", path)?;
                return visit(path, inside, Some(&target));
            }
        }
        let metadata = path.metadata().at("read", path)?;
        if metadata.is_file() {
            return visit(path, inside, None);
        }
        let Ok(real) = real else { return Ok(()) };
        if !metadata.is_dir() || open.contains(&real) {
            return Ok(());
        }
        open.push(real);
        let is_plugin = path.join(".layerapi2_label").exists();
        for entry in fs::list(path)? {
            let Some(name) = entry.file_name() else { continue };
            if !is_left_over(path, &name.to_string_lossy(), is_plugin) {
                enter(&entry, &inside.join(name), real_root, open, visit)?;
            }
        }
        open.pop();
        Ok(())
    }
    let real_root = std::fs::canonicalize(root).at("read", root)?;
    enter(path, Path::new(""), &real_root, open, visit)
}

/// What builds make, those of a plugin around the project included.
fn is_left_over(dir: &Path, name: &str, in_plugin: bool) -> bool {
    let of_setuptools = dir.file_name().is_some_and(|dir| dir == "build")
        && (name == "lib" || ["lib.", "bdist.", "temp."].iter().any(|start| name.starts_with(start)));
    let of_plugin =
        in_plugin && (matches!(name, ".mwp" | "local" | "node_modules") || name.ends_with(".plugin"));
    let of_sources = name == "src" && dir.file_name().is_some_and(|dir| dir == "python3_virtualenv_sources");
    of_setuptools || of_plugin || of_sources || name == "__pycache__" || name.ends_with(".egg-info")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_sources_and_nothing_that_a_build_left() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("foo");
        for file in [
            "setup.py",
            "foo/__init__.py",
            "build/lib/foo/old.py",
            "foo.egg-info/SOURCES.txt",
            "foo/__pycache__/x.pyc",
            "src/a.py",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write_atomic(&path, b"x").unwrap();
        }
        fs::write_atomic(&dir.path().join("shared.py"), b"shared").unwrap();
        for (target, link) in
            [("../shared.py", "shared.py"), ("foo", "bar"), ("..", "loop"), ("nowhere", "dangling")]
        {
            fs::symlink(Path::new(target), &root.join(link)).unwrap();
        }
        let old = SystemTime::UNIX_EPOCH - Duration::from_secs(1000);
        fs::open(&root.join("setup.py")).unwrap().set_modified(old).unwrap();
        let to = dir.path().join("copy");
        copy(&root, &to).unwrap();
        let names: Vec<_> = files(&to)
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(&to).unwrap().display().to_string())
            .collect();
        assert_eq!(names[..4], ["bar", "dangling", "foo/__init__.py", "loop"]);
        assert!(names.contains(&"shared.py".to_owned()) && names.contains(&"src/a.py".to_owned()));
        assert!(!to.join("shared.py").is_symlink() && to.join("bar").is_symlink());
        let modified = to.join("setup.py").metadata().unwrap().modified().unwrap();
        assert!(modified > SystemTime::UNIX_EPOCH + Duration::from_secs(315_532_800));
    }
}
