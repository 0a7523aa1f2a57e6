//! `pylock.toml` (PEP 751): for each pin of `requirements3.txt` the files that it may be, with address and sha256.
//!
//! `requirements3.txt` stays what upstream reads; this stands beside it. It says as well what it was made from, so that
//! a lock of upstream's is known from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;

use super::canonical_name;
use super::requirements::plain;
use super::wheel::Wheel;
use crate::error::{Error, Result};
use crate::fs;
use crate::text;
use crate::toml_text;

/// The name that the standard asks for.
pub const FILE: &str = "pylock.toml";

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PyLock {
    lock_version: String,
    #[serde(default)]
    requires_python: Option<String>,
    #[serde(default)]
    pub packages: Vec<Package>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Tool {
    #[serde(default)]
    mwp: Own,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Own {
    frozen_from: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: Option<String>,
    pub index: Option<String>,
    pub vcs: Option<Vcs>,
    pub directory: Option<Directory>,
    pub archive: Option<File>,
    pub sdist: Option<File>,
    #[serde(default)]
    pub wheels: Vec<File>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vcs {
    #[serde(rename = "type")]
    pub kind: String,
    pub url: Option<String>,
    pub path: Option<String>,
    pub requested_revision: Option<String>,
    pub commit_id: String,
    pub subdirectory: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Directory {
    pub path: String,
}

/// A wheel, an sdist or another archive.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct File {
    pub name: Option<String>,
    pub url: Option<String>,
    /// Relative to the lock.
    pub path: Option<String>,
    pub size: Option<u64>,
    #[serde(default)]
    pub hashes: BTreeMap<String, String>,
    pub subdirectory: Option<String>,
}

impl PyLock {
    pub fn new(requires_python: Option<String>, packages: Vec<Package>, frozen_from: String) -> PyLock {
        let mut packages = packages;
        packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        let tool = Tool { mwp: Own { frozen_from: Some(frozen_from) } };
        PyLock { lock_version: "1.0".to_owned(), requires_python, packages, tool }
    }

    pub fn parse(content: &str) -> Result<PyLock, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Version {
            lock_version: String,
        }
        let reason = |error: toml::de::Error| error.message().to_owned();
        let lock = toml_text::from_str::<PyLock>(content);
        let version = match &lock {
            Ok(lock) => lock.lock_version.clone(),
            // What another version has in another shape is no mistake.
            Err(_) => toml_text::from_str::<Version>(content).map_err(reason)?.lock_version,
        };
        if version.split('.').next() != Some("1") {
            return Err(format!("found lock-version {version}; 1.0 is allowed"));
        }
        let mut lock = lock.map_err(reason)?;
        for package in &mut lock.packages {
            package.name = canonical_name(&package.name);
        }
        Ok(lock)
    }

    /// The file in `directory`, `None` where there is none.
    pub fn read(directory: &Path) -> Result<Option<PyLock>> {
        let path = directory.join(FILE);
        let Some(content) = fs::read_text_optional(&path)? else { return Ok(None) };
        PyLock::parse(&content).map(Some).map_err(|reason| {
            Error::input(format!("{} is no lock: {}", text::path(&path), text::visible(&reason)))
                .hint("take back the change to it, or remove it: it is then made again")
        })
    }

    /// The digest of what it was made from, where we made it.
    pub fn frozen_from(&self) -> Option<&str> {
        self.tool.mwp.frozen_from.as_deref()
    }

    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The text of the file, the same for the same content.
    pub fn render(&self) -> String {
        let mut text = String::from("lock-version = \"1.0\"\ncreated-by = \"mwp\"\n");
        if let Some(python) = &self.requires_python {
            let _ = writeln!(text, "requires-python = {}", quoted(python));
        }
        for package in &self.packages {
            let _ = writeln!(text, "\n[[packages]]\nname = {}", quoted(&package.name));
            for (key, value) in [("version", &package.version), ("index", &package.index)] {
                if let Some(value) = value {
                    let _ = writeln!(text, "{key} = {}", quoted(value));
                }
            }
            if let Some(vcs) = &package.vcs {
                let _ = writeln!(text, "vcs = {}", vcs.inline());
            }
            if let Some(directory) = &package.directory {
                let _ = writeln!(text, "directory = {{ path = {} }}", quoted(&directory.path));
            }
            for (key, file) in [("archive", &package.archive), ("sdist", &package.sdist)] {
                if let Some(file) = file {
                    let _ = writeln!(text, "{key} = {}", file.inline());
                }
            }
            if !package.wheels.is_empty() {
                text.push_str("wheels = [\n");
                for wheel in &package.wheels {
                    let _ = writeln!(text, "    {},", wheel.inline());
                }
                text.push_str("]\n");
            }
        }
        if let Some(frozen_from) = self.frozen_from() {
            let _ = writeln!(text, "\n[tool.mwp]\nfrozen-from = {}", quoted(frozen_from));
        }
        text
    }
}

impl Package {
    /// Every file that it may be.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.wheels.iter().chain(&self.sdist).chain(&self.archive)
    }

    /// `sha256:…` of every file that it may be.
    pub fn hashes(&self) -> BTreeSet<String> {
        let hashes = self.files().flat_map(|file| &file.hashes);
        hashes.map(|(algorithm, digest)| format!("{algorithm}:{digest}")).collect()
    }

    /// Whether every file is known by a hash, so that it can be checked.
    pub fn is_checked(&self) -> bool {
        self.files().next().is_some() && self.files().all(|file| !file.hashes.is_empty())
    }

    /// The wheels that fit, by their file names.
    pub fn wheels(&self) -> impl Iterator<Item = Wheel> {
        self.wheels.iter().filter_map(|file| Wheel::of(Path::new(&file.file_name()?)))
    }

    /// Keeps the files with one of these hashes alone; `false` where there is none.
    pub fn allow(&mut self, hashes: &[String]) -> bool {
        let is_allowed = |file: &File| {
            file.hashes.iter().any(|(name, digest)| hashes.contains(&format!("{name}:{digest}")))
        };
        self.wheels.retain(is_allowed);
        self.sdist = self.sdist.take().filter(is_allowed);
        self.archive = self.archive.take().filter(is_allowed);
        self.files().next().is_some()
    }

    /// Takes over the files of the same version that `known` has and this has not, as for another platform.
    pub fn keep_known(&mut self, known: &Package) {
        if known.version != self.version || self.version.is_none() {
            return;
        }
        let names: BTreeSet<_> = self.wheels.iter().map(File::file_name).collect();
        let more: Vec<File> =
            known.wheels.iter().filter(|file| !names.contains(&file.file_name())).cloned().collect();
        self.wheels.extend(more);
        self.wheels.sort_by_key(File::file_name);
        if self.sdist.is_none() {
            self.sdist.clone_from(&known.sdist);
        }
    }
}

impl File {
    /// The last part of its name, path or address.
    pub fn file_name(&self) -> Option<String> {
        let place = self.name.as_ref().or(self.path.as_ref()).or(self.url.as_ref())?;
        let place = place.split(['#', '?']).next().unwrap_or_default();
        let last = place.rsplit('/').next().unwrap_or_default();
        Some(last.replace("%2B", "+").replace("%2b", "+"))
    }

    pub(super) fn is_on_a_server(&self) -> bool {
        self.url.as_deref().is_some_and(|url| url.starts_with("http"))
    }

    /// A file in the plugin is named by its path from the lock in `directory`: a lock is for every clone.
    pub(super) fn relative_to(&mut self, directory: &Path) {
        let path = self
            .url
            .as_deref()
            .and_then(|url| url::Url::parse(url).ok())
            .filter(|url| url.scheme() == "file");
        let path = path.and_then(|url| url.to_file_path().ok());
        // uv writes an absolute path where a requirement names a file.
        let path = path.or_else(|| self.path.as_ref().map(PathBuf::from).filter(|path| path.is_absolute()));
        if let Some(inside) = path.and_then(|path| relative(&path, directory)) {
            self.path = Some(inside);
            self.url = None;
        }
    }

    fn inline(&self) -> String {
        let mut parts = Vec::new();
        for (key, value) in [("name", &self.name), ("url", &self.url), ("path", &self.path)] {
            parts.extend(value.as_ref().map(|value| format!("{key} = {}", quoted(value))));
        }
        parts.extend(self.size.map(|size| format!("size = {size}")));
        parts.extend(self.subdirectory.as_ref().map(|path| format!("subdirectory = {}", quoted(path))));
        let hashes: Vec<String> =
            self.hashes.iter().map(|(name, digest)| format!("{name} = {}", quoted(digest))).collect();
        if !hashes.is_empty() {
            parts.push(format!("hashes = {{ {} }}", hashes.join(", ")));
        }
        format!("{{ {} }}", parts.join(", "))
    }
}

impl Vcs {
    fn inline(&self) -> String {
        let mut parts = vec![format!("type = {}", quoted(&self.kind))];
        for (key, value) in [
            ("url", self.url.as_ref()),
            ("path", self.path.as_ref()),
            ("requested-revision", self.requested_revision.as_ref()),
            ("commit-id", Some(&self.commit_id)),
            ("subdirectory", self.subdirectory.as_ref()),
        ] {
            parts.extend(value.map(|value| format!("{key} = {}", quoted(value))));
        }
        format!("{{ {} }}", parts.join(", "))
    }
}

/// A path in the plugin, seen from the directory of the lock: `lib/foo`, `../foo`.
pub(super) fn relative(path: &Path, directory: &Path) -> Option<String> {
    let path = plain(path);
    if let Ok(inside) = path.strip_prefix(directory) {
        return Some(inside.display().to_string());
    }
    let inside = path.strip_prefix(directory.parent()?).ok()?;
    Some(format!("../{}", inside.display()))
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "lock-version = \"1.0\"\ncreated-by = \"mwp\"\nrequires-python = \">=3.11\"\n\n[[packages]]\nname = \"alpha\"\nversion = \"1.0\"\nindex = \"https://h/simple\"\nsdist = { url = \"https://h/alpha-1.0.tar.gz\", size = 5, hashes = { sha256 = \"cd\" } }\nwheels = [\n    { path = \"vendor/alpha-1.0-py3-none-any.whl\", hashes = { sha256 = \"ab\" } },\n]\n\n[[packages]]\nname = \"there\"\nvcs = { type = \"git\", url = \"https://h/t.git\", requested-revision = \"v1\", commit-id = \"0a1b\" }\n\n[tool.mwp]\nfrozen-from = \"x\"\n";
        let lock = PyLock::parse(text).unwrap();
        assert_eq!(lock.render(), text);
        let alpha = lock.package("alpha").unwrap();
        assert_eq!(alpha.hashes().into_iter().collect::<Vec<_>>(), ["sha256:ab", "sha256:cd"]);
        assert!(alpha.is_checked() && !lock.package("there").unwrap().is_checked());
        assert_eq!(alpha.wheels().count(), 1);
        assert_eq!(lock.frozen_from(), Some("x"));
    }

    #[test]
    fn what_another_tool_wrote_is_read_and_what_is_no_lock_is_not() {
        let uv = "lock-version = \"1.0\"\ncreated-by = \"uv\"\n[[packages]]\nname = \"A.b\"\nversion = \"1\"\nmarker = \"x\"\nwheels = [{ url = \"https://h/a-1%2Bx-py3-none-any.whl\", upload-time = 2024-10-18T15:20:51Z, size = 1, hashes = { sha256 = \"ab\" } }]\n";
        let lock = PyLock::parse(uv).unwrap();
        let package = lock.package("a-b").unwrap();
        assert_eq!(package.wheels[0].file_name().unwrap(), "a-1+x-py3-none-any.whl");
        assert_eq!(lock.frozen_from(), None);
        for (text, reason) in [
            ("", "lock_version"),
            ("lock-version = \"2.0\"", "1.0 is allowed"),
            ("lock-version = \"2.0\"\npackages = 1", "1.0 is allowed"),
            ("x", ""),
        ] {
            assert!(
                PyLock::parse(text)
                    .is_err_and(|found| found.replace('-', "_").contains(&reason.replace('-', "_"))),
                "{text}"
            );
        }
    }

    #[test]
    fn files_in_the_plugin_are_named_by_relative_paths() {
        for (url, expected) in [
            ("file:///p/s/vendor/a.whl", Some("vendor/a.whl")),
            ("file:///p/lib/a%20b.whl", Some("../lib/a b.whl")),
            ("file:///srv/a.whl", None),
            ("https://h/a.whl", None),
        ] {
            let mut file = File { url: Some(url.to_owned()), ..File::default() };
            file.relative_to(Path::new("/p/s"));
            assert_eq!(file.path.as_deref(), expected, "{url}");
            assert_eq!(file.url.is_none(), expected.is_some());
        }
    }

    #[test]
    fn a_file_that_no_given_hash_allows_goes() {
        let file = |digest: &str| File {
            name: Some(format!("{digest}.whl")),
            hashes: [("sha256".to_owned(), digest.to_owned())].into(),
            ..File::default()
        };
        let mut package =
            Package { name: "a".into(), wheels: vec![file("1"), file("2")], ..Package::default() };
        assert!(package.allow(&["sha256:2".to_owned()]));
        assert_eq!(package.hashes().into_iter().collect::<Vec<_>>(), ["sha256:2"]);
        assert!(!package.allow(&["sha256:3".to_owned()]));
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_names_what_is_written_is_read_again(
            (name, version) in ("[a-z][a-z0-9]{0,8}", ".{0,12}"),
            urls in proptest::collection::vec((".{0,20}", "[0-9a-f]{4}", proptest::option::of(0..u64::from(u32::MAX))), 0..4),
            commit in proptest::option::of(".{0,8}"),
        ) {
            let wheels = urls.into_iter().map(|(url, digest, size)| File {
                url: Some(url),
                size,
                hashes: [("sha256".to_owned(), digest)].into(),
                ..File::default()
            });
            let vcs = commit.map(|commit_id| Vcs { kind: "git".into(), commit_id, ..Vcs::default() });
            let package =
                Package { name, version: Some(version), vcs, wheels: wheels.collect(), ..Package::default() };
            let lock = PyLock::new(None, vec![package], "x".into());
            proptest::prop_assert_eq!(PyLock::parse(&lock.render()), Ok(lock));
        }
    }
}
