//! Recipes: what kinds of plugin exist and which tasks they need, as TOML data.
//!
//! The built-in recipes are embedded from `recipes/`; a plugin adds tasks, or switches built-in ones off, in its
//! own `mwp.toml`. [`Recipes::of_plugin`] gives the tasks of one plugin directory, validated as far as one file
//! can be; the graph checks what they say about each other.

mod builtin;
mod file;
mod makefile;

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;

pub use file::PLUGIN_RECIPE_FILE;

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// One of the actions that are part of this program.
    Builtin(String),
    /// A program and its arguments, run in the plugin's directory without a shell.
    Command(Vec<String>),
}

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A plugin that can be developed: the virtualenv included.
    Build,
    /// What a `.plugin` file needs.
    Release,
}

/// A task as its recipe states it. Paths and patterns are relative to the plugin's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub name: String,
    pub summary: String,
    pub action: Action,
    /// Files, directories or globs that must match something; `!` in front excludes.
    pub inputs: Vec<String>,
    /// As `inputs`, for what need not be there.
    pub optional_inputs: Vec<String>,
    /// Files or directories that the task makes.
    pub outputs: Vec<String>,
    /// Environment variables whose values count.
    pub environment: Vec<String>,
    /// Environment variables that the task sets.
    pub set: BTreeMap<String, String>,
    /// Programs on PATH whose versions count.
    pub tools: Vec<String>,
    /// Tasks that must be up to date first and whose outputs count.
    pub dependencies: Vec<String>,
    /// Tasks that go first where they are part of the build; their outputs do not count.
    pub after: Vec<String>,
    /// Tasks that wait for this one.
    pub before: Vec<String>,
    /// Runs each time; for work with unknown inputs.
    pub always: bool,
    /// Outputs are kept in the content store.
    pub cache: bool,
    /// What the task did not make stays in its output directories.
    pub keep_foreign: bool,
    /// What the task made before stays while it runs, for commands that work incrementally themselves.
    pub keep_outputs: bool,
    pub targets: Vec<Target>,
    /// The file that states the task, for messages.
    pub origin: String,
}

/// The recipes of one plugin directory, merged.
#[derive(Debug, Clone, Default)]
pub struct Recipes {
    /// In the order of their statement.
    pub tasks: Vec<Task>,
    /// Globs that `clean` removes.
    pub clean: Vec<String>,
    /// Globs that `superclean` removes as well.
    pub superclean: Vec<String>,
}

impl Recipes {
    /// The built-in recipes that apply to `dir`, changed by its `mwp.toml`.
    pub fn of_plugin(dir: &Path) -> Result<Recipes> {
        let mut recipes = Recipes::default();
        for recipe in builtin::recipes()? {
            recipe.add_to(&mut recipes, dir)?;
        }
        if let Some(own) = file::read_plugin_recipe(dir)? {
            own.apply_to(&mut recipes)?;
        }
        Ok(recipes)
    }
}
