//! An archive against its own manifest: nothing missing, nothing more, nothing different.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::manifest::{Manifest, MemberKind};
use super::members::Refusal;
use super::metadata::hex;
use super::{FILES, LABEL, MANIFEST, METADATA, ROOT};
use crate::text;

/// What is still to come, by path.
pub(super) struct Checklist {
    left: HashMap<String, MemberKind>,
}

impl Checklist {
    /// Reads the manifest of at most `most` members; `before` are the members that came before it. Also says what all files add up to.
    pub(super) fn read(
        content: &[u8],
        before: &[(String, MemberKind)],
        most: usize,
    ) -> Result<(Checklist, u64), Refusal> {
        let manifest = Manifest::parse_within(content, most).map_err(|error| {
            Refusal::Content(format!("has a `{ROOT}/{MANIFEST}` that cannot be read: {error}"))
        })?;
        let bytes = manifest.bytes();
        let mut left = HashMap::with_capacity(manifest.members.len());
        for entry in manifest.members {
            if left.insert(entry.path, entry.kind).is_some() {
                return Err(Refusal::content("has a manifest that lists a member twice"));
            }
        }
        let is_head = |path: &str| matches!(path, LABEL | METADATA | FILES);
        if let Some((path, _)) = before.iter().find(|(path, _)| !is_head(path)) {
            let path = text::visible(path);
            return Err(Refusal::Content(format!("has its manifest too late, behind `{ROOT}/{path}`")));
        }
        let mut checklist = Checklist { left };
        for (path, kind) in before {
            checklist.check(path, kind)?;
        }
        Ok((checklist, bytes))
    }

    /// Ticks off a member whose content is known, or that has none.
    pub(super) fn check(&mut self, path: &str, found: &MemberKind) -> Result<(), Refusal> {
        if self.take(path)? == *found { Ok(()) } else { Err(differs(path)) }
    }

    /// Ticks off a file before its content is known; returns the digest that the content must have.
    pub(super) fn file(&mut self, path: &str, found_size: u64, found_mode: u32) -> Result<String, Refusal> {
        match self.take(path)? {
            MemberKind::File { size, mode, sha256 } if size == found_size && mode == octal(found_mode) => {
                Ok(sha256)
            }
            _ => Err(differs(path)),
        }
    }

    /// Whether a member is still to come.
    pub(super) fn lists(&self, path: &str) -> bool {
        self.left.contains_key(path)
    }

    /// Whether a member is still to come that is like this.
    pub(super) fn has(&self, path: &str, kind: &MemberKind) -> bool {
        self.left.get(path) == Some(kind)
    }

    /// Everything that the manifest lists must have come.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        match self.left.keys().min() {
            None => Ok(()),
            Some(path) => Err(Refusal::Content(format!(
                "lacks `{ROOT}/{}`, which its manifest lists",
                text::visible(path)
            ))),
        }
    }

    fn take(&mut self, path: &str) -> Result<MemberKind, Refusal> {
        self.left.remove(path).ok_or_else(|| {
            Refusal::Content(format!(
                "has `{ROOT}/{}`, which its manifest does not list",
                text::visible(path)
            ))
        })
    }
}

/// What a file is, for the manifest.
pub(super) fn file(content: &[u8], mode: u32) -> MemberKind {
    MemberKind::File { size: content.len() as u64, mode: octal(mode), sha256: hex(&Sha256::digest(content)) }
}

pub(super) fn octal(mode: u32) -> String {
    format!("{:04o}", mode & 0o777)
}

pub(super) fn differs(path: &str) -> Refusal {
    Refusal::Content(format!("has `{ROOT}/{}`, which differs from its manifest", text::visible(path)))
}
