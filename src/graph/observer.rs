//! What happens during a build, for whoever shows it.

use std::path::Path;
use std::time::Duration;

use super::reason::Reason;
use super::status::Built;
use crate::error::Error;

#[derive(Debug)]
pub enum Event<'a> {
    /// Another process holds the plugin directory.
    Waiting {
        holder: &'a str,
    },
    /// Nothing to do.
    Fresh {
        task: &'a str,
    },
    Started {
        task: &'a str,
        summary: &'a str,
        reasons: &'a [Reason],
    },
    /// A line of output of the task's tool.
    Line {
        task: &'a str,
        line: &'a str,
    },
    /// Something that the user should know, although it goes on.
    Warning {
        task: &'a str,
        text: &'a str,
    },
    /// What changed in a lock, a line each.
    LockChanged {
        task: &'a str,
        changes: &'a [String],
    },
    /// The outputs came from the content store.
    Restored {
        task: &'a str,
        took: Duration,
    },
    Done {
        task: &'a str,
        took: Duration,
    },
    /// With everything that the tool wrote, and where that is kept.
    Failed {
        task: &'a str,
        error: &'a Error,
        output: &'a str,
        log: &'a Path,
    },
    /// The whole project is up to date.
    Built {
        built: &'a Built,
    },
}

/// Told by several threads at once.
pub trait Observer: Sync {
    fn event(&self, project: &Path, event: Event<'_>);
}
