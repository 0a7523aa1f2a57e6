//! `mwp` with system calls made to fail, or killed at one of them, by strace.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::{Done, Sandbox};

/// What ran with a fault.
#[derive(Debug)]
pub struct Failed {
    pub done: Done,
    /// The system calls that failed, as strace writes them.
    pub hits: Vec<String>,
    /// Whether `mwp` itself was killed.
    pub killed: bool,
    /// Whether it had not ended after two minutes.
    pub hung: bool,
}

impl Sandbox {
    /// Runs `mwp` under strace with these options, such as `inject=openat:error=EIO:when=3`, with blanks between; what strace writes is in
    /// `strace.log`. `None` where there is no strace.
    pub fn traced(&self, option: &str, arguments: &[&str]) -> Option<Failed> {
        self.traced_within(option, arguments, None)
    }

    /// As [`traced`](Sandbox::traced), killed by the clock.
    pub fn traced_within(&self, option: &str, arguments: &[&str], kill: Option<Duration>) -> Option<Failed> {
        let [log, stdout, stderr] = ["strace.log", "stdout", "stderr"].map(|name| self.path(name));
        let mwp = self.mwp(arguments);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-s", "0", "-o"]).arg(&log);
        for option in option.split(' ') {
            strace.args(["-e", option]);
        }
        if !option.contains("signal=") {
            // Faster; signals do not come that way.
            strace.arg("--seccomp-bpf");
        }
        let injected = option.split(' ').filter_map(|option| option.strip_prefix("inject="));
        let calls: Vec<&str> = injected.filter_map(|option| option.split(':').next()).collect();
        if !calls.is_empty() {
            strace.arg("-e").arg(format!("trace={}", calls.join(",")));
        }
        strace.arg(mwp.get_program()).args(arguments).current_dir(self.work()).process_group(0);
        // Into files: nothing waits for a pipe that somebody holds open.
        strace.stdin(Stdio::null());
        strace.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        for (name, value) in mwp.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        // Those of cargo, in which the loader looks for every library first.
        strace.env_remove("LD_LIBRARY_PATH");
        let mut child = strace.spawn().ok()?;
        let begun = Instant::now();
        let limit = kill.unwrap_or(Duration::from_secs(120));
        let mut is_late = false;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() > limit => {
                    is_late = true;
                    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
                    let _ = rustix::process::kill_process_group(group, Signal::KILL);
                    break child.wait().unwrap();
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let hits = read(&log).lines().filter(|line| line.contains("(INJECTED)")).map(str::to_owned).collect();
        let done = Done { code: status.code(), stdout: read(&stdout), stderr: read(&stderr) };
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        Some(Failed { done, hits, killed, hung: is_late && kill.is_none() })
    }
}
