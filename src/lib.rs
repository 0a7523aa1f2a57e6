//! Builds, ships and runs MetWork plugins.
//!
//! A plugin directory is a project ([`plugin`]); recipes say which tasks it needs ([`recipe`]); a task graph
//! brings it up to date ([`graph`], [`action`], [`store`]); a release is one self-contained `.plugin` file
//! ([`artifact`]). The stages meet only in that file. A plugin's code runs in an environment of its own
//! ([`env`](mod@env)), from a command line or from cron ([`cron`]). Arrows go one way:
//! `cli → graph, action → recipe, store, python → env → plugin, tools, site → fs`.

pub mod action;
pub mod artifact;
pub mod check;
pub mod clean;
pub mod cli;
pub mod contents;
pub mod cron;
pub mod digest;
pub mod doctor;
mod embedded;
pub mod env;
pub mod error;
pub mod exit;
pub mod fs;
#[cfg(test)]
mod fuzz;
pub mod graph;
pub mod install;
pub mod installed;
pub mod internal;
mod jinja;
pub mod migrate;
pub mod plugin;
pub mod process;
pub mod python;
pub mod recipe;
pub mod run;
pub mod shims;
pub mod site;
pub mod store;
pub mod template;
pub mod text;
mod threads;
mod toml_text;
pub mod tools;
