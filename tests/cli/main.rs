//! End-to-end tests: the real binary, one file per command.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

mod check;
mod info;
mod pack;
mod support;
