//! Wheels: their names, and what they say that they need (PEP 427).

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;

use pep508_rs::{Requirement, VerbatimUrl};
use zip::ZipArchive;

use super::requirements::requirement;
use crate::artifact::Limits;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::text;

/// A long README is behind the header, which alone is read.
const MOST_METADATA: u64 = 1 << 24;

/// Bytes that a member has in the list of members: 46, its name and what some tools add.
const LIST_PER_MEMBER: u64 = 256;
/// Where the end of the list is looked for.
const LIST_FREE: u64 = 1 << 20;

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
        let damaged = |error: zip::result::ZipError| self.damaged(&error.to_string());
        let mut archive = self.open(&Limits::default())?;
        let names = archive.file_names().filter_map(|name| name.ok().map(std::borrow::Cow::into_owned));
        let mut names = names.filter(|name| {
            let mut parts = name.split('/');
            parts.next().is_some_and(|top| top.ends_with(".dist-info")) && parts.eq(["METADATA"])
        });
        let Some(name) = names.next() else { return Ok(Vec::new()) };
        drop(names);
        let mut content = Vec::new();
        let member = archive.by_name(&name).map_err(damaged)?;
        member.take(MOST_METADATA).read_to_end(&mut content).at("read", &self.path)?;
        let text = String::from_utf8_lossy(&content);
        let header = text.split("\n\n").next().unwrap_or_default().lines();
        Ok(header
            .filter_map(|line| line.strip_prefix("Requires-Dist:"))
            .filter_map(|text| requirement(text.trim()))
            .collect())
    }

    /// Its list of members is kept in memory: no more of it is read than the limits allow.
    pub(super) fn open(&self, limits: &Limits) -> Result<ZipArchive<Bounded>> {
        let too_many = || self.refused(&format!("it has more than {} files", limits.wheels));
        let left = Rc::new(Cell::new(LIST_PER_MEMBER.saturating_mul(limits.wheels as u64).max(LIST_FREE)));
        let file = Bounded { file: fs::open(&self.path)?, left: Rc::clone(&left) };
        let archive = ZipArchive::new(file).map_err(|error| match left.get() {
            0 => too_many(),
            _ => self.damaged(&error.to_string()),
        })?;
        if archive.len() > limits.wheels {
            return Err(too_many());
        }
        left.set(u64::MAX);
        Ok(archive)
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

/// A file of which so many bytes are read and no more.
#[derive(Debug)]
pub(super) struct Bounded {
    file: File,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let left = self.left.get().saturating_sub(read as u64);
        self.left.set(left);
        if left == 0 { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(read) }
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
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
    fn a_list_of_members_is_read_no_further_than_the_limits_allow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foo-1.0-py3-none-any.whl");
        let mut archive = zip::ZipWriter::new(fs::create_file(&path).unwrap());
        for number in 0..5000 {
            let name = format!("{}{number}", "x".repeat(250));
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        }
        archive.finish().unwrap();
        let wheel = Wheel::of(&path).unwrap();
        let with = |wheels| wheel.open(&Limits { wheels, ..Limits::default() });
        for wheels in [10, 4999] {
            let error = with(wheels).unwrap_err().to_string();
            assert!(error.contains(&format!("has more than {wheels} files")), "{error}");
        }
        assert_eq!(with(10_000).unwrap().len(), 5000);
        // Where the list is too long, it is not read to its end.
        let left = Rc::new(Cell::new(LIST_FREE));
        let file = Bounded { file: fs::open(&path).unwrap(), left: Rc::clone(&left) };
        assert!(ZipArchive::new(file).is_err() && left.get() == 0);
    }

    #[test]
    fn names_are_canonical() {
        assert_eq!(canonical_name("Foo__Bar.baz-Q"), "foo-bar-baz-q");
    }
}
