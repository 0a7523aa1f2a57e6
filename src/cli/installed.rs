//! Commands over installed plugins: `list`, `uninstall`, `develop`, `verify`, `repackage`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;
use serde_json::json;

use super::Context;
use super::build::{Building, build};
use super::common::Common;
use super::exec::BaseOption;
use super::in_service;
use super::install::tell;
use super::loudness::Loudness;
use super::output::Output;
use super::shells::Plugins;
use super::signals;
use super::style::Look;
use super::table::{Cell, table};
use crate::error::{Error, Fault, Problem, Result};
use crate::graph::{self, Target};
use crate::install::{self, Event, Verification};
use crate::installed::{Base, Bases, InstallState, Installed};
use crate::plugin::{Label, Module, PluginName};
use crate::run::UpModule;
use crate::text;

/// The bases to look in: the given one, else those of the modules. Half-done changes are undone first.
pub(super) fn bases(option: &BaseOption, context: &Context) -> Result<Bases> {
    let bases = Bases::new(option.plugins_base_dir.as_deref(), &context.site)?;
    for (base, _) in bases.iter() {
        base.settle(&context.site, &mut |event| tell(context, event))?;
    }
    Ok(bases)
}

/// The plugin of that name, in the first base that has it.
pub(super) fn find(name: &str, option: &BaseOption, context: &Context) -> Result<(Base, Module, Installed)> {
    bases(option, context)?.get(name)
}

/// As [`find`], where the path of an installed plugin's home will do as well.
fn find_by_path(given: &str, option: &BaseOption, context: &Context) -> Result<(Base, Module, Installed)> {
    let is_path = given.contains('/') || matches!(given, "." | "..");
    let bases = bases(option, context)?;
    if is_path { bases.get_at(Path::new(given)) } else { bases.get(given) }
}

/// List the installed plugins
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp list")]
pub(super) struct ListArguments {
    /// `name~~~version~~~release~~~home` per line
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    base: BaseOption,
}

/// A slip of the fingers is not a base without plugins.
fn refuse_no_directory(base: &BaseOption) -> Result<()> {
    match base.plugins_base_dir.as_deref().filter(|dir| !dir.is_dir()) {
        Some(dir) => Err(Error::usage(format!("{} is no directory", text::path(dir)))
            .hint("name the directory that the plugins are installed in")),
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    release: &'a str,
    version: &'a str,
    home: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn list(arguments: &ListArguments, context: &Context) -> Result<()> {
    refuse_no_directory(&arguments.base)?;
    let mut plugins = Vec::new();
    for (base, _) in bases(&arguments.base, context)?.iter() {
        plugins.extend(base.list()?);
    }
    let rows: Vec<Row<'_>> = plugins
        .iter()
        .map(|plugin| Row {
            name: &plugin.name,
            release: plugin.release(),
            version: plugin.version(),
            home: plugin.home.to_string_lossy().into_owned(),
            error: problem(plugin).map(|problem| problem.message),
        })
        .collect();
    if context.output.is_json() {
        // The layout that scripts know from upstream.
        context.output.json_indented_by(4, &rows);
    } else if arguments.raw {
        for row in &rows {
            let fields = [row.name, row.version, row.release, &row.home];
            context.output.line(&fields.map(text::visible).join("~~~"));
        }
    } else {
        let rows = cells(&rows);
        table(&rows, Output::width(), context.output.style()).iter().for_each(|row| context.output.line(row));
    }
    // Whoever reads the list must not take a damaged plugin for a good one.
    let problems: Vec<Problem> = plugins.iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::many(Fault::Input, problems)) }
}

fn problem(plugin: &Installed) -> Option<Problem> {
    let what = match &plugin.state {
        InstallState::Installed(_) | InstallState::Devlink(_) => return None,
        InstallState::Broken(target) => format!("is a link to nothing: {}", text::path(target)),
        InstallState::Corrupt(reason) => format!("is damaged: {reason}"),
    };
    let name = text::visible(&plugin.name);
    Some(Problem {
        message: format!("the plugin `{name}` {what}"),
        hint: Some(format!("remove it with `mwp uninstall {name}`, or install it again")),
    })
}

fn cells(rows: &[Row<'_>]) -> Vec<Vec<Cell>> {
    let header = ["Name", "Version", "Release", "Home"].map(|title| Cell::new(Look::Bold, title)).into();
    let row = |row: &Row<'_>| {
        let look = if row.error.is_some() { Look::Error } else { Look::Plain };
        let [name, version, release, home] =
            [row.name, row.version, row.release, &row.home].map(text::visible);
        vec![Cell::new(look, name), version.into(), release.into(), home.into()]
    };
    std::iter::once(header).chain(rows.iter().map(row)).collect()
}

/// Remove installed plugins; what an administrator has overridden stays, unless --clean is given
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp uninstall --clean shop")]
pub(super) struct UninstallArguments {
    /// Remove the override file too, even when it was edited
    #[arg(long)]
    clean: bool,
    #[command(flatten)]
    base: BaseOption,
    /// The plugins' names, or the paths of their homes
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(Plugins), required = true)]
    names: Vec<String>,
}

pub(super) fn uninstall(arguments: &UninstallArguments, context: &Context) -> Result<()> {
    if let Some(name) = crate::env::enclosing_plugin(&context.site.environment) {
        let inside = format!("this is the environment of the plugin `{}`", text::visible(&name));
        return Err(Error::input(inside).hint("leave it (`exit`), and uninstall from outside"));
    }
    signals::end_programs_on_signal()?;
    let mut removed = Vec::new();
    for name in &arguments.names {
        let (base, module, plugin) = find_by_path(name, &arguments.base, context)?;
        let name = &plugin.name;

        let on_event = &mut |event: Event<'_>| tell(context, event);
        install::uninstall(
            &base,
            name,
            &module,
            arguments.clean,
            &context.site,
            &UpModule::new(&context.site),
            on_event,
        )?;
        context.output.note(&format!("uninstalled {}", text::visible(name)));
        let overridden = PluginName::parse(name).ok().map(|name| {
            let [file, _] = context.site.overrides(&Label { name, module: module.clone() });
            file
        });
        let overridden = overridden.filter(|file| crate::fs::exists(file));
        if let Some(file) = &overridden {
            context.output.note(&format!("{} was edited and stays; `--clean` removes it", text::path(file)));
        }
        removed.push(json!({
            "name": name,
            "module": module.as_str(),
            "home": plugin.home.to_string_lossy(),
            "override_kept": overridden.map(|file| file.to_string_lossy().into_owned()),
        }));
    }
    if context.output.is_json() {
        context.output.json(&removed);
    }
    Ok(())
}

/// Build a plugin and put its directory into service as it is (devlink): edits take effect at once
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp develop -C shop")]
pub(super) struct DevelopArguments {
    /// Link only: the directory is taken as it is
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    building: Building,
    #[command(flatten)]
    base: BaseOption,
    #[command(flatten)]
    common: Common,
}

pub(super) fn develop(arguments: &DevelopArguments, context: &Context) -> Result<()> {
    if !arguments.no_build {
        build(&arguments.building, &arguments.common, Target::Build, context)?;
    }
    if arguments.building.dry_run {
        return Ok(());
    }
    let mut linked = Vec::new();
    for dir in arguments.common.directories()? {
        let given = arguments.base.plugins_base_dir.as_deref();
        let on_event = &mut |event: Event<'_>| tell(context, event);
        graph::refuse_odd_directory(&dir)?;
        let (home, is_new) = install::develop(&dir, given, &context.site, on_event)?;
        if is_new {
            context.output.note(&format!(
                "{} is a link to this directory: edits take effect at once",
                text::path(&home)
            ));
            if let Ok(label) = Label::read(&home) {
                in_service::tell(&label, context);
            }
        } else {
            context.output.warning(&format!("{} is a devlink to this directory already", text::path(&home)));
        }
        linked.push(json!({
            "directory": dir.to_string_lossy(),
            "home": home.to_string_lossy(),
            "is_new": is_new,
        }));
    }
    if context.output.is_json() {
        context.output.json(&linked);
    }
    Ok(())
}

/// Check every file of installed plugins against what was packed: missing, altered, added, mode
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp verify --repair shop")]
pub(super) struct VerifyArguments {
    /// The plugins' names [default: all]
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(Plugins))]
    names: Vec<String>,
    #[command(flatten)]
    base: BaseOption,
    /// First make the virtualenvs anew from the wheels that were shipped
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    loudness: Loudness,
}

#[derive(Serialize)]
struct Verified {
    name: String,
    ok: bool,
    /// Why it could not be checked.
    unchecked: Option<&'static str>,
    damages: Vec<String>,
}

const NO_MANIFEST: &str = "it has no manifest to be held against";

pub(super) fn verify(arguments: &VerifyArguments, context: &Context) -> Result<()> {
    let mut plugins = Vec::new();
    refuse_no_directory(&arguments.base)?;
    if arguments.names.is_empty() {
        for (base, _) in bases(&arguments.base, context)?.iter() {
            plugins.extend(base.list()?.into_iter().map(|plugin| (base.clone(), plugin)));
        }
    }
    for name in &arguments.names {
        let (base, _, plugin) = find(name, &arguments.base, context)?;
        plugins.push((base, plugin));
    }
    for (base, plugin) in plugins.iter().filter(|_| arguments.repair) {
        let on_event = &mut |event: Event<'_>| tell(context, event);
        if install::repair(base, plugin, &context.site, on_event)? && !arguments.loudness.quiet {
            let home = text::path(&plugin.home);
            context.output.note(&format!("made the virtualenv of {home} anew"));
        }
    }
    let (mut verified, mut problems) = (Vec::new(), Vec::new());
    for (_, plugin) in &plugins {
        let shown = text::visible(&plugin.name);
        let (unchecked, by_postinstall, damages) = match install::verify(plugin, &context.site)? {
            Verification::Checked { damages, fault, by_postinstall } => {
                let damages = damages.iter().map(ToString::to_string).chain(fault).collect();
                (None, by_postinstall, damages)
            }
            Verification::Devlink => (Some("it is a devlink"), 0, Vec::new()),
            Verification::NoManifest => (Some(NO_MANIFEST), 0, Vec::new()),
            Verification::Corrupt(reason) => (None, 0, vec![reason]),
        };
        if unchecked == Some(NO_MANIFEST) {
            // Who asks for no more than what is wrong has to know it, too.
            context.output.warning(&format!("{shown} was not verified: {NO_MANIFEST}"));
        } else if !context.output.is_json() && !arguments.loudness.quiet && damages.is_empty() {
            match unchecked {
                Some(reason) => context.output.note(&format!("{shown} was not checked: {reason}")),
                None if by_postinstall == 0 => context.output.note(&format!("{shown} is as it was packed")),
                None => context.output.note(&format!(
                    "{shown} is as it was packed, but for {} that its postinstall made or changed",
                    text::count(by_postinstall, "path")
                )),
            }
        }
        problems.extend(damages.iter().map(|damage: &String| Problem {
            message: format!("{}: {damage}", text::path(&plugin.home)),
            hint: None,
        }));
        verified.push(Verified { name: plugin.name.clone(), ok: damages.is_empty(), unchecked, damages });
    }
    if verified.iter().any(|it: &Verified| it.unchecked == Some(NO_MANIFEST)) {
        context.output.hint(
            "upstream's tools make none: install a file that `mwp release` made, or `mwp repackage NAME` of what is \
             there now",
        );
    }
    if context.output.is_json() {
        context.output.json(&verified);
    }
    match problems.last_mut() {
        None => Ok(()),
        Some(last) => {
            last.hint = Some("install the plugin again with `mwp install --force FILE`".to_owned());
            Err(Error::many(Fault::Input, problems))
        }
    }
}

/// Make a `.plugin` file of an installed plugin, with its present name and its overridden configuration
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp repackage shop")]
pub(super) struct RepackageArguments {
    #[command(flatten)]
    base: BaseOption,
    /// Where to write the file [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Pack a damaged plugin as it is, and over a file that is there
    #[arg(long)]
    force: bool,
    /// The plugin's name
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(Plugins))]
    name: String,
}

pub(super) fn repackage(arguments: &RepackageArguments, context: &Context) -> Result<()> {
    signals::end_programs_on_signal()?;
    arguments.output.as_deref().map_or(Ok(()), super::pack::refuse_no_directory)?;
    let (base, _, _) = find(&arguments.name, &arguments.base, context)?;
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from("."));
    let on_event = &mut |event: Event<'_>| tell(context, event);
    let packed =
        install::repackage(&base, &arguments.name, &output, arguments.force, &context.site, on_event)?;
    for warning in &packed.warnings {
        context.output.warning(&warning.message);
    }
    if context.output.is_json() {
        context.output.json(&super::pack::Report::new(&packed));
        return Ok(());
    }
    let file = packed.file.strip_prefix(".").unwrap_or(&packed.file);
    context.output.line(&text::visible_bytes(file.as_os_str().as_encoded_bytes()));
    Ok(())
}
