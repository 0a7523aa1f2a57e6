//! The redis that is run with the module: its program, its files, its settings.
//!
//! It has no port unless somebody asks for one. It drops nothing when it is full – queues and tags are not a cache – and
//! writes each change down, so that a kill loses none.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::run::model::RedisSettings;
use crate::site::Site;
use crate::text;
use crate::tools::Tools;

const PROGRAM: &str = "redis-server";
/// Where it writes changes down: version 7, and earlier ones.
const CHANGES: [&str; 2] = ["appendonlydir", "appendonly.aof"];
/// What the kernel allows for the path of a socket, less the end of text.
const MAX_PATH: usize = 107;

pub fn find(site: &Site) -> Result<PathBuf> {
    Tools::new(site, Path::new("/")).find(PROGRAM).ok_or_else(|| {
        Error::machine(format!("no `{PROGRAM}` on PATH: steps have no queues"))
            .hint("install it (`apt install redis-server`), or name an existing one: `[redis] address`")
    })
}

/// Whether redis can listen there.
pub fn check(socket: &Path) -> Result<()> {
    let length = socket.as_os_str().len();
    if length <= MAX_PATH {
        return Ok(());
    }
    Err(Error::input(format!(
        "the path of the socket {} has {length} bytes; at most {MAX_PATH} are allowed",
        text::path(socket)
    ))
    .hint("use a shorter runtime home (MFMODULE_RUNTIME_HOME)"))
}

/// What it is started with; `var` is that of the runtime home.
pub fn arguments(socket: &Path, var: &Path, settings: &RedisSettings) -> Vec<String> {
    // One that has only a dump, of MetWork, reads that first.
    let has_changes = CHANGES.iter().any(|name| var.join(name).exists());
    let options = [
        ("port", settings.port.unwrap_or(0).to_string()),
        ("bind", "127.0.0.1 -::1".to_owned()),
        ("unixsocket", socket.display().to_string()),
        ("unixsocketperm", "700".to_owned()),
        ("dir", var.display().to_string()),
        ("dbfilename", "redis_dump.rdb".to_owned()),
        ("save", String::new()),
        ("appendonly", if has_changes { "yes" } else { "no" }.to_owned()),
        ("appendfsync", "everysec".to_owned()),
        ("maxmemory", format!("{}mb", settings.max_memory)),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("daemonize", "no".to_owned()),
        ("logfile", String::new()),
    ];
    options.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect()
}
