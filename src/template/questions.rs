//! What a template asks before it makes a plugin: `cookiecutter.json`, and the answers.
//!
//! Answers go into `config.ini`, JSON and file names, so they are single lines without control characters and
//! without Jinja2; a version is one that `mwp check` accepts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::plugin::config::version_fault;
use crate::text;

/// One thing to ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub name: String,
    /// The only answers allowed; empty where the answer is free.
    pub choices: Vec<String>,
    /// A Jinja2 template over the answers before it.
    pub(super) default: String,
}

/// A template's `cookiecutter.json`, with those of its bases under it.
#[derive(Debug, Clone, Default)]
pub(super) struct Questions {
    pub(super) questions: Vec<Question>,
    /// What is not asked: keys that start with `_`, and structured values.
    pub(super) fixed: Map<String, Value>,
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
            // The name is given on the command line.
            if name == "name" {
                continue;
            }
            let question = match &value {
                _ if name.starts_with('_') => None,
                Value::String(default) => Some((Vec::new(), default.clone())),
                Value::Number(default) => Some((Vec::new(), default.to_string())),
                Value::Array(choices) if !choices.is_empty() => {
                    let choices: Option<Vec<_>> =
                        choices.iter().map(|choice| choice.as_str().map(str::to_owned)).collect();
                    let choices =
                        choices.ok_or_else(|| bad(format!("the choices of `{name}` are no strings")))?;
                    Some((choices.clone(), choices[0].clone()))
                }
                _ => None,
            };
            let Some((choices, default)) = question else {
                self.fixed.insert(name, value);
                continue;
            };
            let question = Question { name, choices, default };
            match self.questions.iter_mut().find(|known| known.name == question.name) {
                Some(known) => *known = question,
                None => self.questions.push(question),
            }
        }
        Ok(())
    }

    /// The names of the templates under this one.
    pub(super) fn bases(content: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(content).unwrap_or_default();
        strings(&value["_bases"])
    }

    /// Patterns of files that are copied as they are.
    pub(super) fn copied(&self) -> Vec<String> {
        self.fixed.get("_copy_without_render").map(strings).unwrap_or_default()
    }

    /// Refuses answers to questions that are not asked.
    pub(super) fn check_names(&self, answers: &BTreeMap<String, String>) -> Result<()> {
        let known: Vec<_> = self.questions.iter().map(|question| question.name.as_str()).collect();
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

impl Question {
    /// Whether an answer is allowed; else what is.
    pub fn check(&self, answer: &str) -> Result<()> {
        let refuse = |allowed: &str| {
            Err(Error::input(format!("{}: found `{}`; {allowed}", self.name, text::visible(answer))))
        };
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == answer) {
            return refuse(&format!("{} are allowed", self.choices.join(", ")));
        }
        if answer.chars().any(char::is_control) {
            return refuse("one line without control characters is allowed");
        }
        let is_module_version = self.name == "version" && answer == "{{MFMODULE_VERSION}}";
        if is_module_version {
            return Ok(());
        }
        if ["{{", "{%", "{#"].iter().any(|start| answer.contains(start)) {
            return refuse("text without Jinja2 (`{{`, `{%`, `{#`) is allowed");
        }
        match self.name.as_str() {
            "version" | "release" => version_fault(answer).map_or(Ok(()), refuse),
            "one_line_summary" | "license" | "url" | "maintainer" | "vendor" if answer.trim().is_empty() => {
                refuse("some text is required")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, choices: &[&str]) -> Question {
        let choices = choices.iter().map(ToString::to_string).collect();
        Question { name: name.to_owned(), choices, default: String::new() }
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
            assert!(question(name, &[]).check(answer).is_err(), "{name} {answer:?}");
        }
        for (name, answer) in [
            ("one_line_summary", "it's \"quoted\" \\ # % $ {x} = \u{e9}"),
            ("maintainer", "Me <me@here>"),
            ("version", "{{MFMODULE_VERSION}}"),
            ("anything_else", ""),
        ] {
            assert!(question(name, &[]).check(answer).is_ok(), "{name} {answer:?}");
        }
    }

    #[test]
    fn a_choice_is_one_of_the_list() {
        assert!(question("license", &["BSD", "MIT"]).check("MIT").is_ok());
        assert!(question("license", &["BSD", "MIT"]).check("mit").is_err());
    }

    #[test]
    fn later_files_change_and_add_questions() {
        let mut questions = Questions::default();
        questions.add("a", r#"{"name": "x", "version": "1", "license": ["A", "B"], "_private": 1}"#).unwrap();
        questions.add("b", r#"{"version": "2", "port": 80, "deep": {"a": 1}}"#).unwrap();
        let asked: Vec<_> = questions
            .questions
            .iter()
            .map(|question| (question.name.as_str(), question.default.as_str()))
            .collect();
        assert_eq!(asked, [("version", "2"), ("license", "A"), ("port", "80")]);
        assert!(questions.fixed.contains_key("_private") && questions.fixed.contains_key("deep"));
        assert!(questions.add("c", "[]").is_err() && questions.add("c", "{").is_err());
    }
}
