//! One change of the base, from the staging directory to the commit.

use std::path::{Path, PathBuf};

use super::base::Base;
use super::jobs;
use super::journal::{Inode, Journal, SavedFile, TREE};
use crate::error::{Error, Result};
use crate::fs::{self, Staging};
use crate::plugin::{Module, PluginName};
use crate::process;
use crate::text;

/// A change in preparation: nothing that others see has happened.
pub(super) struct Transaction<'a> {
    base: &'a Base,
    module: Module,
    name: String,
    doing: String,
    staging: Staging,
    files: Vec<SavedFile>,
}

/// A change that others see and that is undone unless it is committed.
pub(super) struct Begun<'a> {
    base: &'a Base,
    journal: Journal,
    staging: Staging,
    /// The tree that is to be in place at the commit.
    new: Option<Inode>,
}

impl<'a> Transaction<'a> {
    /// Starts a change of the plugin `name`; the caller holds the base's lock until the end.
    pub(super) fn new(base: &'a Base, module: &Module, name: &str, doing: &str) -> Result<Transaction<'a>> {
        let staging = Staging::new_in(&base.own_dir())?;
        let doing = format!("{doing} {name}");
        let (module, name) = (module.clone(), name.to_owned());
        Ok(Transaction { base, module, name, doing, staging, files: Vec::new() })
    }

    /// The plugin's name, where it is known only once the tree is there.
    pub(super) fn name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.doing = format!("installing {name}");
    }

    /// Where the new tree is made.
    pub(super) fn tree(&self) -> PathBuf {
        self.staging.join(TREE)
    }

    /// A file beside the tree that the change may write or remove: what it holds now is kept.
    pub(super) fn touches(&mut self, path: &Path) -> Result<()> {
        let saved = match fs::read_optional(path)? {
            Some(content) => {
                let name = format!("saved-{}", self.files.len());
                fs::write_atomic(&self.staging.join(&name), &content)?;
                Some(name)
            }
            None => None,
        };
        self.files.push(SavedFile { path: path.to_owned(), saved });
        Ok(())
    }

    /// Puts the new tree in place of whatever is there.
    pub(super) fn swap_in(self) -> Result<Begun<'a>> {
        let home = self.base.dir.join(&self.name);
        let tree = self.tree();
        let new = Inode::of(&tree);
        let mut begun = self.begin()?;
        begun.new = new;
        let swapped = match begun.journal.old {
            Some(_) => fs::exchange(&tree, &home),
            None => fs::rename(&tree, &home),
        };
        begun.or_undo(swapped)
    }

    /// Takes the tree out of the base.
    pub(super) fn take_out(self) -> Result<Begun<'a>> {
        let home = self.base.dir.join(&self.name);
        let tree = self.tree();
        let begun = self.begin()?;
        let taken = fs::rename(&home, &tree);
        begun.or_undo(taken)
    }

    fn begin(self) -> Result<Begun<'a>> {
        if process::is_interrupted() {
            return Err(Error::interrupted());
        }
        let stage = self.staging.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let journal = Journal {
            doing: self.doing,
            stage,
            old: Inode::of(&self.base.dir.join(&self.name)),
            name: self.name,
            files: self.files,
        };
        jobs::announce(self.base, &self.module, &journal.name)?;
        journal.write(self.base)?;
        Ok(Begun { base: self.base, journal, staging: self.staging, new: None })
    }
}

impl<'a> Begun<'a> {
    /// Goes on after a step that succeeded; undoes everything after one that failed.
    pub(super) fn or_undo(self, step: Result<()>) -> Result<Begun<'a>> {
        match step {
            Ok(()) if process::is_interrupted() => Err(self.undo(Error::interrupted())),
            Ok(()) => Ok(self),
            Err(error) => Err(self.undo(error)),
        }
    }

    /// Whether nothing was there before.
    pub(super) fn is_new(&self) -> bool {
        self.journal.old.is_none()
    }

    /// Whether the new tree is where it was put: the plugin's own steps may have moved or removed it.
    pub(super) fn is_in_place(&self) -> Result<()> {
        let home = self.base.dir.join(&self.journal.name);
        if Inode::of(&home) == self.new && crate::plugin::Label::read(&home).is_ok() {
            return Ok(());
        }
        Err(Error::input(format!(
            "`postinstall` removed or replaced the plugin's own home {}",
            text::path(&home)
        ))
        .hint("nothing was installed; mend `postinstall` and make the release again"))
    }

    fn undo(self, error: Error) -> Error {
        let undone = self.journal.undo(self.base).and_then(|()| self.journal.close(self.base));
        match undone {
            Ok(()) => {
                jobs::forget(self.base);
                error
            }
            Err(failed) => {
                // What the journal needs stays where it is, for the next command.
                self.staging.leave();
                let problems = error.problems.into_iter().chain(failed.problems).collect();
                Error::many(error.fault, problems)
            }
        }
    }

    /// The point of no return. The old tree goes last; where it cannot, the next command removes it.
    pub(super) fn commit(self) -> Result<()> {
        let closed = self.journal.close(self.base);
        if closed.is_err() {
            self.staging.leave();
        }
        closed
    }
}

/// The place of a plugin, by its name.
pub(super) fn is_taken(base: &Base, name: &PluginName) -> bool {
    fs::exists(&base.home(name))
}
