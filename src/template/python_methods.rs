//! The methods of Python's strings that templates written for Jinja2 call: `{{ name.replace("-", "_") }}`.

use minijinja::value::{Value, from_args};
use minijinja::{Error, ErrorKind, State};

/// Calls `method` on `value`, for those that minijinja does not know.
pub(super) fn call(
    _state: &mut State,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let unknown = || Error::from(ErrorKind::UnknownMethod);
    let text = value.as_str().ok_or_else(unknown)?;
    let text_of = |result: String| Ok(Value::from(result));
    match method {
        "lower" | "upper" | "capitalize" | "title" if !arguments.is_empty() => {
            Err(Error::from(ErrorKind::TooManyArguments))
        }
        "lower" => text_of(text.to_lowercase()),
        "upper" => text_of(text.to_uppercase()),
        "capitalize" => text_of(capitalize(text)),
        "title" => text_of(title(text)),
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<&str>,) = from_args(arguments)?;
            let goes = |c: char| characters.map_or(c.is_whitespace(), |characters| characters.contains(c));
            text_of(match method {
                "strip" => text.trim_matches(goes).to_owned(),
                "lstrip" => text.trim_start_matches(goes).to_owned(),
                _ => text.trim_end_matches(goes).to_owned(),
            })
        }
        "replace" => {
            let (old, new): (&str, &str) = from_args(arguments)?;
            text_of(text.replace(old, new))
        }
        "startswith" | "endswith" => {
            let (part,): (&str,) = from_args(arguments)?;
            let found = if method == "startswith" { text.starts_with(part) } else { text.ends_with(part) };
            Ok(Value::from(found))
        }
        "split" => {
            let (separator,): (Option<&str>,) = from_args(arguments)?;
            Ok(match separator {
                Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
                Some(separator) => text.split(separator).map(Value::from).collect(),
                None => text.split_whitespace().map(Value::from).collect(),
            })
        }
        "join" => {
            let (items,): (Vec<String>,) = from_args(arguments)?;
            text_of(items.join(text))
        }
        _ => Err(unknown()),
    }
}

fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters.flat_map(char::to_lowercase)).collect()
    })
}

/// A capital at the start of each run of letters.
fn title(text: &str) -> String {
    let mut in_word = false;
    let mut titled = String::new();
    for character in text.chars() {
        if in_word {
            titled.extend(character.to_lowercase());
        } else {
            titled.extend(character.to_uppercase());
        }
        in_word = character.is_alphabetic();
    }
    titled
}
