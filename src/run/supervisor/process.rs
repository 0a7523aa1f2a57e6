//! One process of a worker: its start with limits, its group, its end.
//!
//! Each process leads a group of its own and is marked by a variable in its environment that its descendants
//! inherit, so that whatever it leaves behind is found and ended, in its group or out of it. Should the supervisor die,
//! the kernel kills its processes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Resource, Signal};
use tokio::process::{Child, Command};

use super::logs::{LastOutput, Logs, SharedOutput};
use super::proxy;
use crate::fs;
use crate::process::Birth;
use crate::process::cgroup::{self, Groups};
use crate::process::sockets::connections;
use crate::run::nginx::running;
use crate::run::{Limits, Service, ServiceKind, Stop};
use crate::site::Environment;
use crate::text;

/// Names the service, the worker and the process itself to whoever looks at a process' environment.
pub(crate) const MARK: &str = "MWP_WORKER";

/// Looks, five milliseconds apart, until what was killed has to be gone.
const GONE_AFTER: usize = 200;

/// What to start.
pub(super) struct Start<'a> {
    pub(super) service: &'a Service,
    pub(super) environment: &'a Environment,
    pub(super) worker: u32,
    /// Tells processes apart.
    pub(super) generation: u64,
    /// The module's directories for sockets and logs.
    pub(super) var: &'a Path,
    pub(super) log: &'a Path,
    /// The soft limit that the supervisor was started with: its own is higher.
    pub(super) open_files: Option<u64>,
    pub(super) groups: Option<&'a Groups>,
}

/// How a process ended, as the operating system says.
pub(super) type Ended = std::io::Result<ExitStatus>;

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) pid: u32,
    group: Option<Pid>,
    pub(super) started: Instant,
    pub(super) started_at: SystemTime,
    pub(super) last_output: SharedOutput,
    /// Where it listens until its socket is put into service, and the name that the kernel knows it by for good.
    pub(super) bound: Option<PathBuf>,
    /// The name that its socket has in service, which its successor may have by now.
    socket: PathBuf,
    mark: String,
    /// Which nobody leaves; where the machine has such groups.
    cgroup: Option<cgroup::Group>,
}

/// Whether both names are of one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| path.symlink_metadata().ok().map(|file| (file.dev(), file.ino()));
    identity(one).is_some() && identity(one) == identity(other)
}

impl Process {
    /// The reason is for people.
    pub(super) fn start(start: &Start<'_>, logs: &Logs) -> Result<Process, String> {
        let service = start.service;
        let bound = service.listens().then(|| {
            let mut name = service.socket(start.worker, start.var).into_os_string();
            name.push(format!(".{}", start.generation));
            PathBuf::from(name)
        });
        if let Some(bound) = &bound {
            fs::remove_file(bound).map_err(|error| error.to_string())?;
        }
        if service.id == proxy::id() {
            // One that was killed has left its name there, which nginx does not take over.
            fs::remove_file(&running::own_socket(start.var)).map_err(|error| error.to_string())?;
        }
        let socket = bound.clone().unwrap_or_default();
        let words = service.command.words(&start.worker.to_string(), &socket);
        let mark = format!("{}/{}/{}", service.id.file_stem(), start.worker, start.generation);
        let last_output = Arc::new(std::sync::Mutex::new(LastOutput::default()));
        let [out, err] = service.logs(start.worker, start.log);

        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&service.home).env_clear().envs(start.environment.iter());
        command.env(MARK, &mark).stdin(Stdio::null());
        // Nobody drops one that runs; should it happen all the same, it must not run on unseen.
        command.kill_on_drop(true);
        let pipe = || std::io::pipe().map_err(|error| cannot_open(&error));
        let (from_out, to_log) = pipe()?;
        if out == err {
            let twin = to_log.try_clone().map_err(|error| cannot_open(&error))?;
            command.stdout(Stdio::from(to_log)).stderr(Stdio::from(twin));
        } else {
            let (from_err, to_err_log) = pipe()?;
            command.stdout(Stdio::from(to_log)).stderr(Stdio::from(to_err_log));
            logs.copy(from_err, &err, &last_output);
        }
        logs.copy(from_out, &out, &last_output);
        // nginx, which has the connections of all, may have as many descriptors as we.
        let open_files = if service.id.kind == ServiceKind::Module { None } else { start.open_files };
        // Without one, the mark and the process group have to do.
        let name = format!("{}-{}-{}", service.id.file_stem(), start.worker, start.generation);
        let cgroup = start.groups.and_then(|groups| groups.group(&service.id.group(), &name).ok());
        let entry = cgroup.as_ref().and_then(|cgroup| cgroup.entry().ok());
        birth(service.limits, open_files, entry).of(command.as_std_mut());
        let child = command.spawn().map_err(|error| cannot_run(&words[0], &service.home, &error))?;
        let pid = child.id().unwrap_or_default();
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Ok(Process {
            child,
            pid,
            group,
            started: Instant::now(),
            started_at: SystemTime::now(),
            last_output,
            bound,
            socket: service.socket(start.worker, start.var),
            mark,
            cgroup,
        })
    }

    /// Waits for its end; what it left behind is ended too.
    pub(super) async fn ended(&mut self) -> Ended {
        let status = self.child.wait().await;
        self.sweep().await;
        status
    }

    /// How it ended, and the last line of its output.
    pub(super) async fn exit_reason(&self, how: Ended) -> String {
        // They may still be on their way into the log.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let how = match how {
            Ok(status) => ending(status),
            Err(error) => format!("it cannot be waited for: {error}"),
        };
        let last_output = self.last_output.lock().unwrap_or_else(PoisonError::into_inner);
        let line =
            if last_output.line.is_empty() { String::new() } else { format!(": {}", last_output.line) };
        format!("{how} after {}{line}", text::duration(self.started.elapsed()))
    }

    pub(super) fn signal(&self, signal: i32) {
        if let (Some(pid), Some(signal)) = (self.group, Signal::from_named_raw(signal))
            && self.child.id().is_some()
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Ends the rest of the group, and what carries the mark elsewhere.
    async fn sweep(&self) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        // A process that is killed takes a moment to be gone.
        for _ in 0..GONE_AFTER {
            let is_populated = self.cgroup.as_ref().is_some_and(cgroup::Group::is_populated);
            if super::children::kill_marked(|mark| mark == self.mark) == 0 && !is_populated {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if let Some(bound) = &self.bound {
            if is_same_file(bound, &self.socket) {
                let _ = fs::remove_file(&self.socket);
            }
            let _ = fs::remove_file(bound);
        }
    }

    pub(super) fn kill(&self) {
        if let Some(group) = self.group
            && self.child.id().is_some()
        {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }

    /// Stops it gracefully: waits until nobody is connected any more, asks it to end, and gives it time to. Whoever has not
    /// ended then is to be killed.
    pub(super) async fn retire(&mut self, stop: Stop) {
        if let Some(bound) = self.bound.clone() {
            let drained = drain(&bound);
            tokio::select! {
                () = drained => {}
                () = tokio::time::sleep(stop.drain) => {}
                _ = self.child.wait() => {}
            }
        }
        self.signal(stop.signal);
        let _ = tokio::time::timeout(stop.delay, self.child.wait()).await;
    }
}

/// Returns when there is no connection to the socket that was bound to this path.
async fn drain(bound: &Path) {
    let mut pause = Duration::from_millis(10);
    // Where the kernel does not tell, the time for draining is spent in full.
    while !matches!(connections(bound), Ok(0)) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn birth(limits: Limits, open_files: Option<u64>, cgroup: Option<File>) -> Birth {
    Birth::in_group()
        .ended_with_parent(Signal::KILL)
        .in_cgroup(cgroup)
        .soft_open_files(open_files)
        .limit(Resource::As, limits.address_space)
        .limit(Resource::Nofile, limits.open_files)
        .limit(Resource::Stack, limits.stack)
        .limit(Resource::Fsize, limits.file_size)
}

/// Most likely there are too many descriptors open.
fn cannot_open(error: &std::io::Error) -> String {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    match (error.raw_os_error(), limit) {
        (Some(number), Some(limit)) if number == rustix::io::Errno::MFILE.raw_os_error() => format!(
            "no descriptor is left of the {limit} that `ulimit -n` allows; each worker needs up to three, a higher limit is \
             needed"
        ),
        _ => format!("cannot make a pipe: {}", text::io_reason(error)),
    }
}

fn cannot_run(program: &str, home: &Path, error: &std::io::Error) -> String {
    let shown = text::visible(program);
    if !home.is_dir() {
        return format!("cannot start in {}: there is no such directory", text::path(home));
    }
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("cannot run `{shown}`: there is no such program on the plugin's PATH")
        }
        _ => format!("cannot run `{shown}`: {}", text::io_reason(error)),
    }
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal);
            format!("ended by {}", name.map_or_else(|| format!("signal {signal}"), str::to_owned))
        }
        _ => "ended".to_owned(),
    }
}
