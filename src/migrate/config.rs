//! `config.ini`, section by section.

mod apps;
mod steps;

use std::collections::BTreeMap;

use super::ini::{Ini, Item, Key, Section};
use super::{Facts, Findings, variables};
use crate::plugin::config::Schema;

/// Keys of `[general]` that have a `_` in front today.
const PRIVATE: [&str; 12] = [
    "version",
    "release",
    "summary",
    "license",
    "url",
    "vendor",
    "maintainer",
    "extra_nginx_http_conf_filename",
    "extra_nginx_server_conf_filename",
    "extra_nginx_init_worker_by_lua_block_filename",
    "use_storage",
    "use_postgresql",
];
/// Keys that a plugin has to have, with the question that a template asks for each.
const REQUIRED: [(&str, &str); 6] = [
    ("_version", "version"),
    ("_summary", "one_line_summary"),
    ("_license", "license"),
    ("_url", "url"),
    ("_maintainer", "maintainer"),
    ("_vendor", "vendor"),
];

/// What the sections leave for other places.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// For `[general]`.
    general: Vec<(String, String)>,
    /// For `[custom]`.
    custom: Vec<(String, String)>,
    /// For `[switch_rules:…]`, by section.
    rules: BTreeMap<String, Vec<(String, String)>>,
    /// Requirements of Python.
    pub(super) requirements: Vec<String>,
}

impl Leftovers {
    /// Puts a value into `[custom]`, and returns the key that it has there.
    fn custom(&mut self, section: &str, key: &str, value: &str) -> String {
        let plain = key.replace('-', "_");
        let is_free = |name: &str| self.custom.iter().all(|(known, kept)| known != name || kept == value);
        let name = if is_free(&plain) { plain } else { format!("{}_{plain}", instance(section)) };
        if !self.custom.iter().any(|(known, _)| *known == name) {
            self.custom.push((name.clone(), value.to_owned()));
        }
        name
    }
}

/// The whole file, in place.
pub(super) fn migrate(ini: &mut Ini, facts: &Facts<'_>, report: &mut Findings) -> Leftovers {
    for section in &mut ini.sections {
        for item in &mut section.items {
            if let Item::Key(key) = item {
                rename_variables(key, facts, report);
            }
        }
    }
    let mut left = Leftovers::default();
    let redis = general(ini.section_or_new("general"), facts, report);
    let schema = Schema::of(&facts.module);
    let mut dropped = Vec::new();
    for section in &mut ini.sections {
        let name = section.name.clone();
        if name.starts_with("app_") {
            if apps::migrate(section, facts, &mut left, report) == apps::Kept::No {
                dropped.push(name);
                continue;
            }
        } else if name.starts_with("step_") {
            steps::migrate(section, &mut left, report);
        } else if name.starts_with("extra_daemon_") {
            section.rename("cmd_and_args", "_cmd_and_args");
        } else if name != "general" {
            continue;
        }
        unknown_keys(section, schema, &mut left, facts, report);
    }
    ini.sections.retain(|section| !dropped.contains(&section.name));
    if redis {
        add_redis(ini, facts, report);
    }
    for (key, value) in &left.general {
        ini.section_or_new("general").set(key, value);
    }
    for (key, value) in &left.custom {
        ini.section_or_new("custom").set(key, value);
    }
    for (section, rules) in &left.rules {
        for (pattern, step) in rules {
            ini.section_or_new(section).set(pattern, step);
        }
    }
    left
}

/// The part of a section's name behind its kind: `main` of `app_main`.
fn instance(section: &str) -> &str {
    ["app_", "step_", "extra_daemon_"].iter().find_map(|kind| section.strip_prefix(kind)).unwrap_or(section)
}

fn rename_variables(key: &mut Key, facts: &Facts<'_>, report: &mut Findings) {
    let value = key.value();
    let renamed = variables::renamed(&value).into_owned();
    if renamed != value {
        key.set_value(&renamed);
    }
    if renamed.contains("%(") {
        report.note(
            "config.ini",
            key.line,
            format!("`{renamed}`: `%(…)s` means nothing any more, write the value"),
        );
    }
    if let Some(name) = variables::of_module_configuration(&renamed, &facts.module) {
        report.note(
            "config.ini",
            key.line,
            format!(
                "`{name}` was a key in the configuration of {}: keep it in `[custom]` of the plugin, where it is \
                 `{}_CURRENT_PLUGIN_CUSTOM_…`",
                facts.module,
                facts.module.upper()
            ),
        );
    }
}

/// Returns whether the plugin wants a redis of its own.
fn general(section: &mut Section, facts: &Facts<'_>, report: &mut Findings) -> bool {
    for key in PRIVATE {
        section.rename(key, &format!("_{key}"));
    }
    section.rename("extra_nginx_conf_filename", "_extra_nginx_http_conf_filename");
    for packager in section.take("packager") {
        let maintainer = section.value("_maintainer");
        if maintainer.is_empty() {
            section.set("_maintainer", &packager.value());
        } else if maintainer != packager.value() {
            report.note(
                "config.ini",
                packager.line,
                format!("`packager` was `{}`: the maintainer is `{maintainer}`", packager.value()),
            );
        }
    }
    for name in section.take("name") {
        if name.value() != facts.name {
            report.note(
                "config.ini",
                name.line,
                format!(
                    "`name` was `{}`; the plugin is called `{}`, as its label says",
                    name.value(),
                    facts.name
                ),
            );
        }
    }
    section.take("__version");
    for (key, question) in REQUIRED {
        if section.value(key).is_empty() {
            let value = facts.answer(question);
            report.note(
                "config.ini",
                section.line,
                format!("[general] `{key}` was empty: it is `{value}` now"),
            );
            section.set(key, &value);
        }
    }
    section.take("redis_service").first().is_some_and(|key| key.value() == "1")
}

/// What `redis_service=1` started, as a daemon of the plugin.
fn add_redis(ini: &mut Ini, facts: &Facts<'_>, report: &mut Findings) {
    let section = ini.section_or_new("extra_daemon_redis");
    let socket = format!("{{{{MFMODULE_RUNTIME_HOME}}}}/var/redis_{}.socket", facts.name);
    section.set("_cmd_and_args", &format!("redis-server --port 0 --save \"\" --unixsocket {socket}"));
    section.set("numprocesses", "1");
    report.note(
        "config.ini",
        0,
        format!(
            "`redis_service` is `[extra_daemon_redis]` now, which listens at {socket}: compare that with the line \
             in `.layerapi2_extra_env`"
        ),
    );
}

/// What no section of today knows goes to `[custom]`.
fn unknown_keys(
    section: &mut Section,
    schema: &Schema,
    left: &mut Leftovers,
    facts: &Facts<'_>,
    report: &mut Findings,
) {
    let Some(known) = schema.section(&section.name) else { return };
    let unknown: Vec<String> = section
        .keys()
        .map(|key| key.name.clone())
        .filter(|key| !known.keys.contains_key(key.as_str()))
        .collect();
    for name in unknown {
        for key in section.take(&name) {
            let custom = left.custom(&section.name, &name, &key.value());
            report.note(
                "config.ini",
                key.line,
                format!(
                    "[{}] `{name}` is no key of a section: it is in `[custom]` now, and in the environment as \
                     `{}_CURRENT_PLUGIN_CUSTOM_{}`",
                    section.name,
                    facts.module.upper(),
                    custom.to_uppercase()
                ),
            );
        }
    }
}
