//! What differs between two plugins. When and where a file was made does not count.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::packages::{Ecosystem, Package};
use super::{CONFIGURATION, Contents};
use crate::artifact::{ManifestEntry, MemberKind, Metadata};

/// Something that is there in one, or not the same in both.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// A path, a package, or a key.
    pub name: String,
    /// `None` where it was added.
    pub old: Option<String>,
    /// `None` where it was removed.
    pub new: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct Diff {
    pub metadata: Vec<Change>,
    pub configuration: Vec<Change>,
    /// With their versions; the same version where their files differ all the same.
    pub python: Vec<Change>,
    pub node: Vec<Change>,
    /// Files of no package, with their sizes and the beginnings of their digests.
    pub files: Vec<Change>,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        let Diff { metadata, configuration, python, node, files } = self;
        [metadata, configuration, python, node, files].iter().all(|changes| changes.is_empty())
    }
}

pub fn diff(old: &Contents, new: &Contents) -> Diff {
    let ((old_files, old_packages), (new_files, new_packages)) = (sorted(old), sorted(new));
    let of = |ecosystem| packages(&old_packages, &new_packages, ecosystem);
    Diff {
        metadata: changes(&metadata(old), &metadata(new)),
        configuration: changes(&configuration(old), &configuration(new)),
        python: of(Ecosystem::Python),
        node: of(Ecosystem::Node),
        files: changes(&old_files, &new_files),
    }
}

/// What is of no package, and the files of each package.
type Sorted = (BTreeMap<String, String>, BTreeMap<Package, BTreeMap<String, String>>);

fn sorted(contents: &Contents) -> Sorted {
    let (mut own, mut packages) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
    for entry in &contents.inventory.members {
        let Some(described) = described(entry) else { continue };
        match contents.owners.owner(&entry.path) {
            Some(package) => packages.entry(package).or_default().insert(entry.path.clone(), described),
            None => own.insert(entry.path.clone(), described),
        };
    }
    (own, packages)
}

/// What a file is, in a few words that differ where it does. Directories are told by what is in them.
fn described(entry: &ManifestEntry) -> Option<String> {
    match &entry.kind {
        MemberKind::Directory { .. } => None,
        MemberKind::Link { target } => Some(format!("a link to {target}")),
        MemberKind::File { size, mode, sha256 } => {
            let digest = sha256.get(..12).unwrap_or(sha256);
            // Of the mode a plugin keeps who may run it.
            let runs =
                if mode.ends_with(['1', '5', '7']) || mode.starts_with("07") { ", executable" } else { "" };
            let plural = if *size == 1 { "" } else { "s" };
            Some(format!("{size} byte{plural}, {digest}{runs}"))
        }
    }
}

fn packages(
    old: &BTreeMap<Package, BTreeMap<String, String>>,
    new: &BTreeMap<Package, BTreeMap<String, String>>,
    ecosystem: Ecosystem,
) -> Vec<Change> {
    let differs =
        |package: &&Package| package.ecosystem == ecosystem && old.get(*package) != new.get(*package);
    let named: BTreeSet<&str> =
        old.keys().chain(new.keys()).filter(differs).map(|package| package.name.as_str()).collect();
    let versions = |all: &BTreeMap<Package, BTreeMap<String, String>>, name: &str| {
        let of_name = all.keys().filter(|package| package.ecosystem == ecosystem && package.name == name);
        let versions: Vec<&str> =
            of_name.map(|package| package.version.as_deref().unwrap_or("without a version")).collect();
        (!versions.is_empty()).then(|| versions.join(", "))
    };
    let change =
        |name: &str| Change { name: name.to_owned(), old: versions(old, name), new: versions(new, name) };
    named.into_iter().map(change).collect()
}

/// `[section] key` → value, less what is metadata.
fn configuration(contents: &Contents) -> BTreeMap<String, String> {
    let text = contents.inventory.texts.get(CONFIGURATION).map_or("", String::as_str);
    let Ok(ini) = ini::Ini::load_from_str_noescape(text) else { return BTreeMap::new() };
    let keys = ini.iter().flat_map(|(section, properties)| {
        let section = section.unwrap_or_default();
        properties.iter().map(move |(key, value)| (format!("[{section}] {key}"), value.to_owned()))
    });
    let described = metadata(contents);
    let is_described = |name: &str| {
        name.strip_prefix("[general] ").is_some_and(|key| described.contains_key(key.trim_start_matches('_')))
    };
    keys.filter(|(name, _)| !is_described(name)).collect()
}

fn metadata(contents: &Contents) -> BTreeMap<String, String> {
    let Some(metadata) = &contents.inventory.metadata else { return BTreeMap::new() };
    let Metadata { version, release, summary, license, packager, vendor, url, .. } = metadata;
    let fields = [
        ("version", version),
        ("release", release),
        ("summary", summary),
        ("license", license),
        ("maintainer", packager),
        ("vendor", vendor),
        ("url", url),
    ];
    fields.map(|(name, value)| (name.to_owned(), value.clone())).into_iter().collect()
}

fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differing
        .map(|name| Change { name: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() })
        .collect()
}
