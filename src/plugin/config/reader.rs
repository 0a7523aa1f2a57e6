//! Reads `config.ini`: Python configparser's dialect as MetWork uses it, with the place of everything read.
//!
//! Promises to read what
//! `ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None, strict=True, default_section=None)`
//! with keys in their own case reads from the same file, quirks included: an indented line continues the value
//! above it, blank lines and comments between do not end a value, `[a] b` opens the section `a`, `[DEFAULT]` is
//! a section like any other. Where Python stops at the first mistake, all of them are returned.
//!
//! Every name and value has its byte range in the text, so that a value can be replaced while comments, order
//! and layout stay ([`Document::rewrite`](Document::rewrite)).

use std::collections::HashMap;
use std::ops::Range;

/// A file that was read, with its text.
#[derive(Debug, Clone)]
pub struct Document {
    pub text: String,
    pub sections: Vec<Section>,
    /// Where each section is in `sections`.
    places: HashMap<String, usize>,
    /// Where each line is in `text`.
    lines: Vec<Range<usize>>,
}

/// A section with its keys, in the order of the file.
#[derive(Debug, Clone)]
pub struct Section {
    pub name: String,
    pub line: usize,
    /// The name without the brackets.
    pub name_span: Range<usize>,
    pub entries: Vec<WrittenEntry>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct WrittenEntry {
    /// As written, with its variant: `debug[DEV]`.
    pub key: String,
    pub line: usize,
    pub key_span: Range<usize>,
    /// The lines of the value without their indentation, joined by newlines.
    pub value: String,
    /// From the first character after `=` to the last of the value, continuation lines (and the comments
    /// between them) included; empty, behind the `=`, where there is no value.
    pub value_span: Range<usize>,
    /// The lines that continue the value, as `(line, text)`.
    pub continuations: Vec<(usize, String)>,
}

/// One mistake in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub line: usize,
    pub kind: MistakeKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MistakeKind {
    /// Something other than a comment above the first section.
    BeforeFirstSection {
        text: String,
    },
    DuplicateSection {
        section: String,
        first: usize,
    },
    DuplicateKey {
        section: String,
        key: String,
        first: usize,
    },
    /// A line that is neither a section, nor `key = value`, nor the continuation of a value.
    NoDelimiter {
        section: String,
        text: String,
    },
    EmptyKey {
        section: String,
    },
}

impl Document {
    /// Reads the whole text; with mistakes, the document holds what could be made of it.
    pub fn parse(text: &str) -> (Document, Vec<Mistake>) {
        let mut parser = Parser::default();
        let lines: Vec<Range<usize>> = lines(text).collect();
        for (index, line) in lines.iter().enumerate() {
            parser.line(index + 1, &text[line.clone()], line.start);
        }
        let places = parser.section_places.into_iter().map(|(name, (_, place))| (name, place)).collect();
        let document = Document { text: text.to_owned(), sections: parser.sections, places, lines };
        (document, parser.mistakes)
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(*self.places.get(name)?)
    }

    /// The lines without their ends, as they are counted here: `\r` ends one, too.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|range| &self.text[range.clone()])
    }

    /// The column of a place in the text, in characters from 1.
    pub fn column(&self, offset: usize) -> usize {
        let before = &self.text[..offset];
        let start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
        before[start..].chars().count() + 1
    }

    /// The column where a line begins, white space aside.
    pub fn first_column(&self, line: usize) -> usize {
        let written = self.lines.get(line.saturating_sub(1)).map_or("", |range| &self.text[range.clone()]);
        written.chars().take_while(|character| is_space(*character)).count() + 1
    }
}

impl Section {
    pub fn entry(&self, key: &str) -> Option<&WrittenEntry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// White space in Python's sense, which counts four separators that Unicode's property does not.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The lines without their ends: `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= bytes.len() {
            return None;
        }
        let length = bytes[start..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let end = length.map_or(bytes.len(), |length| start + length);
        let line = start..end;
        start = if bytes[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        Some(line)
    })
}

#[derive(Default)]
struct Parser {
    sections: Vec<Section>,
    mistakes: Vec<Mistake>,
    /// By name: the line of its heading, and its place among the sections.
    section_places: HashMap<String, (usize, usize)>,
    key_lines: HashMap<(usize, String), usize>,
    /// The section that keys go to.
    section: Option<usize>,
    /// The key in that section which an indented line continues.
    open_entry: Option<usize>,
    /// The indentation, in characters, of the last line that was no continuation.
    indentation: usize,
    /// Blank lines since the last line of the open value: they belong to it when it goes on.
    blank_lines: usize,
    complained_about_start: bool,
}

impl Parser {
    /// `offset` is the place of `line` in the text.
    fn line(&mut self, number: usize, line: &str, offset: usize) {
        let content = line.trim_matches(is_space);
        if content.starts_with('#') {
            return;
        }
        if content.is_empty() {
            self.blank_lines += 1;
            return;
        }
        let before = line.len() - line.trim_start_matches(is_space).len();
        let indentation = line[..before].chars().count();
        let place = offset + before;
        if indentation > self.indentation
            && let Some(entry) = self.open_entry()
        {
            self.continue_value(entry, number, content, place);
        } else {
            self.indentation = indentation;
            self.statement(number, content, place);
        }
        self.blank_lines = 0;
    }

    fn open_entry(&self) -> Option<(usize, usize)> {
        Some((self.section?, self.open_entry?))
    }

    fn continue_value(&mut self, place: (usize, usize), number: usize, content: &str, offset: usize) {
        let entry = &mut self.sections[place.0].entries[place.1];
        for _ in 0..=self.blank_lines {
            entry.value.push('\n');
        }
        entry.value.push_str(content);
        entry.value_span.end = offset + content.len();
        entry.continuations.push((number, content.to_owned()));
    }

    fn statement(&mut self, number: usize, content: &str, offset: usize) {
        if let Some(name) = section_name(content) {
            self.open_section(number, name, offset + 1);
            return;
        }
        let Some(section) = self.section else {
            if !self.complained_about_start {
                self.complained_about_start = true;
                self.mistake(number, MistakeKind::BeforeFirstSection { text: content.to_owned() });
            }
            return;
        };
        match content.split_once('=') {
            None => {
                let section = self.sections[section].name.clone();
                self.mistake(number, MistakeKind::NoDelimiter { section, text: content.to_owned() });
            }
            Some((key, value)) => self.add_entry(section, number, key, value, offset),
        }
    }

    fn open_section(&mut self, number: usize, name: &str, offset: usize) {
        self.open_entry = None;
        if let Some(&(first, place)) = self.section_places.get(name) {
            self.section = Some(place);
            self.mistake(number, MistakeKind::DuplicateSection { section: name.to_owned(), first });
            return;
        }
        self.section_places.insert(name.to_owned(), (number, self.sections.len()));
        self.section = Some(self.sections.len());
        self.sections.push(Section {
            name: name.to_owned(),
            line: number,
            name_span: offset..offset + name.len(),
            entries: Vec::new(),
        });
    }

    fn add_entry(&mut self, section: usize, number: usize, before: &str, after: &str, offset: usize) {
        let key = before.trim_end_matches(is_space);
        let value = after.trim_matches(is_space);
        let name = self.sections[section].name.clone();
        if key.is_empty() {
            self.mistake(number, MistakeKind::EmptyKey { section: name.clone() });
        }
        if let Some(&first) = self.key_lines.get(&(section, key.to_owned())) {
            self.mistake(number, MistakeKind::DuplicateKey { section: name, key: key.to_owned(), first });
        } else {
            self.key_lines.insert((section, key.to_owned()), number);
        }
        let leading = after.len() - after.trim_start_matches(is_space).len();
        let value_start = offset + before.len() + 1 + leading;
        let entries = &mut self.sections[section].entries;
        self.open_entry = (!key.is_empty()).then_some(entries.len());
        entries.push(WrittenEntry {
            key: key.to_owned(),
            line: number,
            key_span: offset..offset + key.len(),
            value: value.to_owned(),
            value_span: value_start..value_start + value.len(),
            continuations: Vec::new(),
        });
    }

    fn mistake(&mut self, line: usize, kind: MistakeKind) {
        self.mistakes.push(Mistake { line, kind });
    }
}

/// `[name]`, where anything may follow the last `]` and the name may hold brackets.
fn section_name(content: &str) -> Option<&str> {
    let end = content.rfind(']')?;
    let name = content.strip_prefix('[')?.get(..end - 1)?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod against_python;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_value_has_its_place() {
        let text = "# h\n[ap\u{e9}]\r\nk\u{e9}y[DEV] =  va\u{e9}  \n\n  # c\n  more \nempty =\n";
        let (document, mistakes) = Document::parse(text);
        assert_eq!(mistakes, []);
        let section = &document.sections[0];
        assert_eq!((&text[section.name_span.clone()], section.line), ("ap\u{e9}", 2));
        let entry = &section.entries[0];
        assert_eq!(&text[entry.key_span.clone()], "k\u{e9}y[DEV]");
        assert_eq!(&text[entry.value_span.clone()], "va\u{e9}  \n\n  # c\n  more");
        assert_eq!((entry.value.as_str(), entry.line), ("va\u{e9}\n\nmore", 3));
        assert_eq!(entry.continuations, [(6, "more".to_owned())]);
        let empty = &section.entries[1];
        assert_eq!((empty.value.as_str(), empty.line), ("", 7));
        assert_eq!(text[..empty.value_span.start].chars().last(), Some('='));
    }

    #[test]
    fn all_mistakes_are_found_with_their_lines() {
        let (_, mistakes) = Document::parse("a=1\nb\n[s]\nx=1\nx=2\nno delimiter\n=v\n[s]\n");
        let kinds: Vec<_> = mistakes.iter().map(|mistake| (mistake.line, &mistake.kind)).collect();
        let section = || "s".to_owned();
        assert_eq!(
            kinds,
            [
                (1, &MistakeKind::BeforeFirstSection { text: "a=1".to_owned() }),
                (5, &MistakeKind::DuplicateKey { section: section(), key: "x".to_owned(), first: 4 }),
                (6, &MistakeKind::NoDelimiter { section: section(), text: "no delimiter".to_owned() }),
                (7, &MistakeKind::EmptyKey { section: section() }),
                (8, &MistakeKind::DuplicateSection { section: section(), first: 3 }),
            ]
        );
    }
}
