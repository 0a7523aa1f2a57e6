//! An update takes unchanged files from the installed version instead of writing them again.
//!
//! A file is taken where the installed one has the same path, size, mode, time and bytes, and nobody has it open for
//! writing: what is installed then is exactly what unpacking would have made. Where the file system can, the new one is a
//! clone: whatever is done to one of the two, the other stays as it is. Elsewhere it gets a second name, where the owner is
//! the same and it has no other. Two versions of a plugin must not write into each other through it, and that holds because
//!
//! - the new version cannot run while the old one may still be needed: nothing gets a second name where the plugin has a
//!   `postinstall`, nor where somebody starts a new version before it is final (`install::Runner`). For a version with
//!   such files the exchange of the trees is the commit, also after a kill: the old tree never comes back from there;
//! - the old version may run until its tree is gone, and later. So every shared file is [mended](mend) just before the
//!   exchange and again when the old tree is gone, and nobody can open it there any more: one that has another time by
//!   then, or has a name too many or is open for writing in the end, gets its content from the archive, as a file of its
//!   own;
//! - only what package managers made is shared so, where hardly anybody writes in place. A plugin's own files are always
//!   its own.
//!
//! A large file is passed over in the archive where the installed version seems to have it, and so is a [whole
//! frame](super::frame_list) of files that may get a second name. They are read from there, once: their digests are those
//! of the manifest, or they are written after all.
//!
//! What is left is a kill between the exchange and that last look, while a process of the old version writes in place
//! into a package by a directory that it kept open: `mwp verify` tells of such a file.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::head::refuse;
use super::limits::Limits;
use super::manifest::{Manifest, MemberKind};
use super::members::{Members, Refusal};
use super::metadata::hex;
use super::stream::{Extent, Stream};
use super::unpack::Installed;
use super::{MANIFEST, ROOT, checklist};
use crate::error::{At, Result};
use crate::fs::{self, AtomicFile, Candidate, NewFile, NewerTree, OlderTree, Shared, Wanted};
use crate::threads;

/// Of smaller files, making one takes longer than writing it.
pub(super) const WORTH_A_CLONE: u64 = 16 * 1024;

/// The installed version, while the new one is unpacked.
pub(super) struct Reuse {
    older: Option<OlderTree>,
    /// Cleared where the file system has no clones.
    clones: AtomicBool,
    /// Cleared where it has no second names, or none may be given.
    links: AtomicBool,
    cloned: AtomicUsize,
    shared: Mutex<Vec<Shared>>,
    /// Files that only seemed to be there.
    missed: Mutex<Vec<Wanted>>,
}

impl Reuse {
    /// `newer` is the new version's directory, already made.
    pub(super) fn of(installed: Option<&Installed>, newer: &Path) -> Reuse {
        let older = installed.and_then(|installed| OlderTree::open(&installed.home, newer));
        Reuse {
            older,
            clones: AtomicBool::new(true),
            links: AtomicBool::new(installed.is_some_and(|installed| installed.may_link)),
            cloned: AtomicUsize::new(0),
            shared: Mutex::default(),
            missed: Mutex::default(),
        }
    }

    /// What has a second name, and how many files are clones.
    pub(super) fn into_taken(self) -> (Vec<Shared>, usize) {
        (self.shared.into_inner().unwrap_or_else(PoisonError::into_inner), self.cloned.into_inner())
    }

    pub(super) fn may_link(&self) -> bool {
        self.older.is_some() && self.links.load(Ordering::Relaxed)
    }

    /// Whether the file is there now, with this content.
    pub(super) fn take(
        &self,
        wanted: &Wanted,
        content: &[u8],
        new: &NewFile,
        may_link: bool,
    ) -> Result<bool> {
        self.take_if(wanted, new, may_link, |candidate| candidate.holds(content))
    }

    /// As [`take`](Reuse::take), for a file of which the digest alone is known: that in the archive was passed over.
    /// Where it is not taken, it is [made up](Reuse::make_up) for.
    pub(super) fn take_digest(
        &self,
        wanted: &Wanted,
        digest: &str,
        new: &NewFile,
        may_link: bool,
    ) -> Result<()> {
        let is_it = |candidate: &mut Candidate<'_>| {
            digest_of(candidate.content(), wanted.size).is_some_and(|found| found == digest)
        };
        if !self.take_if(wanted, new, may_link, is_it)? {
            self.missed.lock().unwrap_or_else(PoisonError::into_inner).push(wanted.clone());
        }
        Ok(())
    }

    /// Whether the installed version has such a file, its content aside.
    pub(super) fn seems_to_have(&self, wanted: &Wanted, may_link: bool) -> bool {
        self.to_clone(wanted).is_some() || self.to_link(wanted, may_link).is_some()
    }

    fn take_if(
        &self,
        wanted: &Wanted,
        new: &NewFile,
        may_link: bool,
        is_it: impl Fn(&mut Candidate<'_>) -> bool,
    ) -> Result<bool> {
        if let Some(mut candidate) = self.to_clone(wanted)
            && is_it(&mut candidate)
        {
            if candidate.clone_as(new)? {
                self.cloned.fetch_add(1, Ordering::Relaxed);
                return Ok(true);
            }
            self.clones.store(false, Ordering::Relaxed);
        }
        let candidate = self.to_link(wanted, may_link);
        Ok(candidate.is_some_and(|mut candidate| is_it(&mut candidate) && self.link(candidate, new)))
    }

    fn to_clone<'a>(&'a self, wanted: &'a Wanted) -> Option<Candidate<'a>> {
        let may_clone = wanted.size >= WORTH_A_CLONE && self.clones.load(Ordering::Relaxed);
        self.older.as_ref().filter(|_| may_clone)?.to_clone(wanted)
    }

    fn to_link<'a>(&'a self, wanted: &'a Wanted, may_link: bool) -> Option<Candidate<'a>> {
        let may_link = may_link && self.links.load(Ordering::Relaxed);
        self.older.as_ref().filter(|_| may_link)?.to_link(wanted)
    }

    /// Writes what was not taken after all, from the archive, into `tree`.
    pub(super) fn make_up(&self, archive: &Path, tree: &Path, limits: &Limits) -> Result<(), Refusal> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.is_empty() {
            return Ok(());
        }
        write_again(archive, tree, &by_path(missed.iter()), limits)
    }

    fn link(&self, candidate: Candidate<'_>, new: &NewFile) -> bool {
        match candidate.link(new) {
            Ok(Some(shared)) => {
                self.shared.lock().unwrap_or_else(PoisonError::into_inner).push(shared);
                true
            }
            Ok(None) => false,
            Err(_) => {
                self.links.store(false, Ordering::Relaxed);
                false
            }
        }
    }
}

/// Of some `size` bytes.
fn digest_of(content: &mut impl Read, size: u64) -> Option<String> {
    let mut digest = Sha256::new();
    // Most files are small, and there are many.
    let mut buffer = vec![0; size.clamp(1, 64 * 1024) as usize];
    loop {
        match content.read(&mut buffer).ok()? {
            0 => return Some(hex(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// Whether a package manager made the file, and keeps no cache there.
pub(super) fn is_of_a_package(path: &str) -> bool {
    if path.starts_with("python3_virtualenv_sources/src/") {
        return true;
    }
    // Directly in node_modules, tools have lists and caches of their own; of a package, `.eslintrc` is a file like others.
    let mut above = "";
    let mut is_inside = false;
    for part in path.split('/') {
        let is_of_a_tool = above == "node_modules" && part.starts_with('.') && part != ".pnpm";
        if is_inside && (is_of_a_tool || part == ".cache") {
            return false;
        }
        is_inside |= part == "node_modules";
        above = part;
    }
    is_inside
}

/// When shared files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The older tree is there: what was written so far is found.
    First,
    /// The older tree is gone: whoever has a file open for writing is found as well.
    Last,
}

/// Gives each shared file in `tree` that is not as it was unpacked, or that somebody else may change, its content from the
/// archive, as a file of its own. Returns how many files that were.
pub fn mend(archive: &Path, tree: &Path, shared: &[Shared], look: Look, limits: &Limits) -> Result<usize> {
    let Some(newer) = NewerTree::open(tree) else { return Ok(0) };
    let is_unharmed = |shared: &Shared| match look {
        Look::First => shared.is_shared_still(&newer),
        Look::Last => shared.is_unharmed(&newer),
    };
    let harmed = threads::map(shared.iter().collect(), 64, |it| (!is_unharmed(it)).then_some(it));
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
        file.set(wanted.mode, member.modified)?;
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
            ("node_modules/a/.github/.eslintrc", true),
            ("node_modules/a/node_modules/.bin/x", false),
            ("node_modules/.pnpm/a/node_modules/.cache/x", false),
            ("node_modules/a/.cache/x", false),
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
