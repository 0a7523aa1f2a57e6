//! `mwp lock`: makes or mends the locks of a plugin, without building.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use serde::Serialize;

use super::Context;
use super::build::store;
use super::common::{Common, Places};
use super::progress::Progress;
use super::signals;
use crate::error::{Error, Result};
use crate::graph::{self, Event, Mode, Observer, Project, Slots, Target, TaskStatus, Upgrade};
use crate::recipe;
use crate::text;

/// Make or mend the locks, without building: what still fits stays
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp lock --upgrade-package flask")]
pub(crate) struct Arguments {
    /// Take the newest version of everything that the requirements allow
    #[arg(short = 'U', long)]
    upgrade: bool,
    /// Take the newest version of this package, or this very version; may be given several times
    #[arg(short = 'P', long, value_name = "NAME[==VERSION]", conflicts_with = "upgrade")]
    upgrade_package: Vec<String>,
    /// Say whether the locks fit, and write nothing
    #[arg(long, conflicts_with_all = ["upgrade", "upgrade_package"])]
    check: bool,
    /// Use no network: what is in no cache is an error
    #[arg(long, conflicts_with = "check")]
    offline: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    places: Places,
}

/// For `--json`.
#[derive(Debug, Serialize)]
struct Locked {
    directory: String,
    fits: bool,
    changes: Vec<String>,
    tasks: Vec<TaskStatus>,
}

/// Shows what happens, and remembers what changed.
pub(super) struct Watch {
    progress: Progress,
    changes: Mutex<Vec<(PathBuf, String)>>,
}

impl Watch {
    pub(super) fn new(progress: Progress) -> Watch {
        Watch { progress, changes: Mutex::default() }
    }

    /// All of them.
    pub(super) fn changes(&self) -> Vec<String> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().map(|(_, change)| change.clone()).collect()
    }
}

impl Observer for Watch {
    fn event(&self, project: &Path, event: Event<'_>) {
        match &event {
            // That is said of builds.
            Event::Built { .. } => return,
            Event::LockChanged { changes, .. } => {
                let changes = changes.iter().map(|change| (project.to_owned(), change.clone()));
                self.changes.lock().unwrap_or_else(PoisonError::into_inner).extend(changes);
            }
            _ => {}
        }
        self.progress.event(project, event);
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    let directories = common.directories()?;
    let upgrade = match (arguments.upgrade, arguments.upgrade_package.as_slice()) {
        (true, _) => Upgrade::Everything,
        (false, []) => Upgrade::Nothing,
        (false, packages) => Upgrade::Packages(packages.to_vec()),
    };
    let mode = Mode { locked: arguments.check, offline: arguments.offline, upgrade, ..Mode::default() };
    let store = store(context);
    let progress = Progress::new(context.output, &common, directories.len() > 1);
    let watch = Watch::new(progress);
    let open = |dir: &Path| -> Result<Project<'_>> {
        let plan = recipe::plan(dir, Target::Build)?.up_to(|task| task.action.makes_lock());
        Ok(Project::new(dir, plan, &context.site, &store, &mode, &watch))
    };
    refuse_unknown_packages(&arguments.upgrade_package, &directories, open)?;
    let mut all = Vec::new();
    let mut outdated = Vec::new();
    if arguments.check {
        for dir in &directories {
            let project = open(dir)?;
            let mut tasks = graph::explain(&project)?;
            tasks.retain(|status| {
                project.plan.tasks.iter().any(|t| t.name == status.task && t.action.makes_lock())
            });
            for status in tasks.iter().filter(|status| !status.fresh) {
                let why = status.reasons.first().map(|why| format!(": {why}")).unwrap_or_default();
                outdated.push(format!(
                    "{}: the lock of task `{}` does not fit{why}",
                    text::path(dir),
                    status.task
                ));
            }
            let fits = tasks.iter().all(|status| status.fresh);
            all.push(Locked { directory: dir.display().to_string(), fits, changes: Vec::new(), tasks });
        }
    } else {
        signals::end_programs_on_signal()?;
        // Locks are made one after the other: the tools work in parallel themselves.
        let results = graph::build_all(&directories, open, &Slots::new(1));
        watch.progress.finish();
        if crate::process::is_interrupted() {
            return Err(Error::interrupted());
        }
        for result in results {
            let built = result?;
            let changes = watch.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = changes.iter().filter(|(dir, _)| *dir == built.directory);
            let changes = changes.map(|(_, change)| change.clone()).collect();
            all.push(Locked {
                directory: built.directory.display().to_string(),
                fits: true,
                changes,
                tasks: built.tasks,
            });
        }
    }
    if context.output.is_json() {
        context.output.json(&all);
    } else if outdated.is_empty() && !common.loudness.quiet {
        for locked in &all {
            let what = match (locked.tasks.is_empty(), locked.changes.len()) {
                (true, _) => "nothing to lock".to_owned(),
                (false, 0) => "the locks fit".to_owned(),
                (false, number) => text::count(number, "change"),
            };
            context.output.row(&format!("{}: {what}", text::path(Path::new(&locked.directory))));
        }
    }
    if outdated.is_empty() {
        return Ok(());
    }
    let problems =
        outdated.into_iter().map(|message| crate::error::Problem { message, hint: None }).collect();
    Err(Error::many(crate::error::Fault::Input, problems).hint("run `mwp lock` and commit what it changes"))
}

/// Of several locks each takes the packages that it has; what none has is a slip of the fingers.
fn refuse_unknown_packages<'a>(
    packages: &[String],
    directories: &[PathBuf],
    open: impl Fn(&Path) -> Result<Project<'a>>,
) -> Result<()> {
    for dir in directories {
        let project = open(dir)?;
        let locks: Vec<_> = project.plan.tasks.iter().filter(|task| task.action.makes_lock()).collect();
        // A lock that is alone knows near misses.
        if locks.len() < 2 {
            continue;
        }
        for package in packages {
            let name = graph::upgraded_name(package);
            let mut found = false;
            for task in &locks {
                found |= task.action.locks(&project.scope(), name)?;
            }
            if !found {
                let name = text::visible(name);
                return Err(Error::usage(format!("{}: no lock has a package `{name}`", text::path(dir)))
                    .hint("name a package of one of the locks"));
            }
        }
    }
    Ok(())
}
