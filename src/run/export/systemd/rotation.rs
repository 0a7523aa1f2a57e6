//! What keeps the logs small: systemd appends to files, and leaves the rest to others.

use std::fmt::Write;
use std::path::PathBuf;

use super::quote;
use crate::error::Result;
use crate::run::export::{Roster, Target, utf8};
use crate::run::{LogSettings, LogTarget};
use crate::site::Site;

/// Where Debian has it, which is not on everybody's PATH.
const LOGROTATE: &str = "/usr/sbin/logrotate";

/// logrotate, for the logs of the services.
pub(super) struct Rotation {
    pub(super) command: Vec<String>,
    pub(super) file: Target,
}

impl Rotation {
    /// `None` where there is no logrotate, or nothing for it to do.
    pub(super) fn new(roster: &Roster, site: &Site) -> Result<Option<Rotation>> {
        let on_path = which::which_in("logrotate", site.environment.get("PATH"), &site.home).ok();
        let program = on_path.or_else(|| Some(PathBuf::from(LOGROTATE)).filter(|path| path.is_file()));
        let Some(program) = program else { return Ok(None) };
        let log = roster.log();
        // What a unit can name, quotes can hold; those themselves it cannot.
        quote::path(&log)?;
        let mut text = String::new();
        let in_files = roster.settings.log.target == LogTarget::File;
        for service in roster.services.iter().filter(|_| in_files) {
            let limits = limits(&roster.settings.log, service.limits.file_size);
            let Some(limits) = limits else { continue };
            let mut names = service.log_names("*").to_vec();
            names.dedup();
            stanza(&mut text, &names.iter().map(|name| log.join(name)).collect::<Vec<_>>(), &limits)?;
        }
        if let (Some(_), Some(limits)) = (&roster.nginx, limits(&roster.settings.log, None)) {
            let names = ["nginx.log", "nginx_access.log", "nginx_error.log"];
            stanza(&mut text, &names.map(|name| log.join(name)), &limits)?;
        }
        if text.is_empty() {
            return Ok(None);
        }
        let file = Target { path: roster.var().join("logrotate.conf"), text, mode: 0o644 };
        let state = roster.var().join("logrotate.state");
        let words = [utf8(&program)?, "--state", utf8(&state)?, utf8(&file.path)?].map(str::to_owned);
        Ok(Some(Rotation { command: words.to_vec(), file }))
    }
}

fn stanza(text: &mut String, files: &[PathBuf], limits: &str) -> Result<()> {
    for file in files {
        let _ = write!(text, "\"{}\" ", utf8(file)?.replace('"', "\\\""));
    }
    let _ = write!(text, "{{\n{limits}}}\n");
    Ok(())
}

/// When to rotate, and how much to keep; `None` for never. A worker may not write beyond its limit for files, and its
/// log is one: that has to be put aside in good time.
fn limits(settings: &LogSettings, file_size: Option<u64>) -> Option<String> {
    let largest = Some(settings.max_size_before_rotation).filter(|bytes| *bytes > 0);
    let size = [largest, file_size.map(|bytes| bytes / 2)].into_iter().flatten().min();
    let period = match settings.max_age_before_rotation.as_secs() {
        0 => None,
        1..86_400 => Some("hourly"),
        86_400..604_800 => Some("daily"),
        _ => Some("weekly"),
    };
    let when = match (period, size) {
        (None, None) => return None,
        (Some(period), None) => format!("    {period}\n"),
        (None, Some(size)) => format!("    size {size}\n"),
        (Some(period), Some(size)) => format!("    {period}\n    maxsize {size}\n"),
    };
    let kept = settings.retention.max(1);
    Some(format!("{when}    rotate {kept}\n    copytruncate\n    missingok\n    notifempty\n"))
}
