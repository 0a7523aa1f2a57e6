//! The install stage: `.plugin` files go onto a machine, and nothing is ever lost.
//!
//! It needs no network and no build tool, and shares nothing with the build stage but the `.plugin` format.
//!
//! # How a change of the plugins base happens
//!
//! One process at a time holds the base's lock. The new version is unpacked beside the old one, its virtualenv made
//! from the shipped wheels, and everything checked that can be checked; up to here the base is untouched. Then
//!
//! 1. everything is made durable (one `syncfs`), and a **journal** is written that says how to undo what follows;
//! 2. the override file is written, and the new tree takes the place of the old one in one step (`RENAME_EXCHANGE`);
//! 3. `postinstall` runs from the final home, and where the plugin is in service, the new version has to serve;
//! 4. the journal is removed: this is the commit. The old tree is removed last;
//! 5. the user's crontab follows (see `jobs.rs`).
//!
//! A failure in 2 or 3 undoes by the journal. A kill leaves the journal behind, and the next command that looks at
//! the base undoes by it first. So the base holds exactly the old or the new state after every command.
//!
//! An update that shares unchanged files with the old version (`artifact::unpack_update` says which and why that is safe)
//! runs nothing of the new one before it is final: step 2 is the commit. A failure or a kill after it goes on to the end
//! instead of back, because the new version may have written into shared files since.
//!
//! Our own files in the base are in `.mwp/`, which is no plugin's name.

mod bytecode;
mod develop;
#[cfg(test)]
mod fuzz;
mod home;
mod jobs;
mod journal;
mod lock;
mod machine;
mod overrides;
mod ownership;
mod package;
mod postinstall;
mod provision;
mod recovery;
mod rename;
mod repackage;
mod repair;
mod runner;
mod settings;
mod transaction;
mod uninstall;
mod verify;
mod virtualenv;

pub use develop::develop;
pub use home::made_by_installation;
pub use jobs::{inspect_jobs, sync_jobs};
pub use package::{Installation, install};
pub use provision::{Outcome, Provisioned, bring, provision};
pub use repackage::repackage;
pub use repair::repair;
pub use runner::{NoRunner, Runner};
pub use uninstall::uninstall;
pub use verify::{Verification, verify};

use crate::error::Error;

/// What whoever watches a change is told meanwhile.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Another process has what this one needs; who that is.
    Waiting(&'a str),
    /// Something that does not keep the change from happening.
    Warning(&'a Error),
    /// For those who want to know more.
    Detail(&'a str),
}
