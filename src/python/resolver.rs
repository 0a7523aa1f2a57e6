//! The tools of one machine that resolve and fetch: uv where it is on the machine, else pip. Both give the same set of
//! packages.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use pep440_rs::Version;

use super::interpreter::Interpreter;
use super::sources::{OF_UV, Sources};
use crate::error::{Error, Result};
use crate::process::{Finished, Program};
use crate::site::Site;
use crate::text;
use crate::tools::{self, Tools};

/// The first uv that writes `pylock.toml` as it should; an older one is not asked.
const FIRST_UV: [u64; 2] = [0, 7];

/// The tools, ready to resolve and fetch.
pub struct Resolver<'a> {
    pub(super) site: &'a Site,
    pub(super) interpreter: Interpreter,
    pub(super) uv: Option<PathBuf>,
    pub(super) python: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) offline: bool,
}

impl<'a> Resolver<'a> {
    /// For the requirement files in `directory`, in which the tools are run: relative paths are relative to it.
    pub fn new(site: &'a Site, tools: &Tools<'_>, directory: &Path, offline: bool) -> Result<Resolver<'a>> {
        let mut interpreter = Interpreter::find(tools)?;
        let wanted = site.environment.text("MWP_PYTHON_INSTALLER").unwrap_or("uv");
        let has_uv = wanted != "pip" && tools.find("uv").is_some();
        let uv =
            if has_uv { Some(tools.require("uv")?).filter(|uv| is_new_enough(&uv.version)) } else { None };
        let uv = uv.map(|uv| uv.path);
        if uv.is_none() && !interpreter.has_pip {
            interpreter = Interpreter::find_anew(tools)?;
        }
        let python = interpreter.executable.clone();
        Ok(Resolver { site, interpreter, uv, python, directory: directory.to_owned(), offline })
    }

    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    pub(super) fn program(&self, path: &Path) -> Program {
        Program::new(path, &self.directory, &self.site.environment)
    }

    /// uv, which sees the settings that pip has, and no other project's.
    pub(super) fn uv(&self, sources: &Sources) -> Result<Program> {
        let mut program = self.program(self.uv.as_ref().ok_or_else(|| tools::missing("uv"))?);
        for name in OF_UV {
            program.environment.remove(name);
        }
        for (name, value) in sources.uv_variables(self.site) {
            program = program.set(name, value);
        }
        Ok(program)
    }

    /// pip as a program: the interpreter's own, else one that uv brings.
    pub(super) fn pip(&self, sources: &Sources) -> Result<Program> {
        let program = if self.interpreter.has_pip {
            self.program(&self.python).arguments(["-m", "pip"])
        } else if self.uv.is_some() {
            let program = self.uv(sources)?.arguments(["tool", "run", "--quiet", "--python"]);
            program.argument(&self.python).argument("pip")
        } else {
            return Err(tools::missing("pip"));
        };
        Ok(sources
            .pip_variables(self.site)
            .into_iter()
            .fold(program, |program, (name, value)| program.set(name, value)))
    }
}

/// `uv 0.7.2 (…)`
fn is_new_enough(version: &str) -> bool {
    let version = version.split_whitespace().nth(1).and_then(|version| Version::from_str(version).ok());
    version.is_some_and(|version| version >= Version::new(FIRST_UV))
}

/// The error for a tool that failed: its own reason, not its trace.
pub(super) fn failure(tool: &str, what: &str, finished: &Finished, reason: Option<String>) -> Error {
    let output = &finished.output;
    let reason = reason.unwrap_or_else(|| finished.ending());
    let message = format!("{tool} cannot {what}: {}", text::visible_lines(&reason));
    const NO_NETWORK: [&str; 8] = [
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "Network is unreachable",
        "Connection refused",
        "dns error",
        "tcp connect error",
        "Connection timed out",
        "client error (Connect)",
    ];
    // Of git and ssh, for requirements that are fetched with them.
    const NO_HOST: [&str; 4] =
        ["Could not resolve host", "Failed to connect", "ssh: connect to host", "timed out"];
    let is_of_network = |line: &&str| {
        (line.contains("unable to access") || line.contains("ssh: "))
            && NO_HOST.iter().any(|sign| line.contains(sign))
    };
    if let Some(line) = output.lines().find(is_of_network) {
        return Error::machine(format!("{tool} cannot {what}: {}", text::visible(line.trim())))
            .hint("check the network, the proxy, and that you may read that repository");
    }
    if NO_NETWORK.iter().any(|sign| output.contains(sign)) {
        return Error::machine(format!("{tool} cannot {what}: no package index can be reached"))
            .hint("check the network, the proxy and the index settings of pip; packages that are in a cache need no network");
    }
    if output.contains("No space left on device") {
        return Error::machine(format!("{tool} cannot {what}: no space left on device"))
            .hint("free some space and run the same command again; nothing was lost");
    }
    if output.contains("needs to be available through the network")
        || output.contains("network was disabled")
        || output.contains("offline")
    {
        return Error::machine(message).hint("run it once without --offline");
    }
    Error::input(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uv_that_is_too_old_is_not_asked() {
        assert!(is_new_enough("uv 0.13.9 (x86_64-unknown-linux-gnu)") && is_new_enough("uv 1.0.0"));
        assert!(!is_new_enough("uv 0.6.14") && !is_new_enough("something"));
    }
}
