//! Jinja2 as cookiecutter sets it up: `extends` and `include` look beside the templates, and a variable that is
//! not defined is an error rather than a silent gap.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as JinjaValue;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::jinja;
use crate::text;

/// Renders the files and names of one template.
pub(super) struct Renderer {
    engine: Environment<'static>,
}

impl Renderer {
    /// Names in `extends` are looked up in the template's own directory, then on its shelf.
    pub(super) fn new(shelf: &Shelf, template: &str) -> Result<Renderer> {
        let mut engine = jinja::engine();
        engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        engine.set_syntax(syntax.map_err(|error| Error::machine(error.to_string()))?);
        engine.add_filter("jsonify", |text: String| Value::String(text).to_string());
        let (shelf, own) = (shelf.clone(), template.to_owned());
        engine.set_loader(move |name| {
            let failed = |error: Error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string());
            if name.starts_with('/') || name.split('/').any(|part| part == "..") {
                return Ok(None);
            }
            for path in [format!("{own}/{name}"), name.to_owned()] {
                if let Some(content) = shelf.read(&path).map_err(failed)? {
                    let not_text = |_| {
                        minijinja::Error::new(
                            ErrorKind::InvalidOperation,
                            format!("`{name}` is not UTF-8 text"),
                        )
                    };
                    return String::from_utf8(content).map(Some).map_err(not_text);
                }
            }
            Ok(None)
        });
        Ok(Renderer { engine })
    }

    /// Renders the text of the file `name`, which is for messages only.
    pub(super) fn render(&self, name: &str, text: &str, variables: &JinjaValue) -> Result<String> {
        self.engine.render_named_str(name, text, variables.clone()).map_err(|error| {
            let file = error.name().unwrap_or(name);
            let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
            let reason = jinja::reason(&error);
            Error::input(format!(
                "the template's `{}`{line}: {}",
                text::visible(file),
                text::visible(&reason)
            ))
            .hint("this file is Jinja2; `{% raw %}…{% endraw %}` keeps a part as it is")
        })
    }
}

/// The variables as templates see them, below `cookiecutter`.
pub(super) fn variables(answers: &serde_json::Map<String, Value>) -> JinjaValue {
    JinjaValue::from_pairs([("cookiecutter", jinja::of_json(&Value::Object(answers.clone())))])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(text: &str) -> Result<String> {
        let shelf = Shelf::Disk("/nowhere".into());
        let json = json!({"name": "foo-bar", "quoted": "say \"x\"", "list": ["a", "b"], "deep": {"n": 1}});
        let Value::Object(answers) = json else { unreachable!() };
        Renderer::new(&shelf, "t").unwrap().render("file", text, &variables(&answers))
    }

    #[test]
    fn templates_written_for_jinja2_render() {
        for (template, expected) in [
            ("{{cookiecutter.name}}\n", "foo-bar\n"),
            ("{{ cookiecutter.name.replace('-', '_').upper() }}", "FOO_BAR"),
            ("{{ cookiecutter.name|upper }} {{ cookiecutter.name.title() }}", "FOO-BAR Foo-Bar"),
            ("{{ cookiecutter.name.split('-')[1] }}", "bar"),
            ("{{ ','.join(cookiecutter.list) }}", "a,b"),
            ("{{ cookiecutter.name.startswith('foo') }}", "True"),
            ("{{ cookiecutter.quoted|jsonify }}", "\"say \\\"x\\\"\""),
            ("{{ cookiecutter.deep.n + 1 }}", "2"),
            ("{{ x|default('d', true) }}{% if y %}y{% endif %}", "d"),
            ("{% raw %}{{MFMODULE_VERSION}}{% endraw %}", "{{MFMODULE_VERSION}}"),
            ("##### {x} $(MFEXT_HOME)\n\tindented\n", "##### {x} $(MFEXT_HOME)\n\tindented\n"),
        ] {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn an_undefined_variable_is_an_error_with_its_place() {
        let error = render("a\n{{ cookiecutter.nothing }}").unwrap_err().to_string();
        assert!(error.starts_with("the template's `file`:2: "), "{error}");
    }
}
