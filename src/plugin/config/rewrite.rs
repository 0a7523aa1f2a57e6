//! Replaces values in a document and leaves everything else as it was: comments, order, layout.

use std::collections::BTreeMap;

use super::reader::{Document, WrittenEntry, is_space};
use crate::error::{Error, Result};
use crate::text;

/// A new value for a key that the document has; the key is as written there, with its variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewValue {
    pub section: String,
    pub key: String,
    pub value: String,
}

impl Document {
    /// The text with these values in place of the old ones. A comment between the lines of a replaced value
    /// goes with it. Refuses a value that could not be read back as it is.
    pub fn rewrite(&self, new_values: &[NewValue]) -> Result<String> {
        let mut edits = Vec::new();
        for new in new_values {
            let entry = self.section(&new.section).and_then(|section| section.entry(&new.key));
            let entry = entry.ok_or_else(|| {
                Error::input(format!(
                    "cannot replace [{}] {}: there is no such key",
                    text::visible(&new.section),
                    text::visible(&new.key)
                ))
                .hint("write the key into config.ini first")
            })?;
            edits.push((entry.value_span.clone(), written(new, self.indentation(entry))?));
        }
        edits.sort_by_key(|(span, _)| span.start);
        let mut rewritten = String::with_capacity(self.text.len());
        let mut copied = 0;
        for (span, value) in edits {
            rewritten.push_str(&self.text[copied..span.start]);
            rewritten.push_str(&value);
            copied = span.end;
        }
        rewritten.push_str(&self.text[copied..]);
        Ok(rewritten)
    }
}

impl Document {
    /// The text with these keys behind the headings of their sections, and sections that are not there at the end.
    /// Refuses a value that could not be read back as it is.
    pub fn with_keys(&self, keys: &[NewValue]) -> Result<String> {
        let mut added: BTreeMap<&str, String> = BTreeMap::new();
        for new in keys {
            // What stands behind it is indented as before, and continues nothing.
            let first = self.section(&new.section).and_then(|section| section.entries.first());
            let indentation = first.map_or("", |entry| self.indentation(entry));
            let line = format!("{indentation}{} = {}\n", new.key, written(new, indentation)?);
            added.entry(&new.section).or_default().push_str(&line);
        }
        let mut result = String::with_capacity(self.text.len());
        let mut copied = 0;
        for section in &self.sections {
            let Some(lines) = added.remove(section.name.as_str()) else { continue };
            let rest = &self.text[section.name_span.end..];
            let end = rest
                .find(['\n', '\r'])
                .map_or(rest.len(), |end| if rest[end..].starts_with("\r\n") { end + 2 } else { end + 1 });
            let end = section.name_span.end + end;
            result.push_str(&self.text[copied..end]);
            if !result.ends_with(['\n', '\r']) {
                result.push('\n');
            }
            result.push_str(&lines);
            copied = end;
        }
        result.push_str(&self.text[copied..]);
        for (section, lines) in added {
            if !result.ends_with('\n') {
                result.push('\n');
            }
            result.push_str(&format!("\n[{section}]\n{lines}"));
        }
        Ok(result)
    }
}

impl Document {
    /// The white space in front of a key.
    fn indentation(&self, entry: &WrittenEntry) -> &str {
        let before = &self.text[..entry.key_span.start];
        &before[before.rfind(['\n', '\r']).map_or(0, |end| end + 1)..]
    }
}

/// The value as it stands in a file behind a key with this indentation: later lines indented more, so that they continue
/// the first.
fn written(new: &NewValue, indentation: &str) -> Result<String> {
    let unwritable = |reason: &str| {
        Error::input(format!(
            "cannot write [{}] {}: its value {reason}, which an ini file cannot hold",
            text::visible(&new.section),
            text::visible(&new.key)
        ))
        .hint("give another value")
    };
    if new.value.contains(['\r', '\0']) {
        return Err(unwritable("holds a control character"));
    }
    let mut lines = new.value.split('\n');
    let mut written = lines.next().unwrap_or_default().to_owned();
    if written.trim_matches(is_space) != written {
        return Err(unwritable("has white space around it"));
    }
    for line in lines {
        if line.trim_matches(is_space) != line {
            return Err(unwritable("has a line with white space around it"));
        }
        if line.starts_with('#') {
            return Err(unwritable("has a line that starts with `#`"));
        }
        written.push('\n');
        if !line.is_empty() {
            written.push_str(indentation);
            written.push_str("    ");
            written.push_str(line);
        }
    }
    if new.value.ends_with('\n') {
        return Err(unwritable("ends with an empty line"));
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# top\n[a]\nk = old # x\n  line\n  # kept with nothing\n\n# about l\nl=\nm[DEV]=1 \n[b]\nk=2";

    fn new(section: &str, key: &str, value: &str) -> NewValue {
        NewValue { section: section.to_owned(), key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_new_value_leaves_comments_order_and_layout_alone() {
        let (document, _) = Document::parse(TEXT);
        let rewritten = document
            .rewrite(&[
                new("b", "k", "new"),
                new("a", "k", "one\n\ntwo"),
                new("a", "l", "x=#"),
                new("a", "m[DEV]", ""),
            ])
            .unwrap();
        assert_eq!(
            rewritten,
            "# top\n[a]\nk = one\n\n    two\n  # kept with nothing\n\n# about l\nl=x=#\nm[DEV]= \n[b]\nk=new"
        );
        let (again, mistakes) = Document::parse(&rewritten);
        assert_eq!(mistakes, []);
        assert_eq!(again.section("a").unwrap().entry("k").unwrap().value, "one\n\ntwo");
        assert_eq!(document.rewrite(&[]).unwrap(), TEXT);
    }

    #[test]
    fn keys_that_are_indented_stay_keys() {
        let text = "[a]\n        k = old\n        l = 1\n";
        let (document, _) = Document::parse(text);
        let rewritten = document.rewrite(&[new("a", "k", "one\ntwo")]).unwrap();
        assert_eq!(rewritten, "[a]\n        k = one\n            two\n        l = 1\n");
        let (document, _) = Document::parse(&rewritten);
        let added = document.with_keys(&[new("a", "m", "three\nfour")]).unwrap();
        let (again, mistakes) = Document::parse(&added);
        assert_eq!(mistakes, []);
        let value = |key: &str| again.section("a").unwrap().entry(key).unwrap().value.clone();
        assert_eq!([value("k"), value("l"), value("m")], ["one\ntwo", "1", "three\nfour"]);
    }

    #[test]
    fn a_value_that_would_read_back_differently_is_refused() {
        let (document, _) = Document::parse(TEXT);
        for value in [" x", "x ", "a\n# b", "a\n  b", "a\n", "a\rb", "a\0"] {
            assert!(document.rewrite(&[new("a", "k", value)]).is_err(), "{value:?}");
        }
        assert!(document.rewrite(&[new("a", "absent", "x")]).is_err());
    }
}
