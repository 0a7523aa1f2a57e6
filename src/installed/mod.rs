//! What is installed, and where: modules, their plugins bases, and plugins by name or path.
//!
//! Everything here only looks. What changes a base is in `install`.

mod base;
mod find;

pub use base::{Base, InstallState, Installed};
pub(crate) use find::absolute;
pub use find::{Bases, Found, modules};

pub(crate) use base::OWN;
