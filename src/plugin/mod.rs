//! What a plugin is: its label, name, format version and configuration.

mod check;
pub mod config;
mod format_version;
mod label;
mod module;

pub use check::{Checked, Plugin, check};
pub use config::{Config, ConfigProblem};
pub use format_version::{FORMAT_VERSION_FILE, FormatVersion};
pub use label::{LABEL_FILE, Label, PluginName};
pub use module::Module;
