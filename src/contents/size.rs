//! What fills a plugin, as a tree.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Contents;
use super::packages::{Ecosystem, Package};
use crate::artifact::MemberKind;

#[derive(Debug, Serialize)]
pub struct Sizes {
    pub bytes: u64,
    pub files: usize,
    /// The largest first.
    pub packages: Vec<PackageSize>,
    /// Files that are of no package.
    pub own: Branch,
}

#[derive(Debug, Serialize)]
pub struct PackageSize {
    #[serde(flatten)]
    pub package: Package,
    pub bytes: u64,
    pub files: usize,
}

/// A directory with what is below it, or a file; the largest first.
#[derive(Debug, Default, Serialize)]
pub struct Branch {
    pub name: String,
    pub bytes: u64,
    pub files: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Branch>,
}

impl Contents {
    pub fn sizes(&self) -> Sizes {
        let mut packages: BTreeMap<Package, (u64, usize)> = BTreeMap::new();
        let mut own = Growing::default();
        let (mut bytes, mut files) = (0, 0);
        for entry in &self.inventory.members {
            let size = match entry.kind {
                MemberKind::File { size, .. } => size,
                MemberKind::Link { .. } => 0,
                MemberKind::Directory { .. } => continue,
            };
            bytes += size;
            files += 1;
            match self.owners.owner(&entry.path) {
                Some(package) => {
                    let sum = packages.entry(package).or_default();
                    *sum = (sum.0 + size, sum.1 + 1);
                }
                None => own.add(entry.path.split('/'), size),
            }
        }
        let of = |(package, (bytes, files))| PackageSize { package, bytes, files };
        let mut packages: Vec<PackageSize> = packages.into_iter().map(of).collect();
        packages.sort_by(|one, other| other.bytes.cmp(&one.bytes).then(one.package.cmp(&other.package)));
        Sizes { bytes, files, packages, own: own.finish(String::new()) }
    }
}

impl Sizes {
    pub fn of_ecosystem(&self, ecosystem: Ecosystem) -> impl Iterator<Item = &PackageSize> {
        self.packages.iter().filter(move |size| size.package.ecosystem == ecosystem)
    }
}

impl Branch {
    pub fn leaf(name: String, bytes: u64, files: usize) -> Branch {
        Branch { name, bytes, files, below: Vec::new() }
    }

    /// Over branches that are in order.
    pub fn over(name: String, below: Vec<Branch>) -> Branch {
        let bytes = below.iter().map(|branch| branch.bytes).sum();
        let files = below.iter().map(|branch| branch.files).sum();
        Branch { name, bytes, files, below }
    }
}

#[derive(Default)]
struct Growing {
    bytes: u64,
    files: usize,
    below: BTreeMap<String, Growing>,
}

impl Growing {
    fn add<'a>(&mut self, mut path: impl Iterator<Item = &'a str>, size: u64) {
        self.bytes += size;
        self.files += 1;
        if let Some(name) = path.next() {
            self.below.entry(name.to_owned()).or_default().add(path, size);
        }
    }

    fn finish(self, name: String) -> Branch {
        let name = if self.below.is_empty() || name.is_empty() { name } else { format!("{name}/") };
        let mut below: Vec<Branch> = self.below.into_iter().map(|(name, one)| one.finish(name)).collect();
        below.sort_by(|one, other| other.bytes.cmp(&one.bytes).then(one.name.cmp(&other.name)));
        Branch { name, bytes: self.bytes, files: self.files, below }
    }
}
