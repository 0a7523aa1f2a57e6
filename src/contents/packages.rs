//! Which package a file is of: wheels by their name, what is in a virtualenv by its `RECORD`, node_modules by directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::artifact::Inventory;
use crate::python::Wheel;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    Python,
    Node,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    pub ecosystem: Ecosystem,
    pub name: String,
    /// `None` where the package does not say.
    pub version: Option<String>,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

const SITE_PACKAGES: &str = "/site-packages/";
const NODE_MODULES: &str = "node_modules/";

/// Whether the content of this file says what a package is called or holds.
pub(super) fn tells_of_package(path: &str) -> bool {
    path.ends_with(".dist-info/RECORD")
        || node_package(path).is_some_and(|dir| path.strip_prefix(dir) == Some("/package.json"))
}

#[derive(Debug)]
pub(super) struct Owners {
    /// Files in a virtualenv, by their path.
    recorded: BTreeMap<String, Package>,
    /// Packages of Node.js, by their directory.
    node: BTreeMap<String, Package>,
}

impl Owners {
    pub(super) fn of(inventory: &Inventory) -> Owners {
        let mut owners = Owners { recorded: BTreeMap::new(), node: BTreeMap::new() };
        for (path, text) in &inventory.texts {
            if let Some(dist_info) = path.strip_suffix("/RECORD") {
                owners.add_record(dist_info, text);
            } else if let Some(dir) = node_package(path) {
                owners.node.insert(dir.to_owned(), described(dir, text));
            }
        }
        owners
    }

    fn add_record(&mut self, dist_info: &str, record: &str) {
        let Some((site_packages, name)) = dist_info.rsplit_once('/') else { return };
        let Some((name, version)) = name.trim_end_matches(".dist-info").rsplit_once('-') else { return };
        let package = Package {
            ecosystem: Ecosystem::Python,
            name: crate::python::canonical_name(name),
            version: Some(version.to_owned()),
        };
        for line in record.lines() {
            // A path with a comma stands in quotes.
            let path = match line.strip_prefix('"') {
                Some(rest) => rest.split('"').next(),
                None => line.split(',').next(),
            };
            if let Some(path) = path.filter(|path| !path.is_empty()) {
                self.recorded.insert(joined(site_packages, path), package.clone());
            }
        }
    }

    pub(super) fn owner(&self, path: &str) -> Option<Package> {
        if let Some(dir) = node_package(path) {
            return Some(self.node.get(dir).cloned().unwrap_or_else(|| described(dir, "")));
        }
        if let Some(package) = self.recorded.get(path) {
            return Some(package.clone());
        }
        if path.contains(SITE_PACKAGES) || !path.contains("python3_virtualenv_sources/src/") {
            return None;
        }
        let wheel = Wheel::of(Path::new(path))?;
        let name = crate::python::canonical_name(&wheel.name);
        Some(Package { ecosystem: Ecosystem::Python, name, version: Some(wheel.version) })
    }
}

/// The directory of the innermost package that a path is in.
fn node_package(path: &str) -> Option<&str> {
    let at = path.rfind(NODE_MODULES).filter(|at| *at == 0 || path[..*at].ends_with('/'))?;
    let start = at + NODE_MODULES.len();
    let mut parts = path[start..].split('/');
    let name = parts.next().filter(|name| !name.is_empty() && !name.starts_with('.'))?;
    let length = match name.starts_with('@') {
        true => name.len() + 1 + parts.next()?.len(),
        false => name.len(),
    };
    // A file right in node_modules is of no package.
    (path.len() > start + length).then(|| &path[..start + length])
}

fn described(dir: &str, package_json: &str) -> Package {
    let named = dir.rfind(NODE_MODULES).map_or(dir, |at| &dir[at + NODE_MODULES.len()..]);
    let description: serde_json::Value = serde_json::from_str(package_json).unwrap_or_default();
    let version = description.get("version").and_then(serde_json::Value::as_str).map(str::to_owned);
    Package { ecosystem: Ecosystem::Node, name: named.to_owned(), version }
}

/// `base/path` with its `..` resolved.
fn joined(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_innermost_package() {
        for (path, dir) in [
            ("node_modules/a/index.js", Some("node_modules/a")),
            ("x/node_modules/a/node_modules/@s/b/c.js", Some("x/node_modules/a/node_modules/@s/b")),
            ("node_modules/.package-lock.json", None),
            ("my_node_modules/a/b", None),
            ("node_modules/a", None),
        ] {
            assert_eq!(node_package(path), dir, "{path}");
        }
        assert!(tells_of_package("node_modules/a/package.json"));
        assert!(!tells_of_package("node_modules/a/lib/package.json"));
    }

    #[test]
    fn a_record_names_files_beside_its_directory() {
        assert_eq!(joined("v/lib/site-packages", "../../bin/flask"), "v/bin/flask");
    }
}
