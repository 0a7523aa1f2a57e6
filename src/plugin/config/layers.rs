//! Several files, one configuration: which value of a key counts on this machine.
//!
//! The files are laid over each other key by key *as written* (`debug` and `debug[DEV]` are two keys), later
//! files winning; then the best variant of each key is taken. So an override of `debug` does not reach a
//! machine for which the plugin says `debug[DEV]`: that is upstream's rule, and we say so with a warning.
//!
//! An operator may override what is public: a key that starts with `_`, or anything in `[general]` but the limits of
//! the whole plugin, belongs to the plugin, and an override of it is refused. An override of a section that the plugin does not have (any
//! more) is ignored with a warning, except in free sections such as `[custom]`.

use std::collections::HashMap;
use std::path::PathBuf;

use super::Origin;
use super::problem::{ConfigProblem, Findings, Place};
use super::reader::{Document, MistakeKind, Section, WrittenEntry};
use super::schema::Schema;
use super::variant::{Fit, Key};
use crate::text;

/// One file of a plugin's configuration.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) document: Document,
    pub(super) is_override: bool,
}

/// A section with what counts in it.
pub(super) struct GivenSection<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    pub(super) source: &'a Source,
    pub(super) keys: Vec<Given<'a>>,
    /// Where each key is in `keys`.
    places: HashMap<&'a str, usize>,
}

impl GivenSection<'_> {
    pub(super) fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }
}

/// The value that counts for a key.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) name: &'a str,
    pub(super) entry: &'a WrittenEntry,
    pub(super) source: &'a Source,
    fit: Fit,
}

impl Source {
    /// Reads the text of a file and reports its mistakes.
    pub(super) fn read(path: PathBuf, text: &str, is_override: bool, findings: &mut Findings) -> Source {
        let (document, mistakes) = Document::parse(text);
        for mistake in mistakes {
            let column = document.first_column(mistake.line);
            findings.problem(of_mistake(&path, mistake.line, column, mistake.kind));
        }
        Source { path, document, is_override }
    }

    pub(super) fn place<'a>(&'a self, line: usize, section: &'a str, key: Option<&'a str>) -> Place<'a> {
        let column = Some(self.document.first_column(line));
        Place { file: &self.path, line: Some(line), column, section: Some(section), key }
    }

    /// Where a value begins; its key, where it has none.
    pub(super) fn origin(&self, entry: &WrittenEntry) -> Origin {
        let start = if entry.value.is_empty() { entry.key_span.start } else { entry.value_span.start };
        Origin { file: self.path.clone(), line: entry.line, column: self.document.column(start) }
    }
}

fn of_mistake(path: &std::path::Path, line: usize, column: usize, kind: MistakeKind) -> ConfigProblem {
    let place = |section, key| Place { file: path, line: Some(line), column: Some(column), section, key };
    let shown = |text: &str| format!("`{}`", text::visible(text));
    match kind {
        MistakeKind::BeforeFirstSection { text } => {
            let found = shown(&text);
            let hint = if text.starts_with('\u{feff}') {
                "save the file without a byte order mark"
            } else {
                "start with a section, such as `[general]`"
            };
            ConfigProblem::new(&place(None, None), &format!("found {found} before the first section"))
                .found(text)
                .hint(hint)
        }
        MistakeKind::DuplicateSection { section, first } => {
            let reason = format!("duplicate section; the first is in line {first}");
            ConfigProblem::new(&place(Some(&section), None), &reason).hint("put the keys of both into one")
        }
        MistakeKind::DuplicateKey { section, key, first } => {
            let reason = format!("duplicate key; the first is in line {first}");
            ConfigProblem::new(&place(Some(&section), Some(&key)), &reason).hint("keep one of the two")
        }
        MistakeKind::NoDelimiter { section, text } => {
            let reason = format!("found {}; `key = value` is allowed", shown(&text));
            ConfigProblem::new(&place(Some(&section), None), &reason)
                .found(text)
                .allowed("key = value")
                .hint("a comment starts with `#`, and the further lines of a value are indented")
        }
        MistakeKind::EmptyKey { section } => {
            let reason = "found `=` without a key before it; `key = value` is allowed";
            ConfigProblem::new(&place(Some(&section), None), reason).allowed("key = value")
        }
    }
}

/// What counts, for a machine with this configuration name. The order is that of the files.
pub(super) fn effective<'a>(
    sources: &'a [Source],
    configuration_name: &str,
    schema: &Schema,
    findings: &mut Findings,
) -> Vec<GivenSection<'a>> {
    let mut sections: Vec<GivenSection<'a>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for source in sources {
        for section in &source.document.sections {
            let known = places.get(section.name.as_str()).copied();
            if section.name.starts_with('_')
                || !is_overridable(source, section, schema, known.is_some(), findings)
            {
                continue;
            }
            let index = known.unwrap_or_else(|| {
                places.insert(&section.name, sections.len());
                sections.push(GivenSection {
                    name: &section.name,
                    line: section.line,
                    source,
                    keys: Vec::new(),
                    places: HashMap::new(),
                });
                sections.len() - 1
            });
            let has_patterns = schema.section(&section.name).is_some_and(|section| section.patterns);
            for entry in &section.entries {
                let key = schema.key(&section.name, &entry.key);
                // A pattern belongs to nobody, whatever it begins with.
                if source.is_override && key.name.starts_with('_') && !has_patterns {
                    findings.problem(not_overridable(&source.place(
                        entry.line,
                        &section.name,
                        Some(&entry.key),
                    )));
                    continue;
                }
                add(&mut sections[index], entry, key, source, configuration_name, findings);
            }
        }
    }
    sections
}

/// Whether an override may touch this section.
fn is_overridable(
    source: &Source,
    section: &Section,
    schema: &Schema,
    is_known: bool,
    findings: &mut Findings,
) -> bool {
    if !source.is_override {
        return true;
    }
    let place = source.place(section.line, &section.name, None);
    if section.name == "general" {
        let keys = schema.section("general").map(|general| &general.keys);
        let public = |key: &str| !key.starts_with('_') && keys.is_some_and(|keys| keys.contains_key(key));
        let is_operators = |entry: &WrittenEntry| public(Key::parse(&entry.key).name);
        if section.entries.iter().all(is_operators) {
            return true;
        }
        let known = keys.into_iter().flat_map(|keys| keys.keys()).copied().filter(|key| public(key));
        let known = known.collect::<Vec<_>>().join(" and ");
        let reason = format!("this section belongs to the plugin; only {known} can be overridden");
        findings.problem(
            ConfigProblem::new(&place, &reason).hint("remove the other keys from the override file"),
        );
        return false;
    }
    let is_free = schema.section(&section.name).is_none_or(|schema| schema.free);
    if !is_known && !is_free {
        findings.warning(
            ConfigProblem::new(&place, "the plugin has no such section: the override is ignored")
                .hint("remove the section from the override file"),
        );
    }
    is_known || is_free
}

fn not_overridable(place: &Place<'_>) -> ConfigProblem {
    ConfigProblem::new(place, "a key that starts with `_` belongs to the plugin and cannot be overridden")
        .hint("remove the key from the override file")
}

fn add<'a>(
    section: &mut GivenSection<'a>,
    entry: &'a WrittenEntry,
    key: Key<'a>,
    source: &'a Source,
    configuration_name: &str,
    findings: &mut Findings,
) {
    let place = source.place(entry.line, section.name, Some(&entry.key));
    if key.is_malformed(&entry.key) {
        findings.warning(
            ConfigProblem::new(&place, "this variant has no name; the key is read as one without a variant")
                .hint("a variant is written `key[NAME]=value`"),
        );
    }
    let Some(fit) = key.fit(configuration_name) else { return };
    let new = Given { name: key.name, entry, source, fit };
    let Some(&index) = section.places.get(key.name) else {
        section.places.insert(key.name, section.keys.len());
        section.keys.push(new);
        return;
    };
    let old = &mut section.keys[index];
    // The same key as written, in a later file, takes the place of the earlier whatever its fit.
    let is_later_file = !std::ptr::eq(old.source, source);
    if fit > old.fit || (fit == old.fit && is_later_file) {
        *old = new;
    } else if fit < old.fit && source.is_override && is_later_file {
        let reason = format!(
            "has no effect: {} says `{}` for this machine, which is more specific",
            text::path(&old.source.path),
            text::visible(&old.entry.key)
        );
        findings.warning(
            ConfigProblem::new(&place, &reason)
                .hint(format!("override `{}` instead", text::visible(&old.entry.key))),
        );
    }
}
