//! Errors as data: who is at fault, what was found, and the next step.
//!
//! Printing is done in one place, [`crate::cli`]: one `error:` line per problem and at most one `hint:` line.
//! Messages start in lower case, put paths in back-ticks and name what was found and what is allowed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::exit;
use crate::text;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    Input,
    Usage,
    Machine,
    Interrupted,
    /// Nobody: what was asked for is done, and something after it failed.
    DoneBut,
}

impl Fault {
    pub fn exit_code(self) -> u8 {
        match self {
            Fault::Input => exit::INPUT,
            Fault::Usage => exit::USAGE,
            Fault::Machine => exit::MACHINE,
            Fault::Interrupted => exit::INTERRUPTED,
            Fault::DoneBut => exit::DONE_BUT,
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub message: String,
    pub hint: Option<String>,
}

/// One or more problems that end an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    pub fault: Fault,
    pub problems: Vec<Problem>,
    /// Where it is a task of a build that failed.
    #[serde(default)]
    pub task: Option<Box<FailedTask>>,
}

/// The task that failed, and where what its tool wrote is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTask {
    pub name: String,
    pub log: PathBuf,
}

const WANTS_FILE: &str = "a file is wanted there: move what is there away, or name another place";

impl Error {
    fn new(fault: Fault, message: impl Into<String>) -> Error {
        Error::many(fault, vec![Problem { message: message.into(), hint: None }])
    }

    /// The plugin or its input is at fault.
    pub fn input(message: impl Into<String>) -> Error {
        Error::new(Fault::Input, message)
    }

    /// The command line is at fault.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Fault::Usage, message)
    }

    /// The machine is at fault: disk, network, a missing tool.
    pub fn machine(message: impl Into<String>) -> Error {
        Error::new(Fault::Machine, message)
    }

    /// After the point of no return: `done` says what is done.
    pub fn done_but(done: &str, error: &Error) -> Error {
        let failed = Error::new(Fault::DoneBut, format!("{done}, but {error}"));
        match error.problems.iter().find_map(|problem| problem.hint.as_ref()) {
            Some(hint) => failed.hint(hint),
            None => failed.hint("look at the disk; the same command need not be run again"),
        }
    }

    pub fn interrupted() -> Error {
        Error::new(Fault::Interrupted, "interrupted")
    }

    /// All problems at once, for checks that go on after the first.
    pub fn many(fault: Fault, problems: Vec<Problem>) -> Error {
        Error { fault, problems, task: None }
    }

    /// It is this task that failed.
    #[must_use]
    pub fn in_task(self, name: &str, log: &Path) -> Error {
        Error { task: Some(Box::new(FailedTask { name: name.to_owned(), log: log.to_owned() })), ..self }
    }

    /// It is about what was named on the command line.
    #[must_use]
    pub fn of_command_line(self) -> Error {
        Error { fault: Fault::Usage, ..self }
    }

    /// The next step for the user, on the last problem.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        if let Some(problem) = self.problems.last_mut() {
            problem.hint = Some(hint.into());
        }
        self
    }

    /// As [`hint`](Error::hint), unless there is one already.
    #[must_use]
    pub fn hint_if_none(self, hint: impl Into<String>) -> Error {
        match self.problems.last() {
            Some(problem) if problem.hint.is_some() => self,
            _ => self.hint(hint),
        }
    }

    /// An operating system error on a path, with the next step where it is known.
    pub fn io(verb: &str, path: &Path, error: &io::Error) -> Error {
        let message = format!("cannot {verb} {}: {}", text::path(path), text::io_reason(error));
        let failed = Error::machine(message);
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                failed.hint("free some space there and run the same command again; nothing was lost")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                failed.hint("check the owner and the permissions of that path")
            }
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => failed
                .hint("it is a link that leads to itself, or below one: remove it, or let it lead to a file"),
            // What a socket answers to whoever opens it.
            _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => failed.hint(WANTS_FILE),
            io::ErrorKind::InvalidInput if error.to_string().ends_with("no file") => failed.hint(WANTS_FILE),
            io::ErrorKind::IsADirectory => {
                failed.hint("a file is wanted there: move the directory away, or name another place")
            }
            io::ErrorKind::CrossesDevices | io::ErrorKind::ResourceBusy => {
                failed.hint("look what is mounted there with `findmnt`, and take it off")
            }
            io::ErrorKind::NotADirectory => {
                failed.hint("a part of that path is no directory: move it away, or name another place")
            }
            _ => failed,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Puts the path into an [`io::Error`]: `fs::read(p).at("read", p)?`.
pub trait At<T> {
    fn at(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::io(verb, path, &error.into()))
    }
}
