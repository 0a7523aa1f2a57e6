//! Builds, ships and runs MetWork plugins.
//!
//! A plugin directory is a project ([`plugin`]); recipes say which tasks it needs ([`recipe`]); a task graph
//! brings it up to date ([`graph`], [`store`]); a release is one self-contained `.plugin` file ([`artifact`]).
//! The stages meet only in that file. Arrows go one way:
//! `cli → graph → recipe, artifact → python → plugin, site → fs`.

pub mod cli;
pub mod error;
pub mod exit;
pub mod fs;
pub mod plugin;
pub mod shims;
pub mod site;
pub mod template;
pub mod text;
