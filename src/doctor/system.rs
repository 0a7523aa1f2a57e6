//! The machine itself: its clock, its limits, and who runs the modules.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Finding;
use crate::fs;
use crate::plugin::Module;
use crate::run::{Control, other_runner};
use crate::site::Site;

/// Files would be older than their sources, certificates not yet good.
const EARLIEST: u64 = 1_735_689_600;
/// A watch for each directory of a plugin in development, and of mfdata's inboxes.
const WATCHES: u64 = 8192;
const INSTANCES: u64 = 64;

pub(super) fn examine(site: &Site) -> Vec<Finding> {
    let mut findings = vec![
        clock(),
        limit("max_user_watches", WATCHES, "edits of plugins, files of mfdata"),
        limit("max_user_instances", INSTANCES, "edits of plugins, files of mfdata"),
    ];
    findings.extend(Module::KNOWN.iter().map(|module| {
        let finding = Finding::new("run", format!("{module} is run by"), "apps, steps and daemons");
        if Control::is_answered(module, site).unwrap_or(false) {
            return finding.ok("mwp");
        }
        finding.ok(other_runner(module, site).map_or("nobody", crate::run::Runner::name))
    }));
    findings
}

fn clock() -> Finding {
    let finding = Finding::new("machine", "clock", "versions, certificates, logs").needed(true);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let shown = i64::try_from(now).ok().and_then(|now| jiff::Timestamp::from_second(now).ok());
    let shown = shown.map_or_else(|| format!("{now} seconds since 1970"), |now| now.to_string());
    match now >= EARLIEST {
        true => finding.ok(shown),
        false => finding.bad(shown, "timedatectl set-ntp true"),
    }
}

fn limit(name: &str, enough: u64, purpose: &'static str) -> Finding {
    let finding = Finding::new("machine", format!("inotify {name}"), purpose);
    let file = format!("/proc/sys/fs/inotify/{name}");
    let value = fs::read_text_optional(Path::new(&file)).ok().flatten();
    match value.and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(value) if value < enough => {
            finding.bad(value.to_string(), format!("sysctl fs.inotify.{name}={}", enough * 8))
        }
        Some(value) => finding.ok(value.to_string()),
        None => finding.bad("unknown", "this kernel has no inotify: edits and files are not seen"),
    }
}
