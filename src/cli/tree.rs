//! `mwp tree`: who requires what.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;

use super::common::{Common, Places};
use super::{Context, branches};
use crate::error::{Error, Result};
use crate::plugin::Label;
use crate::python::tree::{Row, Tree};
use crate::python::{Wheel, edit};
use crate::tools::Tools;
use crate::{fs, text};

/// Show which packages of PyPI and npm the plugin needs, and who requires them
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp tree --invert markupsafe")]
pub(super) struct Arguments {
    /// Show who requires this package instead
    #[arg(short, long, value_name = "NAME")]
    invert: Option<String>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    places: Places,
}

const SOURCES: &str = "python3_virtualenv_sources";

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let common = arguments.common.at(&arguments.places);
    let dir = common.directory()?;
    let has_node = fs::exists(&dir.join("package-lock.json"));
    let wheels = wheels(dir)?;
    if wheels.is_empty() && !has_node {
        Label::read(dir)?;
        return Err(Error::input(format!("{}: there are no packages yet", text::path(dir)))
            .hint("`mwp build` fetches what the plugin requires; `mwp add NAME` requires something"));
    }
    let tree = Tree::of(&wheels)?;
    if context.output.is_json() && arguments.invert.is_none() {
        context.output.json(&tree.packages().collect::<Vec<_>>());
        return Ok(());
    }
    if let Some(name) = &arguments.invert {
        let name = edit::name_of(name)?;
        let known = tree.packages().map(|package| package.name.as_str());
        if !tree.packages().any(|package| package.name == name) && !has_node {
            let error = Error::usage(format!("there is no package `{}`", text::visible(&name)));
            return Err(match text::nearest(&name, known) {
                Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
                None => error.hint("`mwp tree` shows all"),
            });
        }
        let rows = tree.rows(&[name], true);
        if context.output.is_json() {
            let above: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            let packages = tree.packages().filter(|package| above.contains(package.name.as_str()));
            context.output.json(&packages.collect::<Vec<_>>());
            return Ok(());
        }
        print(&rows, true, context);
    } else {
        let required = fs::read_text_optional(&dir.join(SOURCES).join("requirements-to-freeze.txt"))?;
        print(&tree.rows(&edit::names(&required.unwrap_or_default()), false), false, context);
    }
    if has_node {
        let tools = Tools::new(&context.site, dir);
        let npm = tools.require("npm")?;
        let words = match &arguments.invert {
            Some(name) => vec!["explain".to_owned(), name.clone()],
            None => vec!["ls".to_owned(), "--all".to_owned(), "--package-lock-only".to_owned()],
        };
        context.output.line(tools.program(&npm.path).arguments(words).ask()?.trim_end());
    }
    Ok(())
}

fn wheels(dir: &Path) -> Result<Vec<Wheel>> {
    let dir = dir.join(SOURCES).join("src");
    if fs::exists(&dir) { Wheel::in_dir(&dir) } else { Ok(Vec::new()) }
}

fn print(rows: &[Row], inverted: bool, context: &Context) {
    let shown = |row: &Row| {
        let mut line = format!("{} {}", row.name, row.version);
        if !row.asked.is_empty() {
            let word = if inverted { "asks for" } else { "asked for" };
            line.push_str(&format!(" ({word} {})", row.asked));
        }
        line.push_str(if row.is_repeated { " …" } else { "" });
        (row.depth, line)
    };
    for line in branches::draw(&rows.iter().map(shown).collect::<Vec<_>>()) {
        context.output.line(&line);
    }
}
