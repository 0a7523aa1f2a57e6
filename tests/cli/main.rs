//! End-to-end tests: the real binary, one file per command.
#![allow(unreachable_pub)]

mod check;
mod support;
