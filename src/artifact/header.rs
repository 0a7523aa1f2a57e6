//! Members as tar bytes: nothing but what the tree says and what is the same everywhere.
//!
//! GNU format, as upstream's `tar` writes it: owner 0, no owner names, a long name or link in a member of its own.

use tar::{EntryType, Header};

use super::ROOT;
use super::tree::{Node, NodeKind};

/// Changes with what is made of a node.
pub(super) const VERSION: u32 = 1;

pub(super) const BLOCK: usize = 512;

/// Two empty blocks.
pub(super) const END_MARKER: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What is its owner's alone stays so; all else is the same whatever the umask was, and nothing is set-user-ID or the
/// like.
pub(super) fn mode_of(mode: u32, is_directory: bool) -> u32 {
    let is_private = mode & 0o077 == 0;
    match (is_directory || mode & 0o100 != 0, is_private) {
        (true, true) => 0o700,
        (true, false) => 0o755,
        (false, true) => 0o600,
        (false, false) => 0o644,
    }
}

/// Appends the header of an entry of the tree.
pub(super) fn append_node(to: &mut Vec<u8>, node: &Node, modified: i64) {
    match &node.kind {
        NodeKind::Directory { mode } => append_directory(to, &node.path, *mode, modified),
        NodeKind::File { mode, stat } => append_file(to, &node.path, *mode, stat.size, modified),
        NodeKind::Link { target } => {
            let mut header = header(EntryType::Symlink, 0o777, 0, modified);
            if header.set_link_name_literal(target).is_err() {
                append_long(to, EntryType::GNULongLink, target);
                truncate_into(&mut header.as_old_mut().linkname, target);
            }
            append(to, header, &format!("{ROOT}/{}", node.path));
        }
    }
}

/// Appends the header of a file; its content and [`padding`] must follow.
pub(super) fn append_file(to: &mut Vec<u8>, path: &str, mode: u32, size: u64, modified: i64) {
    append(to, header(EntryType::Regular, mode, size, modified), &format!("{ROOT}/{path}"));
}

/// Appends a directory; the plugin's own has the empty path.
pub(super) fn append_directory(to: &mut Vec<u8>, path: &str, mode: u32, modified: i64) {
    let path = if path.is_empty() { format!("{ROOT}/") } else { format!("{ROOT}/{path}/") };
    append(to, header(EntryType::Directory, mode, 0, modified), &path);
}

/// Appends a whole file.
pub(super) fn append_content(to: &mut Vec<u8>, path: &str, content: &[u8], modified: i64) {
    append_file(to, path, 0o644, content.len() as u64, modified);
    to.extend_from_slice(content);
    pad(to, content.len() as u64);
}

/// Fills the last block of a file of `size` bytes.
pub(super) fn pad(to: &mut Vec<u8>, size: u64) {
    to.resize(to.len() + padding(size), 0);
}

pub(super) fn padding(size: u64) -> usize {
    let used = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if used == 0 { 0 } else { BLOCK - used }
}

fn header(kind: EntryType, mode: u32, size: u64, modified: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(u64::try_from(modified).unwrap_or(0));
    header
}

fn append(to: &mut Vec<u8>, mut header: Header, path: &str) {
    let name = &mut header.as_old_mut().name;
    if path.len() > name.len() {
        append_long(to, EntryType::GNULongName, path);
    }
    truncate_into(name, path);
    header.set_cksum();
    to.extend_from_slice(header.as_bytes());
}

fn append_long(to: &mut Vec<u8>, kind: EntryType, value: &str) {
    let mut long = header(kind, 0o644, value.len() as u64 + 1, 0);
    truncate_into(&mut long.as_old_mut().name, "././@LongLink");
    long.set_cksum();
    to.extend_from_slice(long.as_bytes());
    to.extend_from_slice(value.as_bytes());
    to.push(0);
    pad(to, value.len() as u64 + 1);
}

fn truncate_into(field: &mut [u8], value: &str) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value.as_bytes()[..length]);
}
