//! End-to-end tests: the real binary, one file per command.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

mod bootstrap;
mod check;
mod hostile;
mod info;
mod pack;
mod plugin_mk;
mod support;
mod unpack;
