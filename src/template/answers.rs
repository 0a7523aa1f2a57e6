//! From a template's questions to the variables that its files see, as cookiecutter has them.
//!
//! Defaults may refer to the answers before them; dictionaries come last, since they may refer to all others. What
//! starts with `_` is not asked: with one it is taken as it stands, with two it is rendered.

use std::path::Path;

use serde_json::{Map, Value};

use super::create::Request;
use super::render::{Renderer, variables};
use super::{Ask, git};
use crate::error::Result;
use crate::site::Site;

/// The format of the plugins that the embedded templates make, where no MetWork module says its version.
const FORMAT_VERSION: &str = "1.0.0";
/// Stands for whoever makes the plugin.
const NOBODY: &str = "Firstname FAMILYNAME <email>";

/// The variables, and what was asked and answered.
pub(super) struct Answers {
    pub(super) all: Map<String, Value>,
    pub(super) asked: Map<String, Value>,
}

pub(super) fn gather(
    request: &Request<'_>,
    renderer: &Renderer,
    site: &Site,
    ask: &mut Ask<'_>,
) -> Result<Answers> {
    let template = request.template;
    let mut questions = template.questions.clone();
    questions.check_names(&request.answers)?;
    questions.set_defaults(&request.defaults);
    let mut answers = Answers { all: own_variables(request, site), asked: Map::new() };
    for is_second_pass in [false, true] {
        for (name, value) in &questions.entries {
            if name.starts_with("__") {
                let value = rendered(renderer, value, &answers.all)?;
                answers.all.insert(name.clone(), value);
            } else if name.starts_with('_') {
                answers.all.insert(name.clone(), value.clone());
            } else if value.is_object() == is_second_pass {
                let mut default = rendered(renderer, value, &answers.all)?;
                if name == "maintainer" && default == NOBODY {
                    default = git::identity(site).map_or(default, Value::from);
                }
                let question = questions.question(name, default);
                let answer = match request.answers.get(name) {
                    Some(answer) => answer.clone(),
                    None => ask(&question)?,
                };
                let answer = question.answer(&answer)?;
                answers.asked.insert(name.clone(), answer.clone());
                answers.all.insert(name.clone(), answer);
            }
        }
    }
    let place = template.place().to_string_lossy().into_owned();
    let parent = std::path::absolute(request.parent).unwrap_or_else(|_| request.parent.to_owned());
    for (name, value) in [
        ("_template", Value::from(template.given.clone())),
        ("_output_dir", Value::from(parent.to_string_lossy().into_owned())),
        ("_repo_dir", Value::from(place)),
        ("_checkout", Value::Null),
    ] {
        answers.all.insert(name.to_owned(), value);
    }
    Ok(answers)
}

/// What MetWork's templates see beside their own questions.
fn own_variables(request: &Request<'_>, site: &Site) -> Map<String, Value> {
    let format_version = site.environment.text("MFMODULE_VERSION").unwrap_or(FORMAT_VERSION);
    let pairs = [
        ("name", request.name.to_string()),
        ("module", request.module.to_string()),
        ("MFMODULE", request.module.upper()),
        ("MFMODULE_VERSION", format_version.to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

/// A default over the answers so far; numbers are text to cookiecutter.
fn rendered(renderer: &Renderer, value: &Value, answers: &Map<String, Value>) -> Result<Value> {
    let render = |text: &str| renderer.render("cookiecutter.json", text, &variables(answers, &Map::new()));
    Ok(match value {
        Value::String(text) => Value::from(render(text)?),
        Value::Number(number) => Value::from(number.to_string()),
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| rendered(renderer, item, answers)).collect::<Result<_>>()?)
        }
        Value::Object(items) => {
            let items =
                items.iter().map(|(name, value)| Ok((render(name)?, rendered(renderer, value, answers)?)));
            Value::Object(items.collect::<Result<_>>()?)
        }
    })
}

/// The defaults that a person keeps for all templates, in cookiecutter's own file.
pub fn defaults_of_person(file: Option<&Path>, site: &Site) -> Result<Map<String, Value>> {
    use crate::error::Error;
    use crate::{fs, text};
    let named = file.map(Path::to_owned).or_else(|| site.environment.path("COOKIECUTTER_CONFIG"));
    let home = || site.environment.path("HOME").map(|home| home.join(".cookiecutterrc"));
    let Some(file) = named.clone().or_else(home) else { return Ok(Map::new()) };
    let content = match fs::read_text_optional(&file)? {
        Some(content) => content,
        None if named.is_some() => {
            return Err(Error::input(format!("there is no {}", text::path(&file)))
                .hint("give the path of cookiecutter's configuration, or unset COOKIECUTTER_CONFIG"));
        }
        None => return Ok(Map::new()),
    };
    let bad = |reason: String| {
        Error::input(format!("{}: {}", text::path(&file), text::visible(&reason)))
            .hint("cookiecutter's configuration is YAML with a mapping `default_context`")
    };
    let value: Value = serde_yaml_ng::from_str(&content).map_err(|error| bad(error.to_string()))?;
    match value.get("default_context") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(defaults)) => Ok(defaults.clone()),
        Some(_) => Err(bad("`default_context` is no mapping".to_owned())),
    }
}
