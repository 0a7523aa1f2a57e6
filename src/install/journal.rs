//! How to undo a change that did not come to its end.
//!
//! The journal is one file, written durably before the first step that others can see and removed after the last.
//! Undoing looks at what is there and not at how far the change came, so it may itself be interrupted and repeated.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::base::Base;
use crate::error::{At, Error, Result};
use crate::fs::{self, AtomicFile};
use crate::text;

/// A tree is known by its inode, which a rename keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inode(u64, u64);

impl Inode {
    pub(super) fn of(path: &Path) -> Option<Inode> {
        path.symlink_metadata().ok().map(|metadata| Inode(metadata.dev(), metadata.ino()))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Journal {
    /// For messages.
    pub(super) doing: String,
    /// The name of the staging directory in our own directory.
    pub(super) stage: String,
    /// The plugin's name, which is its place in the base.
    pub(super) name: String,
    /// What was at the plugin's place before, `None` where nothing was.
    pub(super) old: Option<Inode>,
    /// Files beside the tree, with copies of what they held before in the staging directory.
    pub(super) files: Vec<SavedFile>,
}

/// A file that the change writes or removes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SavedFile {
    pub(super) path: PathBuf,
    /// The copy's name in the staging directory, `None` where there was no such file.
    pub(super) saved: Option<String>,
}

/// The place of the tree that is not in the base: the new one before the swap, the old one after.
pub(super) const TREE: &str = "plugin";

fn path(base: &Base) -> PathBuf {
    base.own_dir().join("journal")
}

impl Journal {
    /// Makes everything so far durable, then the journal itself.
    pub(super) fn write(&self, base: &Base) -> Result<()> {
        fs::sync_filesystem(&base.dir)?;
        let path = path(base);
        let content = serde_json::to_vec(self).map_err(|error| Error::machine(error.to_string()))?;
        let mut file = AtomicFile::create(&path, 0o600)?;
        file.write_all(&content).at("write", &path)?;
        file.commit()?;
        fs::sync_directory(&base.own_dir())
    }

    /// The change is done, or undone.
    pub(super) fn close(&self, base: &Base) -> Result<()> {
        fs::sync_directory(&base.dir)?;
        fs::remove_file(&path(base))?;
        fs::sync_directory(&base.own_dir())
    }

    /// Puts back what was there before.
    pub(super) fn undo(&self, base: &Base) -> Result<()> {
        let stage = base.own_dir().join(&self.stage);
        let (home, tree) = (base.dir.join(&self.name), stage.join(TREE));
        if Inode::of(&home) != self.old {
            match self.old {
                // Nothing was there: what is there now is the new one.
                None => {
                    fs::create_dir_all(&stage)?;
                    fs::remove_tree(&stage.join("undone"))?;
                    fs::rename(&home, &stage.join("undone"))?;
                }
                Some(old) if Inode::of(&tree) == Some(old) => {
                    if fs::exists(&home) {
                        fs::exchange(&tree, &home)?;
                    } else {
                        fs::rename(&tree, &home)?;
                    }
                }
                Some(_) => {
                    return Err(Error::machine(format!(
                        "cannot undo {}: the old plugin is neither at {} nor at {}",
                        text::visible(&self.doing),
                        text::path(&home),
                        text::path(&tree)
                    ))
                    .hint(format!("install the plugin again after removing {}", text::path(&path(base)))));
                }
            }
        }
        for file in &self.files {
            match &file.saved {
                Some(saved) => {
                    let content = fs::read(&stage.join(saved))?;
                    if fs::read_optional(&file.path)?.as_ref() != Some(&content) {
                        fs::write_atomic(&file.path, &content)?;
                    }
                }
                None => fs::remove_file(&file.path)?,
            }
        }
        Ok(())
    }
}

/// The plugin that the journal is of, where there is one.
pub(super) fn plugin(base: &Base) -> Option<String> {
    let content = fs::read_optional(&path(base)).ok()??;
    serde_json::from_slice::<Journal>(&content).ok().map(|journal| journal.name)
}

/// Undoes what the journal says, and removes what killed commands left. The caller holds the base's lock.
pub(super) fn recover(base: &Base) -> Result<()> {
    if let Some(content) = fs::read_optional(&path(base))? {
        // Written by a rename, it is whole; one that is not was never ours.
        let journal: Journal = serde_json::from_slice(&content).map_err(|error| {
            Error::machine(format!("{} cannot be read: {error}", text::path(&path(base))))
                .hint("remove it after a look at the plugins there")
        })?;
        journal.undo(base)?;
        journal.close(base)?;
    }
    for path in fs::list(&base.own_dir())? {
        if path.file_name().is_some_and(|name| name != "lock" && name != super::jobs::NOTE) {
            fs::remove_tree(&path)?;
        }
    }
    Ok(())
}
