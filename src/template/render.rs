//! Jinja2 as cookiecutter sets it up: `extends` and `include` look in and beside the template, and a variable that is
//! not defined is an error rather than a silent gap.

use std::borrow::Cow;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as JinjaValue;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};

use super::Template;
use super::extensions::{self, Chance};
use crate::error::{Error, Result};
use crate::jinja;
use crate::text;

/// Renders the files and names of one template.
pub(super) struct Renderer {
    engine: Environment<'static>,
    /// `_new_lines` of the template: how lines end, whatever its files have.
    new_lines: Option<String>,
}

impl Renderer {
    pub(super) fn new(template: &Template, chance: &Chance) -> Result<Renderer> {
        let entries = &template.questions.entries;
        extensions::refuse_unknown(&template.questions.strings("_extensions"))?;
        let mut engine = jinja::engine();
        engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        engine.set_syntax(syntax(entries.get("_jinja2_env_vars"))?);
        extensions::add_to(&mut engine, chance);
        let sources = template.sources();
        jinja::set_loader(&mut engine, move |name| {
            let failed = |reason: String| minijinja::Error::new(ErrorKind::InvalidOperation, reason);
            let name = name.strip_prefix("./").unwrap_or(name);
            if name.starts_with('/') || name.split('/').any(|part| part == "..") {
                return Ok(None);
            }
            for (shelf, directory) in &sources {
                let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
                if let Some(content) = shelf.read(&path).map_err(|error| failed(error.to_string()))? {
                    let text = String::from_utf8(content);
                    return text.map(Some).map_err(|_| failed(format!("`{name}` is not UTF-8 text")));
                }
            }
            Ok(None)
        });
        let new_lines = entries.get("_new_lines").and_then(Value::as_str).map(str::to_owned);
        Ok(Renderer { engine, new_lines })
    }

    /// Renders the text of the file `name`, which is for messages only.
    pub(super) fn render(&self, name: &str, text: &str, variables: &JinjaValue) -> Result<String> {
        jinja::render(&self.engine, name, text, variables.clone()).map_err(|error| {
            let file = Path::new(error.name().unwrap_or(name));
            let place = error.line().map_or_else(|| text::path(file), |line| text::place(file, line, None));
            let reason = text::visible(&jinja::reason(&error));
            Error::input(format!("the template's {place}: {reason}"))
                .hint("this file is Jinja2; `{% raw %}…{% endraw %}` keeps a part as it is")
        })
    }

    /// As [`render`](Renderer::render); lines end as the first line of the text does.
    pub(super) fn render_file(&self, name: &str, text: &str, variables: &JinjaValue) -> Result<String> {
        let is_windows = text.lines().next().is_some_and(|first| text[first.len()..].starts_with("\r\n"));
        let plain = if text.contains('\r') {
            Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
        } else {
            Cow::Borrowed(text)
        };
        let rendered = self.render(name, &plain, variables)?;
        Ok(match (&self.new_lines, is_windows) {
            (Some(end), _) if end != "\n" => rendered.replace('\n', end),
            (None, true) => rendered.replace('\n', "\r\n"),
            _ => rendered,
        })
    }
}

/// Jinja2's settings of the template.
fn syntax(settings: Option<&Value>) -> Result<SyntaxConfig> {
    let given = |name: &str| settings.and_then(|settings| settings.get(name));
    let word = |name: &str, default: &str| given(name).and_then(Value::as_str).unwrap_or(default).to_owned();
    let flag = |name: &str, default: bool| given(name).and_then(Value::as_bool).unwrap_or(default);
    let mut syntax = SyntaxConfig::builder();
    syntax
        .block_delimiters(word("block_start_string", "{%"), word("block_end_string", "%}"))
        .variable_delimiters(word("variable_start_string", "{{"), word("variable_end_string", "}}"))
        .comment_delimiters(word("comment_start_string", "{#"), word("comment_end_string", "#}"))
        .trim_blocks(flag("trim_blocks", false))
        .lstrip_blocks(flag("lstrip_blocks", false))
        .keep_trailing_newline(flag("keep_trailing_newline", true));
    if let Some(prefix) = given("line_statement_prefix").and_then(Value::as_str) {
        syntax.line_statement_prefix(prefix.to_owned());
    }
    if let Some(prefix) = given("line_comment_prefix").and_then(Value::as_str) {
        syntax.line_comment_prefix(prefix.to_owned());
    }
    syntax.build().map_err(|error| {
        Error::input(format!("`_jinja2_env_vars`: {error}")).hint("mend the template's cookiecutter.json")
    })
}

/// The variables as templates see them: `cookiecutter`, and `_cookiecutter` with what was there before any answer.
pub(super) fn variables(answers: &Map<String, Value>, before: &Map<String, Value>) -> JinjaValue {
    let value = |map: &Map<String, Value>| jinja::of_json(&Value::Object(map.clone()));
    JinjaValue::from_pairs([("cookiecutter", value(answers)), ("_cookiecutter", value(before))])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::template::Shelf;

    fn render(text: &str) -> Result<String> {
        let json =
            json!({"name": "foo-bar", "quoted": "say \"x\"", "list": ["a", "b"], "deep": {"n": 1, "a": "é"}});
        let Value::Object(answers) = json else { unreachable!() };
        let template = Template::empty(&Shelf::Disk("/nowhere".into()), "t");
        let chance = Chance::again("2024-02-29T12:00:00Z".parse().unwrap(), "seed".to_owned());
        Renderer::new(&template, &chance).unwrap().render(
            "page.html",
            text,
            &variables(&answers, &Map::new()),
        )
    }

    #[test]
    fn templates_written_for_cookiecutter_render() {
        for (template, expected) in [
            ("{{cookiecutter.name}}\n", "foo-bar\n"),
            ("{{ cookiecutter.name.replace('-', '_').upper() }}", "FOO_BAR"),
            ("{{ cookiecutter.name|upper }} {{ cookiecutter.name.title() }}", "FOO-BAR Foo-Bar"),
            ("{{ ','.join(cookiecutter.list) }} {{ cookiecutter.get('x', 'y') }}", "a,b y"),
            ("{{ cookiecutter.quoted|jsonify }}", "\"say \\\"x\\\"\""),
            ("{{ cookiecutter.deep|jsonify }}", "{\n    \"a\": \"\\u00e9\",\n    \"n\": 1\n}"),
            ("{{ '<a@b>' }}", "<a@b>"),
            (
                "{{ 'Ünïcode, it\\'s 1,000'|slugify }} {{ 'a b c'|slugify(separator='_', max_length=3) }}",
                "unicode-it-s-1000 a_b",
            ),
            ("{% now 'utc' %} {% now 'utc' + 'days=1,hours=12', '%d/%H' %}", "2024-02-29 02/00"),
            (
                "{{ uuid4()|length }} {{ random_ascii_string(5)|length }} {{ random_ascii_string(9) == random_ascii_string(9) }}",
                "36 5 False",
            ),
            ("{{ x|default('d', true) }}{% if y %}y{% endif %}", "d"),
            ("{% raw %}{{MFMODULE_VERSION}}{% endraw %}", "{{MFMODULE_VERSION}}"),
            ("##### {x} $(MFEXT_HOME)\n\tindented\n", "##### {x} $(MFEXT_HOME)\n\tindented\n"),
        ] {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn chance_is_the_same_again() {
        let text = "{{ uuid4() }} {{ random_ascii_string(20, punctuation=True) }}";
        assert_eq!(render(text).unwrap(), render(text).unwrap());
    }

    #[test]
    fn an_undefined_variable_is_an_error_with_its_place() {
        let error = render("a\n{{ cookiecutter.nothing }}").unwrap_err().to_string();
        assert!(error.starts_with("the template's page.html:2: "), "{error}");
    }
}
