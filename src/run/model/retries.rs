//! The step that gives files back to another one which could not process them, after a while, so many times.
//!
//! It comes with `retry_total`: files that failed go to it instead of to where the failure policy says, and those that it
//! gives up go there.

use super::command::CommandLine;
use super::data_home::DataHome;
use super::service::Service;
use super::step::{FailurePolicy, standard_arguments};
use crate::plugin::Plugin;
use crate::plugin::config::Section;
use crate::site::Site;

pub(super) fn are_wanted(section: &Section) -> bool {
    section.int("retry_total") > 0
}

pub(super) fn name_of(step: &str) -> String {
    format!("{step}_reinject")
}

/// The service that gives files back to `step`.
pub(super) fn service_for(step: &Service, plugin: &Plugin, section: &Section, site: &Site) -> Service {
    let name = name_of(&step.id.name);
    let mut words = vec![
        "reinject_step".to_owned(),
        format!("--dest-dir={}/{}", step.id.plugin, step.id.name),
        format!("--retry-total={}", section.int("retry_total")),
    ];
    for key in ["retry_min_wait", "retry_max_wait", "retry_backoff"] {
        words.push(format!("--{}={}", key.replace('_', "-"), section.float(key)));
    }
    let policy = FailurePolicy::of_section(section);
    words.extend(standard_arguments(&policy, plugin.label.name.as_str(), &name, &DataHome::of(site)));
    let mut service = step.clone();
    service.id.name = name;
    service.command = CommandLine::of_words(words);
    service.workers = 1;
    service.max_age = None;
    service
}
