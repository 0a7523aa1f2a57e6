//! Values and their types: text from a file in, a typed value or the reason why not out.

use std::fmt;
use std::path::{Component, Path};

use serde::Serialize;

use super::schema::{KeySchema, ValueKind};
use crate::text;

/// A value with its type. Its text ([`Display`](fmt::Display)) is what environment variables hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Value {
    /// `false` for what is no boolean.
    pub fn as_bool(&self) -> bool {
        matches!(self, Value::Bool(true))
    }

    /// `0` for what is no integer.
    pub fn as_int(&self) -> i64 {
        if let Value::Int(number) = self { *number } else { 0 }
    }

    /// `0` for what is no number.
    pub fn as_float(&self) -> f64 {
        match self {
            Value::Float(number) => *number,
            Value::Int(number) => *number as f64,
            _ => 0.0,
        }
    }

    /// Empty for what is no text.
    pub fn as_text(&self) -> &str {
        if let Value::Text(text) = self { text } else { "" }
    }
}

impl fmt::Display for Value {
    /// As upstream has it: booleans as `1` and `0`, floats with a fraction (`10.0`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => f.write_str(if *value { "1" } else { "0" }),
            Value::Int(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number:?}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// Why a text is no value of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) found: String,
    pub(super) allowed: String,
}

/// A value, with what is odd about the text that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    pub(super) value: Value,
    pub(super) oddity: Option<String>,
}

impl From<Value> for Read {
    fn from(value: Value) -> Read {
        Read { value, oddity: None }
    }
}

/// What reading a value may need to ask.
pub(super) struct Context<'a> {
    /// The plugin's directory.
    pub(super) directory: &'a Path,
    /// Whether the module splits logs where a plugin leaves it to `AUTO`, by the variable's name.
    pub(super) auto: &'a dyn Fn(&str) -> bool,
}

/// Reads `text` as the type of its key.
pub(super) fn read(key: &KeySchema, text: &str, around: &Context<'_>) -> Result<Read, Refusal> {
    let refuse = |allowed: &str| {
        let found = if text.is_empty() { "nothing".to_owned() } else { format!("`{}`", text::excerpt(text)) };
        Err(Refusal { found, allowed: allowed.to_owned() })
    };
    if text.contains('\0') {
        return refuse("text without NUL characters is allowed");
    }
    Ok(match key.kind {
        ValueKind::Bool => bool(text),
        ValueKind::AutoBool(variable) if text == "AUTO" => Value::Bool((around.auto)(variable)).into(),
        ValueKind::AutoBool(_) => bool(text),
        ValueKind::Int => int(text),
        ValueKind::Float => match float(text) {
            Some(number) => Value::Float(number).into(),
            None => return refuse("a number is allowed"),
        },
        ValueKind::String if key.required && text.is_empty() => return refuse("some text is required"),
        ValueKind::String if key.required => Value::Text(text.to_owned()).into(),
        ValueKind::String => Value::Text(without_null(text).to_owned()).into(),
        ValueKind::Enum(values) if values.contains(&text) => Value::Text(text.to_owned()).into(),
        ValueKind::Enum(values) => {
            let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
            return refuse(&format!("{} are allowed", values.join(", ")));
        }
        _ if key.empty_is_default && text.is_empty() => return read(key, key.default, around),
        ValueKind::Version => match version_fault(text) {
            None => Value::Text(text.to_owned()).into(),
            Some(allowed) => return refuse(allowed),
        },
        ValueKind::FileOrNull => match file_fault(without_null(text), around.directory) {
            None => Value::Text(without_null(text).to_owned()).into(),
            Some(allowed) => return refuse(allowed),
        },
        ValueKind::Routes => match routes(without_null(text)) {
            Ok(routes) => Value::Text(routes).into(),
            Err(allowed) => return refuse(allowed),
        },
        ValueKind::Vhosts => match vhosts(without_null(text)) {
            Ok(vhosts) => Value::Text(vhosts).into(),
            Err(allowed) => return refuse(allowed),
        },
    })
}

pub(super) fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "y" | "t")
}

/// What is no boolean is false, as upstream has it.
fn bool(text: &str) -> Read {
    let is_false =
        matches!(text.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "n" | "f" | "null" | "");
    let is_boolean = is_true(text) || is_false;
    let oddity = (!is_boolean).then(|| "is no boolean and is taken as false; `1` or `0` is meant".to_owned());
    Read { value: Value::Bool(is_true(text)), oddity }
}

fn without_null(text: &str) -> &str {
    if text.eq_ignore_ascii_case("null") { "" } else { text }
}

/// As Python's `int()`; what it refuses counts as 0, as upstream has it. Nothing and `null` are ways to say 0.
fn int(text: &str) -> Read {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let separators_separate = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    let plain = text.replace('_', "");
    let is_number = !digits.is_empty()
        && separators_separate
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    match plain.parse() {
        Ok(number) if is_number => Value::Int(number).into(),
        _ if without_null(text).is_empty() => Value::Int(0).into(),
        _ if is_number => {
            let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
            Read { value: Value::Int(limit), oddity: Some(format!("is out of range and counts as {limit}")) }
        }
        _ => Read { value: Value::Int(0), oddity: Some("is no integer and counts as 0".to_owned()) },
    }
}

/// As Python's `float()`, which upstream lets fail; `None` for what is no number that one can count with.
fn float(text: &str) -> Option<f64> {
    if without_null(text).is_empty() {
        return Some(0.0);
    }
    text.replace('_', "").parse().ok().filter(|number| f64::is_finite(*number))
}

/// Versions and releases become parts of file names and of command lines.
pub(crate) fn version_fault(text: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(allowed) {
        return Some("lower-case letters, digits, `-`, `_` and `.` are allowed");
    }
    if text.starts_with('-') || matches!(text, "." | "..") {
        return Some("it must not start with `-`, nor be `.` or `..`");
    }
    (text.len() > 64).then_some("at most 64 characters are allowed")
}

fn file_fault(name: &str, directory: &Path) -> Option<&'static str> {
    if name.is_empty() {
        return None;
    }
    let inside =
        Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Some("a file inside the plugin's directory is allowed, or `null`");
    }
    (!directory.join(name).is_file()).then_some("a file that exists in the plugin is allowed, or `null`")
}

/// Characters that would end a word or a block in nginx's configuration.
fn is_safe_for_nginx(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_whitespace() || c.is_control() || matches!(c, '{' | '}' | '"' | '\'' | '`' | '\\' | '$' | '#')
    })
}

fn routes(list: &str) -> Result<String, &'static str> {
    let good = |route: &str| {
        route == "/" || (route.starts_with('/') && !route.ends_with('/') && is_safe_for_nginx(route))
    };
    if list.is_empty() || list.split(';').all(|route| good(route.trim())) {
        return Ok(list.split(';').map(str::trim).collect::<Vec<_>>().join(";"));
    }
    Err(
        "routes that start with `/` and do not end with it are allowed, with `;` between; or `/` alone, or `null`",
    )
}

fn vhosts(list: &str) -> Result<String, &'static str> {
    let good = |host: &str| {
        !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*'))
    };
    if list.is_empty() || list.split(',').all(|host| good(host.trim())) {
        return Ok(list.split(',').map(str::trim).collect::<Vec<_>>().join(","));
    }
    Err("host names are allowed, with `,` between; or `null`")
}

#[cfg(test)]
mod tests {
    use super::super::schema::key;
    use super::*;

    fn read_as(kind: ValueKind, text: &str) -> Result<Read, Refusal> {
        let around = Context { directory: Path::new("/"), auto: &|variable| variable == "X" };
        read(&key("key", kind), text, &around)
    }

    fn value(kind: ValueKind, text: &str) -> Value {
        read_as(kind, text).unwrap().value
    }

    #[test]
    fn a_boolean_is_true_for_five_words_in_any_case() {
        for word in ["1", "true", "TRUE", "Yes", "y", "T"] {
            assert_eq!(value(ValueKind::Bool, word), Value::Bool(true), "{word}");
        }
        for (word, is_odd) in [
            ("0", false),
            ("", false),
            ("No", false),
            ("null", false),
            ("on", true),
            ("2", true),
            ("maybe", true),
        ] {
            let read = read_as(ValueKind::Bool, word).unwrap();
            assert_eq!((read.value, read.oddity.is_some()), (Value::Bool(false), is_odd), "{word}");
        }
        assert_eq!(value(ValueKind::AutoBool("X"), "AUTO"), Value::Bool(true));
        assert_eq!(value(ValueKind::AutoBool("X"), "0"), Value::Bool(false));
    }

    #[test]
    fn an_integer_that_does_not_parse_counts_as_zero_with_a_warning() {
        for (text, number) in [("5", 5), ("-3", -3), ("+4", 4), ("1_000", 1000), ("", 0), ("null", 0)] {
            let read = read_as(ValueKind::Int, text).unwrap();
            assert_eq!((read.value, read.oddity), (Value::Int(number), None), "{text}");
        }
        for text in ["x", "1.5", "1__0", "_1", "0x10", "- 1", "--1", "+", "1 000"] {
            let read = read_as(ValueKind::Int, text).unwrap();
            assert_eq!(read.value, Value::Int(0), "{text}");
            assert!(read.oddity.is_some(), "{text}");
        }
        assert_eq!(value(ValueKind::Int, "99999999999999999999"), Value::Int(i64::MAX));
        assert_eq!(value(ValueKind::Float, "0.5"), Value::Float(0.5));
        for text in ["inf", "nan", "ten", "1,5"] {
            assert!(read_as(ValueKind::Float, text).is_err(), "{text}");
        }
    }

    #[test]
    fn null_is_an_empty_string() {
        assert_eq!(value(ValueKind::String, "null"), Value::Text(String::new()));
        assert_eq!(value(ValueKind::FileOrNull, "null"), Value::Text(String::new()));
        assert_eq!(value(ValueKind::Routes, "null"), Value::Text(String::new()));
    }

    #[test]
    fn a_version_cannot_leave_a_file_name_or_a_command_line() {
        for version in ["0.0.1", "1", "a-b_c.d", ".hidden"] {
            assert!(read_as(ValueKind::Version, version).is_ok(), "{version}");
        }
        for version in ["", "1 2", "1;rm", "$(x)", "`x`", "a/b", "..", ".", "-1", "1\n2", "A", "\u{e9}", "1'"]
        {
            assert!(read_as(ValueKind::Version, version).is_err(), "{version}");
        }
    }

    #[test]
    fn routes_start_with_a_slash_and_do_not_end_with_one() {
        for routes in ["", "/", "/a", "/a;/b/c", "/a ; /b"] {
            assert!(read_as(ValueKind::Routes, routes).is_ok(), "{routes}");
        }
        for routes in ["a", "/a/", "/a;b", "/a;", ";", "/a b", "/a{", "//"] {
            assert!(read_as(ValueKind::Routes, routes).is_err(), "{routes}");
        }
        assert!(read_as(ValueKind::Vhosts, "a.example, *.b").is_ok());
        assert!(read_as(ValueKind::Vhosts, "a b").is_err());
    }

    #[test]
    fn a_file_is_inside_the_plugin_and_exists() {
        for name in ["/etc/passwd", "../etc/passwd", "a/../../b", "absent-file", "etc"] {
            assert!(read_as(ValueKind::FileOrNull, name).is_err(), "{name}");
        }
        assert!(read_as(ValueKind::FileOrNull, "etc/passwd").is_ok());
        assert!(
            read_as(ValueKind::Enum(&["keep", "move"]), "drop")
                .unwrap_err()
                .allowed
                .contains("`keep`, `move`")
        );
    }

    #[test]
    fn the_text_of_a_value_is_what_upstream_exports() {
        for (value, text) in [
            (Value::Bool(true), "1"),
            (Value::Int(-5), "-5"),
            (Value::Float(10.0), "10.0"),
            (Value::Text("a b".to_owned()), "a b"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
