//! Recipes: what kinds of plugin exist and which tasks they need, as TOML data.
//!
//! The built-in recipes are embedded from `recipes/`; a plugin adds tasks, or switches built-in ones off, in its
//! own `mwp.toml`. [`Recipes::of_plugin`] gives the tasks of one plugin directory, validated as far as one file
//! can be; the graph checks what they say about each other.

mod builtin;
mod file;
mod makefile;
mod mistakes;
mod read;
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::Result;
use crate::fs;
use crate::graph::{Plan, Target, Task};
use crate::plugin::{LABEL_FILE, Label};

pub use file::{PLUGIN_RECIPE_FILE, Release};
pub use makefile::TASKS as MAKEFILE_TASKS;
pub use mistakes::mistakes;

/// The recipes of one plugin directory, merged.
#[derive(Debug, Clone, Default)]
pub struct Recipes {
    /// In the order of their statement.
    pub tasks: Vec<Task>,
    /// Globs that `clean` removes.
    pub clean: Vec<String>,
    /// Globs that `superclean` removes as well.
    pub superclean: Vec<String>,
    /// The names of all built-in tasks, whether or not they apply.
    known: BTreeSet<String>,
}

/// The tasks of the plugin in `dir` for `target`, in their order.
pub fn plan(dir: &Path, target: Target) -> Result<Plan> {
    let recipes = Recipes::of_plugin(dir);
    let planned = recipes.and_then(|recipes| Plan::new(dir, recipes.tasks, &recipes.known, target));
    planned.map_err(|error| mistakes::with_all(dir, error))
}

/// Whether a rule of the Makefile is what makes the label, and has not done so yet.
pub fn makes_label(dir: &Path) -> Result<bool> {
    Ok(!fs::exists(&dir.join(LABEL_FILE)) && makefile::has_rule(dir, "precustom")?)
}

/// How the plugin in `dir` is tested: as its recipe says, else as what is there is usually tested.
pub fn test_command(dir: &Path) -> Result<Option<Vec<String>>> {
    if let Some(recipe) = file::read_plugin_recipe(dir)?
        && let Some(command) = recipe.test_command()
    {
        return Ok(Some(command.to_vec()));
    }
    tests::usual_command(dir)
}

/// What the plugin in `dir` says of its releases.
pub fn release(dir: &Path) -> Result<Release> {
    Ok(file::read_plugin_recipe(dir)?.map(|recipe| recipe.release).unwrap_or_default())
}

impl Recipes {
    /// The built-in recipes that apply to `dir`, changed by its `mwp.toml`.
    pub fn of_plugin(dir: &Path) -> Result<Recipes> {
        if !makes_label(dir)? {
            Label::read(dir)?;
        }
        let mut recipes = Recipes::default();
        for recipe in builtin::recipes()? {
            recipe.add_to(&mut recipes, dir)?;
        }
        if let Some(own) = file::read_plugin_recipe(dir)? {
            own.apply_to(&mut recipes, dir)?;
        }
        Ok(recipes)
    }
}
