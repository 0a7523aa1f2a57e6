//! How tasks and projects stand, for whoever shows it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::reason::Reason;
use super::task::Task;

/// How a task stands, for people and for `--json`.
#[derive(Debug, Serialize)]
pub struct TaskStatus {
    pub task: String,
    pub fresh: bool,
    pub reasons: Vec<Reason>,
    /// Milliseconds that it took when it last ran, where known.
    pub last_duration_ms: Option<u64>,
}

impl TaskStatus {
    pub(super) fn fresh(task: &Task, last_duration_ms: Option<u64>) -> TaskStatus {
        TaskStatus { task: task.name.clone(), fresh: true, reasons: Vec::new(), last_duration_ms }
    }
}

/// How one directory was built.
#[derive(Debug)]
pub struct Built {
    pub directory: PathBuf,
    pub plugin: String,
    pub tasks: Vec<TaskStatus>,
    pub took: Duration,
}
