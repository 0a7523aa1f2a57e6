//! `mwp outdated`: what an upgrade of the locks would change.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Context;
use super::build::store;
use super::common::{Common, Places};
use super::lock::Watch;
use super::progress::Progress;
use super::signals;
use crate::error::{At, Error, Result};
use crate::graph::{self, Mode, Project, Slots, Target, Upgrade};
use crate::plugin::Label;
use crate::{fs, recipe, text};

/// Show which newer versions the requirements allow, and change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp outdated; then mwp lock --upgrade-package flask")]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    places: Places,
}

const SOURCES: &str = "python3_virtualenv_sources";

/// For `--json`.
#[derive(Serialize)]
struct Outdated {
    directory: String,
    /// As `mwp lock --upgrade` would tell them.
    changes: Vec<String>,
}

/// Where logs are, among others.
const STATE: &str = ".mwp";

/// What a build makes: no lock depends on it.
const MADE: [&str; 5] = [STATE, ".git", "local", "node_modules", "src"];

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    let mut all = Vec::new();
    for dir in common.directories()? {
        let changes = upgrade_in_copy(&dir, &common, context)?;
        all.push(Outdated { directory: dir.display().to_string(), changes });
    }
    if context.output.is_json() {
        context.output.json(&all);
        return Ok(());
    }
    for outdated in &all {
        let several = if all.len() > 1 { format!("{}: ", outdated.directory) } else { String::new() };
        for change in &outdated.changes {
            context.output.row(&format!("{several}{}", text::visible(change)));
        }
        if outdated.changes.is_empty() {
            context.output.row(&format!("{several}everything is as new as the requirements allow"));
        }
    }
    if all.iter().any(|outdated| !outdated.changes.is_empty()) {
        context
            .output
            .next_step("`mwp lock --upgrade` takes them all, `mwp lock --upgrade-package NAME` one");
    }
    Ok(())
}

/// Locks anew what the plugin's locks are made from, elsewhere. Where that fails, its log stays until the next time.
fn upgrade_in_copy(dir: &Path, common: &Common, context: &Context) -> Result<Vec<String>> {
    std::fs::read_dir(dir).at("enter", dir)?;
    let staging = fs::Staging::claimed_in(&scratch(context)?)?;
    let copy = staging.join("plugin");
    let upgraded = upgrade(dir, &copy, common, context);
    let Err(error) = upgraded else { return upgraded };
    Label::read(dir)?;
    if error.task.is_some() {
        // What cannot be removed goes the next time.
        for path in fs::list(&copy).unwrap_or_default().iter().filter(|path| !path.ends_with(STATE)) {
            let _ = fs::remove_tree(path);
        }
        staging.leave();
    }
    Err(about(dir, &copy, error))
}

fn upgrade(dir: &Path, copy: &Path, common: &Common, context: &Context) -> Result<Vec<String>> {
    copy_sources(dir, copy)?;
    copy_sources(&dir.join(SOURCES), &copy.join(SOURCES))?;
    let store = store(context);
    let mode = Mode { upgrade: Upgrade::Everything, ..Mode::default() };
    let mut quiet = common.clone();
    quiet.loudness.quiet = true;
    let watch = Watch::new(Progress::new(context.output, &quiet, false));
    let open = |dir: &Path| -> Result<Project<'_>> {
        let plan = recipe::plan(dir, Target::Build)?.up_to(|task| task.action.makes_lock());
        Ok(Project::new(dir, plan, &context.site, &store, &mode, &watch))
    };
    signals::end_programs_on_signal()?;
    let results = graph::build_all(&[copy.to_owned()], open, &Slots::new(1));
    if crate::process::is_interrupted() {
        return Err(Error::interrupted());
    }
    for result in results {
        result?;
    }
    Ok(watch.changes())
}

/// The error as one about the plugin: of the copy, only the log is there for people.
fn about(dir: &Path, copy: &Path, mut error: Error) -> Error {
    let (copy, log) = (format!("{}/", copy.display()), format!("{}/", copy.join(STATE).display()));
    let dir = if dir == Path::new(".") { String::new() } else { format!("{}/", dir.display()) };
    let texts = error.problems.iter_mut().flat_map(|it| [Some(&mut it.message), it.hint.as_mut()]);
    for text in texts.flatten() {
        *text = text.split(&log).map(|part| part.replace(&copy, &dir)).collect::<Vec<_>>().join(&log);
    }
    error
}

/// Files are copied, since locks are among them; other directories are where they were.
fn copy_sources(from: &Path, into: &Path) -> Result<()> {
    if !fs::exists(from) {
        return Ok(());
    }
    fs::create_dir_all(into)?;
    let real = std::fs::canonicalize(from).at("find", from)?;
    for path in fs::list(&real)? {
        let name = path.file_name().unwrap_or_default();
        let to = into.join(name);
        if MADE.iter().any(|made| name == *made) || name == SOURCES {
            continue;
        }
        if path.is_file() {
            fs::copy_file(&path, &to)?;
        } else if path.is_dir() {
            fs::symlink(&path, &to)?;
        }
    }
    Ok(())
}

fn scratch(context: &Context) -> Result<PathBuf> {
    let dir = context.site.cache.join("outdated");
    fs::create_dir_all(&dir)?;
    fs::sweep(&dir);
    Ok(dir)
}
