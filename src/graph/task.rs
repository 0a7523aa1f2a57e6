//! A task: an action, what the recipe declares beside it, and its place in the order.

use std::path::Path;
use std::sync::Arc;

use super::action::Action;

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A plugin that can be developed: the virtualenv included.
    Build,
    /// What a `.plugin` file needs.
    Release,
    /// What is run to test a plugin, and never by a build.
    Test,
}

/// Where a task is stated, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub file: String,
    /// The plugin's own recipe, which its author can mend.
    pub is_own: bool,
}

/// Paths and patterns are relative to the plugin's directory.
#[derive(Debug, Clone)]
pub struct Task {
    pub name: String,
    pub summary: String,
    pub action: Arc<dyn Action>,
    /// Files, directories or globs that must match something; `!` in front excludes.
    pub inputs: Vec<String>,
    /// As `inputs`, for what need not be there.
    pub optional_inputs: Vec<String>,
    /// Files or directories that the task makes, those of its action included.
    pub outputs: Vec<String>,
    /// Environment variables whose values count.
    pub environment: Vec<String>,
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
    pub origin: Origin,
}

impl Task {
    /// A task that does nothing but its action.
    pub fn new(name: &str, action: Arc<dyn Action>, dir: &Path, origin: Origin) -> Task {
        Task {
            name: name.to_owned(),
            summary: String::new(),
            inputs: Vec::new(),
            optional_inputs: Vec::new(),
            outputs: action.outputs(dir),
            environment: Vec::new(),
            tools: Vec::new(),
            dependencies: Vec::new(),
            after: Vec::new(),
            before: Vec::new(),
            always: false,
            cache: true,
            keep_foreign: action.shares_outputs(),
            keep_outputs: false,
            targets: vec![Target::Build, Target::Release],
            action,
            origin,
        }
    }
}
