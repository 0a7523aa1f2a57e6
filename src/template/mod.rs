//! Templates: where new plugins come from.
//!
//! Their layout is cookiecutter's, because sites have templates of their own in it: a `cookiecutter.json` with
//! questions and defaults, a directory `{{cookiecutter.name}}` whose files and names are Jinja2, and `hooks/`.
//! Nothing of a template is run or rendered when templates are merely listed.

mod after;
mod answers;
mod create;
mod extensions;
mod git;
mod hooks;
mod init;
mod make;
mod merge;
mod nested;
mod questions;
mod record;
mod render;
mod shelf;
mod tidy;
mod update;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::plugin::Module;
use crate::site::Site;
use crate::text;
use questions::Questions;
use shelf::Found;

pub use after::{keep_release_only, release};
pub use answers::defaults_of_person;
pub use create::{Request, create};
pub use git::{identity, uncommitted};
pub use init::{Initialized, init};
pub use merge::{Change, File, Outcome};
pub use questions::{Choice, Question, plain as as_typed};
pub use record::FILE as RECORD_FILE;
pub use shelf::Shelf;
pub use update::{Update, finish_interrupted, was_interrupted};

/// Gives the answer to a question, as a person types it.
pub type Ask<'a> = dyn FnMut(&Question) -> Result<String> + 'a;

/// A template, read and ready to make plugins.
#[derive(Debug, Clone)]
pub struct Template {
    pub name: String,
    /// As it was asked for: its name, or a path.
    given: String,
    /// Whether that was a path.
    is_by_path: bool,
    shelf: Shelf,
    /// Where the templates beside it are, if it was copied for a hook of its own.
    origin: Option<Shelf>,
    questions: Questions,
    /// The directories on the shelf that it is made of, its own first, each with its unrendered `{{cookiecutter.name}}`.
    layers: Vec<(String, Option<String>)>,
    /// The plugin's files and directories, names and content not yet rendered.
    files: Vec<Found>,
    hooks: Vec<Found>,
}

/// What a list of templates says of one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    pub name: String,
    pub description: String,
}

/// The templates for plugins of a module, by name.
pub fn list(module: &Module, site: &Site) -> Result<Vec<Summary>> {
    let mut found = BTreeMap::new();
    for shelf in Shelf::of_module(module, site) {
        for name in shelf.names()? {
            if !found.contains_key(&name) {
                let description = description(&shelf, &name)?;
                found.insert(name.clone(), Summary { name, description });
            }
        }
    }
    Ok(found.into_values().collect())
}

fn description(shelf: &Shelf, name: &str) -> Result<String> {
    let value: Value = serde_json::from_str(&shelf.questions(name)?).unwrap_or_default();
    Ok(value["_description"].as_str().unwrap_or_default().to_owned())
}

/// The template `name` of a module, or the one in a directory where `name` is a path.
pub fn find(name: &str, module: &Module, site: &Site) -> Result<Template> {
    if name.contains('/') || matches!(name, "." | "..") {
        let given = name;
        let path = Path::new(name);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // What ends in `..` has no name of its own. Other links are kept: what is shared lies beside the link.
        let path = if path.file_name().is_none() { path.canonicalize().unwrap_or(path) } else { path };
        let parent = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut template = Template::read(&Shelf::Disk(parent.to_owned()), name).map_err(|error| {
            let error = error.hint_if_none("`mwp bootstrap list` names the templates");
            if path.is_dir() { error } else { error.of_command_line() }
        })?;
        template.is_by_path = true;
        given.clone_into(&mut template.given);
        return Ok(template);
    }
    let is_shared = name.starts_with(['_', '.']);
    for shelf in Shelf::of_module(module, site) {
        if !is_shared && shelf.has(name) {
            return Template::read(&shelf, name)
                .map_err(|error| error.hint_if_none("mend the template, or take another one"));
        }
    }
    let known = list(module, site)?;
    let names: Vec<_> = known.iter().map(|template| template.name.as_str()).collect();
    let error = Error::usage(format!("there is no template `{}` for {module}", text::visible(name)));
    Err(match text::nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None if names.is_empty() => {
            let own = site.etc.join("metwork.config.d").join(module.as_str()).join("templates");
            error.hint(format!("put templates into {}, or give the path of one", text::path(&own)))
        }
        None => error.hint(format!("there are {}", names.join(", "))),
    })
}

/// As [`find`], in the binary alone.
pub fn carried(name: &str, module: &Module) -> Result<Template> {
    match Shelf::embedded(module).filter(|shelf| shelf.has(name)) {
        Some(shelf) => Template::read(&shelf, name),
        None => Err(Error::input(format!("there is no template `{}` for {module}", text::visible(name)))),
    }
}

/// Of all templates that the binary has for a module, and of what they share.
pub fn digest_of_carried(module: &Module) -> Result<Digest> {
    let mut hasher = Hasher::new();
    for file in Shelf::embedded(module).map_or_else(|| Ok(Vec::new()), |shelf| shelf.walk_all())? {
        hasher.value(&(&file.path, &file.content))?;
    }
    Ok(hasher.finish())
}

impl Template {
    fn empty(shelf: &Shelf, name: &str) -> Template {
        Template {
            name: name.to_owned(),
            given: name.to_owned(),
            is_by_path: false,
            shelf: shelf.clone(),
            origin: None,
            questions: Questions::default(),
            layers: Vec::new(),
            files: Vec::new(),
            hooks: Vec::new(),
        }
    }

    fn read(shelf: &Shelf, name: &str) -> Result<Template> {
        let mut template = Template::empty(shelf, name);
        template.lay_over(shelf, name, &mut Vec::new())?;
        template.layers.reverse();
        if template.files.is_empty() && template.nested()?.is_empty() {
            return Err(Error::input(format!(
                "{} has no files; a directory named `{{{{cookiecutter.name}}}}` must hold them",
                text::path(&shelf.path(name))
            )));
        }
        Ok(template)
    }

    /// Adds the template `name` and, under it, what it builds upon.
    fn lay_over(&mut self, shelf: &Shelf, name: &str, stack: &mut Vec<String>) -> Result<()> {
        if stack.iter().any(|seen| seen == name) {
            return Err(Error::input(format!(
                "the template `{}` builds upon itself: {}",
                text::visible(name),
                text::visible(&stack.join(" → "))
            )));
        }
        if name.contains('/') || name == ".." {
            return Err(Error::input(format!(
                "`_bases` holds `{}`; names of directories beside the template are allowed",
                text::visible(name)
            )));
        }
        let content = shelf.questions(name)?;
        stack.push(name.to_owned());
        for base in Questions::bases(&content) {
            self.lay_over(shelf, &base, stack)?;
        }
        stack.pop();
        self.questions.add(&format!("{name}/cookiecutter.json"), &content)?;
        let start = self
            .questions
            .entries
            .get("_jinja2_env_vars")
            .and_then(|it| it["variable_start_string"].as_str());
        let start = start.unwrap_or("{{").to_owned();
        let mut project = None;
        for directory in shelf.directories(name)? {
            let path = format!("{name}/{directory}");
            if directory == "hooks" {
                lay(&mut self.hooks, shelf.walk(&path)?);
            } else if directory.contains(&start) && directory.contains("cookiecutter") {
                lay(&mut self.files, shelf.walk(&path)?);
                project = Some(path);
            }
        }
        self.layers.push((name.to_owned(), project));
        Ok(())
    }

    /// Whether the template asks this.
    pub fn asks(&self, name: &str) -> bool {
        self.questions.asked().any(|asked| asked == name)
    }

    /// Of its questions, files and hooks.
    fn digest(&self) -> Result<Digest> {
        let mut hasher = Hasher::new();
        hasher.value(&serde_json::to_string(&self.questions.entries).unwrap_or_default())?;
        for file in self.files.iter().chain(&self.hooks) {
            hasher.value(&(&file.path, &file.content, file.is_executable))?;
        }
        Ok(hasher.finish())
    }

    /// The template's directory; one in the binary has but a name.
    fn place(&self) -> PathBuf {
        self.shelf.path(&self.name)
    }

    /// Where `include` and `extends` look, in this order.
    fn sources(&self) -> Vec<(Shelf, String)> {
        let mut sources = Vec::new();
        for (layer, project) in &self.layers {
            let directories = project.iter().cloned().chain([format!("{layer}/templates"), layer.clone()]);
            sources.extend(directories.map(|directory| (self.shelf.clone(), directory)));
        }
        let around = [Some(&self.shelf), self.origin.as_ref()];
        sources.extend(around.into_iter().flatten().map(|shelf| (shelf.clone(), String::new())));
        sources
    }

    /// Whether empty files are left out, as MetWork's own templates have it; cookiecutter keeps them.
    fn is_tidied(&self) -> bool {
        matches!(self.shelf, Shelf::Embedded(_)) || hooks::use_metwork_module(&self.hooks)
    }
}

/// Puts files over those with the same path.
fn lay(under: &mut Vec<Found>, over: Vec<Found>) {
    under.retain(|file| !over.iter().any(|new| new.path == file.path));
    under.extend(over);
}
