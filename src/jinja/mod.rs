//! Jinja2 as Python has it, for every template that plugins bring along: values, crontabs, fragments of nginx.
//!
//! Beside the methods of Python's strings, lists and dictionaries there are MetWork's four filters: `getenv`,
//! `from_json`, `fnmatch` and `shell`. The last one would run a command of the plugin's as whoever merely looks at it:
//! it is refused unless the machine allows it by [`ALLOW_SHELL`], and takes [`SHELL_LIMIT`] at most.

mod adapt;
mod filters;
mod include;
mod methods;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};

pub(crate) use self::adapt::adapted;
pub(crate) use self::filters::sorted;
pub(crate) use self::include::include_from;

use crate::process::Program;
use crate::site;

/// The variable that allows the `shell` filter where it is `1`.
const ALLOW_SHELL: &str = "MWP_ALLOW_SHELL";

/// How long the command of a `shell` filter may take.
const SHELL_LIMIT: Duration = Duration::from_secs(30);

/// What one template may take: so many steps, and 64 bytes of text for each of them.
pub(crate) const FUEL: u64 = 1_000_000;

/// An engine without variables. A template in it always ends, and does not fill the memory.
pub(crate) fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_fuel(Some(FUEL));
    // Whatever a file's name ends with: a maintainer `A <a@b>` stays as it is.
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine.set_unknown_method_callback(methods::call);
    minijinja_contrib::add_to_environment(&mut engine);
    filters::add_to(&mut engine);
    engine.add_filter("from_json", from_json);
    engine.add_filter("fnmatch", |name: &str, pattern: &str| fnmatch(name, pattern));
    engine
}

/// What templates see, shared by the filters and by each rendering.
pub(crate) type Variables = Arc<BTreeMap<String, String>>;

/// An engine whose filters `getenv` and `shell` see these variables.
pub(crate) fn engine_over(variables: &Variables) -> Environment<'static> {
    let mut engine = engine();
    let known = Arc::clone(variables);
    engine.add_filter("getenv", move |name: &str, default: Option<String>| {
        known.get(name).cloned().or(default).unwrap_or_default()
    });
    let known = Arc::clone(variables);
    engine.add_filter("shell", move |command: &str, options: Kwargs| shell(command, &options, &known));
    engine
}

/// Renders the text of the template `name`.
pub(crate) fn render(
    engine: &Environment<'_>,
    name: &str,
    text: &str,
    variables: Value,
) -> Result<String, Error> {
    engine.render_named_str(name, &adapted(text, engine.syntax())?, variables)
}

/// Where `include`, `extends` and `import` find templates.
pub(crate) fn set_loader(
    engine: &mut Environment<'static>,
    load: impl Fn(&str) -> Result<Option<String>, Error> + Send + Sync + 'static,
) {
    let syntax = engine.syntax().clone();
    engine.set_loader(move |name| {
        load(name)?.map(|text| Ok(adapted(&text, &syntax)?.into_owned())).transpose()
    });
}

/// Why a template is none, for people.
pub(crate) fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => TOO_MUCH.to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    }
}

/// Where the fuel is used up.
pub(crate) const TOO_MUCH: &str = "it takes more steps, or makes more text, than a template may";

/// JSON as templates see it.
pub(crate) fn of_json(value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::from(number),
            None => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(of_json).collect(),
        Json::Object(items) => {
            Value::from_pairs(items.iter().map(|(name, value)| (name.as_str(), of_json(value))))
        }
    }
}

pub(crate) fn invalid(reason: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

fn from_json(text: &str) -> Result<Value, Error> {
    let value = serde_json::from_str(text).map_err(|error| invalid(format!("`from_json`: {error}")))?;
    Ok(of_json(&value))
}

/// As Python's: `*` and `?` match any character, a slash included, and what is no pattern stands for itself.
pub(crate) fn fnmatch(name: &str, pattern: &str) -> bool {
    // Alternatives in braces are none to Python.
    let escaped = pattern.replace('{', "[{]").replace('}', "[}]");
    globset::GlobBuilder::new(&escaped)
        .literal_separator(false)
        .backslash_escape(false)
        .allow_unclosed_class(true)
        .build()
        .is_ok_and(|glob| glob.compile_matcher().is_match(name))
}

/// What the command writes to its standard output, less the ends of the last line.
fn shell(command: &str, options: &Kwargs, variables: &BTreeMap<String, String>) -> Result<Value, Error> {
    if variables.get(ALLOW_SHELL).is_none_or(|allowed| allowed != "1") {
        return Err(invalid(format!(
            "`shell` would run `{command}` for whoever looks at the plugin, and is refused; say it without, or set \
             {ALLOW_SHELL}=1 on this machine"
        )));
    }
    let must_succeed: bool = options.get::<Option<bool>>("die_on_error")?.unwrap_or(false);
    // Texts are UTF-8 here, whatever the template says.
    let _: Option<String> = options.get("encoding")?;
    options.assert_all_used()?;
    let environment =
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect::<site::Environment>();
    let program = Program::new("/bin/sh", Path::new("/"), &environment).arguments([
        "-c",
        "exec 2>/dev/null; eval \"$1\"",
        "sh",
        command,
    ]);
    match program.run_within(SHELL_LIMIT) {
        Ok(Some(finished)) if finished.succeeded() || !must_succeed => {
            Ok(Value::from(finished.output.trim_end_matches('\n')))
        }
        Ok(Some(finished)) => Err(invalid(format!("`shell`: `{command}` {}", finished.ending()))),
        Ok(None) => Err(invalid(format!(
            "`shell`: `{command}` has not ended within {} seconds",
            SHELL_LIMIT.as_secs()
        ))),
        Err(error) => Err(invalid(format!("`shell`: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::render as render_in;
    use super::*;

    fn render(template: &str) -> Result<String, Error> {
        let pairs = [
            ("X", "a.b-c"),
            ("L", r#"["p", {"q": 1}]"#),
            ("EMPTY", ""),
            ("PATH", "/usr/bin:/bin"),
            (ALLOW_SHELL, "1"),
        ];
        let variables: BTreeMap<String, String> =
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let variables = Arc::new(variables);
        render_in(&engine_over(&variables), "", template, Value::from_dyn_object(variables))
    }

    #[test]
    fn a_command_is_run_where_the_machine_allows_that_and_nowhere_else() {
        for variables in [BTreeMap::new(), BTreeMap::from([(ALLOW_SHELL.to_owned(), "0".to_owned())])] {
            let error =
                render_in(&engine_over(&Arc::new(variables)), "", "{{ 'echo x'|shell }}", Value::from(()))
                    .unwrap_err();
            assert!(reason(&error).contains("`shell` would run `echo x`"), "{error:#}");
        }
    }

    #[test]
    fn templates_mean_what_they_mean_to_python() {
        for (template, expected) in [
            ("{{ X.split('.')[0] }} {{ X.upper() }} {{ X.replace('-', '_') }}", "a A.B-C a.b_c"),
            ("{{ X.startswith('a') }} {{ X.find('-') }} {{ ','.join(['a', 'b']) }}", "True 3 a,b"),
            ("{{ X.rsplit('.', 1)[1] }} {{ X.partition('.')[2] }} {{ X.rpartition('-')[0] }}", "b-c b-c a.b"),
            (
                "{{ '7'.zfill(3) }} {{ '-7'.zfill(3) }} {{ 'a'.ljust(3) }}| {{ 'a'.rjust(3, '_') }}",
                "007 -07 a  | __a",
            ),
            ("{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }}", "bc ab"),
            (
                "{{ EMPTY|int }} {{ 'x'|int }} {{ NONE|int }} {{ 'x'|int(5) }} {{ ' 7 '|int + 1 }}",
                "0 0 0 5 8",
            ),
            ("{{ 'x'|float }} {{ '1.5'|float }} {{ '0x1F'|int(base=16) }}", "0.0 1.5 31"),
            (
                "{{ '%03d'|format(7) }} {{ '%s-%s'|format('a', 2) }} {{ '{}-{}'.format(1, 'x') }}",
                "007 a-2 1-x",
            ),
            ("{{ (L|from_json)[0] }} {{ (L|from_json)[1].q + 1 }}", "p 2"),
            ("{% for k, v in ('{\"a\": 1}'|from_json).items() %}{{ k }}={{ v }}{% endfor %}", "a=1"),
            (
                "{{ 'f.grib'|fnmatch('*.gr[hi]b') }} {{ 'a/b'|fnmatch('*') }} {{ 'a'|fnmatch('{a,b}') }}",
                "True True False",
            ),
            ("{{ 'X'|getenv }} {{ 'NONE'|getenv('d') }}", "a.b-c d"),
            ("{{ 'echo one; echo two >&2; echo $X'|shell }}", "one\na.b-c"),
            ("{{ 'echo kept; exit 3'|shell }}", "kept"),
            ("{{ 7 % 4 }} {{ -7 % 4 }} {{ [1, 2] }} {{ 'a' ~ 1 }}", "3 1 [1, 2] a1"),
            ("{{ '%s' % X }} {{ '%03d-%s' % (7, 'x') }} {{ '%(a)s' % {'a': 1} }}", "a.b-c 007-x 1"),
            ("{{ ['a', 'b'] }} {{ none }} {{ {'k': 'v'} }} {{ 1.0 }}", "['a', 'b'] None {'k': 'v'} 1.0"),
        ] {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        }
        for (template, reason) in [
            ("{{ 'exit 3'|shell(die_on_error=True) }}", "`exit 3`"),
            ("{{ '{'|from_json }}", "`from_json`: "),
            ("{{ X.nothing() }}", "nothing"),
            ("{{ X.split('') }}", "empty separator"),
        ] {
            let error = render(template).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{template}: {error:#}");
        }
    }

    #[test]
    fn a_template_always_ends_and_does_not_fill_the_memory() {
        let nested = "{% for i in range(99999) %}".repeat(3) + &"{% endfor %}".repeat(3);
        let doubled = "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}\
                       {% set n.x = n.x ~ n.x %}{% endfor %}";
        for template in [
            nested.as_str(),
            doubled,
            "{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
            "{% for i in range(99999) %}{{ X.ljust(10000) }}{% endfor %}",
            "{% for i in range(99999) %}{% for j in range(99999) %}{{ 'X'|getenv }}{% endfor %}{% endfor %}",
            "{% set n = namespace(x='x' * 999999) %}{{ n.x.replace('x', '\\n')|indent(9999)|length }}",
            "{{ ('\\t' * 999999).expandtabs(9999)|length }}",
            "{{ ('a ' * 99999)|wordwrap(1, wrapstring='x' * 99999)|length }}",
            "{{ '{:>999999999}'.format(1)|length }}",
            "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
        ] {
            let error = render(template).unwrap_err();
            let is_bounded =
                matches!(error.kind(), ErrorKind::OutOfFuel) || reason(&error).contains("recursion");
            assert!(is_bounded, "{template}: {error:#}");
        }
        let many = "{% for i in range(20000) %}{{ X }} {% endfor %}";
        assert_eq!(render(many).unwrap().len(), 20_000 * 6);
    }
}
