//! What a template asks before it makes a plugin: `cookiecutter.json`, and the answers.
//!
//! Answers go into `config.ini`, JSON and file names, so what a person gives is a single line without control
//! characters and without Jinja2; a version is one that `mwp check` accepts. The template's own default may be any text.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::plugin::config::version_fault;
use crate::text;

/// What cookiecutter takes for yes and for no.
const YES: [&str; 6] = ["1", "true", "t", "yes", "y", "on"];
const NO: [&str; 6] = ["0", "false", "f", "no", "n", "off"];

/// One thing to ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub name: String,
    /// The template's own words for people, else the name.
    pub prompt: String,
    /// The only answers allowed; empty where the answer is free.
    pub choices: Vec<Choice>,
    /// As a person would type it.
    pub default: String,
    /// As templates see it.
    value: Value,
}

/// An answer out of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub value: String,
    /// For people.
    pub label: String,
}

/// A template's `cookiecutter.json`, with those of its bases under it.
#[derive(Debug, Clone, Default)]
pub(super) struct Questions {
    /// In their order; defaults are not rendered yet. Keys that start with `_` are not asked.
    pub(super) entries: Map<String, Value>,
    prompts: Map<String, Value>,
}

impl Questions {
    /// Lays the questions of one file over those read before.
    pub(super) fn add(&mut self, file: &str, content: &str) -> Result<()> {
        let bad = |reason: String| {
            Error::input(format!("`{}` is no list of questions: {reason}", text::visible(file)))
                .hint("a JSON object of names and defaults is allowed, as cookiecutter has it")
        };
        let value: Value = serde_json::from_str(content).map_err(|error| bad(error.to_string()))?;
        let Value::Object(object) = value else { return Err(bad("it holds no JSON object".to_owned())) };
        for (name, value) in object {
            match (name.as_str(), value) {
                // The name is given on the command line.
                ("name", _) => {}
                ("__prompts__", Value::Object(prompts)) => self.prompts.extend(prompts),
                (_, Value::Array(choices)) if choices.is_empty() && !name.starts_with('_') => {
                    return Err(bad(format!("`{name}` has no choices")));
                }
                (_, value) => {
                    self.entries.insert(name, value);
                }
            }
        }
        Ok(())
    }

    /// The names of the templates under this one.
    pub(super) fn bases(content: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(content).unwrap_or_default();
        strings(&value["_bases"])
    }

    pub(super) fn strings(&self, name: &str) -> Vec<String> {
        self.entries.get(name).map(strings).unwrap_or_default()
    }

    /// What is asked, in its order.
    pub(super) fn asked(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str).filter(|name| !name.starts_with('_'))
    }

    /// The question `name`, whose default is this.
    pub(super) fn question(&self, name: &str, value: Value) -> Question {
        let prompt = self.prompts.get(name);
        let words = match prompt {
            Some(Value::Object(labels)) => labels.get("__prompt__"),
            other => other,
        };
        let choices: Vec<String> =
            value.as_array().map(|choices| choices.iter().map(plain).collect()).unwrap_or_default();
        let value = if choices.is_empty() { value } else { Value::from(choices[0].clone()) };
        let label = |choice: &String| {
            prompt.and_then(|labels| labels.get(choice)).map_or_else(|| choice.clone(), plain)
        };
        Question {
            name: name.to_owned(),
            prompt: words
                .and_then(Value::as_str)
                .filter(|words| !words.is_empty())
                .unwrap_or(name)
                .to_owned(),
            default: plain(&value),
            choices: choices
                .iter()
                .map(|choice| Choice { value: choice.clone(), label: label(choice) })
                .collect(),
            value,
        }
    }

    /// Puts defaults of the person's own, as cookiecutter keeps them, in place of the template's where they fit.
    pub(super) fn set_defaults(&mut self, defaults: &Map<String, Value>) {
        for (name, value) in defaults {
            let Some(known) = self.entries.get_mut(name).filter(|_| !name.starts_with('_')) else { continue };
            match (known, value) {
                (Value::Array(choices), value) => {
                    if let Some(at) = choices.iter().position(|choice| choice == value) {
                        choices[..=at].rotate_right(1);
                    }
                }
                (Value::Object(known), Value::Object(value)) => known.extend(value.clone()),
                (known @ Value::Bool(_), Value::String(word)) => {
                    *known = yes_or_no(word).map_or(known.clone(), Value::Bool);
                }
                (known, value) => *known = value.clone(),
            }
        }
    }

    /// Refuses answers to questions that are not asked.
    pub(super) fn check_names(&self, answers: &BTreeMap<String, String>) -> Result<()> {
        let known: Vec<_> = self.asked().collect();
        let Some(name) = answers.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
        let error = Error::usage(format!("the template does not ask for `{}`", text::visible(name)));
        Err(match text::nearest(name, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("it asks for {}", known.join(", "))),
        })
    }
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A value as a person would type it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        other => other.to_string(),
    }
}

fn yes_or_no(word: &str) -> Option<bool> {
    let word = word.trim().to_lowercase();
    match word.as_str() {
        word if YES.contains(&word) => Some(true),
        word if NO.contains(&word) => Some(false),
        _ => None,
    }
}

impl Question {
    /// What templates see of an answer; an error says what is allowed.
    pub fn answer(&self, answer: &str) -> Result<Value> {
        let refuse = |allowed: &str| {
            let message = format!("{}: found `{}`; {allowed}", self.name, text::visible(answer));
            Err(Error::input(message).hint(format!("answer with `--set {}=…`, or at the prompt", self.name)))
        };
        if !self.choices.is_empty() {
            let known: Vec<_> = self.choices.iter().map(|choice| choice.value.as_str()).collect();
            if known.contains(&answer) {
                return Ok(Value::from(answer));
            }
            return refuse(&format!("{} are allowed", known.join(", ")));
        }
        match &self.value {
            Value::Bool(_) => {
                return match yes_or_no(answer) {
                    Some(answer) => Ok(Value::Bool(answer)),
                    None => refuse("yes or no is allowed"),
                };
            }
            Value::Object(_) if answer == self.default => return Ok(self.value.clone()),
            Value::Object(_) => {
                return match serde_json::from_str(answer) {
                    Ok(value @ Value::Object(_)) => Ok(value),
                    _ => refuse("a JSON object is allowed"),
                };
            }
            _ => {}
        }
        let is_own_default = answer == self.default;
        if !is_own_default && answer.chars().any(char::is_control) {
            return refuse("one line without control characters is allowed");
        }
        let is_module_version = self.name == "version" && answer == "{{MFMODULE_VERSION}}";
        if is_module_version {
            return Ok(Value::from(answer));
        }
        if !is_own_default && ["{{", "{%", "{#"].iter().any(|start| answer.contains(start)) {
            return refuse("text without Jinja2 (`{{`, `{%`, `{#`) is allowed");
        }
        match self.name.as_str() {
            "version" | "release" if version_fault(answer).is_some() => {
                refuse(version_fault(answer).unwrap_or_default())
            }
            "one_line_summary" | "license" | "url" | "maintainer" | "vendor" if answer.trim().is_empty() => {
                refuse("some text is required")
            }
            _ if is_own_default => Ok(self.value.clone()),
            _ => Ok(Value::from(answer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question(name: &str, default: Value) -> Question {
        Questions::default().question(name, default)
    }

    #[test]
    fn an_answer_cannot_break_the_configuration() {
        for (name, answer) in [
            ("one_line_summary", "a\nb"),
            ("one_line_summary", ""),
            ("one_line_summary", "  "),
            ("url", "{{ x }}"),
            ("vendor", "{% if %}"),
            ("vendor", "{# x"),
            ("maintainer", "a\u{1b}[31m"),
            ("version", "1;rm"),
            ("version", ""),
            ("release", "{{MFMODULE_VERSION}}"),
        ] {
            assert!(question(name, json!("default")).answer(answer).is_err(), "{name} {answer:?}");
        }
        for (name, answer) in [
            ("one_line_summary", "it's \"quoted\" \\ # % $ {x} = \u{e9}"),
            ("maintainer", "Me <me@here>"),
            ("version", "{{MFMODULE_VERSION}}"),
            ("anything_else", ""),
        ] {
            assert_eq!(question(name, json!("default")).answer(answer).unwrap(), answer, "{name}");
        }
    }

    #[test]
    fn an_answer_is_of_its_questions_kind() {
        let license = question("license", json!(["BSD", "MIT"]));
        assert_eq!((license.default.as_str(), license.answer("MIT").unwrap()), ("BSD", json!("MIT")));
        assert!(license.answer("mit").is_err());
        let docs = question("docs", json!(true));
        assert_eq!((docs.default.as_str(), docs.answer("Off").unwrap()), ("yes", json!(false)));
        assert!(docs.answer("perhaps").is_err());
        let ports = question("ports", json!({"http": 80}));
        assert_eq!(ports.answer(&ports.default).unwrap(), json!({"http": 80}));
        assert_eq!(ports.answer("{\"a\": [1]}").unwrap(), json!({"a": [1]}));
        assert!(ports.answer("[]").is_err());
        assert_eq!(question("own", json!("{{ x }}\n")).answer("{{ x }}\n").unwrap(), "{{ x }}\n");
    }

    #[test]
    fn people_are_asked_in_the_templates_words() {
        let mut questions = Questions::default();
        let prompts = r#"{"a": "x", "l": ["p", "q"], "__prompts__": {"a": "What?", "l": {"__prompt__": "Which?", "p": "P!"}}}"#;
        questions.add("f", prompts).unwrap();
        assert_eq!(questions.question("a", json!("x")).prompt, "What?");
        let list = questions.question("l", json!(["p", "q"]));
        assert_eq!((list.prompt.as_str(), list.choices[0].label.as_str()), ("Which?", "P!"));
        assert_eq!(list.choices[1].label, "q");
    }

    #[test]
    fn later_files_change_and_add_questions() {
        let mut questions = Questions::default();
        questions.add("a", r#"{"name": "x", "version": "1", "license": ["A", "B"], "_private": 1}"#).unwrap();
        questions.add("b", r#"{"version": "2", "port": 80, "deep": {"a": 1}}"#).unwrap();
        assert_eq!(questions.asked().collect::<Vec<_>>(), ["version", "license", "port", "deep"]);
        assert_eq!((&questions.entries["version"], &questions.entries["_private"]), (&json!("2"), &json!(1)));
        questions.set_defaults(
            json!({"license": "B", "port": 81, "deep": {"b": 2}, "other": 1}).as_object().unwrap(),
        );
        assert_eq!(questions.entries["license"], json!(["B", "A"]));
        assert_eq!(
            (&questions.entries["port"], &questions.entries["deep"]),
            (&json!(81), &json!({"a": 1, "b": 2}))
        );
        assert!(questions.add("c", "[]").is_err() && questions.add("c", "{").is_err());
        assert!(questions.add("c", r#"{"l": []}"#).is_err());
    }
}
