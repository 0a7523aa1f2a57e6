//! End-to-end tests: the real binary, one file per command.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

mod bootstrap;
mod check;
mod cronwrap;
mod env;
mod exec;
mod info;
mod layers;
mod pack;
mod plugin_mk;
mod shims;
mod support;
