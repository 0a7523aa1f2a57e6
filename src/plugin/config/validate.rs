//! What counts, held against the schema: typed values, or every reason why not.

use std::path::Path;

use super::interpolate::{Interpolator, is_template};
use super::layers::{Given, GivenSection, Source};
use super::problem::{ConfigProblem, Findings};
use super::schema::{KeySchema, Schema, SectionSchema};
use super::value::{self, Context, Value};
use super::variant::Key;
use super::{CheckedKey, Origin, Section};
use crate::text;

pub(super) struct Validator<'a> {
    pub(super) schema: &'a Schema,
    pub(super) interpolator: &'a Interpolator<'a>,
    pub(super) surroundings: Context<'a>,
}

impl Validator<'_> {
    /// The sections with their values, defaults filled in. `main` is where a section is missing from.
    pub(super) fn sections(
        &self,
        main: &Source,
        given: &[GivenSection<'_>],
        findings: &mut Findings,
    ) -> Vec<Section> {
        for required in self.schema.sections().filter(|section| section.required) {
            if !given.iter().any(|section| section.name == required.pattern) {
                findings.problem(missing_section(&main.path, required.pattern));
            }
        }
        given.iter().filter_map(|section| self.section(section, findings)).collect()
    }

    fn section(&self, given: &GivenSection<'_>, findings: &mut Findings) -> Option<Section> {
        let place = given.source.place(given.line, given.name, None);
        let Some(schema) = self.schema.section(given.name) else {
            let problem = ConfigProblem::new(&place, "unknown section")
                .found(given.name)
                .suggest(self.schema.nearest_section(given.name), || {
                    format!("known sections are {}", self.known_sections())
                });
            findings.problem(problem);
            return None;
        };
        let instance = schema.instance(given.name);
        if instance.is_some_and(|name| !is_instance_name(name)) {
            let problem = ConfigProblem::new(&place, "the name after the `_` becomes part of file names")
                .found(given.name)
                .allowed("letters, digits, `_`, `-` and `.`")
                .hint(
                    "letters, digits, `_`, `-` and `.` are allowed there, with a letter or digit among them",
                );
            findings.problem(problem);
        }
        if instance.is_some_and(|name| name.len() > LONGEST_INSTANCE) {
            let reason = format!(
                "the name after the `_` has {} bytes; at most {LONGEST_INSTANCE} are allowed, because it becomes part \
                 of file names",
                instance.map_or(0, str::len)
            );
            findings.problem(ConfigProblem::new(&place, &reason).hint("choose a shorter name"));
        }
        let mut entries: Vec<CheckedKey> =
            given.keys.iter().filter_map(|key| self.entry(given, schema, key, findings)).collect();
        for (name, key) in &schema.keys {
            if given.has(name) {
                continue;
            }
            if key.required {
                let reason = format!("`{name}` is missing");
                let hint = format!("add `{name} = …` below `[{}]`", given.name);
                findings.problem(ConfigProblem::new(&place, &reason).allowed(*name).hint(hint));
            } else if let Ok(read) = value::read(key, key.default, &self.surroundings) {
                entries.push(CheckedKey { key: (*name).to_owned(), value: read.value, origin: None });
            }
        }
        if !schema.free {
            warn_of_the_unseen(given, schema, findings);
        }
        let origin = Origin {
            file: given.source.path.clone(),
            line: given.line,
            column: given.source.document.first_column(given.line),
        };
        Some(Section { name: given.name.to_owned(), instance: instance.map(str::to_owned), origin, entries })
    }

    fn entry(
        &self,
        section: &GivenSection<'_>,
        schema: &SectionSchema,
        given: &Given<'_>,
        findings: &mut Findings,
    ) -> Option<CheckedKey> {
        let place = given.source.place(given.entry.line, section.name, Some(&given.entry.key));
        let key = schema.keys.get(given.name).copied();
        if key.is_none() && !schema.free {
            findings.problem(unknown_key(&place, schema, given.name, section.name));
            return None;
        }
        let origin = given.source.origin(given.entry);
        let place = super::problem::Place { column: Some(origin.column), ..place };
        let written = &given.entry.value;
        let rendered = match self.interpolator.render(written) {
            Ok(rendered) => rendered,
            Err(reason) => {
                let message =
                    format!("found `{}`, which is no Jinja2 template: {reason}", text::excerpt(written));
                let hint = "write `{{ NAME }}` for the value of an environment variable";
                findings.problem(ConfigProblem::new(&place, &message).found(written.clone()).hint(hint));
                return None;
            }
        };
        let value = self.value(key, &rendered, written, &place, findings)?;
        self.warn_of_the_undefined(key, written, &value, &place, findings);
        Some(CheckedKey { key: given.name.to_owned(), value, origin: Some(origin) })
    }

    fn value(
        &self,
        key: Option<&KeySchema>,
        rendered: &str,
        written: &str,
        place: &super::problem::Place<'_>,
        findings: &mut Findings,
    ) -> Option<Value> {
        let Some(key) = key else {
            if rendered.contains('\0') {
                let reason = "found a NUL character; text without it is allowed";
                findings.problem(ConfigProblem::new(place, reason));
                return None;
            }
            return Some(Value::Text(rendered.to_owned()));
        };
        match value::read(key, rendered, &self.surroundings) {
            Ok(read) => {
                if let Some(oddity) = read.oddity {
                    let reason = format!("`{}` {oddity}", text::excerpt(rendered));
                    findings.warning(ConfigProblem::new(place, &reason).found(rendered));
                }
                Some(read.value)
            }
            Err(refusal) => {
                let mut found = refusal.found;
                if is_template(written) {
                    found.push_str(&format!(" (from `{}`)", text::excerpt(written)));
                }
                let reason = format!("found {found}; {}", refusal.allowed);
                findings.problem(ConfigProblem::new(place, &reason).found(rendered).allowed(refusal.allowed));
                None
            }
        }
    }

    /// A gap in a text may be meant; in a number or a switch it hardly is.
    fn warn_of_the_undefined(
        &self,
        key: Option<&KeySchema>,
        written: &str,
        value: &Value,
        place: &super::problem::Place<'_>,
        findings: &mut Findings,
    ) {
        use super::schema::ValueKind::{AutoBool, Bool, Float, Int};
        let Some(key) = key.filter(|key| matches!(key.kind, AutoBool(_) | Bool | Float | Int)) else {
            return;
        };
        let Some(name) = self.interpolator.undefined(written) else { return };
        let what = if matches!(key.kind, AutoBool(_) | Bool) { "is taken as false" } else { "counts as 0" };
        let name = text::visible(&name);
        let reason = match value.to_string().as_str() {
            "0" | "0.0" => format!("`{name}` is no variable of this machine, and the value {what}"),
            value => format!("`{name}` is no variable of this machine, which makes the value `{value}`"),
        };
        let hint = format!("write `{{{{ {name}|default('…') }}}}` where a machine may lack it");
        findings.warning(ConfigProblem::new(place, &reason).found(written).hint(hint));
    }

    fn known_sections(&self) -> String {
        let names: Vec<_> =
            self.schema.sections().map(|section| format!("`[{}]`", section.pattern)).collect();
        names.join(", ")
    }
}

fn missing_section(file: &Path, name: &str) -> ConfigProblem {
    let place = super::problem::Place { file, line: None, column: None, section: None, key: None };
    ConfigProblem::new(&place, &format!("the section `[{name}]` is missing"))
        .allowed(name)
        .hint("`mwp new NAME` makes a plugin with a complete `config.ini`")
}

fn unknown_key(
    place: &super::problem::Place<'_>,
    schema: &SectionSchema,
    name: &str,
    section: &str,
) -> ConfigProblem {
    let nearest = text::nearest(name, schema.keys.keys().copied())
        .or_else(|| schema.keys.keys().copied().find(|known| known.trim_start_matches('_') == name));
    let of_today = schema.keys.iter().find(|(_, key)| key.was.contains(&name));
    if let Some((today, _)) = of_today {
        let hint = format!("it is `{today}` today: `mwp migrate` changes a plugin from before 1.0");
        let problem = ConfigProblem::new(place, "unknown key").found(name);
        return problem.suggest(Some((*today).to_owned()), String::new).hint(hint);
    }
    ConfigProblem::new(place, "unknown key").found(name).suggest(nearest.map(str::to_owned), || {
        let names: Vec<_> = schema.keys.keys().copied().collect();
        format!("keys of your own go into `[custom]`; known in `[{section}]`: {}", names.join(", "))
    })
}

/// Slips that leave the configuration valid on this machine: unknown keys with a variant for other machines,
/// and keys that are indented and so continue the value above.
fn warn_of_the_unseen(given: &GivenSection<'_>, schema: &SectionSchema, findings: &mut Findings) {
    let Some(section) = given.source.document.section(given.name) else { return };
    for entry in &section.entries {
        let key = Key::parse(&entry.key);
        let counts = given.has(key.name);
        if !counts && !schema.keys.contains_key(key.name) {
            let place = given.source.place(entry.line, given.name, Some(&entry.key));
            findings.warning(unknown_key(&place, schema, key.name, given.name));
        }
        for (line, text) in &entry.continuations {
            let Some((name, _)) = text.split_once('=') else { continue };
            if schema.keys.contains_key(Key::parse(name.trim()).name) {
                let reason = format!("this line is indented and so continues the value of `{}`", entry.key);
                let place = given.source.place(*line, given.name, Some(name.trim()));
                findings
                    .warning(ConfigProblem::new(&place, &reason).hint("remove the white space before it"));
            }
        }
    }
}

/// The names of units, sockets and logs have the plugin's name and more beside it, and 255 bytes in all.
const LONGEST_INSTANCE: usize = 100;

/// Names of apps, daemons and steps become parts of the names of sockets and log files.
fn is_instance_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && name.chars().any(|c| c.is_ascii_alphanumeric())
}
