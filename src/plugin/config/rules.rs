//! Rules that tie several keys together: what must fit, and what one key forces upon others.

use super::problem::{ConfigProblem, Findings};
use super::{CheckedKey, Section};
use crate::plugin::Module;
use crate::site::Site;

/// nginx's time-out where the module does not set one.
const NGINX_TIMEOUT: i64 = 60;
/// What a process gets, beside its time-out and its stop delay, before it is killed.
const GRACE: i64 = 10;

/// Checks and completes the sections of one plugin.
pub(super) fn apply(sections: &mut [Section], module: Option<&Module>, site: &Site, findings: &mut Findings) {
    for section in sections {
        if section.name.starts_with("step_") {
            step(section, findings);
        }
        if module.is_some_and(Module::has_nginx) && section.name.starts_with("app_") {
            web_app(section, site);
        }
    }
}

/// A request may take the time-out; stopping waits for it, then for the stop delay.
fn web_app(section: &mut Section, site: &Site) {
    if section.bool("debug") {
        // One process to attach to, and no more than there would be: an app that is switched off stays so.
        section.force("numprocesses", section.int("numprocesses").min(1));
        section.force("max_age", 0);
    }
    if section.int("timeout") <= 0 {
        let given = site.environment.text("MFSERV_NGINX_TIMEOUT").and_then(|text| text.parse().ok());
        section.force("timeout", given.filter(|timeout| *timeout > 0).unwrap_or(NGINX_TIMEOUT));
    }
    let delay = section.int("smart_stop_delay");
    section.force("graceful_timeout", section.int("timeout").saturating_add(delay).saturating_add(GRACE));
}

fn step(section: &Section, findings: &mut Findings) {
    let moves = section.text("failure_policy") == "move";
    if let Some(entry) = section.entry("failure_policy")
        && moves
        && section.text("failure_policy_move_dest_dir").is_empty()
    {
        let reason =
            "found `move` without `failure_policy_move_dest_dir`; a directory to move to is required";
        report(section, entry, reason, "set `failure_policy_move_dest_dir`", findings);
    }
    let (least, most) = (section.float("retry_min_wait"), section.float("retry_max_wait"));
    if most < least {
        let (max, min) = (section.entry("retry_max_wait"), section.entry("retry_min_wait"));
        if let Some(entry) = [max, min].into_iter().flatten().find(|entry| entry.origin.is_some()) {
            let reason =
                format!("`retry_max_wait` is {most:?}; at least `retry_min_wait`, {least:?}, is allowed");
            report(section, entry, &reason, "raise `retry_max_wait` or lower `retry_min_wait`", findings);
        }
    }
}

fn report(section: &Section, entry: &CheckedKey, reason: &str, hint: &str, findings: &mut Findings) {
    let Some(origin) = &entry.origin else { return };
    let problem = ConfigProblem::at(origin, &section.name, Some(&entry.key), reason);
    findings.problem(problem.found(entry.value.to_string()).hint(hint));
}
