//! One run of a job.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use md5::{Digest, Md5};
use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::capture::Capture;
use crate::env::quoted;
use crate::error::{At, Error, Result};
use crate::fs::{self, Lock};
use crate::process::{Birth, tree};
use crate::site::Environment;
use crate::text;
use crate::threads;

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct CronJob {
    /// The words of a command; a single one that holds blanks is a line for the shell.
    pub words: Vec<OsString>,
    pub shell: PathBuf,
    /// Read by the shell before the command.
    pub settings: Option<PathBuf>,
    pub environment: Environment,
    /// Everything is killed after that time.
    pub timeout: Option<Duration>,
    /// Wait for a random time up to this.
    pub random_sleep: Duration,
    /// Where the locks are, and how long to wait for one: no two runs of the same command at once.
    pub lock: Option<(PathBuf, Duration)>,
    pub nice: Option<i32>,
    /// The class of `ionice`.
    pub io_class: Option<u8>,
    /// Of both streams.
    pub output: Output,
}

/// Where the output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To where ours goes.
    Shared,
    Log(PathBuf),
    Nowhere,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code; 128 and its number where a signal ended it.
    Exit(u8),
    TimedOut,
    /// Another run of the same command holds the lock.
    Locked,
    /// This process was told to end by that signal, and ended the job.
    Signal(i32),
}

enum Event {
    Ended(std::io::Result<ExitStatus>),
    Signal(i32),
}

impl CronJob {
    /// Runs to the end. `warn` is told what does not keep the job from running.
    pub fn run(&self, warn: &dyn Fn(&Error)) -> Result<Ended> {
        std::thread::sleep(random_below(self.random_sleep));
        let _lock = match &self.lock {
            None => None,
            Some((dir, timeout)) => match self.take_lock(dir, *timeout)? {
                None => return Ok(Ended::Locked),
                lock => lock,
            },
        };
        if let Some(nice) = self.nice
            && let Err(errno) = rustix::process::nice(nice)
        {
            let reason = text::io_reason(&errno.into());
            warn(&Error::machine(format!("cannot set the priority to {nice}: {reason}")));
        }
        tree::adopt_orphans();
        let (events, event) = channel();
        report_signals(events.clone())?;
        let capture = self.start(events, warn)?;
        let ended = match self.timeout {
            Some(timeout) => event.recv_timeout(timeout),
            None => event.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let ended = match ended {
            Ok(Event::Ended(status)) => {
                let status = status.at("wait for", &self.shell)?;
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                Ended::Exit(u8::try_from(code).unwrap_or(u8::MAX))
            }
            Ok(Event::Signal(signal)) => Ended::Signal(signal),
            Err(_) => Ended::TimedOut,
        };
        if !matches!(ended, Ended::Exit(_)) {
            tree::kill_descendants();
        }
        if let Some(Err(error)) = capture.map(Capture::finish) {
            warn(&error);
        }
        Ok(ended)
    }

    /// The command for the shell, which takes words for what they are.
    pub fn command_line(&self) -> OsString {
        let has_blanks = |word: &OsString| word.as_bytes().iter().any(u8::is_ascii_whitespace);
        if let [line] = self.words.as_slice()
            && has_blanks(line)
        {
            return line.clone();
        }
        let words: Vec<OsString> = self.words.iter().map(|word| as_word(word)).collect();
        words.join(OsStr::new(" "))
    }

    fn take_lock(&self, dir: &Path, timeout: Duration) -> Result<Option<Lock>> {
        fs::create_own_dir_all(dir)?;
        let digest = Md5::digest(self.command_line().as_bytes());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Lock::acquire_within(&dir.join(format!("{name}.lock")), "cronwrap", timeout)
    }

    /// Starts the command and has its end reported.
    fn start(&self, events: Sender<Event>, warn: &dyn Fn(&Error)) -> Result<Option<Capture>> {
        let mut command = self.command(warn);
        let capture = match &self.output {
            Output::Shared => None,
            Output::Nowhere => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
                None
            }
            Output::Log(log) => {
                let (reader, writer) = std::io::pipe().at("capture", log)?;
                command.stdout(writer.try_clone().at("capture", log)?).stderr(writer);
                Some(Capture::start(reader, log)?)
            }
        };
        // A job without its wrapper would run without lock and time limit.
        Birth::in_session().ended_with_parent(Signal::KILL).of(&mut command);
        // The waiting starts first: a job that nobody waits for is never started.
        let (started, child) = channel::<Child>();
        threads::start("waiting for a job", move || {
            if let Ok(mut child) = child.recv() {
                let _ = events.send(Event::Ended(child.wait()));
            }
        })?;
        // The receiver waits for one child.
        let _ = started.send(command.spawn().at("run", &self.shell)?);
        Ok(capture)
    }

    fn command(&self, warn: &dyn Fn(&Error)) -> Command {
        let mut script = OsString::new();
        if let Some(settings) = &self.settings {
            let file = quoted(settings.as_os_str());
            for part in [OsStr::new("if [ -f "), &file, OsStr::new(" ]; then . "), &file] {
                script.push(part);
            }
            script.push("; fi >/dev/null 2>&1; ");
        }
        script.push(self.command_line());
        let path = self.environment.get("PATH");
        let ionice = self.io_class.and_then(|class| match which::which_in("ionice", path, "/") {
            Ok(program) => Some((program, class)),
            Err(_) => {
                warn(&Error::machine("there is no `ionice` on PATH: the job runs without it"));
                None
            }
        });
        let mut command = match ionice {
            None => Command::new(&self.shell),
            Some((program, class)) => {
                let mut command = Command::new(program);
                command.arg("-c").arg(class.to_string()).arg(&self.shell);
                command
            }
        };
        command.arg("-c").arg(script).env_clear().envs(self.environment.iter());
        command
    }
}

/// As it is where a shell reads nothing into it, else quoted.
fn as_word(word: &OsStr) -> OsString {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%".contains(byte);
    let is_quoted = word.is_empty() || !word.as_bytes().iter().all(is_plain);
    if is_quoted { quoted(word) } else { word.to_owned() }
}

fn report_signals(events: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Error::machine(format!("cannot listen to signals: {error}")))?;
    threads::start("signals", move || {
        for signal in signals.forever() {
            let _ = events.send(Event::Signal(signal));
        }
    })?;
    Ok(())
}

/// Any time up to `most`.
fn random_below(most: Duration) -> Duration {
    // Each RandomState is seeded by the operating system's randomness.
    let random = RandomState::new().build_hasher().finish();
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(if most == 0 { 0 } else { random % most.saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_and_a_single_one_with_blanks_is_a_line() {
        for (words, line) in [
            (vec!["echo a; echo b"], "echo a; echo b"),
            (vec!["plugin_wrapper", "foo", "--", "run me"], "plugin_wrapper foo -- 'run me'"),
            (vec!["sh", "-c", "echo a; exit 3", "x"], "sh -c 'echo a; exit 3' x"),
            (vec!["find", "d", "-name", "*.tmp", "{}", ";"], "find d -name '*.tmp' '{}' ';'"),
            (vec!["tool", "--exec", "$HOME", "it's", ""], "tool --exec '$HOME' 'it'\\''s' ''"),
            (vec!["true;false"], "'true;false'"),
        ] {
            let job = CronJob {
                words: words.into_iter().map(OsString::from).collect(),
                shell: PathBuf::from("/bin/sh"),
                settings: None,
                environment: Environment::default(),
                timeout: None,
                random_sleep: Duration::ZERO,
                lock: None,
                nice: None,
                io_class: None,
                output: Output::Shared,
            };
            assert_eq!(job.command_line(), line);
        }
    }

    #[test]
    fn a_random_time_is_within_its_bound() {
        assert_eq!(random_below(Duration::ZERO), Duration::ZERO);
        assert!((0..100).all(|_| random_below(Duration::from_millis(3)) <= Duration::from_millis(3)));
    }
}
