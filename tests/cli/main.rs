//! End-to-end tests: the real binary, one file per command.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

mod bootstrap;
mod build;
mod check;
mod circus;
mod clean;
mod cron;
mod cron_daemon;
mod cronwrap;
mod env;
mod exec;
mod findings;
mod freshness;
mod hostile;
mod info;
mod install;
mod interruption;
mod journey;
mod layers;
mod node;
mod node_freshness;
mod own_tasks;
mod pack;
mod plugin_mk;
mod python;
mod python_freshness;
mod python_lock;
mod recipes;
mod release;
mod serving;
mod shims;
mod support;
mod systemd;
mod unpack;
mod up;
mod weaknesses;
