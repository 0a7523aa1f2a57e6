//! What may stand in a `config.ini`, per module. The schemas are data: `schema/*.toml` beside this file.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::variant::Key;
use crate::plugin::Module;
use crate::text;

const COMMON: &str = include_str!("schema/common.toml");
const MFSERV: &str = include_str!("schema/mfserv.toml");
const MFDATA: &str = include_str!("schema/mfdata.toml");
const MFBASE: &str = include_str!("schema/mfbase.toml");

/// The sections that a plugin of one module may have.
#[derive(Debug, Clone)]
pub struct Schema {
    sections: BTreeMap<String, SectionSchema>,
}

/// A section, or all whose names match a pattern with `*`.
#[derive(Debug, Clone, Default)]
pub struct SectionSchema {
    pub pattern: String,
    pub required: bool,
    /// Any key is allowed.
    pub free: bool,
    /// The keys are patterns for names of files: `[0-9]` at the end of one is no variant.
    pub patterns: bool,
    pub keys: BTreeMap<String, KeySchema>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySchema {
    #[serde(rename = "type")]
    pub kind: ValueKind,
    #[serde(default)]
    pub required: bool,
    /// As it would stand in `config.ini`.
    #[serde(default)]
    pub default: String,
    /// Nothing after the `=` means the default.
    #[serde(default)]
    pub empty_is_default: bool,
    /// What an `enum` may be.
    #[serde(default)]
    pub values: Vec<String>,
    /// What it was called, or was said with, before 1.0.
    #[serde(default)]
    pub was: Vec<String>,
    /// The variable, less the module's prefix, that `AUTO` asks.
    pub auto: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueKind {
    Bool,
    AutoBool,
    Int,
    Float,
    String,
    Enum,
    /// What may stand in a file's name and on a command line.
    Version,
    /// A file in the plugin, or `null`.
    FileOrNull,
    /// `/a;/b`
    Routes,
    /// `a.example,b.example`
    Vhosts,
}

impl Schema {
    /// The schema of a module's plugins; a module that is not known has the general one. Read once, for as many plugins
    /// as there are.
    pub fn of(module: &Module) -> &'static Schema {
        static OF_MFSERV: LazyLock<Schema> = LazyLock::new(|| Schema::read(&[COMMON, MFSERV]));
        static OF_MFDATA: LazyLock<Schema> = LazyLock::new(|| Schema::read(&[COMMON, MFDATA]));
        static OF_MFBASE: LazyLock<Schema> = LazyLock::new(|| Schema::read(&[COMMON, MFBASE]));
        static OF_OTHERS: LazyLock<Schema> = LazyLock::new(|| Schema::read(&[COMMON]));
        match module {
            Module::Mfserv => &OF_MFSERV,
            Module::Mfdata => &OF_MFDATA,
            Module::Mfbase => &OF_MFBASE,
            Module::Other(_) => &OF_OTHERS,
        }
    }

    /// Everything that any module allows, for a plugin whose label does not say which module it is for.
    pub fn of_any_module() -> &'static Schema {
        static OF_ANY: LazyLock<Schema> = LazyLock::new(|| Schema::read(&[COMMON, MFSERV, MFDATA, MFBASE]));
        &OF_ANY
    }

    /// Later files add to earlier ones.
    fn read(files: &[&str]) -> Schema {
        let mut sections: BTreeMap<String, SectionSchema> = BTreeMap::new();
        let mut groups = BTreeMap::new();
        for file in files {
            let file: File = toml::from_str(file).unwrap_or_default();
            groups.extend(file.group);
            for (pattern, given) in file.section {
                let section = sections.entry(pattern.clone()).or_default();
                section.pattern = pattern;
                section.required |= given.required;
                section.free |= given.free;
                section.patterns |= given.patterns;
                if let Some(group) = given.like.and_then(|name| groups.get(&name)) {
                    section.keys.extend(group.clone());
                }
                section.keys.extend(given.keys);
            }
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
                None => candidates.push(pattern.clone()),
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    group: BTreeMap<String, BTreeMap<String, KeySchema>>,
    #[serde(default)]
    section: BTreeMap<String, FileSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSection {
    #[serde(default)]
    required: bool,
    #[serde(default)]
    free: bool,
    #[serde(default)]
    patterns: bool,
    /// The group whose keys the section has.
    like: Option<String>,
    #[serde(default)]
    keys: BTreeMap<String, KeySchema>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_schemas_are_well_formed() {
        for text in [COMMON, MFSERV, MFDATA, MFBASE] {
            toml::from_str::<File>(text).unwrap();
        }
    }

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
