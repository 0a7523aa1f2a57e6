//! One change of the base, from the staging directory to the commit.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::journal::{self, Inode, Journal, OLD, SavedFile, TREE};
use super::overrides::OverrideFile;
use super::{Event, jobs, recovery};
use crate::error::{At, Error, Result};
use crate::fs::{self, Staging, Way};
use crate::installed::Base;
use crate::plugin::{Module, PluginName};
use crate::process;
use crate::site::Site;
use crate::text;

/// A change in preparation: nothing that others see has happened.
pub(super) struct Transaction<'a> {
    base: &'a Base,
    site: &'a Site,
    module: Module,
    name: String,
    doing: String,
    staging: Staging,
    files: Vec<SavedFile>,
    is_final: bool,
}

/// A change that others see and that is undone unless it is committed.
pub(super) struct Begun<'a> {
    base: &'a Base,
    site: &'a Site,
    journal: Journal,
    staging: Staging,
    /// The tree that is to be in place at the commit.
    new: Option<Inode>,
    /// There is no way back.
    is_final: bool,
}

impl<'a> Transaction<'a> {
    /// Starts a change of the plugin `name`, where it is known yet; the caller holds the base's lock until the end.
    pub(super) fn new(
        base: &'a Base,
        module: &Module,
        name: Option<&str>,
        doing: &str,
        site: &'a Site,
    ) -> Result<Transaction<'a>> {
        let staging = Staging::new_in(&base.own_dir())?;
        let (module, doing) = (module.clone(), doing.to_owned());
        let (name_yet, files) = (String::new(), Vec::new());
        let mut transaction =
            Transaction { base, site, module, name: name_yet, doing, staging, files, is_final: false };
        name.map_or(Ok(()), |name| transaction.name(name))?;
        Ok(transaction)
    }

    /// The plugin's name, where it is known only once the tree is there. A home that something is mounted in is
    /// refused: it can be neither moved nor emptied.
    pub(super) fn name(&mut self, name: &str) -> Result<()> {
        let home = self.base.dir.join(name);
        let mounts = if home.is_symlink() { Vec::new() } else { fs::mounts_below(&home) };
        if let Some(mount) = mounts.first() {
            return Err(Error::machine(format!(
                "a file system is mounted at {}, in the home of the plugin `{}`; it can be neither moved nor removed",
                text::path(mount),
                text::visible(name)
            ))
            .hint(fs::unmount_hint(mount)));
        }
        name.clone_into(&mut self.name);
        self.doing = format!("{} {name}", self.doing);
        Ok(())
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
                let mode = path.metadata().at("read", path)?.permissions().mode() & 0o777;
                fs::write_atomic_with_mode(&self.staging.join(&name), &content, mode)?;
                Some(name)
            }
            None => None,
        };
        self.files.push(SavedFile { path: path.to_owned(), saved });
        Ok(())
    }

    /// The new tree shares files with the old one, which could not be trusted any more once the new one was in its place:
    /// from there on nothing is undone.
    pub(super) fn final_when_in_place(&mut self) {
        self.is_final = true;
    }

    /// Writes the override file, and puts the new tree in place of whatever is there.
    pub(super) fn swap_in(
        self,
        overrides: &OverrideFile,
        name: &PluginName,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Begun<'a>> {
        let home = self.base.dir.join(&self.name);
        let (tree, old) = (self.tree(), self.staging.join(OLD));
        let new = Inode::of(&tree);
        let is_directory = !tree.is_symlink();
        if is_directory {
            journal::mark(&tree)?;
        }
        let mut begun = self.begin()?;
        begun.new = new;
        let mut begun = begun.or_undo(overrides.write(&tree, &home, name))?;
        let swapped = match begun.journal.old {
            Some(_) => fs::replace(&tree, &home, &old),
            None => fs::rename(&tree, &home).map(|()| Way::AtOnce),
        };
        let way = swapped.as_ref().ok().copied();
        if swapped.is_ok() {
            begun.is_final = begun.journal.is_final;
        }
        let unmarked = swapped.and_then(|_| if is_directory { journal::unmark(&home) } else { Ok(()) });
        let begun = begun.or_undo(unmarked)?;
        begun.tell(way, on_event);
        Ok(begun)
    }

    /// Takes the tree out of the base.
    pub(super) fn take_out(self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Begun<'a>> {
        let home = self.base.dir.join(&self.name);
        let old = self.staging.join(OLD);
        let begun = self.begin()?;
        let taken = fs::move_out(&home, &old);
        let way = taken.as_ref().ok().copied().filter(|way| *way == Way::ByCopy);
        let begun = begun.or_undo(taken.map(drop))?;
        begun.tell(way.or(Some(Way::AtOnce)), on_event);
        Ok(begun)
    }

    fn begin(self) -> Result<Begun<'a>> {
        if process::is_interrupted() {
            return Err(Error::interrupted());
        }
        let stage = self.staging.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let home = self.base.dir.join(&self.name);
        let journal = Journal {
            doing: self.doing,
            stage,
            old: if fs::try_exists(&home)? { Inode::of(&home) } else { None },
            is_marked: true,
            is_final: self.is_final,
            new_link: std::fs::read_link(self.staging.join(TREE)).ok(),
            name: self.name,
            files: self.files,
        };
        jobs::announce(self.base, &self.module, &journal.name)?;
        journal.write(self.base)?;
        let Transaction { base, site, staging, .. } = self;
        Ok(Begun { base, site, journal, staging, new: None, is_final: false })
    }
}

impl<'a> Begun<'a> {
    /// Goes on after a step that succeeded; undoes everything after one that failed.
    pub(super) fn or_undo(self, step: Result<()>) -> Result<Begun<'a>> {
        match step {
            Ok(()) if process::is_interrupted() && !self.is_final => Err(self.undo(Error::interrupted())),
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

    fn tell(&self, way: Option<Way>, on_event: &mut dyn FnMut(Event<'_>)) {
        if let Some(way) = way {
            on_event(Event::Detail(&format!("{}: {}", text::visible(&self.journal.doing), way.words())));
        }
    }

    fn undo(self, error: Error) -> Error {
        if self.is_final {
            // The next command does the rest.
            self.staging.leave();
            return Error::done_but(&format!("{} is done", text::visible(&self.journal.doing)), &error);
        }
        let mut failed = self.journal.undo(self.base, self.site).err().unwrap_or_default();
        if failed.is_empty() {
            failed.extend(self.journal.close(self.base).and_then(|durable| durable).err());
        }
        if failed.is_empty() {
            jobs::forget(self.base);
            return error;
        }
        // What the journal needs stays where it is, for the next command.
        self.staging.leave();
        let failed = failed.into_iter().flat_map(|error| error.problems);
        Error::many(error.fault, error.problems.into_iter().chain(failed).collect())
    }

    /// The point of no return. The old tree goes last; where it cannot, it is set aside. What is returned then is an
    /// error of [`Fault::DoneBut`](crate::error::Fault::DoneBut), for the end of the command.
    pub(super) fn commit(self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Option<Error>> {
        let durable = match self.journal.close(self.base) {
            Ok(durable) => durable,
            Err(error) => return Err(self.undo(error)),
        };
        let stage = self.staging.path().to_owned();
        self.staging.leave();
        if let Some(warning) = recovery::discard(&stage) {
            on_event(Event::Warning(&warning));
        }
        let done = format!("{} is done", text::visible(&self.journal.doing));
        Ok(durable.err().map(|error| Error::done_but(&done, &error)))
    }
}

/// The place of a plugin, by its name.
pub(super) fn is_taken(base: &Base, name: &PluginName) -> Result<bool> {
    fs::try_exists(&base.home(name))
}
