//! Wheels: their names, and what they say that they need (PEP 427).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl};

use super::requirements::requirement;
use crate::artifact::Limits;
use crate::error::{Error, Result};
use crate::fs;
use crate::text;

/// A long README is behind the header, which alone is read.
const MOST_METADATA: u64 = 1 << 24;

/// The name of a project as PEP 503 normalises it.
pub fn canonical_name(name: &str) -> String {
    let mut canonical = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if canonical.ends_with('-') => {}
            '-' | '_' | '.' => canonical.push('-'),
            other => canonical.extend(other.to_lowercase()),
        }
    }
    canonical
}

/// A wheel on the disk, as its file name describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wheel {
    /// Canonical.
    pub name: String,
    pub version: String,
    /// `py3`, `cp311`, …
    pub python_tags: Vec<String>,
    pub abi_tags: Vec<String>,
    pub platform_tags: Vec<String>,
    pub path: PathBuf,
}

impl Wheel {
    /// `None` where the file name is not that of a wheel.
    pub fn of(path: &Path) -> Option<Wheel> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".whl")?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, tags) = match parts.as_slice() {
            [name, version, python, abi, platform] | [name, version, _, python, abi, platform] => {
                (name, version, [python, abi, platform])
            }
            _ => return None,
        };
        let [python_tags, abi_tags, platform_tags] =
            tags.map(|tag| tag.split('.').map(str::to_owned).collect::<Vec<_>>());
        Some(Wheel {
            name: canonical_name(name),
            version: version.replace('_', "-"),
            python_tags,
            abi_tags,
            platform_tags,
            path: path.to_owned(),
        })
    }

    /// The wheels in a directory, by name.
    pub fn in_dir(dir: &Path) -> Result<Vec<Wheel>> {
        let mut wheels: Vec<Wheel> = fs::list(dir)?.iter().filter_map(|path| Wheel::of(path)).collect();
        wheels.sort();
        Ok(wheels)
    }

    /// Whether this wheel is of the pinned version; wheels may spell it in another form (`1.0` and `1.0.0`).
    pub fn is_version(&self, pinned: &str) -> bool {
        if self.version == pinned {
            return true;
        }
        match (pep440_rs::Version::from_str(&self.version), pep440_rs::Version::from_str(pinned)) {
            // A pin without a local part fits any local version, as pip has it.
            (Ok(own), Ok(pinned)) => own == pinned || (!pinned.is_local() && own.without_local() == pinned),
            _ => false,
        }
    }

    /// What it says that it needs (`Requires-Dist`); what cannot be read as a requirement is left out.
    pub(super) fn requirements(&self) -> Result<Vec<Requirement<VerbatimUrl>>> {
        let archive = self.open(&Limits::default())?;
        let metadata = archive.members.iter().rfind(|member| {
            let mut parts = member.name.split('/');
            parts.next().is_some_and(|top| top.ends_with(".dist-info")) && parts.eq(["METADATA"])
        });
        let Some(metadata) = metadata else { return Ok(Vec::new()) };
        let mut content = Vec::new();
        let read =
            archive.read(metadata).and_then(|member| member.take(MOST_METADATA).read_to_end(&mut content));
        read.map_err(|error| self.damaged(&error.to_string()))?;
        let text = String::from_utf8_lossy(&content);
        let header = text.split("\n\n").next().unwrap_or_default().lines();
        Ok(header
            .filter_map(|line| line.strip_prefix("Requires-Dist:"))
            .filter_map(|text| requirement(text.trim()))
            .collect())
    }

    /// The file's own name, as it can be shown.
    pub fn file_name(&self) -> String {
        text::visible_bytes(self.path.file_name().unwrap_or_default().as_encoded_bytes())
    }

    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::input(format!("{} is not a sound wheel: {what}", text::path(&self.path)))
            .hint("remove that file and run `mwp build` again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_known_by_its_file_name() {
        let wheel = Wheel::of(Path::new(
            "x/MarkupSafe-3.0.4-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        ))
        .unwrap();
        assert_eq!((wheel.name.as_str(), wheel.version.as_str()), ("markupsafe", "3.0.4"));
        assert_eq!(wheel.platform_tags, ["manylinux2014_x86_64", "manylinux_2_17_x86_64"]);
        assert!(wheel.is_version("3.0.4") && wheel.is_version("3.0.4.0") && !wheel.is_version("3.0.5"));
        assert!(Wheel::of(Path::new("six-1.17.0.tar.gz")).is_none());
        let built = Wheel::of(Path::new("torch-2.1+cpu-1-py3-none-any.whl")).unwrap();
        assert!(built.is_version("2.1"));
    }

    #[test]
    fn names_are_canonical() {
        assert_eq!(canonical_name("Foo__Bar.baz-Q"), "foo-bar-baz-q");
    }
}
