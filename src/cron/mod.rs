//! Jobs from cron: plugins' jobs in the user's crontab ([`sync`]), and one run of a job ([`Job`]): one command, alone
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

pub use job::{Ended, Job};
/// What is wrong with the `crontab` of the plugin at `home`: an error with all mistakes, or what would be left out.
pub fn check(
    home: &std::path::Path,
    environment: &crate::site::Environment,
) -> crate::error::Result<Vec<crate::error::Problem>> {
    match plugin::Template::read(home)? {
        Some(template) => Ok(template.render(environment)?.warnings),
        None => Ok(Vec::new()),
    }
}

pub use sync::{Entry, Report, Scope, State, has_jobs, inspect, sync};
