//! What runs, as data: for `mwp status` and for machines.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::ServiceKind;
use crate::text;

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does not listen yet.
    Starting,
    Running,
    /// It failed, and starts again in a while.
    Waiting,
    Stopping,
    /// On somebody's order.
    Stopped,
}

impl State {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Running => "running",
            State::Waiting => "waiting to start again",
            State::Stopping => "stopping",
            State::Stopped => "stopped",
        }
    }
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// From 1.
    pub worker: u32,
    pub state: State,
    pub pid: Option<u32>,
    /// How often another process took its place, or tried to.
    pub restarts: u64,
    /// How many of them because the process ended by itself; the others were asked for.
    #[serde(default)]
    pub crashes: u64,
    /// When the process started, in seconds since 1970.
    #[serde(with = "seconds")]
    pub since: Option<SystemTime>,
    /// How long the process has run, in seconds, whatever becomes of the clock.
    pub uptime: Option<u64>,
    /// Bytes, with those of its descendants.
    pub memory: Option<u64>,
    pub last_error: Option<String>,
    /// Its successor could not take over: what runs is not what should.
    pub outdated: bool,
    /// Why its log cannot be written.
    pub log_error: Option<String>,
    /// Somebody stopped the process by a signal; it does nothing until it gets another.
    pub suspended: bool,
    /// Seconds of processor time, with those of its descendants.
    pub cpu: Option<f64>,
    pub open_files: Option<u64>,
    /// Clients that are connected to its socket.
    pub connections: Option<u64>,
    /// Processes that were replaced or stopped, and have not ended yet.
    pub draining: Vec<u32>,
}

impl WorkerStatus {
    pub(in crate::run) fn new(worker: u32) -> WorkerStatus {
        WorkerStatus {
            worker,
            state: State::Stopped,
            pid: None,
            restarts: 0,
            crashes: 0,
            since: None,
            uptime: None,
            memory: None,
            last_error: None,
            outdated: false,
            log_error: None,
            suspended: false,
            cpu: None,
            open_files: None,
            connections: None,
            draining: Vec::new(),
        }
    }
}

/// An app, a step or an extra daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub kind: ServiceKind,
    pub name: String,
    pub workers: Vec<WorkerStatus>,
    /// What its `_http_test_endpoint` says; absent where there is none.
    pub test: Option<Test>,
    /// Where nginx answers for it: paths and hosts.
    pub routes: Vec<String>,
    /// Files that wait for it, where it is a step of mfdata.
    pub queue: Option<QueueStatus>,
}

/// The files of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// The list in redis.
    pub name: String,
    /// Files in its directories.
    pub waiting: u64,
    /// How long the oldest of them has been there, in seconds.
    pub oldest: Option<u64>,
    /// News of files in the list in redis.
    pub queued: Option<u64>,
    /// Files that it took, within the last minute.
    pub per_minute: Option<f64>,
    /// Files that it took, ever.
    pub processed: Option<u64>,
    /// Those of them that it could not process.
    pub failed: Option<u64>,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub ok: bool,
    /// Why not.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginStatus {
    pub name: String,
    pub version: String,
    pub release: String,
    pub ok: bool,
    pub services: Vec<ServiceStatus>,
    /// Bytes of memory of everything that the plugin has started; known where it has a control group.
    pub memory: Option<u64>,
    /// Seconds of processor time of everything that it ever started; likewise.
    pub cpu: Option<f64>,
    /// What `bin/plugin.status` says; absent where there is none.
    pub test: Option<Test>,
    /// What is wrong with the plugin as a whole: its configuration, its routes.
    pub problems: Vec<String>,
}

/// A module that is up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleStatus {
    pub module: String,
    pub ok: bool,
    /// The supervisor.
    pub pid: u32,
    #[serde(with = "seconds")]
    pub since: Option<SystemTime>,
    /// In seconds.
    pub uptime: u64,
    /// `http://localhost:18868`, where there is an nginx.
    pub url: Option<String>,
    pub nginx: Option<WorkerStatus>,
    /// The redis of mfdata's steps, where it is run with the module.
    pub redis: Option<WorkerStatus>,
    pub plugins: Vec<PluginStatus>,
    pub problems: Vec<String>,
    /// What is as well as it can be, and worth knowing.
    pub warnings: Vec<String>,
    /// Whether everything has come to its first start, or failed to.
    pub settled: bool,
}

impl ModuleStatus {
    /// `mfserv is up at http://localhost:18868: 3 plugins, 8 workers`
    pub fn summary(&self) -> String {
        let services = self.plugins.iter().flat_map(|plugin| &plugin.services);
        let workers: Vec<&WorkerStatus> = services.flat_map(|service| &service.workers).collect();
        let ill = workers.iter().filter(|worker| worker.state != State::Running).count();
        let at = self.url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
        let plugins = text::count(self.plugins.len(), "plugin");
        let ill = if ill > 0 { format!(", of which {ill} not running") } else { String::new() };
        format!("{} is up{at}: {plugins}, {}{ill}", self.module, text::count(workers.len(), "worker"))
    }
}

mod seconds {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let seconds = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
        seconds.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let seconds = Option::<u64>::deserialize(deserializer)?;
        Ok(seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)))
    }
}
