//! Before anything else is asked: a template's `pre_prompt` hook, which may change a copy of it, and the choice where one
//! directory holds several templates (`"templates"` in `cookiecutter.json`).

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde_json::Value;

use super::hooks::{Hooks, Moment, scripts_of};
use super::questions::{Questions, plain};
use super::shelf::Shelf;
use super::{Ask, Template};
use crate::error::{Error, Result};
use crate::fs;
use crate::site::Site;
use crate::text;

/// One of several templates.
#[derive(Debug, PartialEq)]
pub(super) struct Nested {
    name: String,
    label: String,
    /// Relative to the directory that holds them.
    path: String,
}

impl Template {
    /// The templates that this one is but the directory of.
    pub(super) fn nested(&self) -> Result<Vec<Nested>> {
        let entries = &self.questions.entries;
        let mut found = Vec::new();
        if let Some(Value::Object(templates)) = entries.get("templates") {
            for (name, about) in templates {
                let title = about.get("title").map_or_else(|| name.clone(), plain);
                let label = match about.get("description").and_then(Value::as_str) {
                    Some(description) if description != title => format!("{title} ({description})"),
                    _ => title,
                };
                let path = about["path"].as_str().unwrap_or_default().to_owned();
                found.push(Nested { name: name.clone(), label, path });
            }
        } else if let Some(Value::Array(templates)) = entries.get("template") {
            // The older form: `"Title (./path)"`.
            for title in templates.iter().filter_map(Value::as_str) {
                let path = title.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
                let path = path.map(|(path, _)| path.to_owned()).unwrap_or_default();
                found.push(Nested { name: title.to_owned(), label: title.to_owned(), path });
            }
        }
        for nested in &found {
            let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            if nested.path.is_empty() || !Path::new(&nested.path).components().all(is_inside) {
                return Err(Error::input(format!(
                    "the template `{}` names a template at `{}`; a path below its directory is allowed",
                    text::visible(&self.name),
                    text::visible(&nested.path)
                )));
            }
        }
        Ok(found)
    }
}

/// The template to make a plugin from.
pub(super) struct Settled {
    pub(super) template: Template,
    /// Which of several it is.
    pub(super) chosen: Option<String>,
    /// The directories that hold its changed copies, until they are dropped.
    pub(super) copies: Vec<fs::Staging>,
}

pub(super) fn settled(
    template: &Template,
    answers: &mut BTreeMap<String, String>,
    scratch: &Path,
    site: &Site,
    ask: &mut Ask<'_>,
) -> Result<Settled> {
    let mut template = template.clone();
    let (mut copies, mut choice) = (Vec::new(), None);
    loop {
        if scripts_of(&template.hooks, Moment::BeforeQuestions).next().is_some() {
            let copy = fs::Staging::claimed_in(scratch)?;
            template = prepared(&template, &copy, site)?;
            copies.push(copy);
        }
        let nested = template.nested()?;
        if nested.is_empty() {
            return Ok(Settled { template, chosen: choice, copies });
        }
        let (next, answer) = chosen(&template, &nested, answers, ask)?;
        (template, choice) = (next, Some(answer));
    }
}

fn chosen(
    template: &Template,
    nested: &[Nested],
    answers: &mut BTreeMap<String, String>,
    ask: &mut Ask<'_>,
) -> Result<(Template, String)> {
    let labels = nested.iter().map(|it| (it.name.clone(), Value::from(it.label.clone())));
    let labels: serde_json::Map<_, _> =
        labels.chain([("__prompt__".to_owned(), "Select a template".into())]).collect();
    let mut questions = Questions::default();
    questions.add("templates", &serde_json::json!({"__prompts__": {"template": labels}}).to_string())?;
    let names = nested.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let question = questions.question("template", Value::from(names));
    let answer = match answers.remove("template") {
        Some(answer) => answer,
        None => ask(&question)?,
    };
    let answer = plain(&question.answer(&answer)?);
    let path = nested.iter().find(|it| it.name == answer).map(|it| it.path.as_str()).unwrap_or_default();
    let Shelf::Disk(_) = &template.shelf else {
        return Err(Error::machine("the binary's templates hold no others"));
    };
    let place: std::path::PathBuf = template.place().join(path).components().collect();
    let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parent = place.parent().unwrap_or(Path::new("/"));
    Ok((Template::read(&Shelf::Disk(parent.to_owned()), name)?, answer))
}

/// The template as its `pre_prompt` hook leaves it.
fn prepared(template: &Template, copy: &fs::Staging, site: &Site) -> Result<Template> {
    // What it builds upon lies beside it, there too.
    for (layer, _) in &template.layers {
        let place = copy.join(layer);
        for file in template.shelf.walk(layer)? {
            let path = place.join(&file.path);
            let Some(content) = &file.content else {
                fs::create_dir_all(&path)?;
                continue;
            };
            fs::create_dir_all(path.parent().unwrap_or(&place))?;
            fs::write_atomic_with_mode(&path, content, if file.is_executable { 0o755 } else { 0o644 })?;
        }
    }
    let place = copy.join(&template.name);
    let scratch = copy.join(".hooks");
    let hooks = Hooks { scripts: &template.hooks, renderer: None, site, scratch: &scratch };
    hooks.run(Moment::BeforeQuestions, &place)?;
    let mut changed = Template::read(&Shelf::Disk(copy.path().to_owned()), &template.name)?;
    changed.given.clone_from(&template.given);
    changed.origin = Some(template.shelf.clone());
    Ok(changed)
}
