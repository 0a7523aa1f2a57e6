//! End-to-end tests: the real binary, one file per command.

mod support;
