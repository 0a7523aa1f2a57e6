//! From requirements to pins, and from pins to wheels, with uv where it is on the machine, else with pip. Both give
//! the same set of packages.

use std::path::{Path, PathBuf};

use super::interpreter::Interpreter;
use super::requirements::Requirements;
use super::{index, pip, uv};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::process::{Finished, Log, Program};
use crate::site::Site;
use crate::text;
use crate::tools::{self, Tools};

/// Which packages may come as ready-made wheels: `allow_binary_packages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryPolicy {
    /// The file is absent: everything is compiled from source.
    CompileAll,
    /// The file is empty.
    Any,
    /// Only these, by canonical name.
    Only(Vec<String>),
}

impl BinaryPolicy {
    /// From the content of `allow_binary_packages`, `None` where there is no such file.
    pub fn of(content: Option<&str>) -> BinaryPolicy {
        let Some(content) = content else { return BinaryPolicy::CompileAll };
        let words = content.lines().map(|line| line.split('#').next().unwrap_or_default());
        let names: Vec<String> = words
            .flat_map(|line| line.split([',', ' ', '\t']).map(str::trim))
            .filter(|name| !name.is_empty())
            .map(super::canonical_name)
            .collect();
        if names.is_empty() { BinaryPolicy::Any } else { BinaryPolicy::Only(names) }
    }

    pub fn may_be_binary(&self, name: &str) -> bool {
        match self {
            BinaryPolicy::CompileAll => false,
            BinaryPolicy::Any => true,
            BinaryPolicy::Only(names) => names.iter().any(|allowed| allowed == name),
        }
    }
}

/// The tools of one machine, ready to resolve and fetch.
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
        let interpreter = Interpreter::find(tools)?;
        let python = interpreter.executable.clone();
        let wanted = site.environment.text("MWP_PYTHON_INSTALLER").unwrap_or("uv");
        let uv = tools.find("uv").filter(|_| wanted != "pip");
        Ok(Resolver { site, interpreter, uv, python, directory: directory.to_owned(), offline })
    }

    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// Pins every requirement of the file `requirements`, under `constraints`. The pins are lines of a lock.
    pub fn freeze(
        &self,
        requirements: &Path,
        constraints: &[PathBuf],
        staging: &Path,
        log: &mut Log,
        on_line: &dyn Fn(&str),
    ) -> Result<Vec<String>> {
        if self.uv.is_some() {
            uv::freeze(self, requirements, constraints, staging, log, on_line)
        } else {
            pip::freeze(self, requirements, constraints, staging, log, on_line)
        }
    }

    /// Fetches or compiles a wheel for each line of `pins` into `into`.
    pub fn wheels(
        &self,
        pins: &Requirements,
        policy: &BinaryPolicy,
        build_constraint: Option<&Path>,
        into: &Path,
        log: &mut Log,
        on_line: &dyn Fn(&str),
    ) -> Result<()> {
        pip::wheels(self, pins, policy, build_constraint, into, log, on_line)
    }

    /// What decides which file a pin becomes, beside the pin itself.
    pub fn wheel_origin(&self, policy: &BinaryPolicy, name: &str, build_constraint: Option<&str>) -> Digest {
        let binary = policy.may_be_binary(name);
        let constraint = build_constraint.filter(|_| !binary).unwrap_or_default();
        Digest::of(
            format!(
                "{} {} binary={binary}\n{}{constraint}",
                self.interpreter.abi,
                self.interpreter.short_version,
                index::index_settings(self.site)
            )
            .as_bytes(),
        )
    }

    pub(super) fn program(&self, path: &Path) -> Program {
        Program::new(path, &self.directory, &self.site.environment)
    }

    /// pip as a program: the interpreter's own, else one that uv brings.
    pub(super) fn pip(&self) -> Result<Program> {
        if self.interpreter.has_pip {
            return Ok(self.program(&self.python).arguments(["-m", "pip"]));
        }
        match &self.uv {
            Some(uv) => {
                let mut program = self.program(uv);
                for (name, value) in index::uv_variables(self.site) {
                    program = program.set(name, value);
                }
                let program = program.arguments(["tool", "run", "--quiet", "--python"]);
                Ok(program.argument(&self.python).argument("pip"))
            }
            None => Err(tools::missing("pip")),
        }
    }
}

/// The error for a tool that failed: its own reason, not its trace.
pub(super) fn failure(tool: &str, what: &str, finished: &Finished, reason: Option<String>) -> Error {
    let output = &finished.output;
    let reason = reason.unwrap_or_else(|| finished.ending());
    let message = format!("{tool} cannot {what}: {}", text::visible(&reason));
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
    fn allow_binary_packages_is_absent_empty_or_a_list() {
        assert_eq!(BinaryPolicy::of(None), BinaryPolicy::CompileAll);
        assert_eq!(BinaryPolicy::of(Some("# none\n\n")), BinaryPolicy::Any);
        let only = BinaryPolicy::of(Some("NumPy, lxml\nPy_YAML # c\n"));
        assert_eq!(only, BinaryPolicy::Only(vec!["numpy".into(), "lxml".into(), "py-yaml".into()]));
        assert!(only.may_be_binary("numpy") && !only.may_be_binary("six"));
    }
}
