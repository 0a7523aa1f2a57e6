//! An update takes unchanged files from the installed version, by a second name, instead of writing them again.
//!
//! A file is taken where the installed one has the same path, size, mode, time, owner and bytes, no other name, and nobody
//! has it open for writing: what is installed then is exactly what unpacking would have made. Two versions of a plugin
//! must not write into each other through it, and that holds because
//!
//! - the new version cannot run while the old one may still be needed: nothing is taken where the plugin has a
//!   `postinstall`, nor where somebody starts a new version before it is final (`install::Runner`). For a version with
//!   such files the exchange of the trees is the commit, also after a kill: the old tree never comes back from there;
//! - the old version may run until its tree is gone, and later. So every shared file is [mended](mend) just before the
//!   exchange and again when the old tree is gone, and nobody can open it there any more: one that has another time by
//!   then, has a name too many or is open for writing gets its content from the archive, as a file of its own;
//! - only what package managers made is shared at all, where hardly anybody writes in place. A plugin's own files are
//!   always its own.
//!
//! A large file is passed over in the archive where the installed version seems to have it, and read from there, once: its
//! digest is that of the manifest, or it is written after all.
//!
//! What is left is a kill between the exchange and that last look, while a process of the old version writes in place
//! into a package by a directory that it kept open: `mwp verify` tells of such a file.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::head::refuse;
use super::limits::Limits;
use super::manifest::{Manifest, MemberKind};
use super::members::{Members, Refusal};
use super::metadata::hex;
use super::stream::{Extent, Stream};
use super::{MANIFEST, ROOT, checklist};
use crate::error::{At, Result};
use crate::fs::{self, AtomicFile, NewFile, NewerTree, OlderTree, Shared, Wanted};
use crate::threads;

/// The installed version, while the new one is unpacked.
pub(super) struct Reuse {
    older: Option<OlderTree>,
    /// Cleared where the file system has no second names.
    works: AtomicBool,
    shared: Mutex<Vec<Shared>>,
    /// Files that only seemed to be there.
    missed: Mutex<Vec<Wanted>>,
}

impl Reuse {
    /// `newer` is the new version's directory, already made.
    pub(super) fn of(installed: Option<&Path>, newer: &Path) -> Reuse {
        let older = installed.and_then(|installed| OlderTree::open(installed, newer));
        let works = AtomicBool::new(older.is_some());
        Reuse { older, works, shared: Mutex::default(), missed: Mutex::default() }
    }

    pub(super) fn into_shared(self) -> Vec<Shared> {
        self.shared.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file is there now, with this content.
    pub(super) fn take(&self, wanted: &Wanted, content: &[u8], new: &NewFile) -> bool {
        let candidate = self.older().and_then(|older| older.candidate(wanted));
        candidate.is_some_and(|mut candidate| candidate.holds(content) && self.link(candidate, new))
    }

    /// Whether the installed version has such a file, its content aside.
    pub(super) fn seems_to_have(&self, wanted: &Wanted) -> bool {
        self.older().is_some_and(|older| older.candidate(wanted).is_some())
    }

    /// As [`take`](Reuse::take), for a large file, of which the digest alone is known: that in the archive was passed over.
    /// Where it is not taken, it is [made up](Reuse::make_up) for.
    pub(super) fn take_digest(&self, wanted: &Wanted, digest: &str, new: &NewFile) {
        let candidate = self.older().and_then(|older| older.candidate(wanted));
        let is_taken = candidate.is_some_and(|mut candidate| {
            digest_of(candidate.content()).is_some_and(|found| found == digest) && self.link(candidate, new)
        });
        if !is_taken {
            self.missed.lock().unwrap_or_else(PoisonError::into_inner).push(wanted.clone());
        }
    }

    /// Writes what was not taken after all, from the archive, into `tree`.
    pub(super) fn make_up(&self, archive: &Path, tree: &Path, limits: &Limits) -> Result<(), Refusal> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.is_empty() {
            return Ok(());
        }
        write_again(archive, tree, &by_path(missed.iter()), limits)
    }

    fn older(&self) -> Option<&OlderTree> {
        self.older.as_ref().filter(|_| self.works.load(Ordering::Relaxed))
    }

    fn link(&self, candidate: fs::Candidate<'_>, new: &NewFile) -> bool {
        match candidate.link(new) {
            Ok(Some(shared)) => {
                self.shared.lock().unwrap_or_else(PoisonError::into_inner).push(shared);
                true
            }
            Ok(None) => false,
            Err(_) => {
                self.works.store(false, Ordering::Relaxed);
                false
            }
        }
    }
}

fn digest_of(content: &mut impl Read) -> Option<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match content.read(&mut buffer).ok()? {
            0 => return Some(hex(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// Whether a package manager made the file, and keeps no cache there.
pub(super) fn is_of_a_package(path: &str) -> bool {
    let mut parts = path.split('/');
    if path.starts_with("python3_virtualenv_sources/src/") {
        return true;
    }
    parts.any(|part| part == "node_modules") && parts.all(|part| !part.starts_with('.') || part == ".pnpm")
}

/// Gives each shared file in `tree` that is not as it was unpacked, or that somebody else may change, its content from the
/// archive, as a file of its own. `names` is how many names a shared file has to have. Returns how many files that were.
pub fn mend(archive: &Path, tree: &Path, shared: &[Shared], names: u64, limits: &Limits) -> Result<usize> {
    let Some(newer) = NewerTree::open(tree) else { return Ok(0) };
    let harmed =
        threads::map(shared.iter().collect(), 64, |it| (!it.is_unharmed(&newer, names)).then_some(it));
    let harmed = by_path(harmed.into_iter().flatten().map(|it| &it.wanted));
    if !harmed.is_empty() {
        write_again(archive, tree, &harmed, limits).map_err(|refusal| refuse(archive, refusal))?;
    }
    Ok(harmed.len())
}

fn by_path<'a>(files: impl Iterator<Item = &'a Wanted>) -> HashMap<&'a str, &'a Wanted> {
    files.map(|wanted| (wanted.path.as_str(), wanted)).collect()
}

/// Writes these files from the archive into `tree`, where the manifest is.
fn write_again(
    archive: &Path,
    tree: &Path,
    files: &HashMap<&str, &Wanted>,
    limits: &Limits,
) -> Result<(), Refusal> {
    let manifest = Manifest::parse(&fs::read(&tree.join(MANIFEST))?)?;
    let (mut stream, _) = Stream::open(archive, Extent::Whole, limits)?;
    stream.extend(limits.longest_stream(manifest.bytes()));
    let digests: HashMap<&str, &str> = manifest
        .members
        .iter()
        .filter_map(|entry| match &entry.kind {
            MemberKind::File { sha256, .. } if files.contains_key(entry.path.as_str()) => {
                Some((entry.path.as_str(), sha256.as_str()))
            }
            _ => None,
        })
        .collect();
    let (mut members, mut left) = (Members::new(stream), files.len());
    while left > 0 {
        let Some(member) = members.next()? else {
            return Err(Refusal::content("was changed while it was installed"));
        };
        let path = member.path.strip_prefix(ROOT.as_bytes()).and_then(|path| path.strip_prefix(b"/"));
        let Some(path) = path.and_then(|path| std::str::from_utf8(path).ok()) else { continue };
        let Some(wanted) = files.get(path) else { continue };
        let place = tree.join(path);
        let mut file = AtomicFile::create(&place, wanted.mode & 0o600)?;
        let mut digest = Sha256::new();
        loop {
            let piece = members.content()?;
            let length = piece.len();
            if length == 0 {
                break;
            }
            digest.update(piece);
            file.write_all(piece).at("write", &place)?;
            members.take(length);
        }
        if digests.get(path) != Some(&hex(&digest.finalize()).as_str()) {
            return Err(checklist::differs(path));
        }
        file.set(wanted.mode, wanted.modified)?;
        file.commit()?;
        left -= 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_packages_are_shared() {
        for (path, is_shared) in [
            ("node_modules/a/index.js", true),
            ("main/node_modules/@a/b/c.js", true),
            ("node_modules/.pnpm/a/node_modules/a/index.js", true),
            ("python3_virtualenv_sources/src/a.whl", true),
            ("python3_virtualenv_sources/requirements3.txt", false),
            ("node_modules/.cache/a/index.js", false),
            ("node_modules/.package-lock.json", false),
            ("node_modules", true),
            ("main/index.js", false),
            ("data/my_node_modules/a", false),
        ] {
            assert_eq!(is_of_a_package(path), is_shared, "{path}");
        }
    }
}
