//! Jobs from cron: one command, alone where it has to be, for so long and no longer, with its output in a log.

mod capture;
mod job;

pub use job::{Ended, Job};
