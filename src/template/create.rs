//! Makes a plugin: everything is rendered, hooked and checked in a staging directory beside the target, which
//! then gets its name in one step. A failure, wherever, leaves nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::hooks::{Hooks, Moment};
use super::questions::Question;
use super::render::{Renderer, variables};
use super::shelf::Found;
use super::{Template, tidy};
use crate::error::{At, Error, Fault, Problem, Result};
use crate::fs;
use crate::plugin::{self, Module, PluginName};
use crate::site::Site;
use crate::text;

/// The format of the plugins that the embedded templates make, where no MetWork module says its version.
const FORMAT_VERSION: &str = "1.0.0";

/// What to make.
pub struct Request<'a> {
    pub template: &'a Template,
    pub module: &'a Module,
    pub name: &'a PluginName,
    /// The directory to make the plugin's directory in.
    pub parent: &'a Path,
    /// Answers known beforehand.
    pub answers: BTreeMap<String, String>,
}

/// Makes the plugin and returns its directory. `ask` gets a question with its default.
pub fn create(
    request: &Request<'_>,
    site: &Site,
    ask: &mut dyn FnMut(&Question, &str) -> Result<String>,
) -> Result<PathBuf> {
    let target = request.parent.join(request.name.as_str());
    if fs::exists(&target) {
        return Err(Error::input(format!("{} exists already", text::path(&target)))
            .hint("choose another name, or remove it first"));
    }
    let template = request.template;
    let renderer = Renderer::new(&template.shelf, &template.name)?;
    let answers = answers(request, &renderer, site, ask)?;
    let variables = variables(&answers);
    // What a killed one left here.
    fs::sweep(request.parent);
    let staging = fs::Staging::claimed_in(request.parent)?;
    let directory = staging.join(request.name.as_str());
    fs::create_dir_all(&directory)?;
    let scratch = staging.join("hooks");
    let hooks = Hooks {
        scripts: &template.hooks,
        renderer: &renderer,
        variables: &variables,
        site,
        scratch: &scratch,
    };
    hooks.run(Moment::Before, &directory)?;
    let copied = template.questions.copied();
    for file in &template.files {
        let path = renderer.render(&file.path, &file.path, &variables)?;
        let Some(path) = inside(&directory, &path)? else { continue };
        let content = match std::str::from_utf8(&file.content) {
            Ok(text) if !copied.iter().any(|pattern| matches(pattern, &file.path)) => {
                renderer.render(&file.path, text, &variables)?.into_bytes()
            }
            _ => file.content.clone(),
        };
        write(&path, &content, file)?;
    }
    hooks.run(Moment::After, &directory)?;
    if hooks.use_markers() {
        tidy::apply_markers(&directory)?;
    }
    tidy::remove_empty(&directory)?;
    check(&directory, &target, request, site)?;
    // Refuses a directory that appeared meanwhile, unless it is empty.
    fs::rename(&directory, &target)?;
    Ok(target)
}

fn answers(
    request: &Request<'_>,
    renderer: &Renderer,
    site: &Site,
    ask: &mut dyn FnMut(&Question, &str) -> Result<String>,
) -> Result<Map<String, Value>> {
    let questions = &request.template.questions;
    questions.check_names(&request.answers)?;
    let format_version = site.environment.text("MFMODULE_VERSION").unwrap_or(FORMAT_VERSION);
    let place = request.template.shelf.path(&request.template.name);
    let parent = std::path::absolute(request.parent).unwrap_or_else(|_| request.parent.to_owned());
    let mut answers = questions.fixed.clone();
    for (name, value) in [
        ("name", request.name.to_string()),
        ("module", request.module.to_string()),
        ("MFMODULE", request.module.upper()),
        ("MFMODULE_VERSION", format_version.to_owned()),
        ("_template", place.to_string_lossy().into_owned()),
        ("_output_dir", parent.to_string_lossy().into_owned()),
    ] {
        answers.insert(name.to_owned(), Value::String(value));
    }
    for question in &questions.questions {
        let answer = match request.answers.get(&question.name) {
            Some(answer) => answer.clone(),
            None => {
                let default =
                    renderer.render("cookiecutter.json", &question.default, &variables(&answers))?;
                ask(question, &default)?
            }
        };
        question.check(&answer)?;
        answers.insert(question.name.clone(), Value::String(answer));
    }
    Ok(answers)
}

/// The place of a file; `None` where its name renders empty, which leaves it out.
fn inside(directory: &Path, path: &str) -> Result<Option<PathBuf>> {
    if path.is_empty() || path.ends_with('/') {
        return Ok(None);
    }
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(Error::input(format!(
            "the template makes a file `{}`; a path inside the plugin is allowed",
            text::visible(path)
        )));
    }
    Ok(Some(directory.join(path)))
}

fn write(path: &Path, content: &[u8], file: &Found) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_file(path)?.write_all(content).at("write", path)?;
    if file.is_executable { fs::set_mode(path, 0o755) } else { Ok(()) }
}

/// A template that makes a bad plugin is refused with the plugin's problems, at the paths they would have had.
fn check(directory: &Path, target: &Path, request: &Request<'_>, site: &Site) -> Result<()> {
    let checked = plugin::check(directory, site);
    if checked.is_good() {
        return Ok(());
    }
    let shown = |path: &Path| text::path(path).trim_matches('`').to_owned();
    let (from, to) = (shown(directory), shown(target));
    let template =
        format!("the template `{}` makes a plugin that is not good", text::visible(&request.template.name));
    let mut problems = Vec::new();
    let fault = checked.fault.unwrap_or(Fault::Input);
    // A machine that cannot read is not the template's fault.
    if fault == Fault::Input {
        problems.push(Problem { message: template, hint: None });
    }
    problems.extend(checked.problems.into_iter().map(|problem| {
        let problem = Problem::from(problem);
        Problem { message: problem.message.replace(&from, &to), hint: problem.hint }
    }));
    Err(Error::many(fault, problems))
}

/// `*` stands for anything, `?` for one character, as in Python's fnmatch.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < path.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == path[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, seen)) = star {
            (p, t) = (at + 1, seen + 1);
            star = Some((at, seen + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, path, expected) in [
            ("*.html", "a/b.html", true),
            ("static/*", "static/a/b", true),
            ("?.txt", "a.txt", true),
            ("*.html", "a.htm", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b", "aXbY", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_file_stays_inside_the_plugin() {
        let directory = Path::new("/d");
        assert!(inside(directory, "../x").is_err() && inside(directory, "/x").is_err());
        assert_eq!(inside(directory, "").unwrap(), None);
        assert_eq!(inside(directory, "main/").unwrap(), None);
        assert_eq!(inside(directory, "a/b").unwrap(), Some(PathBuf::from("/d/a/b")));
    }
}
