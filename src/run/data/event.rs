//! The news of a file, as a step reads them: JSON, except that names are what bytes they are.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde::Deserialize;

/// Why a file is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It came in.
    Created,
    /// It was there.
    Exists,
}

/// `timestamp`: seconds since 1970.
pub(super) fn write(directory: &Path, name: &OsStr, cause: Cause, timestamp: f64) -> Vec<u8> {
    let word = match cause {
        Cause::Created => "created",
        Cause::Exists => "exists",
    };
    let mut text = b"{\"directory\": ".to_vec();
    write_string(directory.as_os_str(), &mut text);
    text.extend(b", \"filename\": ");
    write_string(name, &mut text);
    text.extend(format!(", \"event\": \"{word}\", \"event_timestamp\": {timestamp:.6}}}").bytes());
    text
}

fn write_string(value: &OsStr, text: &mut Vec<u8>) {
    text.push(b'"');
    for byte in value.as_bytes() {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            0..0x20 => text.extend(format!("\\u{byte:04x}").bytes()),
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
}

#[derive(Deserialize)]
struct Event {
    directory: String,
    filename: String,
}

/// The name of the file that news are of, if it is in this directory.
pub(super) fn name_in(payload: &[u8], directory: &Path) -> Option<OsString> {
    let (dir, name) = match std::str::from_utf8(payload) {
        Ok(text) => {
            let event: Event = serde_json::from_str(text).ok()?;
            (event.directory.into_bytes(), event.filename.into_bytes())
        }
        // A character for each byte, and back.
        Err(_) => {
            let text: String = payload.iter().map(|byte| char::from(*byte)).collect();
            let event: Event = serde_json::from_str(&text).ok()?;
            (bytes_of(&event.directory)?, bytes_of(&event.filename)?)
        }
    };
    (dir == directory.as_os_str().as_bytes()).then(|| OsString::from_vec(name))
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn news_are_json_with_the_keys_of_the_protocol() {
        let text = write(Path::new("/in/a b"), OsStr::new("x\"y"), Cause::Exists, 1.5);
        let expected =
            br#"{"directory": "/in/a b", "filename": "x\"y", "event": "exists", "event_timestamp": 1.500000}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn what_others_write_is_read() {
        let python = br#"{"directory": "/in", "filename": "\u00e9t\u00e9", "event": "exists"}"#;
        assert_eq!(name_in(python, Path::new("/in")), Some(OsString::from("\u{e9}t\u{e9}")));
        assert_eq!(name_in(python, Path::new("/other")), None);
        for none in [&b"{"[..], b"[]", b"\xff", br#"{"directory": "/in"}"#] {
            assert_eq!(name_in(none, Path::new("/in")), None);
        }
    }

    proptest! {
        #[test]
        fn every_name_is_read_as_it_was_written(name: Vec<u8>, dir: Vec<u8>) {
            let (name, dir) = (OsString::from_vec(name), OsString::from_vec(dir));
            let text = write(Path::new(&dir), &name, Cause::Created, 0.0);
            prop_assert_eq!(name_in(&text, Path::new(&dir)), Some(name));
        }
    }
}
