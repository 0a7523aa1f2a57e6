//! Talking to the supervisor of a module: one request and one reply, as lines of JSON over a unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::model::status::ModuleStatus;
use crate::error::{At, Error, Fault, Result};
use crate::plugin::Module;
use crate::process;
use crate::site::Site;
use crate::text;

/// What a supervisor is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// `checks`: ask the apps and plugins whether they are well, too.
    Status {
        checks: bool,
    },
    /// Look at everything again; what changed takes effect.
    Reload,
    /// `wait`: until the new processes serve.
    Restart {
        names: Vec<String>,
        wait: bool,
    },
    /// Everything but nginx, where there is no name.
    Stop {
        names: Vec<String>,
    },
    /// Put what is now in the plugin's home into service, in place of what runs; that goes on if the new one is not
    /// well.
    Swap {
        plugin: String,
        base: PathBuf,
    },
    /// Give up a swap that has not come to its end; fails where the new version serves already.
    CallOff {
        plugin: String,
    },
    /// Take a plugin out of service, gracefully.
    Withdraw {
        plugin: String,
        base: PathBuf,
    },
    /// A change of the plugin that was announced is over, one way or the other: what is there now is to run.
    Settled {
        plugin: String,
        base: PathBuf,
    },
    Down,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done,
    Status(Box<ModuleStatus>),
    Failed(Error),
}

/// The socket of a module's supervisor.
pub fn socket(module: &Module, site: &Site) -> PathBuf {
    site.runtime_home(module).join("var/mwp.socket")
}

/// Between two looks whether somebody wants to go.
const LISTENING: Duration = Duration::from_millis(100);

/// A process that was killed is gone by then, however busy the machine is.
pub(super) const DYING: Duration = Duration::from_secs(10);

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
    path: PathBuf,
    is_final: bool,
}

impl Control {
    /// `None` where the module is not up.
    pub fn connect(module: &Module, site: &Site) -> Result<Option<Control>> {
        let path = socket(module, site);
        match UnixStream::connect(&path) {
            Ok(stream) => Ok(Some(Control { stream, path, is_final: false })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Err(too_long(&path)),
            Err(error) => Err(Error::io("connect to", &path, &error)),
        }
    }

    /// Whether a supervisor answers. One that was killed may accept connections for a moment longer, until the last of
    /// its threads is gone; that is waited for.
    pub fn is_answered(module: &Module, site: &Site) -> Result<bool> {
        let deadline = Instant::now() + DYING;
        while let Some(control) = Control::connect(module, site)? {
            match control.ask(&Request::Status { checks: false }) {
                Err(error) if error.fault == Fault::Interrupted => return Err(error),
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Asks and waits for the reply, however long that takes.
    pub fn ask(mut self, request: &Request) -> Result<Reply> {
        let mut line = serde_json::to_vec(request).map_err(|error| Error::machine(error.to_string()))?;
        line.push(b'\n');
        self.stream.write_all(&line).at("ask", &self.path)?;
        let reply = self.read_reply()?;
        if reply.is_empty() {
            return Err(Error::machine("the supervisor ended before it answered")
                .hint("`mwp status` says whether it is up again"));
        }
        match serde_json::from_slice(&reply) {
            Ok(Reply::Failed(error)) => Err(error),
            Ok(reply) => Ok(reply),
            Err(error) => Err(Error::machine(format!("the supervisor's answer cannot be read: {error}"))
                .hint("it may be of another version: `mwp down`, then `mwp up`")),
        }
    }

    /// As [`ask`](Control::ask) of somebody who was told to end: waits all the same, though not for long.
    pub fn ask_at_the_end(mut self, request: &Request) -> Result<Reply> {
        self.is_final = true;
        self.ask(request)
    }

    /// What the supervisor says before it hangs up; nothing where it died.
    fn read_reply(&mut self) -> Result<Vec<u8>> {
        self.stream.set_read_timeout(Some(LISTENING)).at("read the answer of", &self.path)?;
        let begun = Instant::now();
        let (mut reply, mut buffer) = (Vec::new(), [0; 16 * 1024]);
        while !reply.ends_with(b"\n") {
            use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => reply.extend_from_slice(&buffer[..length]),
                Err(_) if self.is_final && begun.elapsed() > DYING => return Err(Error::interrupted()),
                Err(_) if process::is_interrupted() && !self.is_final => return Err(Error::interrupted()),
                Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(Error::io("read the answer of", &self.path, &error)),
            }
        }
        Ok(reply)
    }

    /// As [`ask`](Control::ask), for what has nothing to tell.
    pub fn order(self, request: &Request) -> Result<()> {
        self.ask(request).map(drop)
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), ConnectionRefused | NotFound | NotADirectory)
}

/// A unix socket's path has at most 107 bytes.
pub(super) fn too_long(path: &Path) -> Error {
    Error::machine(format!("{} is too long for a unix socket", text::path(path)))
        .hint("choose a runtime home with a shorter path: MFMODULE_RUNTIME_HOME")
}
