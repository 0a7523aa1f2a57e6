//! What cookiecutter adds to Jinja2: `jsonify`, `slugify`, `random_ascii_string`, `uuid4` and `{% now %}`.
//!
//! Time and chance come from a [`Chance`], which is kept with the plugin: rendered again by `mwp bootstrap update`, a
//! template makes the same secret and the same date, and neither looks like a change of the template.
#![expect(clippy::needless_pass_by_value, reason = "the engine hands named arguments over so")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, State};

use crate::digest::Digest;
use crate::error::Error as OurError;
use crate::jinja::{invalid, sorted};

/// cookiecutter's own and Jinja2's that the engine has anyway. Others are written in Python.
const KNOWN: [&str; 9] = [
    "cookiecutter.extensions.JsonifyExtension",
    "cookiecutter.extensions.RandomStringExtension",
    "cookiecutter.extensions.SlugifyExtension",
    "cookiecutter.extensions.TimeExtension",
    "cookiecutter.extensions.UUIDExtension",
    "jinja2.ext.do",
    "jinja2.ext.loopcontrols",
    "jinja2.ext.ExprStmtExtension",
    "jinja2_time.TimeExtension",
];

/// The time and the chance of one making of a plugin.
#[derive(Debug, Clone)]
pub(super) struct Chance {
    pub(super) time: Timestamp,
    /// From the system's generator: secrets are made of it.
    pub(super) seed: String,
    /// How many blocks each file has drawn: what one file takes changes nothing in another.
    drawn: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Chance {
    pub(super) fn new() -> Result<Chance, OurError> {
        let mut bytes = [0_u8; 32];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| OurError::machine(format!("cannot get random bytes: {error}")))?;
        Ok(Chance::again(Timestamp::now(), Digest::of(&bytes).to_string()))
    }

    /// As it was when the plugin was made.
    pub(super) fn again(time: Timestamp, seed: String) -> Chance {
        Chance { time, seed, drawn: Arc::default() }
    }

    /// The next block for a file.
    fn draw(&self, file: &str) -> [u8; 32] {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let count = drawn.entry(file.to_owned()).or_default();
        *count += 1;
        *Digest::of(format!("{}\0{file}\0{count}", self.seed).as_bytes()).bytes()
    }
}

pub(super) fn refuse_unknown(names: &[String]) -> Result<(), OurError> {
    let Some(name) = names.iter().find(|name| !KNOWN.contains(&name.as_str())) else { return Ok(()) };
    let message = format!(
        "the template asks for the Jinja2 extension `{}`, which is written in Python",
        crate::text::visible(name)
    );
    Err(OurError::input(message).hint(format!("what mwp has: {}", KNOWN.join(", "))))
}

pub(super) fn add_to(engine: &mut Environment<'static>, chance: &Chance) {
    engine.add_filter("jsonify", jsonify);
    engine.add_filter("slugify", slugify);
    let (of_text, of_uuid, time) = (chance.clone(), chance.clone(), chance.time);
    engine.add_function(
        "random_ascii_string",
        move |state: &State, length: usize, punctuation: Option<bool>, options: Kwargs| {
            let punctuation = punctuation.or(options.get("punctuation")?).unwrap_or(false);
            options.assert_all_used()?;
            if length > 10_000 {
                return Err(invalid("`random_ascii_string`: at most 10000 characters are allowed"));
            }
            Ok(random_text(length, punctuation, || of_text.draw(state.name())))
        },
    );
    engine.add_function("uuid4", move |state: &State| uuid4(&of_uuid.draw(state.name())));
    engine.add_function("_now", move |zone: &str, format: Option<&str>, sign: &str, offset: Option<&str>| {
        now(time, zone, format, sign, offset)
    });
}

fn random_text(length: usize, punctuation: bool, mut draw: impl FnMut() -> [u8; 32]) -> String {
    let allowed: Vec<u8> = (b'!'..=b'~')
        .filter(|byte| byte.is_ascii_alphabetic() || punctuation && byte.is_ascii_punctuation())
        .collect();
    // Bytes above the last whole multiple would make some characters likelier than others.
    let limit = 256 - 256 % allowed.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let bytes = draw();
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < limit);
        text.extend(fair.take(length - text.len()).map(|byte| char::from(allowed[byte % allowed.len()])));
    }
    text
}

fn uuid4(bytes: &[u8; 32]) -> String {
    let mut digits: Vec<u8> = bytes[..16].to_vec();
    digits[6] = digits[6] & 0x0f | 0x40;
    digits[8] = digits[8] & 0x3f | 0x80;
    let hex: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `{% now ZONE ± "days=1,hours=2", FORMAT %}`.
fn now(
    time: Timestamp,
    zone: &str,
    format: Option<&str>,
    sign: &str,
    offset: Option<&str>,
) -> Result<String, Error> {
    let zone = match zone.to_lowercase().as_str() {
        "utc" => TimeZone::UTC,
        "local" => TimeZone::system(),
        _ => TimeZone::get(zone)
            .map_err(|_| invalid(format!("`now`: the time zone `{zone}` is not known here")))?,
    };
    let mut time = time.to_zoned(zone);
    for part in offset.into_iter().flat_map(|offset| offset.split(',')) {
        let bad = || invalid(format!("`now`: found `{part}`; such as `days=1` is allowed"));
        let (unit, number) = part.split_once('=').ok_or_else(bad)?;
        let number: f64 = number.trim().parse().map_err(|_| bad())?;
        let number = if sign == "-" { -number } else { number };
        #[expect(clippy::cast_possible_truncation, reason = "what is too large is refused by the calendar")]
        let whole = number as i64;
        let seconds = |each: f64| SignedDuration::try_from_secs_f64(number * each).map_err(|_| bad());
        let moved = match unit.trim() {
            "years" => Span::new().try_years(whole).and_then(|span| time.checked_add(span)),
            "months" => Span::new().try_months(whole).and_then(|span| time.checked_add(span)),
            "weeks" => time.checked_add(seconds(604_800.0)?),
            "days" => time.checked_add(seconds(86_400.0)?),
            "hours" => time.checked_add(seconds(3_600.0)?),
            "minutes" => time.checked_add(seconds(60.0)?),
            "seconds" => time.checked_add(seconds(1.0)?),
            _ => return Err(bad()),
        };
        time = moved.map_err(|_| bad())?;
    }
    let format = format.unwrap_or("%Y-%m-%d");
    jiff::fmt::strtime::format(format, &time).map_err(|error| invalid(format!("`now`: `{format}`: {error}")))
}

/// As Python's `json.dumps(…, sort_keys=True, indent=4)` writes it.
fn jsonify(value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let indent = indent.or(options.get("indent")?).unwrap_or(4).min(64);
    options.assert_all_used()?;
    let value = serde_json::to_value(value).map_err(|error| invalid(format!("`jsonify`: {error}")))?;
    let mut out = Vec::new();
    let margin = " ".repeat(indent);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(margin.as_bytes());
    let mut writer = serde_json::Serializer::with_formatter(&mut out, formatter);
    serde::Serialize::serialize(&sorted(value), &mut writer)
        .map_err(|error| invalid(format!("`jsonify`: {error}")))?;
    let mut text = String::with_capacity(out.len());
    for character in String::from_utf8_lossy(&out).chars() {
        if character.is_ascii() && character != '\u{7f}' {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(text)
}

/// As the Python package slugify has it, less its options for HTML entities and patterns.
fn slugify(value: &Value, options: Kwargs) -> Result<String, Error> {
    let separator = options.get::<Option<String>>("separator")?.unwrap_or_else(|| "-".to_owned());
    let lowercase = options.get::<Option<bool>>("lowercase")?.unwrap_or(true);
    let allow_unicode = options.get::<Option<bool>>("allow_unicode")?.unwrap_or(false);
    let max_length = options.get::<Option<usize>>("max_length")?.unwrap_or(0);
    let word_boundary = options.get::<Option<bool>>("word_boundary")?.unwrap_or(false);
    let stopwords = options.get::<Option<Vec<String>>>("stopwords")?.unwrap_or_default();
    let replacements = options.get::<Option<Vec<Vec<String>>>>("replacements")?.unwrap_or_default();
    options.assert_all_used()?;
    let replaced = |mut text: String| {
        for pair in &replacements {
            if let [old, new] = pair.as_slice() {
                text = text.replace(old, new);
            }
        }
        text
    };
    let text = replaced(value.to_string()).replace('\'', "-");
    let text = if allow_unicode { text } else { deunicode::deunicode(&text) };
    let text = if lowercase { text.to_lowercase() } else { text }.replace('\'', "");
    let letters: Vec<char> = text.chars().collect();
    let is_digit = |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(char::is_ascii_digit);
    let is_kept = |letter: char| {
        if allow_unicode { letter.is_alphanumeric() || letter == '_' } else { letter.is_ascii_alphanumeric() }
    };
    let mut slug = String::new();
    for (at, letter) in letters.iter().enumerate() {
        if is_kept(*letter) {
            slug.push(*letter);
        } else if *letter == ',' && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)) {
            // The comma of a long number.
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let mut words: Vec<&str> = slug.split('-').filter(|word| !word.is_empty()).collect();
    let is_stopword = |word: &str| {
        stopwords.iter().any(|stop| if lowercase { stop.to_lowercase() == word } else { stop == word })
    };
    words.retain(|word| !is_stopword(word));
    let slug = replaced(words.join("-"));
    let cut = if max_length == 0 || slug.chars().count() <= max_length {
        slug
    } else if word_boundary {
        let mut kept = String::new();
        for word in slug.split('-') {
            let length = kept.chars().count() + word.chars().count() + usize::from(!kept.is_empty());
            if length <= max_length {
                kept.push_str(if kept.is_empty() { "" } else { "-" });
                kept.push_str(word);
            }
        }
        if kept.is_empty() { slug.chars().take(max_length).collect() } else { kept }
    } else {
        slug.chars().take(max_length).collect::<String>().trim_matches('-').to_owned()
    };
    Ok(cut.replace('-', &separator))
}
