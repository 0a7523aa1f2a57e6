//! Environments: layers of MetWork, and what a plugin's code finds around it.
//!
//! A layer is a directory with a label and, beside it, `bin`, `lib`, `local` and the like; to load it is to put
//! those in front of the search paths of an environment. A plugin is a layer too, with variables for its
//! configuration on top:
//!
//! ```text
//! process environment ─► variables of the plugins that it depends on ─► its own ─► layers, in the order of
//! their dependencies, the plugin's own last ─► an Environment, for exec or for a shell to eval
//! ```
//!
//! Nothing is started and nothing is cached: an environment is a function of the files and of the environment
//! around it, and costs a few milliseconds. Where no MetWork is installed, the host's own tools stand for the
//! layers of the base module (see `load.rs`).

mod address;
mod changes;
mod extra;
mod layer;
mod load;
pub mod outside;
mod plugin;
mod requirements;
mod search_path;
mod shell;
mod stand_ins;
mod variables;
mod virtualenv;

pub use changes::{Change, changes, quoted};
pub use layer::{Layer, Layers};
pub use load::{Loader, Step};
pub use plugin::{PluginEnvironment, Under, enclosing_plugin, of_plugin};
pub use requirements::requirement_files;
pub use shell::Shell;
pub use stand_ins::append_programs;
pub use virtualenv::{LIST as VIRTUALENV_LIST, virtualenv_fault};
