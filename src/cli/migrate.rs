//! `mwp migrate`: a plugin from before MetWork 1.0 becomes a current one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::common::{enter, take_turn};
use super::{Context, ask, patch};
use crate::error::{Error, Result};
use crate::migrate::{Change, Migration, Request, plan};
use crate::plugin::Module;
use crate::{check, template, text};

/// Make a current plugin of one from before MetWork 1.0: shows what is to change, asks, then changes it
#[derive(Debug, Args)]
#[command(after_help = "Example: mwp migrate --dry-run weather")]
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
    enter(dir)?;
    let module = arguments.module.as_deref().map(Module::parse).transpose()?;
    let answers: BTreeMap<String, String> = arguments.answers.iter().cloned().collect();
    let (from_python2, code) = (arguments.from_python2, arguments.code);
    let request = Request { dir, module, from_python2, code, answers };
    let _turn = (!arguments.dry_run).then(|| take_turn("migrate", context)).transpose()?;
    let migration = plan(&request, &context.site)?;
    if migration.is_needless() {
        context.output.note(&format!("{} needs no migration", text::path(dir)));
        print_json(&migration, arguments, context);
        return Ok(());
    }
    show(&migration, context);
    for note in &migration.notes {
        context.output.warning(&note.to_string());
    }
    if arguments.dry_run {
        print_json(&migration, arguments, context);
        return Ok(());
    }
    if !template::uncommitted(dir, &context.site).is_empty() {
        context.output.warning(&format!("{} has changes that are not committed", text::path(dir)));
    }
    if !arguments.yes {
        confirm(dir, context)?;
    }
    migration.apply(dir)?;
    let checked = check::check(dir, &context.site);
    context.output.note(&format!(
        "{} is a current plugin now: {}",
        text::path(dir),
        text::count(migration.changes.len(), "change")
    ));
    checked.into_plugin(dir)?;
    context.output.next_step("`mwp build` builds it, `mwp release` makes a file to install");
    print_json(&migration, arguments, context);
    Ok(())
}

fn print_json(migration: &Migration, arguments: &Arguments, context: &Context) {
    if !context.output.is_json() {
        return;
    }
    let change = |change: &Change| match change {
        Change::Write { path, .. } => json!({"change": "write", "path": path}),
        Change::Rename { from, to } => json!({"change": "rename", "path": from, "to": to}),
        Change::Remove { path } => json!({"change": "remove", "path": path}),
    };
    context.output.json(&json!({
        "directory": arguments.dir,
        "is_done": !arguments.dry_run,
        "changes": migration.changes.iter().map(change).collect::<Vec<_>>(),
        "notes": migration.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }));
}

/// The changes as `git diff` shows them.
fn show(migration: &Migration, context: &Context) {
    for change in &migration.changes {
        match change {
            Change::Write { path, old, new } => {
                let name = text::visible(&path.display().to_string());
                context.output.line(patch::of_texts(&name, old.as_deref(), Some(new)).trim_end());
            }
            Change::Rename { from, to } => {
                context.output.line(&format!("rename {} to {}", text::path(from), text::path(to)));
            }
            Change::Remove { path } => context.output.line(&format!("remove {}", text::path(path))),
        }
    }
}

/// Asks whether to go on.
fn confirm(dir: &Path, context: &Context) -> Result<()> {
    if !ask::is_possible() {
        return Err(Error::usage("nobody can be asked whether to change the plugin: there is no terminal")
            .hint("`--yes` changes it, `--dry-run` changes nothing"));
    }
    if ask::confirmed(&format!("change {}?", text::path(dir)), context)? {
        return Ok(());
    }
    Err(Error::input("nothing was changed").hint("`mwp migrate --dry-run` shows the changes again"))
}
