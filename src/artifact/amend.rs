//! Keeps the manifest of an unpacked plugin true when the installation itself changes a file.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::MANIFEST;
use super::manifest::{Manifest, MemberKind};
use super::metadata::hex;
use crate::error::Result;
use crate::fs;

/// Says in the manifest of the plugin in `home` that the file `path` now has this content. Fine where there is no
/// manifest, or it does not list the file.
pub fn amend_manifest(home: &Path, path: &str, content: &[u8]) -> Result<()> {
    let file = home.join(MANIFEST);
    let Some(old) = fs::read_optional(&file)? else { return Ok(()) };
    let mut manifest = Manifest::parse(&old)?;
    for entry in manifest.members.iter_mut().filter(|entry| entry.path == path) {
        if let MemberKind::File { size, sha256, .. } = &mut entry.kind {
            *size = content.len() as u64;
            *sha256 = hex(&Sha256::digest(content));
        }
    }
    fs::write_atomic(&file, &manifest.to_bytes()?)?;
    fs::set_mode(&file, 0o644)
}
