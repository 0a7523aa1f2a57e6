//! Whose a base is: what another user has planted in it decides nothing here.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::recovery;
use crate::error::{Error, Result};
use crate::fs;
use crate::installed::Base;
use crate::text;

/// Whether the base and our directory in it are this user's. What is not there yet will be.
pub(super) fn is_own(base: &Base) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let is_mine = |metadata: std::io::Result<Metadata>| match metadata {
        Ok(metadata) => metadata.is_dir() && metadata.uid() == user,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    is_mine(base.dir.metadata()) && is_mine(base.own_dir().symlink_metadata())
}

/// A base is a directory, and so is ours in it.
pub(super) fn refuse_link(base: &Base) -> Result<()> {
    let there = base.dir.ancestors().find(|dir| fs::exists(dir));
    if let Some(there) = there.filter(|there| !there.is_dir()) {
        return Err(Error::machine(format!(
            "{} is {}, and plugins are installed in a directory: nothing was done",
            text::path(there),
            fs::what_is(there)
        ))
        .hint("move it away, or name another place with `--plugins-base-dir`"));
    }
    let own = base.own_dir();
    match own.symlink_metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            Err(Error::machine(format!("{} is a link or no directory; mwp makes neither", text::path(&own)))
                .hint("look at who made it, remove it, and run the same command again"))
        }
        _ => Ok(()),
    }
}

/// Refuses to change a base of another user: whoever owns it could lead what root writes anywhere, and recovery is its
/// owner's.
pub(super) fn refuse_change(base: &Base) -> Result<()> {
    refuse_link(base)?;
    let is_root = rustix::process::geteuid().is_root();
    if is_own(base) || !(is_root || has_journal(base)) {
        return Ok(());
    }
    Err(foreign(base, "it was not changed"))
}

/// Refuses to look at a base of another user with half a change in it.
pub(super) fn refuse_half_done(base: &Base) -> Result<()> {
    refuse_link(base)?;
    if has_journal(base) && recovery::is_needed(base) {
        return Err(foreign(base, "a change of it did not come to its end; it was not touched"));
    }
    Ok(())
}

fn has_journal(base: &Base) -> bool {
    fs::exists(&super::journal::path(base))
}

fn foreign(base: &Base, what: &str) -> Error {
    let owner = base.dir.metadata().map(|metadata| metadata.uid()).unwrap_or_default();
    let own = base.own_dir().symlink_metadata().map_or(owner, |metadata| metadata.uid());
    let user = rustix::process::geteuid().as_raw();
    let owner = if owner == user { own } else { owner };
    Error::machine(format!("{} belongs to the user {owner}, not to {user}: {what}", text::path(&base.dir)))
        .hint("run the same command as that user")
}

/// A warning where others can write to a directory that decides what runs here.
pub(super) fn open_to_others(dir: &Path) -> Option<Error> {
    let metadata = dir.metadata().ok()?;
    let group = rustix::process::getegid().as_raw();
    // Many systems give each user a group of its own.
    let is_open = metadata.mode() & 0o002 != 0 || (metadata.mode() & 0o020 != 0 && metadata.gid() != group);
    is_open.then(|| {
        Error::machine(format!("others can write to {}, and so decide what runs here", text::path(dir)))
            .hint(format!("`chmod go-w {}`", text::visible_bytes(dir.as_os_str().as_encoded_bytes())))
    })
}
