//! The TOML of recipes and of a plugin's `mwp.toml`: its shape, and what is refused.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::Recipes;
use super::makefile::has_rule;
use super::read::{line_of, read};
use crate::action::{self, Command};
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::graph::{Action, Origin, Target, Task};
use crate::text;

/// A plugin's own recipe, in its directory.
pub const PLUGIN_RECIPE_FILE: &str = "mwp.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipeFile {
    #[serde(skip)]
    origin: String,
    #[allow(dead_code)] // read by people
    name: String,
    #[allow(dead_code)] // read by people
    summary: String,
    #[serde(default)]
    when: When,
    #[serde(default)]
    tasks: TaskTable,
    #[serde(default)]
    clean: Removal,
    #[serde(default)]
    superclean: Removal,
}

/// `mwp.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginRecipe {
    /// Names of built-in tasks that this plugin does without.
    #[serde(default)]
    disable: Vec<String>,
    #[serde(default)]
    tasks: TaskTable,
    #[serde(default)]
    clean: Removal,
    #[serde(default)]
    superclean: Removal,
    #[serde(default)]
    pub(super) release: Release,
}

/// What a release of the plugin is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Packages of Node that only `devDependencies` ask for stay behind.
    #[serde(default)]
    pub omit_dev: bool,
}

/// Each is held against each other.
const MOST_TASKS: usize = 500;

/// In the order of the names.
type TaskTable = BTreeMap<toml::Spanned<String>, TaskEntry>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    /// Any of these paths.
    #[serde(default)]
    exists: Vec<String>,
    /// None of these paths.
    #[serde(default)]
    absent: Vec<String>,
    /// The Makefile states a rule for this target.
    makefile_rule: Option<String>,
    /// There is a package.json, and this package manager is the one to take.
    package_manager: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskEntry {
    #[serde(default)]
    summary: String,
    #[serde(default)]
    when: When,
    action: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default)]
    inputs: Vec<String>,
    #[serde(default)]
    optional_inputs: Vec<String>,
    #[serde(default)]
    outputs: Vec<String>,
    #[serde(default)]
    environment: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    before: Vec<String>,
    #[serde(default)]
    always: bool,
    #[serde(default = "yes")]
    cache: bool,
    keep_foreign: Option<bool>,
    #[serde(default)]
    keep_outputs: bool,
    #[serde(default = "all_targets")]
    targets: Vec<Target>,
}

fn yes() -> bool {
    true
}

fn all_targets() -> Vec<Target> {
    vec![Target::Build, Target::Release]
}

impl PluginRecipe {
    /// The command of `[tasks.test]`.
    pub(super) fn test_command(&self) -> Option<&[String]> {
        let (_, task) = self.tasks.iter().find(|(name, _)| name.get_ref() == "test")?;
        task.command.as_deref()
    }
}

impl RecipeFile {
    pub(super) fn parse(origin: &str, content: &str) -> Result<RecipeFile> {
        let mut recipe: RecipeFile = read(origin, content)?;
        origin.clone_into(&mut recipe.origin);
        let check = |(name, task): (_, &TaskEntry)| task.validate(&Place { file: origin, content, name });
        together(recipe.tasks.iter().flat_map(check).collect())?;
        Ok(recipe)
    }

    /// Adds the tasks that apply to the plugin in `dir`. What is generated is removed by `clean` whether or not
    /// the recipe still applies.
    pub(super) fn add_to(&self, recipes: &mut Recipes, dir: &Path) -> Result<()> {
        recipes.known.extend(self.tasks.keys().map(|name| name.get_ref().clone()));
        if self.when.holds(dir)? {
            let origin = Origin { file: self.origin.clone(), is_own: false };
            for (name, task) in &self.tasks {
                if task.when.holds(dir)? {
                    recipes.tasks.push(task.clone().into_task(name.get_ref(), dir, origin.clone())?);
                }
            }
        }
        recipes.clean.extend(self.clean.remove.iter().cloned());
        recipes.superclean.extend(self.superclean.remove.iter().cloned());
        Ok(())
    }
}

/// Reads `mwp.toml`, where the plugin has one.
pub(super) fn read_plugin_recipe(dir: &Path) -> Result<Option<PluginRecipe>> {
    let path = dir.join(PLUGIN_RECIPE_FILE);
    let Some(content) = fs::read_text_optional(&path)? else { return Ok(None) };
    let file = path.to_string_lossy();
    let recipe: PluginRecipe = read(&file, &content)?;
    recipe.refuse_many(&path)?;
    together(recipe.mistakes(&path, &content, &|_| true))?;
    Ok(Some(recipe))
}

/// One error of all problems, where there are any.
fn together(errors: Vec<Error>) -> Result<()> {
    let problems: Vec<Problem> = errors.into_iter().flat_map(|error| error.problems).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::many(Fault::Input, problems)) }
}

impl PluginRecipe {
    pub(super) fn refuse_many(&self, path: &Path) -> Result<()> {
        if self.tasks.len() > MOST_TASKS {
            return Err(Error::input(format!(
                "{} has more than {MOST_TASKS} tasks",
                text::place(path, 1, None)
            ))
            .hint("one task may make many outputs, with a command that makes them all"));
        }
        Ok(())
    }

    /// What is wrong with it as such, for those of its tasks whose place in the text `counts`.
    pub(super) fn mistakes(
        &self,
        path: &Path,
        content: &str,
        counts: &dyn Fn(std::ops::Range<usize>) -> bool,
    ) -> Vec<Error> {
        let file = path.to_string_lossy();
        let tasks = self.tasks.iter().filter(|(name, _)| counts(name.span()));
        let mut errors: Vec<Error> =
            tasks.flat_map(|(name, task)| task.validate(&Place { file: &file, content, name })).collect();
        for pattern in self.clean.remove.iter().chain(&self.superclean.remove) {
            errors.extend(inside_plugin(pattern).err().map(|allowed| {
                Error::input(format!(
                    "{}: [clean] remove: found `{}`; {allowed}",
                    text::path(path),
                    text::visible(pattern)
                ))
                .hint("a plugin removes what is its own")
            }));
        }
        errors
    }

    /// Where the tasks are stated in the text, by their names.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, usize)> {
        self.tasks.keys().map(|name| (name.get_ref().as_str(), name.span().start))
    }

    /// Makes something of tasks that are wrong as such, so that it can be told what they say about each other.
    pub(super) fn make_do(&mut self) {
        for task in self.tasks.values_mut() {
            let is_good = task.action.as_deref().is_some_and(|action| built_in(action).is_some());
            if !is_good {
                task.action = None;
                task.command.get_or_insert_default();
            }
        }
    }

    pub(super) fn apply_to(self, recipes: &mut Recipes, dir: &Path) -> Result<()> {
        for name in &self.disable {
            disable(recipes, name)?;
        }
        for (name, task) in self.tasks {
            let origin = Origin { file: PLUGIN_RECIPE_FILE.to_owned(), is_own: true };
            let task = task.into_task(name.get_ref(), dir, origin)?;
            // A task of the same name replaces the built-in one, in its place.
            match recipes.tasks.iter_mut().find(|known| known.name == task.name) {
                Some(known) => *known = task,
                None => recipes.tasks.push(task),
            }
        }
        recipes.clean.extend(self.clean.remove);
        recipes.superclean.extend(self.superclean.remove);
        Ok(())
    }
}

/// Takes a task out; whoever waited for it waits for what it waited for.
fn disable(recipes: &mut Recipes, name: &str) -> Result<()> {
    let Some(position) = recipes.tasks.iter().position(|task| task.name == name) else {
        let names: Vec<&str> = recipes.tasks.iter().map(|task| task.name.as_str()).collect();
        let error = Error::input(format!(
            "`{PLUGIN_RECIPE_FILE}`: disable: there is no task `{}` here; the tasks are {}",
            text::visible(name),
            names.join(", ")
        ));
        return Err(match text::nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("take it out of the list"),
        });
    };
    let gone = recipes.tasks.remove(position);
    for task in &mut recipes.tasks {
        if task.dependencies.contains(&gone.name) {
            task.dependencies.retain(|dependency| *dependency != gone.name);
            task.dependencies.extend(gone.dependencies.iter().cloned());
        }
        task.after.extend(
            gone.after.iter().filter(|_| task.after.contains(&gone.name)).cloned().collect::<Vec<_>>(),
        );
    }
    Ok(())
}

impl When {
    fn holds(&self, dir: &Path) -> Result<bool> {
        if let Some(rule) = &self.makefile_rule {
            return has_rule(dir, rule);
        }
        if let Some(manager) = &self.package_manager {
            return Ok(action::package_manager(dir)?.is_some_and(|taken| taken == manager));
        }
        let is_there = |path: &String| fs::exists(&dir.join(path));
        Ok((self.exists.is_empty() || self.exists.iter().any(is_there)) && !self.absent.iter().any(is_there))
    }
}

impl TaskEntry {
    fn validate(&self, place: &Place<'_>) -> Vec<Error> {
        let mut errors = Vec::new();
        let name = place.name.get_ref();
        let good = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !good {
            errors.push(place.error(None, "a task's name is made of letters, digits, `_`, `-` and `.`"));
        }
        match (&self.action, &self.command) {
            (Some(action), None) if built_in(action).is_some() => {}
            (Some(action), None) => {
                let names: Vec<String> =
                    action::all().iter().map(|action| action.name().to_owned()).collect();
                let allowed = format!("found `{}`; allowed: {}", text::visible(action), names.join(", "));
                errors.push(place.error(Some("action"), &allowed));
            }
            (None, Some(command)) if command.first().is_some_and(|program| !program.is_empty()) => {}
            (None, Some(_)) => {
                errors
                    .push(place.error(Some("command"), "is empty; a program and its arguments are allowed"));
            }
            (None, None) => errors.push(place.error(None, "has neither `command` nor `action`; give one")),
            (Some(_), Some(_)) => errors.push(place.error(None, "has both `command` and `action`; give one")),
        }
        for (key, patterns) in [("inputs", &self.inputs), ("optional_inputs", &self.optional_inputs)] {
            for pattern in patterns {
                let plain = pattern.strip_prefix('!').unwrap_or(pattern);
                let valid = inside_plugin(plain).and_then(|()| {
                    globset::Glob::new(plain)
                        .map(drop)
                        .map_err(|error| format!("a glob is allowed ({})", error.kind()))
                });
                errors.extend(valid.err().map(|allowed| place.found(key, pattern, &allowed)));
            }
        }
        for output in &self.outputs {
            let valid = inside_plugin(output).and_then(|()| match output.contains(['*', '?', '[', '{']) {
                true => Err("a file or a directory without wildcards is allowed".to_owned()),
                false => Ok(()),
            });
            errors.extend(valid.err().map(|allowed| place.found("outputs", output, &allowed)));
        }
        if self.action.is_none()
            && self.inputs.is_empty()
            && self.optional_inputs.is_empty()
            && !self.always
            && self.targets != [Target::Test]
        {
            let allowed =
                "has no `inputs`, so that nobody can tell when to run it; give some, or `always = true`";
            errors.push(place.error(None, allowed));
        }
        if self.targets.is_empty() {
            errors.push(place.error(Some("targets"), "is empty; `build`, `release` and `test` are allowed"));
        }
        for variable in self.environment.iter().chain(self.set.keys()) {
            if variable.is_empty() || variable.contains(['=', '\0']) {
                errors.push(place.found(
                    "environment",
                    variable,
                    "names of environment variables are allowed",
                ));
            }
        }
        errors
    }

    fn into_task(self, name: &str, dir: &Path, origin: Origin) -> Result<Task> {
        let mut summary = self.summary;
        let action: Arc<dyn Action> = match self.action {
            Some(action) => built_in(&action).ok_or_else(|| Error::input(format!("no action `{action}`")))?,
            None => {
                let words = self.command.unwrap_or_default();
                if summary.is_empty() {
                    summary = format!("Run `{}`", words.first().map_or("", String::as_str));
                }
                Arc::new(Command { words, set: self.set })
            }
        };
        let mut task = Task::new(name, action, dir, origin);
        for output in self.outputs {
            // `./out/` is `out`, which is how files in it are named.
            let output: PathBuf =
                Path::new(&output).components().filter(|part| *part != Component::CurDir).collect();
            let output = output.to_string_lossy().into_owned();
            if !task.outputs.contains(&output) {
                task.outputs.push(output);
            }
        }
        Ok(Task {
            summary,
            inputs: self.inputs,
            optional_inputs: self.optional_inputs,
            cache: self.cache && !task.outputs.is_empty() && !self.always,
            environment: self.environment,
            tools: self.tools,
            dependencies: self.dependencies,
            after: self.after,
            before: self.before,
            always: self.always,
            keep_foreign: self.keep_foreign.unwrap_or(task.keep_foreign),
            keep_outputs: self.keep_outputs,
            targets: self.targets,
            ..task
        })
    }
}

fn built_in(name: &str) -> Option<Arc<dyn Action>> {
    action::all().into_iter().find(|action| action.name() == name)
}

/// A relative path that stays in the plugin's directory; says what is allowed where it is not.
fn inside_plugin(path: &str) -> Result<(), String> {
    let plain =
        Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let names_something = Path::new(path).components().any(|part| matches!(part, Component::Normal(_)));
    match plain && names_something && !path.contains('\0') {
        true => Ok(()),
        false => Err("a relative path inside the plugin's directory is allowed".to_owned()),
    }
}

/// Where a task stands, for messages.
struct Place<'a> {
    file: &'a str,
    content: &'a str,
    name: &'a toml::Spanned<String>,
}

impl Place<'_> {
    fn error(&self, key: Option<&str>, what: &str) -> Error {
        let line = line_of(self.content, self.name.span().start);
        let name = text::visible(self.name.get_ref());
        let key = key.map_or(String::new(), |key| format!("`{key}` "));
        Error::input(format!("{}: [tasks.{name}] {key}{what}", text::place(Path::new(self.file), line, None)))
            .hint("`mwp help recipes` describes every key of a task, with an example")
    }

    fn found(&self, key: &str, value: &str, allowed: &str) -> Error {
        self.error(Some(key), &format!("found `{}`; {allowed}", text::visible(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(toml: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::write_atomic(&dir.path().join(PLUGIN_RECIPE_FILE), toml.as_bytes()).unwrap();
        read_plugin_recipe(dir.path())
            .and_then(|recipe| recipe.unwrap().apply_to(&mut Recipes::default(), dir.path()))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_bad_recipe_is_refused_with_its_file_line_key_and_what_is_allowed() {
        for (toml, wanted) in [
            ("[tasks.a]\ncommand = [\"x\"]\ninput = [\"y\"]\n", ":3: unknown field `input`"),
            ("[tasks.a]\ninputs = [\"y\"]\n", ":1: [tasks.a] has neither `command` nor `action`"),
            ("[tasks.a]\naction = \"magic\"\n", "`action` found `magic`; allowed: check, python-freeze"),
            ("[tasks.a]\ncommand = []\nalways = true\n", "`command` is empty"),
            ("[tasks.a]\ncommand = \"tsc\"\nalways = true\n", ":2: invalid type: string"),
            ("[tasks.a]\ncommand = [\"x\"]\ninputs = [\"../y\"]\n", "`inputs` found `../y`"),
            ("[tasks.a]\ncommand = [\"x\"]\ninputs = [\"a[\"]\n", "`inputs` found `a[`; a glob is allowed"),
            ("[tasks.a]\ncommand = [\"x\"]\nalways = true\noutputs = [\"/etc\"]\n", "`outputs` found `/etc`"),
            ("[tasks.a]\ncommand = [\"x\"]\nalways = true\noutputs = [\"*.js\"]\n", "without wildcards"),
            ("[tasks.a]\ncommand = [\"x\"]\n", "has no `inputs`"),
            ("[tasks.\"a b\"]\ncommand = [\"x\"]\nalways = true\n", "a task's name"),
            (
                "[tasks.a]\ncommand = [\"x\"]\nalways = true\ntargets = [\"deploy\"]\n",
                "unknown variant `deploy`",
            ),
            ("disable = [\"virtualenv\"]\n", "there is no task `virtualenv`"),
            ("tasks = 1\n", ":1: "),
            ("[clean]\nremove = [\"/\"]\n", "[clean] remove: found `/`"),
            ("[tasks.a\n", ":1: "),
        ] {
            let refusal = refusal(toml);
            assert!(refusal.contains("mwp.toml") && refusal.contains(wanted), "{toml}\n-> {refusal}");
        }
    }

    #[test]
    fn whoever_waited_for_a_disabled_task_waits_for_what_it_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            (".layerapi2_label", "plugin_a@mfserv"),
            ("python3_virtualenv_sources/requirements-to-freeze.txt", "six"),
            (PLUGIN_RECIPE_FILE, "disable = [\"wheels\"]"),
        ] {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write_atomic(&dir.path().join(name), content.as_bytes()).unwrap();
        }
        let recipes = Recipes::of_plugin(dir.path()).unwrap();
        let virtualenv = recipes.tasks.iter().find(|task| task.name == "virtualenv").unwrap();
        assert_eq!(virtualenv.dependencies, ["freeze"]);
    }
}
