//! An nginx that runs: its signals, its logs, and what can be seen of its processes.

use std::path::{Path, PathBuf};

use crate::fs;
use crate::text;

/// Answer what is under way, then end.
pub(in crate::run) const QUIT: i32 = 3;
pub(in crate::run) const READ_CONFIGURATION: i32 = 1;
pub(in crate::run) const REOPEN_LOGS: i32 = 10;

pub(in crate::run) const ACCESS_LOG: &str = "nginx_access.log";
pub(in crate::run) const ERROR_LOG: &str = "nginx_error.log";

/// Where it listens besides its port, in a module that takes uploads.
pub(in crate::run) fn own_socket(var: &Path) -> PathBuf {
    var.join("nginx.socket")
}

/// Why it did not take its configuration, as its log says at the end.
pub(in crate::run) fn last_complaint(log: &Path) -> Option<String> {
    let said = fs::read(log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let why = said.lines().rev().find_map(|line| {
        line.split_once("[emerg]").map(|(_, why)| why).filter(|why| !why.contains("still could not bind"))
    });
    why.map(|why| text::visible(why.trim()))
}

/// Whether a worker takes no more requests, as it shows in its title.
pub(in crate::run) fn shuts_down(worker: i32) -> bool {
    let title = fs::read(Path::new(&format!("/proc/{worker}/cmdline"))).unwrap_or_default();
    String::from_utf8_lossy(&title).contains("is shutting down")
}

/// Whether this process is the nginx whose logs are there. It shows its title where others show their environment; the
/// logs that it holds open tell whose it is.
pub(in crate::run) fn is_nginx_of(pid: i32, log: &Path) -> bool {
    let dir = Path::new("/proc").join(pid.to_string());
    let program = std::fs::read_link(dir.join("exe")).unwrap_or_default();
    let is_nginx = program.file_name().is_some_and(|name| name == "nginx" || name == "openresty");
    is_nginx
        && fs::list(&dir.join("fd"))
            .unwrap_or_default()
            .iter()
            .any(|descriptor| std::fs::read_link(descriptor).is_ok_and(|file| file.parent() == Some(log)))
}
