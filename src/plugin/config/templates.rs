//! Jinja2 with the filters that MetWork's templates use, over variables of an environment.

use std::collections::BTreeMap;

use minijinja::value::Value;
use minijinja::{ErrorKind, UndefinedBehavior};

use crate::jinja;
use crate::site::Environment;

/// Renders templates over the same variables. What is undefined renders empty.
#[derive(Debug)]
pub struct Templates {
    engine: minijinja::Environment<'static>,
    variables: Value,
}

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateMistake {
    pub reason: String,
    /// In the template, from 1.
    pub line: usize,
}

impl Templates {
    pub fn new(variables: BTreeMap<String, String>) -> Templates {
        let engine = jinja::engine_over(&variables);
        Templates { engine, variables: Value::from_pairs(variables) }
    }

    /// Over all that is text in an environment.
    pub fn over(environment: &Environment) -> Templates {
        let text = |(name, value): (&std::ffi::OsString, &std::ffi::OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        Templates::new(environment.iter().filter_map(text).collect())
    }

    /// Has values go through `escape` on their way into the text, where they would mean something there.
    #[must_use]
    pub fn escaping(mut self, escape: fn(&str) -> String) -> Templates {
        self.engine.set_formatter(move |out, _, value| {
            out.write_str(&escape(&value.to_string())).map_err(minijinja::Error::from)
        });
        self
    }

    /// The first variable that a template puts in though it is not defined; one that it asks about, or gives a
    /// default for, is none.
    pub fn undefined(&self, text: &str) -> Option<String> {
        let mut strict = self.engine.clone();
        strict.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let refusal = strict.render_str(text, self.variables.clone()).err()?;
        if refusal.kind() != ErrorKind::UndefinedError {
            return None;
        }
        let template = strict.template_from_str(text).ok()?;
        let mut names: Vec<String> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| self.variables.get_attr(name).is_ok_and(|value| value.is_undefined()))
            .collect();
        names.sort_by_key(|name| text.find(name.as_str()));
        names.into_iter().next()
    }

    pub fn render(&self, text: &str) -> Result<String, TemplateMistake> {
        self.engine.render_str(text, self.variables.clone()).map_err(|error| TemplateMistake {
            reason: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            line: error.line().unwrap_or(1),
        })
    }
}
