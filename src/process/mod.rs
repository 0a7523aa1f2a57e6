//! Running other programs: each in a process group of its own, its output line by line, and an end on ^C.
//!
//! The library never installs signal handlers; the command line calls [`interrupt`] when it is told to stop. From
//! then on every running group is ended and nothing new is started.

// Control files are no files on a disk.
mod birth;
#[allow(clippy::disallowed_methods)]
pub(crate) mod cgroup;
pub(crate) mod facts;
mod lines;
pub mod sockets;
pub(crate) mod tree;

pub(crate) use self::birth::Birth;
pub use self::cgroup::GroupLimits;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::{At, Error, Result};
use crate::site::Environment;
use crate::text;
use crate::threads;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Ends every program that runs now, group by group, and lets nothing new start.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
    signal_groups(Signal::TERM);
    // Whoever does not listen has had its chance; nothing that they leave counts as finished.
    std::thread::sleep(Duration::from_millis(300));
    signal_groups(Signal::KILL);
}

pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

fn signal_groups(signal: Signal) {
    let groups = GROUPS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for group in groups.iter() {
        if let Some(group) = Pid::from_raw(*group) {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

/// Becomes another program, which sees this environment and, where one is given, starts in that directory. Where
/// that cannot be, says why; `program` is looked for on the PATH of the new environment.
pub fn become_program<A: AsRef<std::ffi::OsStr>>(
    program: &std::ffi::OsStr,
    arguments: &[A],
    directory: Option<&Path>,
    environment: &Environment,
) -> io::Error {
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().envs(environment.iter());
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    command.exec()
}

/// A program to run.
#[derive(Debug, Clone)]
pub struct Program {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub directory: PathBuf,
    pub environment: Environment,
}

impl Program {
    pub fn new(program: impl Into<OsString>, directory: &Path, environment: &Environment) -> Program {
        Program {
            program: program.into(),
            arguments: Vec::new(),
            directory: directory.to_owned(),
            environment: environment.clone(),
        }
    }

    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Program {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<OsString>) -> Program {
        self.environment.set(name, value);
        self
    }

    /// As a person would type it, for logs.
    fn shown(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words.map(|word| text::visible_bytes(word.as_encoded_bytes())).collect::<Vec<_>>().join(" ")
    }

    fn expression(&self) -> duct::Expression {
        duct::cmd(&self.program, &self.arguments)
            .dir(&self.directory)
            .full_env(self.environment.iter())
            .stdin_null()
            .unchecked()
            .before_spawn(|command| {
                Birth::in_group().ended_with_parent(Signal::KILL).of(command);
                Ok(())
            })
    }

    fn cannot_start(&self, error: &io::Error) -> Error {
        let program = text::path(Path::new(&self.program));
        let failed = Error::machine(format!("cannot run {program}: {}", text::io_reason(error)));
        match error.kind() {
            io::ErrorKind::NotFound => failed.hint("install it, or put it on PATH"),
            _ => failed,
        }
    }

    /// Runs until the program itself has ended; what it left behind does not hold that up. Both streams go to `log` and, line by line, to `on_line`.
    pub fn run(&self, log: &mut Log, on_line: &dyn Fn(&str)) -> Result<Finished> {
        if is_interrupted() {
            return Err(Error::interrupted());
        }
        log.line(&format!("$ {}", self.shown()))?;
        let start = log.position;
        let (output, theirs) = io::pipe().map_err(|error| self.cannot_start(&error))?;
        let handle = self
            .expression()
            .stderr_to_stdout()
            .stdout_file(theirs)
            .start()
            .map_err(|error| self.cannot_start(&error))?;
        let group = Group::of(&handle.pids());
        let ended = || handle.wait().map(|output| output.status);
        let status = lines::until_end(output, ended, |line| {
            log.bytes(line)?;
            // A progress bar rewrites its line: what is after the last return is what a terminal would show.
            let shown = line.trim_ascii_end().rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
            on_line(&text::visible_bytes(shown));
            Ok(())
        });
        if status.is_err() {
            group.kill();
        }
        drop(group);
        let status = status?.at("wait for", Path::new(&self.program))?;
        if is_interrupted() {
            return Err(Error::interrupted());
        }
        Ok(Finished { code: status.code(), output: log.since(start) })
    }

    /// Runs to the end and returns both streams as they came; `None` where it took longer than that, and was killed.
    pub fn run_within(&self, limit: Duration) -> Result<Option<Finished>> {
        if is_interrupted() {
            return Err(Error::interrupted());
        }
        let end = Instant::now() + limit;
        let (theirs, output) = self.collect()?;
        let expression = self.expression().stderr_to_stdout().stdout_file(theirs);
        let handle = expression.start().map_err(|error| self.cannot_start(&error))?;
        drop(expression);
        let group = Group::of(&handle.pids());
        let status = handle.wait_deadline(end).at("wait for", Path::new(&self.program))?.map(|it| it.status);
        // Whoever else holds the output open is not waited for any longer.
        let output = output.recv_timeout(end.saturating_duration_since(Instant::now()));
        let (Some(status), Ok(output)) = (status, output) else {
            group.kill();
            let _ = handle.wait();
            return Ok(None);
        };
        let output = output.at("read the output of", Path::new(&self.program))?;
        Ok(Some(Finished { code: status.code(), output: String::from_utf8_lossy(&output).into_owned() }))
    }

    /// Runs to the end, whatever the exit code; both streams are kept as they are.
    pub fn output(&self) -> Result<std::process::Output> {
        if is_interrupted() {
            return Err(Error::interrupted());
        }
        let (stdout, out) = self.collect()?;
        let (stderr, err) = self.collect()?;
        let expression = self.expression().stdout_file(stdout).stderr_file(stderr);
        let handle = expression.start().map_err(|error| self.cannot_start(&error))?;
        drop(expression);
        let _group = Group::of(&handle.pids());
        let status = handle.wait().at("wait for", Path::new(&self.program))?.status;
        let all = |from: Receiver<io::Result<Vec<u8>>>| {
            let read = from.recv().map_err(|_| Error::machine("cannot read the output of a program"))?;
            read.at("read the output of", Path::new(&self.program))
        };
        Ok(std::process::Output { status, stdout: all(out)?, stderr: all(err)? })
    }

    /// A pipe for the program to write to, and what it and everybody who has it will have written to it.
    fn collect(&self) -> Result<(PipeWriter, Receiver<io::Result<Vec<u8>>>)> {
        let (mut output, theirs) = io::pipe().map_err(|error| self.cannot_start(&error))?;
        let (all, receiver) = channel();
        threads::start("reading the output of a program", move || {
            let mut content = Vec::new();
            let read = output.read_to_end(&mut content).map(|_| content);
            // Nobody may be waiting any more.
            let _ = all.send(read);
        })?;
        Ok((theirs, receiver))
    }

    /// Runs to the end and returns standard output, for short questions such as `--version`.
    pub fn ask(&self) -> Result<String> {
        let output = self.output()?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            let reason = reason.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
            return Err(Error::machine(format!("`{}` failed: {}", self.shown(), text::visible(reason))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Known to [`interrupt`] while it lives.
struct Group(Vec<i32>);

impl Group {
    fn of(pids: &[u32]) -> Group {
        let pids: Vec<i32> = pids.iter().filter_map(|pid| i32::try_from(*pid).ok()).collect();
        GROUPS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(&pids);
        if is_interrupted() {
            signal_groups(Signal::KILL);
        }
        Group(pids)
    }

    fn kill(&self) {
        for group in self.0.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut groups = GROUPS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for pid in &self.0 {
            groups.remove(pid);
        }
    }
}

/// A program that ran to its end.
#[derive(Debug)]
pub struct Finished {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to both streams.
    pub output: String,
}

impl Finished {
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// `exit code 2`, or that a signal ended it.
    pub fn ending(&self) -> String {
        match self.code {
            Some(code) => format!("exit code {code}"),
            None => "a signal ended it".to_owned(),
        }
    }
}

/// The log file of one task: what was run and everything that it wrote.
pub struct Log {
    file: File,
    path: PathBuf,
    /// The end of what was written; the file has all.
    content: Vec<u8>,
    /// How much was written.
    position: usize,
}

/// So much of a log is kept in memory at least, where there is more.
const KEPT: usize = 4 << 20;

impl Log {
    pub fn create(path: &Path) -> Result<Log> {
        Ok(Log {
            // What tools say is not for everybody.
            file: crate::fs::create_file_with_mode(path, 0o640)?,
            path: path.to_owned(),
            content: Vec::new(),
            position: 0,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn line(&mut self, line: &str) -> Result<()> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Adds what another log holds, where several were written at the same time.
    pub fn add(&mut self, other: &Log) -> Result<()> {
        self.bytes(&other.content)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).at("write", &self.path)?;
        self.content.extend_from_slice(bytes);
        self.position += bytes.len();
        if self.content.len() > 2 * KEPT {
            self.content.drain(..self.content.len() - KEPT);
        }
        Ok(())
    }

    fn since(&self, position: usize) -> String {
        let dropped = self.position - self.content.len();
        String::from_utf8_lossy(&self.content[position.saturating_sub(dropped)..]).into_owned()
    }

    /// What was written last, safe to print, colours of the tool taken out.
    pub fn text(&self) -> String {
        let content = String::from_utf8_lossy(&self.content);
        content.lines().map(text::visible).collect::<Vec<_>>().join("\n")
    }
}
