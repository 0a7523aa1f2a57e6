//! `mwp migrate`: a plugin from before MetWork 1.0 becomes a current one.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use similar::TextDiff;

use super::Context;
use crate::error::{Error, Result};
use crate::migrate::{Change, Migration, Request, plan};
use crate::plugin::Module;
use crate::tools::Tools;
use crate::{check, text};

/// Make a current plugin of one from before MetWork 1.0: shows what is to change, asks, then changes it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show what would change, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
    /// The module that the plugin is for, where nothing in it says that
    #[arg(long)]
    module: Option<String>,
    /// Take Python 2 for Python 3
    #[arg(long)]
    from_python2: bool,
    /// Rename variables in the plugin's code, too, instead of telling where they are
    #[arg(long)]
    code: bool,
    /// The value of something that the configuration has to say and does not, such as `maintainer=…`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::bootstrap::answer)]
    answers: Vec<(String, String)>,
    /// The plugin's directory
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<()> {
    let dir = &arguments.dir;
    let module = arguments.module.as_deref().map(Module::parse).transpose()?;
    let answers: BTreeMap<String, String> = arguments.answers.iter().cloned().collect();
    let (from_python2, code) = (arguments.from_python2, arguments.code);
    let request = Request { dir, module, from_python2, code, answers };
    let migration = plan(&request, &context.site)?;
    if migration.is_needless() {
        context.output.note(&format!("{} needs no migration", text::path(dir)));
        return Ok(());
    }
    show(&migration, context);
    for note in &migration.notes {
        context.output.warning(&note.to_string());
    }
    if arguments.dry_run {
        return Ok(());
    }
    if !arguments.yes {
        ask(dir, context)?;
    }
    migration.apply(dir)?;
    let checked = check::check(dir, &context.site);
    context.output.note(&format!(
        "{} is a current plugin now: {}",
        text::path(dir),
        text::count(migration.changes.len(), "change")
    ));
    checked.into_plugin(dir)?;
    context.output.hint("`mwp build` builds it, `mwp release` makes a file to install");
    Ok(())
}

/// The changes as `git diff` shows them.
fn show(migration: &Migration, context: &Context) {
    for change in &migration.changes {
        match change {
            Change::Write { path, old, new } => {
                let name = text::visible(&path.display().to_string());
                let before = if old.is_some() { format!("a/{name}") } else { "/dev/null".to_owned() };
                let old = old.as_deref().unwrap_or_default();
                let diff = TextDiff::from_lines(old, new);
                let shown =
                    diff.unified_diff().context_radius(2).header(&before, &format!("b/{name}")).to_string();
                for line in shown.lines() {
                    context.output.line(&text::visible(line));
                }
            }
            Change::Rename { from, to } => {
                context.output.line(&format!("rename {} to {}", text::path(from), text::path(to)));
            }
            Change::Remove { path } => context.output.line(&format!("remove {}", text::path(path))),
        }
    }
}

/// Asks whether to go on; changes that git does not know yet are told.
fn ask(dir: &Path, context: &Context) -> Result<()> {
    let is_dirty = has_uncommitted(dir, context);
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Error::usage("nobody can be asked whether to change the plugin: there is no terminal")
            .hint("`--yes` changes it, `--dry-run` changes nothing"));
    }
    if is_dirty {
        context.output.warning(&format!("{} has changes that are not committed", text::path(dir)));
    }
    context.output.prompt(&format!("Change {}? [y/N] ", text::path(dir)));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|_| Error::interrupted())?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::input("nothing was changed").hint("`mwp migrate --dry-run` shows the changes again")),
    }
}

fn has_uncommitted(dir: &Path, context: &Context) -> bool {
    let tools = Tools::new(&context.site, dir);
    let Some(git) = tools.find("git") else { return false };
    let program = tools.program(&git).arguments(["status", "--porcelain", "--", "."]);
    program.output().is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}
