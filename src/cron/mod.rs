//! Jobs from cron: plugins' jobs in the user's crontab ([`sync`]), and one run of a job ([`CronJob`]): one command, alone
//! where it has to be, for so long and no longer, with its output in a log.

mod blocks;
mod capture;
mod crontab;
#[cfg(test)]
mod fuzz;
mod home;
mod job;
mod line;
mod plugin;
mod sync;
mod variables;

pub use job::{CronJob, Ended, Output};
pub use sync::{JobsReport, PluginJobs, Scope, State, has_jobs, inspect, sync};

use std::path::Path;

use crate::error::{Problem, Result};
use crate::site::{Environment, Site};

/// What is wrong with the `crontab` of the plugin at `home`: an error with all mistakes, or what would be left out or
/// do nothing on this machine.
pub fn check(home: &Path, environment: &Environment, site: &Site) -> Result<Vec<Problem>> {
    match plugin::Template::read(home)? {
        Some(template) => Ok(template.render(environment, &|| crontab::is_cronie(site))?.warnings),
        None => Ok(Vec::new()),
    }
}
