//! Filters that mean to minijinja something else than to Jinja2, or that it does not have.
#![expect(clippy::needless_pass_by_value, reason = "the engine hands named arguments over so")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};
use regex::Regex;
use serde_json::Value as Json;
use textwrap::{WordSeparator, WordSplitter, WrapAlgorithm};

use super::invalid;

/// The longest text that a width may ask for.
const MOST_WIDTH: usize = 10_000;
/// The longest text that a filter may make of a short one: the engine counts only what is put out.
const MOST_TEXT: usize = 16 << 20;

pub(super) fn add_to(engine: &mut Environment<'static>) {
    engine.add_filter("int", int);
    engine.add_filter("float", float);
    engine.add_filter("_percent", percent);
    engine.add_filter("round", round);
    engine.add_filter("truncate", truncate);
    engine.add_filter("center", center);
    engine.add_filter("random", random);
    engine.add_filter("forceescape", |text: &Value| Value::from_safe_string(escaped(&text.to_string())));
    for name in ["e", "escape"] {
        engine.add_filter(name, |text: &Value| match text.is_safe() {
            true => text.clone(),
            false => Value::from_safe_string(escaped(&text.to_string())),
        });
    }
    engine.add_filter("indent", indent);
    engine.add_filter("xmlattr", xmlattr);
    engine.add_filter("tojson", tojson);
    engine.add_filter("urlencode", urlencode);
    engine.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.to_vec()));
    engine.add_filter("wordwrap", wordwrap);
    engine.add_filter("wordcount", wordcount);
    engine.add_filter("filesizeformat", filesizeformat);
}

/// `a % b`: numbers as the engine has it; a string is a format, a tuple its values, all else the one value.
fn percent(state: &mut State, left: &Value, right: &Value) -> Result<Value, Error> {
    if left.kind() != ValueKind::String {
        let expression = state.env().compile_expression("left % right")?;
        return expression.eval(minijinja::context!(left, right));
    }
    let mut arguments = vec![left.clone()];
    if right.is_tuple() {
        arguments.extend(right.try_iter()?);
    } else if right.kind() == ValueKind::Map {
        let named = right.try_iter()?.map(|key| Ok((key.to_string(), right.get_item(&key)?)));
        arguments.push(named.collect::<Result<Vec<_>, Error>>()?.into_iter().collect::<Kwargs>().into());
    } else {
        arguments.push(right.clone());
    }
    state.apply_filter("format", &arguments)
}

/// Half goes to the even digit, as Python's `round` has it; a whole number stays one.
fn round(
    value: &Value,
    precision: Option<i32>,
    method: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    let precision = precision.or(options.get("precision")?).unwrap_or(0).clamp(-300, 300);
    let method = method.or(options.get("method")?).unwrap_or("common");
    options.assert_all_used()?;
    let number =
        f64::try_from(value.clone()).map_err(|_| invalid(format!("`round`: {value} is no number")))?;
    let scale = 10_f64.powi(precision);
    let rounded = match method {
        "common" if value.is_integer() && precision >= 0 => return Ok(value.clone()),
        // As many digits as are asked for, of the number's exact value.
        "common" if precision >= 0 => {
            let digits = usize::try_from(precision).unwrap_or_default();
            format!("{number:.digits$}").parse().unwrap_or(number)
        }
        "common" => (number * scale).round_ties_even() / scale,
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        _ => return Err(invalid("`round`: the method is `common`, `ceil` or `floor`")),
    };
    #[expect(clippy::cast_possible_truncation, reason = "it came from an integer")]
    Ok(if method == "common" && value.is_integer() {
        Value::from(rounded as i64)
    } else {
        Value::from(rounded)
    })
}

fn truncate(value: &str, options: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let options = named(&["length", "killwords", "end", "leeway"], &options)?;
    let length = options.get::<Option<usize>>("length")?.unwrap_or(255);
    let killwords = options.get::<Option<bool>>("killwords")?.unwrap_or(false);
    let end = options.get::<Option<&str>>("end")?.unwrap_or("...");
    let leeway = options.get::<Option<usize>>("leeway")?.unwrap_or(5);
    options.assert_all_used()?;
    if value.chars().count() <= length.saturating_add(leeway) {
        return Ok(value.to_owned());
    }
    let kept = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| invalid(format!("`truncate`: the length {length} has no room for `{end}`")))?;
    let mut text: String = value.chars().take(kept).collect();
    if let (false, Some(space)) = (killwords, text.rfind(' ')) {
        text.truncate(space);
    }
    text.push_str(end);
    Ok(text)
}

fn indent(text: &Value, options: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let options = named(&["width", "first", "blank"], &options)?;
    let width = options.get::<Option<Value>>("width")?.unwrap_or_else(|| Value::from(4));
    let first = options.get::<Option<bool>>("first")?.unwrap_or(false);
    let blank = options.get::<Option<bool>>("blank")?.unwrap_or(false);
    options.assert_all_used()?;
    let margin = match width.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(width)?.min(MOST_WIDTH)),
    };
    let text = text.to_string();
    within(text.len(), text.matches('\n').count() + 1, margin.len())?;
    let lines = text.split('\n').enumerate().map(|(index, line)| {
        let is_indented = if index == 0 { first } else { blank || !line.is_empty() };
        if is_indented { format!("{margin}{line}") } else { line.to_owned() }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// The keys of dictionaries in their order.
fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let json = serde_json::to_value(value).map_err(|error| invalid(format!("`tojson`: {error}")))?;
    minijinja::filters::tojson(&super::of_json(&sorted(json)), indent, options)
}

/// JSON with the keys of its objects in their order.
pub(crate) fn sorted(value: Json) -> Json {
    match value {
        Json::Object(items) => {
            let items: BTreeMap<_, _> =
                items.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Json::Object(items.into_iter().collect())
        }
        Json::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// Of pairs, as a form is sent: a space is a `+`.
fn urlencode(value: &Value) -> Result<String, Error> {
    if value.kind() != ValueKind::Map {
        return minijinja::filters::urlencode(value);
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for name in value.try_iter()? {
        query.append_pair(&name.to_string(), &value.get_item(&name)?.to_string());
    }
    Ok(query.finish())
}

/// The attributes of an element, those that are nothing left out.
fn xmlattr(attributes: &Value, autospace: Option<bool>) -> Result<Value, Error> {
    let mut out = String::new();
    for name in attributes.try_iter()? {
        let value = attributes.get_item(&name)?;
        if !value.is_none() && !value.is_undefined() {
            let space = if out.is_empty() && !autospace.unwrap_or(true) { "" } else { " " };
            out.push_str(&format!(
                "{space}{}=\"{}\"",
                escaped(&name.to_string()),
                escaped(&value.to_string())
            ));
        }
    }
    Ok(Value::from_safe_string(out))
}

fn center(text: &Value, width: Option<usize>) -> String {
    let text = text.to_string();
    let (before, after) = centred(text.chars().count(), width.unwrap_or(80));
    format!("{}{text}{}", " ".repeat(before), " ".repeat(after))
}

/// How much goes before and after a text; as Python has it, an odd rest goes before where the width is odd.
pub(super) fn centred(length: usize, width: usize) -> (usize, usize) {
    let missing = width.min(MOST_WIDTH).saturating_sub(length);
    let before = missing / 2 + (missing & width & 1);
    (before, missing - before)
}

fn random(items: &Value) -> Result<Value, Error> {
    let items: Vec<Value> = match items.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None => items.try_iter()?.collect(),
    };
    Ok(fastrand::choice(items).unwrap_or_default())
}

/// HTML's five characters, as Python's markupsafe writes them.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// Each line is filled before the next is begun, as Python does it; the crate's own weighs all of them against each other.
fn wordwrap(text: &Value, options: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let options = named(&["width", "break_long_words", "wrapstring", "break_on_hyphens"], &options)?;
    let width = options.get::<Option<usize>>("width")?.unwrap_or(79);
    let breaks_words = options.get::<Option<bool>>("break_long_words")?.unwrap_or(true);
    let newline = options.get::<Option<String>>("wrapstring")?.unwrap_or_else(|| "\n".to_owned());
    let splitter = match options.get::<Option<bool>>("break_on_hyphens")?.unwrap_or(true) {
        true => WordSplitter::HyphenSplitter,
        false => WordSplitter::NoHyphenation,
    };
    options.assert_all_used()?;
    let text = text.to_string();
    within(text.len(), text.len(), newline.len())?;
    let options = textwrap::Options::new(width)
        .break_words(breaks_words)
        .word_splitter(splitter)
        .word_separator(WordSeparator::AsciiSpace)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let lines: Vec<_> = text.lines().flat_map(|line| textwrap::wrap(line, &options)).collect();
    Ok(lines.join(&newline))
}

fn wordcount(text: &Value) -> usize {
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+").expect("a pattern"));
    WORD.find_iter(&text.to_string()).count()
}

fn filesizeformat(value: f64, binary: Option<bool>, options: Kwargs) -> Result<String, Error> {
    let binary = binary.or(options.get("binary")?).unwrap_or(false);
    options.assert_all_used()?;
    let (base, names): (f64, _) = if binary {
        (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    if value == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if value < base {
        return Ok(format!("{} Bytes", value.trunc()));
    }
    let mut unit = base;
    for name in &names[..7] {
        if value < unit * base {
            return Ok(format!("{:.1} {name}", value / unit));
        }
        unit *= base;
    }
    Ok(format!("{:.1} {}", value / unit, names[7]))
}

/// Refuses to put so many pieces into a text.
pub(super) fn within(text: usize, pieces: usize, each: usize) -> Result<(), Error> {
    if pieces.saturating_mul(each).saturating_add(text) > MOST_TEXT {
        return Err(Error::new(ErrorKind::OutOfFuel, super::TOO_MUCH));
    }
    Ok(())
}

/// Arguments by place or by name, all by name.
fn named(names: &[&str], arguments: &[ValueOrKwargs]) -> Result<Kwargs, Error> {
    let mut options = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        if argument.is_kwargs() {
            for name in argument.try_iter()? {
                options.push((name.to_string(), argument.get_item(&name)?));
            }
        } else {
            let name = names.get(index).ok_or_else(|| Error::from(ErrorKind::TooManyArguments))?;
            options.push(((*name).to_owned(), Value::from(argument.clone())));
        }
    }
    Ok(options.into_iter().collect())
}

/// What is no number is the default, 0 unless the template gives another.
fn int(
    state: &State,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    options: Kwargs,
) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(options.get("base")?);
    options.assert_all_used()?;
    if is_undefined(state, value)? {
        return Ok(default);
    }
    // Python's `int` takes white space around the digits, and underscores among them.
    let trimmed = value.as_str().map(|text| Value::from(text.trim().replace('_', "")));
    let none = Kwargs::from_iter::<[(&str, Value); 0]>([]);
    Ok(minijinja::filters::int(state, trimmed.as_ref().unwrap_or(value), None, base, none).unwrap_or(default))
}

/// As [`int`].
fn float(state: &State, value: &Value, default: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0.0));
    options.assert_all_used()?;
    if is_undefined(state, value)? {
        return Ok(default);
    }
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(number.map_or(default, Value::from))
}

/// Undefined and nothing; an error where the engine insists on defined variables.
fn is_undefined(state: &State, value: &Value) -> Result<bool, Error> {
    use minijinja::UndefinedBehavior::{SemiStrict, Strict};
    if value.is_undefined() && matches!(state.undefined_behavior(), Strict | SemiStrict) {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(value.is_undefined() || value.is_none())
}
