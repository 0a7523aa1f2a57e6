//! How to undo a change that did not come to its end.
//!
//! The journal is one file, written durably before the first step that others can see and removed after the last.
//! Undoing looks at what is there and not at how far the change came, so it may itself be interrupted and repeated.
//! What is there is known by names and by a mark in the new tree: device and inode numbers do not outlive a reboot, a
//! copy or another mount.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result};
use crate::fs::{self, AtomicFile};
use crate::installed::Base;
use crate::plugin::Module;
use crate::site::Site;
use crate::text;

/// A tree within one process: its inode, which a rename keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inode(u64, u64);

impl Inode {
    pub(super) fn of(path: &Path) -> Option<Inode> {
        path.symlink_metadata().ok().map(|metadata| Inode(metadata.dev(), metadata.ino()))
    }

    /// Device numbers change with a reboot.
    fn may_be(self, path: &Path) -> bool {
        Inode::of(path).is_some_and(|found| found.1 == self.1)
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
    /// The new tree holds [`MARK`] for as long as it is not in its place.
    #[serde(default)]
    pub(super) is_marked: bool,
    /// The new tree shares files with the old one: once it is in its place, it stays, and the change is done instead.
    #[serde(default)]
    pub(super) is_final: bool,
    /// Where the new one is a link, what it points to.
    #[serde(default)]
    pub(super) new_link: Option<PathBuf>,
    /// Files beside the tree, with copies of what they held before in the staging directory.
    pub(super) files: Vec<SavedFile>,
}

/// A file that the change writes or removes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SavedFile {
    pub(super) path: PathBuf,
    /// The copy's name in the staging directory, `None` where there was no such file. The copy has the file's mode.
    pub(super) saved: Option<String>,
}

/// The new tree in the staging directory, and after the swap the old one.
pub(super) const TREE: &str = "plugin";

/// The old tree in the staging directory, whole, where the two were not exchanged in one step.
pub(super) const OLD: &str = "old";

/// In the new tree until it is in its place. No archive brings such a name.
pub(super) const MARK: &str = ".mwp_new";

pub(super) fn path(base: &Base) -> PathBuf {
    base.own_dir().join("journal")
}

impl Journal {
    /// The journal that is there; an error where what is there was not written by this user's mwp for this base.
    pub(super) fn read(base: &Base) -> Result<Option<Journal>> {
        let path = path(base);
        if !fs::try_exists(&path)? {
            return Ok(None);
        }
        let mut file = fs::open_no_follow(&path).at("read", &path)?;
        let metadata = file.metadata().at("read", &path)?;
        let refused = |why: &str| Error::machine(format!("{} {why}", text::path(&path)));
        if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(refused("was not written by this user"));
        }
        let mut content = Vec::new();
        Read::by_ref(&mut file).take(1 << 20).read_to_end(&mut content).at("read", &path)?;
        let journal: Journal =
            serde_json::from_slice(&content).map_err(|error| refused(&format!("cannot be read: {error}")))?;
        if !is_name(&journal.name) || !is_name(&journal.stage) || !journal.stage.starts_with("stage-") {
            return Err(refused("names what is not in this directory"));
        }
        Ok(Some(journal))
    }

    /// Makes everything so far durable, then the journal itself. After an error there is none.
    pub(super) fn write(&self, base: &Base) -> Result<()> {
        fs::sync_filesystem(&base.dir)?;
        let path = path(base);
        let content = serde_json::to_vec(self).map_err(|error| Error::machine(error.to_string()))?;
        let mut file = AtomicFile::create(&path, 0o600)?;
        file.write_all(&content).at("write", &path)?;
        let written = file.commit().and_then(|()| fs::sync_directory(&base.own_dir()));
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written
    }

    /// The change is done, or undone: there is no journal any more, and it returns whether the disk knows. After an error
    /// the journal is still there.
    pub(super) fn close(&self, base: &Base) -> Result<Result<()>> {
        fs::sync_directory(&base.dir)?;
        fs::remove_file(&path(base))?;
        Ok(fs::sync_directory(&base.own_dir()))
    }

    /// Puts back what was there before, as far as it can be; else what could not be, and why. What is final goes the other
    /// way: the new tree stays.
    pub(super) fn undo(&self, base: &Base, site: &Site) -> Result<(), Vec<Error>> {
        let stage = base.own_dir().join(&self.stage);
        match self.is_past_undoing(base, &stage) {
            Ok(false) => {}
            Ok(true) => return unmark(&base.dir.join(&self.name)).map_err(|error| vec![error]),
            Err(error) => return Err(vec![error]),
        }
        let tree = self.undo_tree(base, &stage);
        let files = self.files.iter().map(|file| self.undo_file(file, base, &stage, site));
        let failures: Vec<Error> = std::iter::once(tree).chain(files).filter_map(Result::err).collect();
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// The new version may have run since, and have written into what is the old one's as well.
    fn is_past_undoing(&self, base: &Base, stage: &Path) -> Result<bool> {
        if !self.is_final || !fs::try_exists(&base.dir.join(&self.name))? {
            return Ok(false);
        }
        let tree = stage.join(TREE);
        Ok(!fs::try_exists(&tree)? || !self.is_new(&tree)?)
    }

    fn undo_tree(&self, base: &Base, stage: &Path) -> Result<()> {
        let home = base.dir.join(&self.name);
        let (tree, old, undone) = (stage.join(TREE), stage.join(OLD), stage.join("undone"));
        let discard = || -> Result<()> {
            fs::create_dir_all(stage)?;
            fs::remove_tree(&undone)?;
            // What cannot be renamed was only ever copied.
            fs::rename(&home, &undone).or_else(|_| fs::remove_tree(&home))
        };
        // What cannot be looked at is not taken for absent: the old tree would be lost.
        let (has_tree, has_home) = (fs::try_exists(&tree)?, fs::try_exists(&home)?);
        if fs::try_exists(&old)? {
            discard()?;
            return fs::rename(&old, &home);
        }
        match self.old {
            None if has_tree || !has_home => Ok(()),
            // Nothing was there: what is there now is the new one.
            None => discard(),
            Some(_) if has_tree && !self.is_new(&tree)? => {
                if !has_home {
                    return fs::rename(&tree, &home);
                }
                // A second undoing must not exchange again.
                if self.is_marked && home.is_dir() && !home.is_symlink() {
                    mark(&home)?;
                }
                fs::replace(&tree, &home, &undone).map(drop)
            }
            // The old one did not move, or is back.
            Some(old) if has_home && (fs::try_exists(stage)? || old.may_be(&home)) => Ok(()),
            Some(_) => Err(Error::machine(format!(
                "cannot undo {}: what was at {} before is gone",
                text::visible(&self.doing),
                text::path(&home)
            ))
            .hint("install the plugin again with --force")),
        }
    }

    /// Whether the tree in the staging directory is the one that was to come.
    fn is_new(&self, tree: &Path) -> Result<bool> {
        match (&self.new_link, self.is_marked) {
            (Some(target), _) if tree.is_symlink() => {
                Ok(std::fs::read_link(tree).at("read", tree)? == *target)
            }
            (Some(_), _) => Ok(false),
            (None, true) => fs::try_exists(&tree.join(MARK)),
            // Written before there were marks.
            (None, false) => Ok(self.old.is_some_and(|old| !old.may_be(tree))),
        }
    }

    fn undo_file(&self, file: &SavedFile, base: &Base, stage: &Path, site: &Site) -> Result<()> {
        if !self.may_touch(&file.path, base, site) {
            return Err(Error::machine(format!(
                "cannot undo {}: {} is not in the configuration of this module",
                text::visible(&self.doing),
                text::path(&file.path)
            ))
            .hint("compare the two by hand"));
        }
        match &file.saved {
            Some(saved) if !is_name(saved) => {
                Err(Error::machine(format!("cannot undo {}: bad name", text::visible(&self.doing))))
            }
            Some(saved) => {
                let copy = stage.join(saved);
                let content = fs::read(&copy)?;
                let mode = copy.metadata().at("read", &copy)?.permissions().mode() & 0o777;
                if is_as_before(&file.path, &content, mode) {
                    return Ok(());
                }
                if let Some(parent) = file.path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write_atomic_with_mode(&file.path, &content, mode)
            }
            None => fs::remove_file(&file.path),
        }
    }

    /// Override files of the plugin, in the configuration beside the base or in that of a module of this user.
    fn may_touch(&self, path: &Path, base: &Base, site: &Site) -> bool {
        let names = [format!("{}.ini", self.name), format!("{}.ini.new", self.name)];
        let is_named = path.file_name().is_some_and(|name| names.iter().any(|known| name == known.as_str()));
        let modules = Module::KNOWN.into_iter().chain(site.module.clone());
        let mut homes: Vec<PathBuf> = modules.map(|module| site.runtime_home(&module)).collect();
        homes.extend(base.dir.parent().and_then(Path::parent).map(Path::to_owned));
        let is_inside = homes.iter().any(|home| path.parent() == Some(&home.join("config/plugins")));
        is_named && is_inside && !path.components().any(|part| part == Component::ParentDir)
    }
}

/// Where nothing was written, nothing has to be: the file may be one that cannot be.
fn is_as_before(path: &Path, content: &[u8], mode: u32) -> bool {
    path.symlink_metadata().is_ok_and(|now| {
        now.is_file() && now.permissions().mode() & 0o777 == mode && now.len() == content.len() as u64
    }) && fs::read_optional(path).is_ok_and(|now| now.is_some_and(|now| now == content))
}

/// One component, and neither hidden nor a way out.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.')
}

/// Marks the tree as the one that is to be thrown away or is not in its place yet.
pub(super) fn mark(tree: &Path) -> Result<()> {
    let path = tree.join(MARK);
    fs::in_writable(tree, || fs::write_atomic(&path, b""))
}

pub(super) fn unmark(tree: &Path) -> Result<()> {
    fs::in_writable(tree, || fs::remove_file(&tree.join(MARK)))
}

/// The plugin that the journal is of, where there is one.
pub(super) fn plugin(base: &Base) -> Option<String> {
    Journal::read(base).ok().flatten().map(|journal| journal.name)
}
