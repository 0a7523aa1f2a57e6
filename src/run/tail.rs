//! The logs of what runs, as they grow.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Service, plan};
use crate::error::{At, Error, Result};
use crate::fs;
use crate::installed::Base;
use crate::plugin::Module;
use crate::site::Site;
use crate::text;

/// The log files that a name stands for: `nginx`, `supervisor`, a plugin, or `PLUGIN/SERVICE[/WORKER]`.
pub fn files(name: &str, module: &Module, plugins_base: Option<&Path>, site: &Site) -> Result<Vec<PathBuf>> {
    let log = site.runtime_home(module).join("log");
    let present = |paths: Vec<PathBuf>| paths.into_iter().filter(|path| path.is_file()).collect::<Vec<_>>();
    let found = match name {
        "supervisor" => present(vec![log.join("supervisor.log")]),
        "redis" if *module == Module::Mfdata => present(vec![log.join("redis.log")]),
        "nginx" => {
            present(["nginx.log", "nginx_error.log", "nginx_access.log"].map(|name| log.join(name)).into())
        }
        _ => {
            let mut parts = name.splitn(3, '/');
            let (plugin, service, worker) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
            let mut paths = of_plugin(plugin, service, worker, module, plugins_base, site, &log)?;
            if service.is_none() {
                paths.push(log.join(format!("postinstall_{plugin}.log")));
            }
            present(paths)
        }
    };
    if found.is_empty() {
        let settings = super::Settings::load(module, site)?;
        if let super::LogTarget::Journald { .. } = settings.log.target {
            return Err(Error::input(format!("the logs of {module} are in the machine's journal")).hint(
                "read them with `journalctl`, as `journalctl -f -t app_PLUGIN_APP`, or by module, as \
                 `journalctl METWORK_MODULE=mfserv`",
            ));
        }
        return Err(Error::input(format!(
            "there is no log of `{}` in {}",
            text::visible(name),
            text::path(&log)
        ))
        .hint("name a plugin, PLUGIN/SERVICE, `nginx`, `redis` or `supervisor`; nothing that ever ran has no log"));
    }
    Ok(found)
}

fn of_plugin(
    name: &str,
    service: Option<&str>,
    worker: Option<&str>,
    module: &Module,
    plugins_base: Option<&Path>,
    site: &Site,
    log: &Path,
) -> Result<Vec<PathBuf>> {
    let base = Base::new(plugins_base, module, site);
    let settings = super::Settings::load(module, site)?;
    let site = settings.applied_to(site, module);
    let plan = base.get(name).and_then(|installed| plan(&installed, &base, module, &site));
    let Ok(plan) = plan else {
        // It may have been uninstalled, or be damaged: its logs are there all the same.
        let prefixes = ["app", "step", "extra"].map(|kind| format!("{kind}_{name}_"));
        let is_meant = |path: &PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            prefixes.iter().any(|prefix| file.starts_with(prefix)) && is_current(&file)
        };
        return Ok(fs::list(log)?.into_iter().filter(is_meant).collect());
    };
    let is_meant = |found: &&Service| {
        service.is_none_or(|wanted| {
            wanted == found.id.name || wanted == format!("{}_{}", found.id.kind.word(), found.id.name)
        })
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for service in plan.services.iter().filter(is_meant) {
        for number in 1..=service.workers.max(1) {
            if worker.is_none_or(|worker| worker == number.to_string()) {
                paths.extend(service.logs(number, log));
            }
        }
    }
    let mut known = std::collections::BTreeSet::new();
    paths.retain(|path| known.insert(path.clone()));
    Ok(paths)
}

fn is_current(file: &str) -> bool {
    [".log", ".stdout", ".stderr"].iter().any(|ending| file.ends_with(ending))
}

/// A log file and how far it was read.
#[derive(Debug)]
pub struct Tail {
    pub path: PathBuf,
    file: std::fs::File,
    inode: u64,
}

/// What is looked through for the last lines, at most.
const LOOK_BACK: u64 = 8 * 1024 * 1024;

impl Tail {
    /// Opens a log, with its last lines.
    pub fn open(path: &Path, lines: usize) -> Result<(Tail, Vec<u8>)> {
        let mut file = fs::open(path)?;
        let metadata = file.metadata().at("read", path)?;
        let start = metadata.len().saturating_sub(LOOK_BACK);
        file.seek(SeekFrom::Start(start)).at("read", path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).at("read", path)?;
        let end = content.strip_suffix(b"\n").map_or(content.len(), <[u8]>::len);
        let breaks = content[..end].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        let from = match lines {
            0 => content.len(),
            lines => breaks.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0),
        };
        let last = content.split_off(from);
        Ok((Tail { path: path.to_owned(), file, inode: metadata.ino() }, last))
    }

    /// What was written since; goes over to the new file when this one was put aside.
    pub fn more(&mut self) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        if self.file.metadata().is_ok_and(|now| self.file.stream_position().is_ok_and(|at| now.len() < at)) {
            // Emptied by somebody.
            self.file.seek(SeekFrom::Start(0)).at("read", &self.path)?;
        }
        (&self.file).take(LOOK_BACK).read_to_end(&mut content).at("read", &self.path)?;
        let named = self.path.metadata();
        if content.is_empty() && named.as_ref().is_ok_and(|named| named.ino() != self.inode) {
            self.file = fs::open(&self.path)?;
            self.inode = self.file.metadata().at("read", &self.path)?.ino();
            self.file.read_to_end(&mut content).at("read", &self.path)?;
        }
        Ok(content)
    }
}
