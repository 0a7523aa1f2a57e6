//! What may stand in a `config.ini`, per module. The tables are in `schema/`: one file for what all plugins have, one
//! for what each module adds.
//!
//! They are constants, not a file that is read: every command that looks at a plugin would read it again.

mod common;
mod mfbase;
mod mfdata;
mod mfserv;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::variant::Key;
use crate::plugin::Module;
use crate::text;

/// The sections that a plugin of one module may have.
#[derive(Debug, Clone)]
pub struct Schema {
    sections: BTreeMap<&'static str, SectionSchema>,
}

/// A section, or all whose names match a pattern with `*`.
#[derive(Debug, Clone, Default)]
pub struct SectionSchema {
    pub pattern: &'static str,
    pub required: bool,
    /// Any key is allowed.
    pub free: bool,
    /// The keys are patterns for names of files: `[0-9]` at the end of one is no variant.
    pub patterns: bool,
    pub keys: BTreeMap<&'static str, &'static KeySchema>,
}

#[derive(Debug, Clone)]
pub struct KeySchema {
    pub name: &'static str,
    pub kind: ValueKind,
    pub required: bool,
    /// As it would stand in `config.ini`.
    pub default: &'static str,
    /// Nothing after the `=` means the default.
    pub empty_is_default: bool,
    /// What it was called, or was said with, before 1.0.
    pub was: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    Bool,
    /// `AUTO` asks this variable, whose name has the module's prefix as well.
    AutoBool(&'static str),
    Int,
    Float,
    String,
    /// One of these.
    Enum(&'static [&'static str]),
    /// What may stand in a file's name and on a command line.
    Version,
    /// A file in the plugin, or `null`.
    FileOrNull,
    /// `/a;/b`
    Routes,
    /// `a.example,b.example`
    Vhosts,
}

/// What a table says of a section. Later tables add to earlier ones.
struct Table {
    pattern: &'static str,
    required: bool,
    free: bool,
    patterns: bool,
    keys: &'static [&'static [KeySchema]],
}

impl Table {
    const fn of(pattern: &'static str, keys: &'static [&'static [KeySchema]]) -> Table {
        Table { pattern, required: false, free: false, patterns: false, keys }
    }

    const fn required(self) -> Table {
        Table { required: true, ..self }
    }

    const fn free(self) -> Table {
        Table { free: true, ..self }
    }

    const fn with_patterns(self) -> Table {
        Table { patterns: true, ..self }
    }
}

/// A key without a default, which need not be given.
pub(super) const fn key(name: &'static str, kind: ValueKind) -> KeySchema {
    KeySchema { name, kind, required: false, default: "", empty_is_default: false, was: &[] }
}

impl KeySchema {
    const fn required(self) -> KeySchema {
        KeySchema { required: true, ..self }
    }

    const fn default(self, default: &'static str) -> KeySchema {
        KeySchema { default, ..self }
    }

    const fn default_if_empty(self) -> KeySchema {
        KeySchema { empty_is_default: true, ..self }
    }

    const fn was(self, was: &'static [&'static str]) -> KeySchema {
        KeySchema { was, ..self }
    }
}

impl Schema {
    /// The schema of a module's plugins; a module that is not known has the general one. Read once, for as many plugins
    /// as there are.
    pub fn of(module: &Module) -> &'static Schema {
        static OF_MFSERV: LazyLock<Schema> =
            LazyLock::new(|| Schema::read(&[common::TABLES, mfserv::TABLES]));
        static OF_MFDATA: LazyLock<Schema> =
            LazyLock::new(|| Schema::read(&[common::TABLES, mfdata::TABLES]));
        static OF_MFBASE: LazyLock<Schema> =
            LazyLock::new(|| Schema::read(&[common::TABLES, mfbase::TABLES]));
        static OF_OTHERS: LazyLock<Schema> = LazyLock::new(|| Schema::read(&[common::TABLES]));
        match module {
            Module::Mfserv => &OF_MFSERV,
            Module::Mfdata => &OF_MFDATA,
            Module::Mfbase => &OF_MFBASE,
            Module::Other(_) => &OF_OTHERS,
        }
    }

    /// Everything that any module allows, for a plugin whose label does not say which module it is for.
    pub fn of_any_module() -> &'static Schema {
        static OF_ANY: LazyLock<Schema> =
            LazyLock::new(|| Schema::read(&[common::TABLES, mfserv::TABLES, mfdata::TABLES, mfbase::TABLES]));
        &OF_ANY
    }

    fn read(files: &[&[Table]]) -> Schema {
        let mut sections: BTreeMap<&str, SectionSchema> = BTreeMap::new();
        for table in files.iter().copied().flatten() {
            let section = sections.entry(table.pattern).or_default();
            section.pattern = table.pattern;
            section.required |= table.required;
            section.free |= table.free;
            section.patterns |= table.patterns;
            section.keys.extend(table.keys.iter().copied().flatten().map(|key| (key.name, key)));
        }
        Schema { sections }
    }

    pub fn section(&self, name: &str) -> Option<&SectionSchema> {
        self.sections.get(name).or_else(|| self.sections.values().find(|section| section.matches(name)))
    }

    /// A key as written in this section, taken apart.
    pub fn key<'k>(&self, section: &str, written: &'k str) -> Key<'k> {
        match self.section(section) {
            Some(section) if section.patterns => Key::plain(written),
            _ => Key::parse(written),
        }
    }

    pub fn sections(&self) -> impl Iterator<Item = &SectionSchema> {
        self.sections.values()
    }

    /// The allowed name nearest to one that is not: `ap_main` → `app_main`.
    pub fn nearest_section(&self, found: &str) -> Option<String> {
        if found.len() > text::LONGEST_SLIP {
            return None;
        }
        let mut candidates = Vec::new();
        for pattern in self.sections.keys() {
            match pattern.split_once('*') {
                None => candidates.push((*pattern).to_owned()),
                Some((start, "")) if start.ends_with('_') => {
                    let ends = found.match_indices('_').map(|(at, _)| &found[at + 1..]);
                    candidates.extend(ends.filter(|end| !end.is_empty()).map(|end| format!("{start}{end}")));
                }
                Some((start, _)) => candidates.push(start.to_owned()),
            }
        }
        text::nearest(found, candidates.iter().map(String::as_str)).map(str::to_owned)
    }
}

impl SectionSchema {
    fn matches(&self, name: &str) -> bool {
        let mut parts = self.pattern.split('*');
        let Some(mut rest) = parts.next().and_then(|start| name.strip_prefix(start)) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(end) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(end)
    }

    /// What the `*` at the end of the pattern stands for: the name of an app, a daemon or a step.
    pub fn instance<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.pattern.strip_suffix("_*")?)?.strip_prefix('_')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_adds_to_what_every_plugin_has() {
        let schema = |module: &str| Schema::of(&Module::parse(module).unwrap());
        let app = |module: &str| schema(module).section("app_main").unwrap().keys.len();
        assert_eq!((app("mfbase"), app("mfserv"), app("mfunknown")), (11, 31, 11));
        assert!(schema("mfdata").section("step_main").unwrap().keys.contains_key("numprocesses"));
        assert!(schema("mfdata").section("switch_rules_a:b").unwrap().free);
        assert!(schema("mfdata").section("switch_rules:equal:x").unwrap().free);
        assert!(schema("mfserv").section("step_main").is_none());
        assert!(schema("mfserv").section("custom_2").unwrap().free);
        assert!(schema("mfserv").section("generals").is_none());
        assert!(schema("mfserv").section("internal").is_some());
        assert!(Schema::of_any_module().section("step_main").is_some());
    }

    #[test]
    fn an_unknown_section_is_near_to_a_known_one() {
        let schema = Schema::of(&Module::parse("mfserv").unwrap());
        for (found, nearest) in [
            ("ap_main", Some("app_main")),
            ("apps_my_own", Some("app_my_own")),
            ("extra_deamon_foo", Some("extra_daemon_foo")),
            ("genral", Some("general")),
            ("costum", Some("custom")),
            ("somewhere", None),
            // What compares all its endings takes hours.
            (&format!("ap_{}", "main_".repeat(20_000)), None),
        ] {
            assert_eq!(schema.nearest_section(found).as_deref(), nearest, "{found}");
        }
    }

    #[test]
    fn the_instance_is_what_the_star_stands_for() {
        let schema = Schema::of(&Module::parse("mfserv").unwrap());
        let instance = |name: &str| schema.section(name).unwrap().instance(name).map(str::to_owned);
        assert_eq!(instance("app_main").as_deref(), Some("main"));
        assert_eq!(instance("extra_daemon_a_b").as_deref(), Some("a_b"));
        assert_eq!((instance("general"), instance("custom_a")), (None, None));
    }
}
