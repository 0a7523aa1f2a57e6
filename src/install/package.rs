//! Installing a `.plugin` file, new or over an older version.

use std::path::{Path, PathBuf};

use super::overrides::OverrideFile;
use super::runner::Runner;
use super::transaction::Transaction;
use super::{Event, home, jobs, machine, postinstall, rename, settings, virtualenv};
use crate::artifact::{self, Metadata};
use crate::env;
use crate::error::{At, Error, Problem, Result};
use crate::fs;
use crate::installed::{Base, InstallState};
use crate::plugin::{self, ConfigProblem, Label, PluginName};
use crate::site::Site;
use crate::text;

/// What to install, and how.
#[derive(Clone)]
pub struct Installation<'a> {
    pub file: &'a Path,
    /// Another name than the file's own.
    pub new_name: Option<&'a PluginName>,
    /// An installed plugin of that name is replaced.
    pub replace: bool,
    /// A plugin of that name has to be there.
    pub must_be_installed: bool,
    pub plugins_base: Option<&'a Path>,
    /// Links that lead out of the plugin are taken.
    pub allow_external_links: bool,
    /// Other limits than those of the machine: `NAME=NUMBER`.
    pub limits: &'a [String],
    /// Whoever runs the plugins there.
    pub runner: &'a dyn Runner,
}

/// Installs; returns the plugin's label and metadata, and its home.
pub fn install(
    installation: &Installation<'_>,
    site: &Site,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(Label, Metadata, PathBuf)> {
    let file = installation.file;
    if let Some(name) = env::enclosing_plugin(&site.environment) {
        return Err(Error::input(format!(
            "this is the environment of the plugin `{}`",
            text::visible(&name)
        ))
        .hint("leave it (`exit`), and install from outside"));
    }
    // A first look at the label says which base; everything is checked again when the file is unpacked.
    let told = artifact::Artifact::open(file)?.label().clone();
    let module = told.module.clone();
    let base = Base::new(installation.plugins_base, &module, site);
    let _lock = base.lock(&format!("install {}", file.display()), site, on_event)?;
    let mut transaction = Transaction::new(&base, &module, None, "installing", site)?;
    let tree = transaction.tree();
    let mut limits = settings::limits(installation, &module, site)?;
    let installed = installed(&base, &told, installation);
    let unpacked = artifact::unpack_update(file, &tree, installed.as_ref(), &limits)?;
    let all_limits = limits.clone();
    let mut label = unpacked.label.clone();
    if label != told {
        return Err(Error::input(format!("{} was changed while it was installed", text::path(file)))
            .hint("run the same command again once the file is whole"));
    }
    machine::check_module(&label, file, site)?;
    if let Some(name) = installation.new_name {
        label.name = name.clone();
        rename::relabel(&tree, &label)?;
    }
    refuse_taken(&base, &label.name, installation)?;
    transaction.name(label.name.as_str())?;
    check_configuration(&tree, &label, installation, file, site)?;
    if let Some(wheels) = machine::wheels(&tree, file, site)? {
        // What the wheels make counts with what was unpacked.
        limits.bytes = limits.bytes.saturating_sub(unpacked.bytes);
        limits.members = limits.members.saturating_sub(unpacked.files);
        let made = virtualenv::make(&tree, &wheels, &limits);
        let digests = made.map_err(|error| as_packed(error, &tree, file))?;
        home::remember_virtualenv(&tree, &wheels.interpreter, &digests)?;
    }
    let overrides = OverrideFile::of(&label, site);
    transaction.touches(&overrides.path)?;
    transaction.touches(&overrides.beside)?;

    let home = base.home(&label.name);
    let log_dir = site.runtime_home(&label.module).join("log");
    let shared = &unpacked.shared;
    if unpacked.cloned > 0 {
        let cloned = text::count(unpacked.cloned, "unchanged file");
        on_event(Event::Detail(&format!("cloned from the version before: {cloned}")));
    }
    let afterwards = if shared.is_empty() {
        let begun = transaction.swap_in(&overrides, &label.name, on_event)?;
        let begun = begun.or_undo(postinstall::run(&home, &label.name, &base, &log_dir, site))?;
        let in_place = begun.is_in_place();
        let begun = begun.or_undo(in_place)?;
        let begun = begun.or_undo(home::remember_postinstall(&home))?;
        let is_new = begun.is_new();
        let served = if is_new { Ok(()) } else { installation.runner.replace(&base, &label) };
        let finished = begun.or_undo(served).and_then(|begun| begun.commit(on_event));
        if finished.is_err() && !is_new {
            installation.runner.undone(&base, &label);
        }
        finished?
    } else {
        let before = artifact::mend(file, &tree, shared, artifact::Look::First, &all_limits)?;
        transaction.final_when_in_place();
        let begun = transaction.swap_in(&overrides, &label.name, on_event)?;
        let afterwards = begun.commit(on_event).unwrap_or_else(Some);
        let mended = artifact::mend(file, &home, shared, artifact::Look::Last, &all_limits);
        tell_shared(shared.len(), before + mended.as_ref().unwrap_or(&0), on_event);
        let done = || format!("installing {} is done", label.name);
        afterwards.or(mended.err().map(|error| Error::done_but(&done(), &error)))
    };
    jobs::follow(&base, &label.module, label.name.as_str(), site, on_event);
    touch_monitor(&label, site);
    match afterwards {
        None => Ok((label, unpacked.metadata, home)),
        Some(error) => Err(error),
    }
}

/// The installed version, of which the new one may take files.
fn installed(base: &Base, label: &Label, installation: &Installation<'_>) -> Option<artifact::Installed> {
    let name = installation.new_name.unwrap_or(&label.name);
    let installed = installation.replace.then(|| base.get(name.as_str()).ok()).flatten()?;
    let may_link = !installation.runner.tries(label);
    matches!(installed.state, InstallState::Installed(_))
        .then_some(artifact::Installed { home: installed.home, may_link })
}

fn tell_shared(shared: usize, mended: usize, on_event: &mut dyn FnMut(Event<'_>)) {
    let mut told =
        format!("shared with the version before: {}", text::count(shared - mended, "unchanged file"));
    if mended > 0 {
        told.push_str(&format!("; unpacked, as something wrote to them: {}", text::count(mended, "file")));
    }
    on_event(Event::Detail(&told));
}

fn refuse_taken(base: &Base, name: &PluginName, installation: &Installation<'_>) -> Result<()> {
    if !installation.must_be_installed && !fs::try_exists(&base.home(name))? {
        return Ok(());
    }
    let installed = base.get(name.as_str())?;
    let kind = installed.home.symlink_metadata().at("look at", &installed.home)?.file_type();
    if !kind.is_dir() && !kind.is_symlink() {
        return Err(Error::input(format!(
            "{} is {}, and the plugin `{name}` goes there",
            text::path(&installed.home),
            fs::kind(kind)
        ))
        .hint("move it away, and run the same command again"));
    }
    match installed.state {
        InstallState::Devlink(target) => Err(Error::input(format!(
            "the plugin `{name}` is installed as a devlink to {}",
            text::path(&target)
        ))
        .hint(format!("uninstall it first: `mwp uninstall {name}`"))),
        // Nothing is lost with a link to nothing.
        InstallState::Broken(_) => Ok(()),
        _ if installation.replace => Ok(()),
        _ => Err(Error::input(format!("the plugin `{name}` is already installed"))
            .hint("replace it with --force, or install this one under another name with --new-name")),
    }
}

/// The configuration under this machine's overrides, before anything is touched. A number of workers that is none counts
/// as 0: what runs would end, and nobody asked for that.
fn check_configuration(
    tree: &Path,
    label: &Label,
    installation: &Installation<'_>,
    file: &Path,
    site: &Site,
) -> Result<()> {
    let checked = plugin::check(tree, site);
    let is_slip = |warning: &&ConfigProblem| {
        warning.key.as_deref() == Some("numprocesses") && warning.message.contains("counts as")
    };
    let slip = checked.warnings.iter().find(is_slip).cloned();
    checked.into_plugin(tree).map(drop).map_err(|error| as_packed(error, tree, file))?;
    match slip {
        Some(slip) if installation.replace && installation.runner.tries(label) => {
            let error = Error::input(format!("{}: nothing would run in place of what runs", slip.message));
            Err(as_packed(error.hint("write the number of processes, as in `numprocesses=1`"), tree, file))
        }
        _ => Ok(()),
    }
}

/// The staging directory is nobody's business: paths in it become those in the file.
fn as_packed(error: Error, tree: &Path, file: &Path) -> Error {
    let staged = tree.to_string_lossy().into_owned();
    let told = format!("{}:metwork_plugin", file.display());
    let outside = |text: String| text.replace(&staged, &told);
    let problems = error.problems.into_iter();
    let problems = problems
        .map(|problem| Problem { message: outside(problem.message), hint: problem.hint.map(outside) })
        .collect();
    Error::many(error.fault, problems)
}

/// Tells a running module that something changed.
pub(super) fn touch_monitor(label: &Label, site: &Site) {
    let var = site.runtime_home(&label.module).join("var");
    // It looks at the change in a moment; who waits until it has must not think that it is done already.
    let _ = fs::remove_file(&var.join("conf_monitor_idle"));
    let _ = fs::create_own_dir_all(&var).and_then(|()| fs::write_atomic(&var.join("conf_monitor"), b""));
}
