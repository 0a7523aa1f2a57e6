//! Text that is safe and pleasant to print: names from disk or archives may hold anything.

use std::io;
use std::path::{Component, Path, PathBuf};

/// A path for a message, as a user would type it: in back-ticks, without needless `./`, control characters and
/// bytes that are not UTF-8 escaped. The current directory has its name.
pub fn path(path: &Path) -> String {
    let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    let here = || Some(std::path::absolute(".").ok()?.file_name()?.into());
    let plain = if plain.as_os_str().is_empty() { here().unwrap_or_else(|| path.to_owned()) } else { plain };
    format!("`{}`", visible_bytes(plain.as_os_str().as_encoded_bytes()))
}

/// A place in a file, as editors and terminals take it: `config.ini:15:3`. Lines and columns are counted from 1.
pub fn place(file: &Path, line: usize, column: Option<usize>) -> String {
    let file = path(file);
    let column = column.map(|column| format!(":{column}")).unwrap_or_default();
    format!("{}:{line}{column}", file.trim_matches('`'))
}

/// Text from a file or an archive, with control characters escaped so that it cannot steer the terminal.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction_mark(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// As [`visible`], of a long text its beginning.
pub fn excerpt(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", visible(&text[..end])),
        None => visible(text),
    }
}

/// As [`visible`], of several lines.
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// As [`visible`], for bytes that need not be UTF-8 (those are shown as `\xNN`).
pub fn visible_bytes(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&visible(chunk.valid()));
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Marks that reorder the text around them.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The reason of an operating system error without the trailing `(os error N)`.
pub fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit_once(" (os error").map_or(text.as_str(), |(reason, _)| reason);
    let mut characters = reason.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => text,
    }
}

/// `1 file`, `3 files`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A length of time as people read it: `0.3 s`, `12 s`, `5 min`, `3 h`, `2 d`.
pub fn duration(time: std::time::Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A size for people: `512 B`, `3.4 MB` (powers of ten).
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Nobody mistypes a longer name: to compare names takes the product of their lengths.
pub const LONGEST_SLIP: usize = 200;

/// The candidate nearest to `found`, where it is near enough to be a slip of the fingers.
pub fn nearest<'a>(found: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if found.len() > LONGEST_SLIP {
        return None;
    }
    let limit = (found.chars().count() / 3).clamp(1, 4);
    allowed
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_escape_sequences_are_shown_not_sent() {
        assert_eq!(visible("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(visible_bytes(b"caf\xc3\xa9\xff"), "caf\u{e9}\\xff");
    }

    #[test]
    fn a_path_is_what_a_user_would_type_and_the_current_directory_has_its_name() {
        assert_eq!(path(Path::new("./shop/./.mwp/")), "`shop/.mwp`");
        assert_eq!(path(Path::new("../shop")), "`../shop`");
        let here = std::env::current_dir().unwrap();
        assert_eq!(path(Path::new(".")), format!("`{}`", here.file_name().unwrap().display()));
        assert_eq!(place(Path::new("./a/b"), 3, Some(4)), "a/b:3:4");
    }

    #[test]
    fn a_slip_gets_a_suggestion_and_a_stranger_none() {
        assert_eq!(nearest("numproceses", ["numprocesses", "max_age"]), Some("numprocesses"));
        assert_eq!(nearest("colour", ["numprocesses", "max_age"]), None);
    }

    #[test]
    fn sizes_use_powers_of_ten() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(3_400_000), "3.4 MB");
        assert_eq!(size(999_999), "1.0 MB");
    }
}
