//! Python's methods of strings, lists and dictionaries.

use minijinja::value::{Tuple, Value, ValueKind, from_args};
use minijinja::{Error, State};

use super::filters::{centred, within};
use super::invalid;

/// Python's methods: those that minijinja-contrib lacks, then its own.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => match of_string(state, text, method, arguments)? {
            Some(result) => Ok(result),
            None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments),
        },
        (ValueKind::Map | ValueKind::Seq, _) if method == "copy" && arguments.is_empty() => Ok(value.clone()),
        (ValueKind::Seq, _) if method == "index" => {
            let (wanted,): (&Value,) = from_args(arguments)?;
            let at = value.try_iter()?.position(|item| item == *wanted);
            at.map(Value::from).ok_or_else(|| invalid(format!("{wanted} is not in list")))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments),
    }
}

fn of_string(
    state: &mut State,
    text: &str,
    method: &str,
    arguments: &[Value],
) -> Result<Option<Value>, Error> {
    let padded = |arguments: &[Value]| -> Result<(usize, char), Error> {
        let (width, fill): (usize, Option<char>) = from_args(arguments)?;
        Ok((width.saturating_sub(text.chars().count()).min(10_000), fill.unwrap_or(' ')))
    };
    let fill = |count: usize, character: char| std::iter::repeat_n(character, count).collect::<String>();
    let three = |parts: [&str; 3]| Value::from(Tuple::from(parts.map(Value::from)));
    Ok(Some(match method {
        "zfill" => {
            let (width,): (usize,) = from_args(arguments)?;
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text),
            };
            let zeros = fill(width.saturating_sub(text.chars().count()).min(10_000), '0');
            Value::from(format!("{sign}{zeros}{digits}"))
        }
        "ljust" => {
            padded(arguments).map(|(count, with)| Value::from(format!("{text}{}", fill(count, with))))?
        }
        "rjust" => {
            padded(arguments).map(|(count, with)| Value::from(format!("{}{text}", fill(count, with))))?
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            let from_end = method == "rpartition";
            match if from_end { text.rsplit_once(separator) } else { text.split_once(separator) } {
                Some((before, after)) => three([before, separator, after]),
                None if from_end => three(["", "", text]),
                None => three([text, "", ""]),
            }
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(arguments)?;
            let most = most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most + 1);
            let mut parts: Vec<&str> = match separator {
                Some("") => return Err(invalid("empty separator")),
                Some(separator) => text.rsplitn(most, separator).collect(),
                None => rsplit_words(text.trim_end(), most),
            };
            parts.reverse();
            parts.into_iter().map(Value::from).collect()
        }
        "center" => {
            let (width, fill): (usize, Option<char>) = from_args(arguments)?;
            let (before, after) = centred(text.chars().count(), width);
            let fill = |count| std::iter::repeat_n(fill.unwrap_or(' '), count).collect::<String>();
            Value::from(format!("{}{text}{}", fill(before), fill(after)))
        }
        "title" => Value::from(titled(text)),
        "istitle" => Value::from(text.chars().any(char::is_alphabetic) && titled(text) == text),
        // Of a part of the text; without bounds these are the crate's.
        "startswith" | "endswith" | "find" | "rfind" | "count" if arguments.len() > 1 => {
            let (wanted, from, to): (Value, Option<i64>, Option<i64>) = from_args(arguments)?;
            let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
            let place = |at: i64| if at < 0 { (at + length).max(0) } else { at.min(length) };
            let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(length)));
            let (start, count) =
                (usize::try_from(from).unwrap_or(0), usize::try_from(to - from).unwrap_or(0));
            let part = Value::from(text.chars().skip(start).take(count).collect::<String>());
            let found = part.call_method(state, method, &[wanted])?;
            match i64::try_from(found.clone()) {
                Ok(at) if matches!(method, "find" | "rfind") && at >= 0 => Value::from(at + from),
                _ => found,
            }
        }
        "swapcase" => {
            let swap = |character: char| -> String {
                if character.is_uppercase() {
                    character.to_lowercase().collect()
                } else {
                    character.to_uppercase().collect()
                }
            };
            Value::from(text.chars().map(swap).collect::<String>())
        }
        "casefold" => Value::from(text.to_lowercase()),
        "index" | "rindex" => {
            let (wanted,): (&str,) = from_args(arguments)?;
            let found = if method == "index" { text.find(wanted) } else { text.rfind(wanted) };
            let at = found.ok_or_else(|| invalid("substring not found"))?;
            Value::from(text[..at].chars().count())
        }
        "isdecimal" => {
            Value::from(!text.is_empty() && text.chars().all(|character| character.is_ascii_digit()))
        }
        "isidentifier" => {
            let is_start = |character: char| character.is_alphabetic() || character == '_';
            let is_part = |character: char| character.is_alphanumeric() || character == '_';
            Value::from(text.starts_with(is_start) && text.chars().all(is_part))
        }
        "format" => {
            // The crate's own has no bound.
            within(text.len(), 1, widest(text))?;
            return Ok(None);
        }
        "expandtabs" => {
            let (size,): (Option<usize>,) = from_args(arguments)?;
            let size = size.unwrap_or(8);
            within(text.len(), text.matches('\t').count(), size)?;
            Value::from(expanded(text, size))
        }
        // The filter of minijinja takes an empty separator for none.
        "split" if arguments.first().and_then(Value::as_str) == Some("") => {
            return Err(invalid("empty separator"));
        }
        _ => return Ok(None),
    }))
}

/// How wide the fields of `'{:>9}'` are to be, together.
fn widest(text: &str) -> usize {
    let fields = text.split('{').skip(1).filter_map(|field| field.split('}').next()?.split_once(':'));
    let numbers = fields.flat_map(|(_, how)| how.split(|character: char| !character.is_ascii_digit()));
    let numbers = numbers.filter(|digits| !digits.is_empty());
    numbers.map(|digits| digits.parse().unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
}

fn expanded(text: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for character in text.chars() {
        match character {
            '\t' if size == 0 => {}
            '\t' => {
                let spaces = size - column % size;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            _ => {
                column = if matches!(character, '\n' | '\r') { 0 } else { column + 1 };
                out.push(character);
            }
        }
    }
    out
}

/// Words from the end, at most so many parts; the first part keeps the white space inside.
fn rsplit_words(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let space = if parts.len() + 1 < most { rest.rfind(char::is_whitespace) } else { None };
        let Some(at) = space else {
            parts.push(rest);
            break;
        };
        let word = rest[at..].trim_start();
        parts.push(word);
        rest = rest[..at].trim_end();
    }
    parts
}

/// A capital behind all that is no letter, as Python has it.
fn titled(text: &str) -> String {
    let mut is_inside = false;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_inside {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
        is_inside = character.is_alphabetic();
    }
    out
}
