//! End-to-end tests: the real binary, one file per command.
#![allow(unreachable_pub, clippy::disallowed_methods, clippy::unwrap_used)]

mod bootstrap;
mod check;
mod plugin_mk;
mod support;
