//! `mwp add` and `mwp remove`: what a plugin requires of PyPI or npm.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Context;
use super::build::{self, Building, Built};
use super::common::{Common, take_turn};
use crate::error::{Error, Fault, Result};
use crate::graph::Target;
use crate::plugin::Label;
use crate::python::edit;
use crate::tools::Tools;
use crate::{action, fs, text};

/// Require packages of PyPI or npm, then lock and build
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp add 'flask>=3' waitress")]
pub(super) struct AddArguments {
    #[command(flatten)]
    ecosystem: Ecosystem,
    /// Use no network: what is in no cache is an error
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    common: Common,
    /// As pip or npm write them: `flask`, `flask>=3,<4`, `express@5`
    #[arg(value_name = "REQUIREMENT", required = true)]
    requirements: Vec<String>,
}

/// Do without packages of PyPI or npm, then lock and build
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp remove waitress")]
pub(super) struct RemoveArguments {
    #[command(flatten)]
    ecosystem: Ecosystem,
    /// Use no network: what is in no cache is an error
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    common: Common,
    /// Names of packages that the plugin requires itself
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// Whose packages are meant, where the plugin has both.
#[derive(Debug, Clone, Copy, Args)]
struct Ecosystem {
    /// Python's: python3_virtualenv_sources/requirements-to-freeze.txt
    #[arg(long, conflicts_with = "node")]
    python: bool,
    /// Node's: package.json
    #[arg(long)]
    node: bool,
}

/// For `--json`.
#[derive(Serialize)]
struct Required {
    directory: String,
    file: PathBuf,
    requirements: Vec<String>,
    tasks: Vec<Built>,
}

const SOURCES: &str = "python3_virtualenv_sources";
const PYTHON: &str = "python3_virtualenv_sources/requirements-to-freeze.txt";
const NODE: &str = "package.json";

pub(super) fn add(arguments: &AddArguments, context: &Context) -> Result<()> {
    let dir = arguments.common.directory()?;
    let requirements = &arguments.requirements;
    let edit = |file: &Path, is_python: bool| {
        if !is_python {
            return npm(dir, "install", requirements, context);
        }
        let mut content = fs::read_text_optional(file)?.unwrap_or_default();
        for requirement in requirements {
            content = edit::add(&content, requirement)?;
        }
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write_atomic(file, content.as_bytes())
    };
    change(arguments.ecosystem, &arguments.common, arguments.offline, requirements, edit, context)
}

pub(super) fn remove(arguments: &RemoveArguments, context: &Context) -> Result<()> {
    let dir = arguments.common.directory()?;
    let names = &arguments.names;
    let edit = |file: &Path, is_python: bool| {
        let mut content = fs::read_text_optional(file)?.unwrap_or_default();
        if !is_python {
            refuse_unknown(names, &required_of_npm(&content), file)?;
            return npm(dir, "uninstall", names, context);
        }
        let known = edit::names(&content);
        for name in names {
            match edit::remove(&content, name)? {
                Some(without) => content = without,
                None => refuse_unknown(std::slice::from_ref(name), &known, file)?,
            }
        }
        fs::write_atomic(file, content.as_bytes())
    };
    change(arguments.ecosystem, &arguments.common, arguments.offline, names, edit, context)
}

/// Edits, locks and builds; where that fails, what was there is there again.
fn change(
    ecosystem: Ecosystem,
    common: &Common,
    offline: bool,
    requirements: &[String],
    edit: impl Fn(&Path, bool) -> Result<()>,
    context: &Context,
) -> Result<()> {
    let dir = common.directory()?;
    let is_python = is_python(ecosystem, dir)?;
    let _turn = take_turn("adding or removing requirements", context)?;
    let file = dir.join(if is_python { PYTHON } else { NODE });
    let files =
        if is_python { vec![file.clone()] } else { vec![file.clone(), dir.join("package-lock.json")] };
    let had_sources = fs::exists(&dir.join(SOURCES));
    let before: Vec<Option<Vec<u8>>> =
        files.iter().map(|file| fs::read_optional(file)).collect::<Result<_>>()?;
    let building = Building { offline, ..Building::default() };
    let built = edit(&file, is_python).and_then(|()| build::build(&building, common, Target::Build, context));
    let built = match built {
        Ok(built) => built,
        Err(error) => {
            for (file, before) in files.iter().zip(before) {
                match before {
                    Some(content) => fs::write_atomic(file, &content)?,
                    None => drop(fs::remove_file(file)?),
                }
            }
            if !had_sources {
                // What the build left there is no requirement of the plugin's.
                fs::remove_tree(&dir.join(SOURCES))?;
            }
            let is_known = matches!(error.fault, Fault::Usage);
            return Err(if is_known { error } else { error.hint_if_none("nothing was changed") });
        }
    };
    if context.output.is_json() {
        let directory = dir.display().to_string();
        context.output.json(&Required { directory, file, requirements: requirements.to_vec(), tasks: built });
    }
    Ok(())
}

fn is_python(ecosystem: Ecosystem, dir: &Path) -> Result<bool> {
    let (has_python, has_node) = (fs::exists(&dir.join(SOURCES)), fs::exists(&dir.join(NODE)));
    if !has_python && !has_node {
        Label::read(dir)?;
    }
    if ecosystem.python || ecosystem.node {
        return Ok(ecosystem.python);
    }
    match (has_python, has_node) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        (true, true) => {
            Err(Error::usage(format!("{}: the plugin has packages of Python and of Node", text::path(dir)))
                .hint("say which with `--python` or `--node`"))
        }
        (false, false) => Err(Error::usage(format!(
            "{}: there is neither python3_virtualenv_sources nor package.json",
            text::path(dir)
        ))
        .hint("`--python` makes the former; `npm init` makes the latter")),
    }
}

/// npm knows best how it writes package.json.
fn npm(dir: &Path, verb: &str, packages: &[String], context: &Context) -> Result<()> {
    if let Some(manager) = action::package_manager(dir)?.filter(|manager| *manager != "npm") {
        return Err(Error::input(format!("{}: its packages are {manager}'s", text::path(dir)))
            .hint(format!("use `{manager}` to change package.json, then `mwp build`")));
    }
    if let Some(option) = packages.iter().find(|name| name.starts_with('-')) {
        return Err(Error::usage(format!(
            "found `{}`; names of packages are allowed",
            text::visible(option)
        ))
        .hint("options of npm go into `.npmrc`"));
    }
    let tools = Tools::new(&context.site, dir);
    let npm = tools.require("npm")?;
    let words = [verb, "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"];
    let words = words.into_iter().chain(packages.iter().map(String::as_str));
    let output = tools.program(&npm.path).arguments(words).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(action::package_manager_failure(
            "npm",
            "change package.json",
            &said,
            "it gave no reason",
        ));
    }
    Ok(())
}

fn required_of_npm(content: &str) -> Vec<String> {
    let package: serde_json::Value = serde_json::from_str(content).unwrap_or_default();
    let kinds = ["dependencies", "devDependencies", "optionalDependencies"];
    let of = |kind: &str| package[kind].as_object().into_iter().flat_map(|all| all.keys().cloned());
    kinds.iter().flat_map(|kind| of(kind)).collect()
}

fn refuse_unknown(names: &[String], known: &[String], file: &Path) -> Result<()> {
    let Some(name) = names.iter().find(|name| !known.contains(name)) else { return Ok(()) };
    let error = Error::usage(format!("{} does not require `{}`", text::path(file), text::visible(name)));
    Err(match text::nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
        None if known.is_empty() => error.hint("it requires nothing"),
        None => error.hint(format!("it requires: {}", known.join(", "))),
    })
}
