//! Jobs from cron: plugins' jobs in the user's crontab ([`sync`]), and one run of a job ([`Job`]): one command, alone
//! where it has to be, for so long and no longer, with its output in a log.

mod blocks;
mod capture;
mod crontab;
mod home;
mod job;
mod line;
mod plugin;
mod sync;

pub use job::{Ended, Job};
pub use sync::{Entry, Report, Scope, State, has_jobs, inspect, sync};
