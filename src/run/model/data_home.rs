//! Where files and queues of mfdata's steps are.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::redis_address::RedisAddress;
use crate::plugin::config::Section;
use crate::plugin::{Module, Plugin};
use crate::site::Site;

/// The places that the steps of a module share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataHome {
    /// Where files come in; every step has its inbox below it.
    pub input: PathBuf,
    pub redis: RedisAddress,
}

impl DataHome {
    pub fn of(site: &Site) -> DataHome {
        let home = site.runtime_home(&Module::Mfdata);
        let input = site.environment.path(INPUT).unwrap_or_else(|| home.join("var/in"));
        // What is none is told when the settings are read.
        let given = site.environment.text(REDIS).and_then(|text| RedisAddress::parse(text).ok().flatten());
        DataHome { input, redis: given.unwrap_or_else(|| RedisAddress::own(&home)) }
    }

    /// The directory of files that wait for a step.
    pub fn inbox(&self, plugin: &str, step: &str) -> PathBuf {
        self.input.join(queue_of(plugin, step))
    }

    /// The directories where files come in for a step, by its `watched_directories`: with commas between them, those that
    /// are not absolute below the input.
    pub(super) fn watched(&self, plugin: &str, step: &str, section: &Section) -> Vec<PathBuf> {
        let inbox = self.inbox(plugin, step).to_string_lossy().into_owned();
        let written = section.text("watched_directories").replace("{MFDATA_CURRENT_STEP_DIR}", &inbox);
        let named = written.split(',').filter(|name| !name.trim().is_empty());
        let mut found: Vec<PathBuf> = Vec::new();
        for path in named.map(|name| self.input.join(name)) {
            if !found.contains(&path) {
                found.push(path);
            }
        }
        found
    }
}

const INPUT: &str = "MFDATA_DATA_IN_DIR";
const REDIS: &str = "MFDATA_REDIS_ADDRESS";

/// The list in redis that a step takes its files from.
pub(in crate::run) fn queue_of(plugin: &str, step: &str) -> String {
    format!("step.{plugin}.{step}")
}

/// Endings of names that files have while they are delivered: no step gets them.
pub(in crate::run) const UNFINISHED: [&str; 3] = [".t", ".tmp", ".working"];

/// Whether this is the name of a file that is still being delivered.
pub(in crate::run) fn is_unfinished(name: &OsStr) -> bool {
    UNFINISHED.iter().any(|ending| name.as_encoded_bytes().ends_with(ending.as_bytes()))
}

/// A directory whose files are announced to a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    pub directory: PathBuf,
    /// The list in redis.
    pub queue: String,
    /// `PLUGIN.STEP`, as counters in redis are named.
    pub label: String,
}

/// Every directory that a step of the plugin takes files from, of those without workers too.
pub fn watched(plugin: &Plugin, site: &Site) -> Vec<Watched> {
    if plugin.label.module != Module::Mfdata {
        return Vec::new();
    }
    let home = DataHome::of(site);
    let name = plugin.label.name.as_str();
    let mut all = Vec::new();
    for section in &plugin.config.sections {
        let Some(step) = section.instance.as_deref().filter(|_| section.name.starts_with("step_")) else {
            continue;
        };
        let mut add = |step: &str, directory: PathBuf| {
            all.push(Watched { directory, queue: queue_of(name, step), label: format!("{name}.{step}") });
        };
        for directory in home.watched(name, step, section) {
            add(step, directory);
        }
        if super::retries::are_wanted(section) {
            let step = super::retries::name_of(step);
            add(&step, home.inbox(name, &step));
        }
    }
    all
}
