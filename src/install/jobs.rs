//! The cron jobs of installed plugins, kept in step with the plugins base.
//!
//! The user's crontab is a function of what is installed, and follows the commit of a change. A note in our own
//! directory, durable before the first visible step, says which plugin's jobs are to be looked at; it goes when that
//! is done. After a kill, the next command finds the note and does it. So a change that was undone leaves the crontab
//! as it was, and a broken crontab never fails a change: what is wrong is a warning.
//!
//! Jobs run for plugins in the module's own base alone: what is in another one (`--plugins-base-dir`) is not in
//! service, as with everything else that the module runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Event;
use crate::cron::{self, JobsReport, Scope};
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::installed::{Base, InstallState};
use crate::plugin::{Label, Module, PluginName};
use crate::site::Site;
use crate::text;

/// The name of the note.
pub(super) const NOTE: &str = "crontab";

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    module: String,
    name: String,
}

/// Notes that the jobs of a plugin are about to change.
pub(super) fn announce(base: &Base, module: &Module, name: &str) -> Result<()> {
    let note = Note { module: module.as_str().to_owned(), name: name.to_owned() };
    let content = serde_json::to_vec(&note).map_err(|error| Error::machine(error.to_string()))?;
    fs::write_atomic(&base.own_dir().join(NOTE), &content)
}

/// Nothing has changed after all, or everything is done.
pub(super) fn forget(base: &Base) {
    let _ = fs::remove_file(&base.own_dir().join(NOTE));
}

/// Brings the plugin's jobs in step with what is installed now. The caller holds the base's lock.
pub(super) fn follow(
    base: &Base,
    module: &Module,
    name: &str,
    site: &Site,
    on_event: &mut dyn FnMut(Event<'_>),
) {
    let Ok(name) = PluginName::parse(name) else { return forget(base) };
    let home = base.home(&name);
    let home = home.exists().then_some(home);
    if !is_own(base, module, site) {
        if home.as_deref().is_some_and(cron::has_jobs) {
            let elsewhere = format!("the cron jobs of `{name}` do not run: {} is not", text::path(&base.dir));
            let warning = Error::input(format!("{elsewhere} where {} has its plugins", module.as_str()));
            on_event(Event::Warning(&warning.hint(format!(
                "install it without --plugins-base-dir, in {}",
                text::path(&site.plugins_base(module))
            ))));
        }
        return forget(base);
    }
    let plugins = BTreeMap::from([(name.to_string(), home)]);
    let scope = Scope { module, base: &base.dir, plugins, all: false };
    match cron::sync(&scope, site, &mut |holder| on_event(Event::Waiting(holder))) {
        // The next command does it.
        Err(error) if error.fault == Fault::Interrupted => return,
        Err(error) => on_event(Event::Warning(&error)),
        Ok(report) => {
            for problem in report.entries.into_iter().filter_map(|entry| entry.problem) {
                on_event(Event::Warning(&left_out(&name, problem)));
            }
            report.warnings.iter().for_each(|warning| on_event(Event::Warning(warning)));
        }
    }
    forget(base);
}

fn left_out(name: &PluginName, error: Error) -> Error {
    let what = if error.fault == Fault::Input { "were left out" } else { "stay as they are" };
    let say = |problem: Problem| Problem {
        message: format!("the cron jobs of `{name}` {what}: {}", problem.message),
        hint: problem.hint,
    };
    Error::many(error.fault, error.problems.into_iter().map(say).collect())
}

/// Does what a killed command left to do.
pub(super) fn catch_up(base: &Base, site: &Site) {
    let Ok(Some(content)) = fs::read_optional(&base.own_dir().join(NOTE)) else { return };
    let note: Option<Note> = serde_json::from_slice(&content).ok();
    match note.and_then(|note| Some((Module::parse(&note.module).ok()?, note.name))) {
        Some((module, name)) => follow(base, &module, &name, site, &mut |_| {}),
        None => forget(base),
    }
}

/// Makes the user's crontab what the plugins in the module's own base say, and nothing more of that base.
pub fn sync_jobs(module: &Module, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) -> Result<JobsReport> {
    let base = Base::new(None, module, site);
    // Where nothing was ever installed, nothing is made.
    let _lock = if base.dir.exists() { Some(base.lock("cron sync", site, on_event)?) } else { None };
    let scope = Scope { module, base: &base.dir, plugins: plugins(&base, module)?, all: true };
    cron::sync(&scope, site, &mut |holder| on_event(Event::Waiting(holder)))
}

/// What should be in the user's crontab, and whether it is.
pub fn inspect_jobs(module: &Module, site: &Site, on_event: &mut dyn FnMut(Event<'_>)) -> Result<JobsReport> {
    let base = Base::new(None, module, site);
    base.settle(site, on_event)?;
    let scope = Scope { module, base: &base.dir, plugins: plugins(&base, module)?, all: true };
    cron::inspect(&scope, site)
}

/// Those of the module: bases can be shared.
fn plugins(base: &Base, module: &Module) -> Result<BTreeMap<String, Option<PathBuf>>> {
    let mut plugins = BTreeMap::new();
    for plugin in base.list()? {
        let is_there = matches!(plugin.state, InstallState::Installed(_) | InstallState::Devlink(_));
        let label = Label::read(&plugin.home).ok().filter(|label| is_there && label.module == *module);
        if label.is_some() && PluginName::parse(&plugin.name).is_ok() {
            plugins.insert(plugin.name, Some(plugin.home));
        }
    }
    Ok(plugins)
}

fn is_own(base: &Base, module: &Module, site: &Site) -> bool {
    let real = |dir: &Path| std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    real(&base.dir) == real(&site.plugins_base(module))
}
