//! What a plugin is: its label, name, format version and configuration.

mod format_version;
mod label;

pub use format_version::FormatVersion;
pub use label::{Label, Module, PluginName};
