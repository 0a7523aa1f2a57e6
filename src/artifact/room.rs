//! Whether an update has room on its file system.
//!
//! What the installed version gives away takes none, so that an update that does not fit as a whole may fit all the same.
//! Then the archive is read once more, for what no manifest has: the times of files. What counts is what
//! [`reuse`](super::reuse) takes for certain: a file that both manifests have alike, and that is there as the archive has
//! it.

use std::collections::HashMap;
use std::path::Path;

use super::MANIFEST;
use super::checklist::Checklist;
use super::limits::Limits;
use super::manifest::{Manifest, MemberKind};
use super::members::{Members, Refusal};
use super::policy::{Accepted, Policy};
use super::reuse::{WORTH_A_CLONE, is_of_a_package};
use super::stream::{Extent, Stream};
use super::unpack::Installed;
use crate::error::Error;
use crate::fs::{self, OlderTree, Wanted};
use crate::text;

/// A new version that is about to be unpacked.
pub(super) struct Update<'a> {
    pub(super) archive: &'a Path,
    /// Its directory, already made.
    pub(super) into: &'a Path,
    pub(super) installed: Option<&'a Installed>,
    pub(super) limits: &'a Limits,
    /// Files may have a name in both versions.
    pub(super) may_link: bool,
    pub(super) folds_case: bool,
}

impl Update<'_> {
    /// Refuses what does not fit into `free` bytes; `bytes` are those of all files, and `checklist` is what they are.
    pub(super) fn make_sure_of_room(
        &self,
        bytes: u64,
        free: u64,
        checklist: &Checklist,
    ) -> Result<(), Refusal> {
        if bytes <= free {
            return Ok(());
        }
        let kept = self.kept(bytes, checklist)?;
        if bytes.saturating_sub(kept) <= free {
            return Ok(());
        }
        let of_them = match kept {
            0 => String::new(),
            _ => format!(", of which the installed version has {}", text::size(kept)),
        };
        Err(Refusal::Other(
            Error::machine(format!(
                "{} unpacks to {}{of_them}, and only {} are free there",
                text::path(self.archive),
                text::size(bytes),
                text::size(free)
            ))
            .hint("free some space, and run the same command again"),
        ))
    }

    /// How many bytes the installed version gives away.
    fn kept(&self, bytes: u64, checklist: &Checklist) -> Result<u64, Refusal> {
        let Some(installed) = self.installed else { return Ok(0) };
        let Some(older) = OlderTree::open(&installed.home, self.into) else { return Ok(0) };
        let has_clones = fs::has_clones(self.into);
        let alike = files_alike(&installed.home, checklist);
        if alike.is_empty() || !(has_clones || self.may_link) {
            return Ok(0);
        }
        let (mut stream, _) = Stream::open(self.archive, Extent::Whole, self.limits)?;
        stream.extend(self.limits.longest_stream(bytes));
        let mut policy = Policy::new(self.limits, stream.limit(), self.folds_case);
        let (mut members, mut kept) = (Members::new(stream), 0);
        while let Some(member) = members.next()? {
            let Accepted::File { path, mode } = policy.accept(&member)? else { continue };
            if alike.get(path.as_str()) != Some(&member.size) {
                continue;
            }
            let may_link = self.may_link && is_of_a_package(&path);
            let wanted = Wanted { path, size: member.size, mode, modified: member.modified };
            let is_cloned = has_clones && wanted.size >= WORTH_A_CLONE && older.to_clone(&wanted).is_some();
            if is_cloned || (may_link && older.to_link(&wanted).is_some()) {
                kept += wanted.size;
            }
        }
        Ok(kept)
    }
}

/// The files that the manifest of the plugin at `home` has as the new one has them, with their sizes.
fn files_alike(home: &Path, checklist: &Checklist) -> HashMap<String, u64> {
    let manifest = fs::read(&home.join(MANIFEST)).ok();
    let manifest = manifest.and_then(|content| Manifest::parse(&content).ok());
    let is_alike = |entry: super::ManifestEntry| match &entry.kind {
        MemberKind::File { size, .. } if checklist.has(&entry.path, &entry.kind) => {
            let size = *size;
            Some((entry.path, size))
        }
        _ => None,
    };
    manifest.into_iter().flat_map(|manifest| manifest.members).filter_map(is_alike).collect()
}
