//! Jinja2 with the filters that MetWork's templates use, over variables of an environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::value::Value;
use minijinja::{ErrorKind, UndefinedBehavior};

use crate::jinja;
use crate::process;
use crate::site::Environment;

/// Renders templates over the same variables. What is undefined renders empty.
#[derive(Debug)]
pub struct Templates {
    engine: minijinja::Environment<'static>,
    variables: Value,
    /// What all of them together may still take.
    fuel: AtomicU64,
}

/// For all templates of one file.
const FUEL: u64 = 10 * jinja::FUEL;

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateMistake {
    pub reason: String,
    /// In the template, from 1.
    pub line: usize,
}

impl Templates {
    pub fn new(variables: BTreeMap<String, String>) -> Templates {
        let variables = Arc::new(variables);
        let engine = jinja::engine_over(&variables);
        Templates { engine, variables: Value::from_dyn_object(variables), fuel: AtomicU64::new(FUEL) }
    }

    /// Over all that is text in an environment.
    pub fn over(environment: &Environment) -> Templates {
        let text = |(name, value): (&std::ffi::OsString, &std::ffi::OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        Templates::new(environment.iter().filter_map(text).collect())
    }

    /// Lets templates include files of the plugin in this directory.
    #[must_use]
    pub fn including(mut self, plugin: &Path) -> Templates {
        jinja::include_from(&mut self.engine, plugin, plugin);
        self
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
        let text = &jinja::adapted(text, strict.syntax()).ok()?;
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
        let mistake = |reason: &str, line| TemplateMistake { reason: reason.to_owned(), line };
        if process::is_interrupted() {
            return Err(mistake("interrupted", 1));
        }
        if self.fuel.load(Ordering::Relaxed) == 0 {
            return Err(mistake(jinja::TOO_MUCH, 1));
        }
        let text =
            jinja::adapted(text, self.engine.syntax()).map_err(|error| mistake(&jinja::reason(&error), 1))?;
        let rendered = self
            .engine
            .template_from_str(&text)
            .and_then(|template| template.render_captured(self.variables.clone()));
        let used = match &rendered {
            Ok(rendered) => rendered.state().fuel_levels().map_or(0, |(used, _)| used),
            Err(error) if error.kind() == ErrorKind::OutOfFuel => jinja::FUEL,
            Err(_) => 0,
        };
        let take = |left: u64| Some(left.saturating_sub(used));
        let _ = self.fuel.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        rendered
            .map(minijinja::Captured::into_output)
            .map_err(|error| mistake(&jinja::reason(&error), error.line().unwrap_or(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_templates_of_a_file_together_are_bounded() {
        let templates = Templates::new(BTreeMap::new());
        // Each of them alone is within the bounds.
        let text = "{% for i in range(90000) %}{{ i }}{% endfor %}";
        let rendered = (0..200).take_while(|_| templates.render(text).is_ok()).count();
        assert!((2..100).contains(&rendered), "{rendered}");
        assert_eq!(templates.render("{{ 1 }}").unwrap_err().reason, jinja::TOO_MUCH);
    }
}
