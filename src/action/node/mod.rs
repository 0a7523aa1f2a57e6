//! Node.js: package.json → lock → node_modules, by npm, pnpm or yarn.
//!
//! A [`Manager`] says how its package manager is called and what it reads; [`Lock`] and [`Modules`] are the two
//! actions, for whichever it is.

mod failure;
mod first_install;
#[cfg(test)]
mod fuzz;
mod lock;
mod manager;
mod modules;
mod npm;
mod package;
mod pnpm;
mod yarn;

pub use failure::failure_of;
pub(super) use lock::Lock;
pub use lock::package_manager;
pub(super) use modules::Modules;
pub(super) use npm::Npm;
pub(super) use pnpm::Pnpm;
pub(super) use yarn::Yarn;
