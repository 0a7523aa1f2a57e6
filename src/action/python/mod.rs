//! Python: requirements → lock → wheels → virtualenv.

mod freeze;
mod plugin;
mod virtualenv;
mod wheels;

pub(super) use freeze::Freeze;
pub(super) use virtualenv::Virtualenv;
pub(super) use wheels::Wheels;
pub use wheels::check_wheels;

const SOURCES: &str = "python3_virtualenv_sources";
const WANTED: &str = "python3_virtualenv_sources/requirements-to-freeze.txt";
const LOCK: &str = "python3_virtualenv_sources/requirements3.txt";
const FILES: &str = "python3_virtualenv_sources/pylock.toml";
const WHEELS: &str = "python3_virtualenv_sources/src";
