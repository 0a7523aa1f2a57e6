//! An installed plugin against its manifest: what is missing, altered or added, as `rpm -V` tells it.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::MANIFEST;
use super::exclude;
use super::frame_list;
use super::manifest::{Manifest, ManifestEntry, MemberKind};
use super::metadata::hex;
use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::fs;
use crate::text;
use crate::threads;

/// A member that is not as it was packed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// Relative to the plugin's directory. As it is on disk: to be escaped when printed.
    pub path: String,
    pub kind: DamageKind,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DamageKind {
    Missing,
    /// Other content, another target, or another kind of thing.
    Altered,
    /// Not in the manifest.
    Added,
    Mode {
        expected: String,
        found: String,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = text::visible(&self.path);
        match &self.kind {
            DamageKind::Missing => write!(f, "`{path}` is missing"),
            DamageKind::Altered => write!(f, "`{path}` was altered"),
            DamageKind::Added => write!(f, "`{path}` was added"),
            DamageKind::Mode { expected, found } => {
                write!(f, "`{path}` has mode {found} instead of {expected}")
            }
        }
    }
}

/// Checks every file of the plugin installed at `home`, in the order of the paths. `made` is what the installation made
/// beside what was packed, or in its place; `made_after` names what is not checked, relative to the plugin; a directory
/// stands for all below.
pub fn verify(
    home: &Path,
    made: &[ManifestEntry],
    made_after: &(dyn Fn(&Path) -> bool + Sync),
) -> Result<Vec<Damage>> {
    let file = home.join(MANIFEST);
    let content = fs::read_optional(&file)?.ok_or_else(|| {
        Error::input(format!("{} has no `{MANIFEST}` to be checked against", text::path(home)))
            .hint("upstream's tools make none: pack the plugin with `mwp release` and install it again")
    })?;
    let manifest = Manifest::parse(&content).map_err(|error| {
        Error::input(format!("{}: {error}", text::path(&file))).hint("install the plugin again")
    })?;
    let in_place: HashSet<&str> = made.iter().map(|entry| entry.path.as_str()).collect();
    let packed = manifest.members.iter().filter(|entry| !in_place.contains(entry.path.as_str()));
    let members: Vec<&ManifestEntry> = packed.chain(made).collect();
    let known: HashSet<&str> = members.iter().map(|entry| entry.path.as_str()).collect();
    let members: Vec<&ManifestEntry> =
        members.into_iter().filter(|entry| !made_after(Path::new(&entry.path))).collect();
    let checked: Vec<Option<Damage>> = threads::try_map(members, 1, |entry| check(home, entry))?;
    let mut damages: Vec<Damage> = checked.into_iter().flatten().collect();
    added(home, "", &known, made_after, &mut damages)?;
    damages.sort();
    Ok(damages)
}

/// The manifest, where the plugin at `home` was unpacked with one and it is gone. Only with one do frames get a list.
pub fn lost_manifest(home: &Path) -> Option<Damage> {
    let is_lost = !fs::exists(&home.join(MANIFEST)) && was_unpacked_with_manifest(home);
    is_lost.then(|| Damage { path: MANIFEST.to_owned(), kind: DamageKind::Missing })
}

/// Whether the plugin at `home` was unpacked by a mwp that writes down what it makes, of a file that we packed.
pub fn was_unpacked_with_manifest(home: &Path) -> bool {
    fs::exists(&home.join(frame_list::FILE))
}

/// What is at `name` in `home`, as a manifest has it: a directory with all that is in it.
pub fn describe(home: &Path, name: &str) -> Result<Vec<ManifestEntry>> {
    describe_knowing(home, name, &|_| None)
}

/// As [`describe`]; a file of which `known` tells the digest, by path in `home`, is not read.
pub fn describe_knowing(
    home: &Path,
    name: &str,
    known: &(dyn Fn(&str) -> Option<Digest> + Sync),
) -> Result<Vec<ManifestEntry>> {
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        let path = home.join(&name);
        let metadata = path.symlink_metadata().at("read", &path)?;
        if metadata.is_symlink() {
            let target = std::fs::read_link(&path).at("read", &path)?.to_string_lossy().into_owned();
            entries.push(ManifestEntry { path: name, kind: MemberKind::Link { target } });
        } else if metadata.is_dir() {
            for path in fs::list(&path)? {
                let below = path.file_name().unwrap_or_default().to_string_lossy();
                waiting.push(format!("{name}/{below}"));
            }
            entries.push(ManifestEntry { path: name, kind: MemberKind::directory(metadata.mode()) });
        } else {
            files.push((name, metadata.size(), format!("{:04o}", metadata.mode() & 0o7777)));
        }
    }
    let file = |(name, size, mode): (String, u64, String)| {
        let sha256 = match known(&name) {
            Some(digest) => digest.to_string(),
            None => digest(&home.join(&name))?,
        };
        Ok(ManifestEntry { path: name, kind: MemberKind::File { size, mode, sha256 } })
    };
    entries.extend(threads::try_map(files, 1, file)?);
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

fn check(home: &Path, entry: &ManifestEntry) -> Result<Option<Damage>> {
    let path = home.join(&entry.path);
    let damage = |kind| Ok(Some(Damage { path: entry.path.clone(), kind }));
    let Ok(metadata) = path.symlink_metadata() else { return damage(DamageKind::Missing) };
    match &entry.kind {
        MemberKind::Directory { mode } if metadata.is_dir() => {
            let found = format!("{:04o}", metadata.mode() & 0o777);
            match mode {
                Some(expected) if found != *expected => {
                    damage(DamageKind::Mode { expected: expected.clone(), found })
                }
                // Its own group may be let in, but anybody may not.
                None if metadata.mode() & 0o002 != 0 => {
                    damage(DamageKind::Mode { expected: "0755".to_owned(), found })
                }
                _ => Ok(None),
            }
        }
        MemberKind::Link { target } if metadata.is_symlink() => {
            let found = std::fs::read_link(&path).at("read", &path)?;
            if found.as_path() == Path::new(target) { Ok(None) } else { damage(DamageKind::Altered) }
        }
        MemberKind::File { size, mode, sha256 } if metadata.is_file() => {
            if metadata.size() != *size || digest(&path)? != *sha256 {
                return damage(DamageKind::Altered);
            }
            let found = format!("{:04o}", metadata.mode() & 0o7777);
            if found == *mode {
                return Ok(None);
            }
            damage(DamageKind::Mode { expected: mode.clone(), found })
        }
        _ => damage(DamageKind::Altered),
    }
}

fn digest(path: &Path) -> Result<String> {
    let mut file = fs::open_no_follow(path).at("read", path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).at("read", path)?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

/// What whoever runs the plugin leaves there: bytecode, and what upstream's tools read its configuration into. A link in
/// its place is none.
fn is_made_by_use(below: &str, path: &Path) -> bool {
    let Ok(metadata) = path.symlink_metadata() else { return false };
    let has_source = || path.with_extension("py").exists();
    exclude::is_made_by_use(below, has_source)
        && if below.ends_with("__pycache__") { metadata.is_dir() } else { metadata.is_file() }
}

/// What is there and in no manifest. A directory that was added is told once, without what is in it.
fn added(
    home: &Path,
    relative: &str,
    known: &HashSet<&str>,
    made_after: &(dyn Fn(&Path) -> bool + Sync),
    damages: &mut Vec<Damage>,
) -> Result<()> {
    for path in fs::list(&home.join(relative))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let below = if relative.is_empty() { name.into_owned() } else { format!("{relative}/{name}") };
        let is_directory = path.is_dir() && !path.is_symlink();
        if matches!(below.as_str(), MANIFEST | frame_list::FILE)
            || made_after(Path::new(&below))
            || is_made_by_use(&below, &path)
        {
            continue;
        }
        if !known.contains(below.as_str()) {
            damages.push(Damage { path: below, kind: DamageKind::Added });
        } else if is_directory {
            added(home, &below, known, made_after, damages)?;
        }
    }
    Ok(())
}
