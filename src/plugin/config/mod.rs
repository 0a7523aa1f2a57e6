//! A plugin's configuration: `config.ini` and its overrides, read, laid over each other, checked, typed.
//!
//! ```text
//! files ─► reader ─► layers (overrides, variants) ─► validate (templates, types, schema) ─► rules ─► Config
//! ```
//!
//! All problems of all files are found in one pass, each with its place. A [`Config`] exists only where there
//! is none, so whoever holds one need not check again. Nothing is resolved over the network here: addresses
//! for `hostname` keys belong to the plugin environment.

#[cfg(test)]
mod fuzz;
mod interpolate;
mod layers;
mod module_settings;
mod problem;
mod reader;
mod rewrite;
mod rules;
mod schema;
mod templates;
mod validate;
mod value;
mod variant;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::label::Label;
use super::module::Module;
use crate::fs;
use crate::site::Site;
use interpolate::Interpolator;
use layers::Source;
use problem::Findings;
use validate::Validator;
use value::Context;

pub use module_settings::{ModuleSettings, Setting, default_variables};
pub use problem::ConfigProblem;
pub use reader::{Document, Mistake, MistakeKind, Section as WrittenSection, WrittenEntry};
pub use rewrite::NewValue;
pub use schema::{KeySchema, Schema, SectionSchema, ValueKind};
pub use templates::{TemplateMistake, Templates};
pub use value::Value;
pub(crate) use value::version_fault;
pub use variant::{Fit, Key};

/// The file that holds the configuration, in the plugin's directory.
pub const CONFIG_FILE: &str = "config.ini";

/// A valid configuration as it counts on this machine, defaults filled in.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    pub general: General,
    /// In the order of the file, `[general]` included.
    pub sections: Vec<Section>,
}

/// What `[general]` says of the plugin.
#[derive(Debug, Clone, Serialize)]
pub struct General {
    pub version: String,
    pub release: String,
    pub summary: String,
    pub license: String,
    pub url: String,
    pub maintainer: String,
    pub vendor: String,
    pub add_plugin_dir_to_python_path: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct Section {
    pub name: String,
    /// `main` for `[app_main]`: the name of an app, a daemon or a step; absent for other kinds.
    pub instance: Option<String>,
    /// Of its heading.
    pub origin: Origin,
    /// The given keys in the order of the files, then the defaults.
    pub entries: Vec<CheckedKey>,
}

#[derive(Debug, Clone, Serialize)]
pub struct CheckedKey {
    /// Without its variant.
    pub key: String,
    pub value: Value,
    /// Where the value was read; absent for a default.
    pub origin: Option<Origin>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    pub file: PathBuf,
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Config {
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The value of a key, given or by default.
    pub fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.section(section)?.get(key)
    }

    /// The apps, `[app_*]`; the name is in [`Section::instance`].
    pub fn apps(&self) -> impl Iterator<Item = &Section> {
        self.instances("app_")
    }

    /// The extra daemons, `[extra_daemon_*]`.
    pub fn extra_daemons(&self) -> impl Iterator<Item = &Section> {
        self.instances("extra_daemon_")
    }

    /// The steps of an mfdata plugin, `[step_*]`.
    pub fn steps(&self) -> impl Iterator<Item = &Section> {
        self.instances("step_")
    }

    fn instances(&self, prefix: &'static str) -> impl Iterator<Item = &Section> {
        self.sections
            .iter()
            .filter(move |section| section.instance.is_some() && section.name.starts_with(prefix))
    }
}

impl Section {
    pub fn entry(&self, key: &str) -> Option<&CheckedKey> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// `false` where there is no such key, as for the other accessors below.
    pub fn bool(&self, key: &str) -> bool {
        self.get(key).is_some_and(Value::as_bool)
    }

    pub fn int(&self, key: &str) -> i64 {
        self.get(key).map_or(0, Value::as_int)
    }

    pub fn float(&self, key: &str) -> f64 {
        self.get(key).map_or(0.0, Value::as_float)
    }

    pub fn text(&self, key: &str) -> &str {
        self.get(key).map_or("", Value::as_text)
    }

    /// Sets a number that another key decides.
    fn force(&mut self, key: &str, number: i64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            entry.value = Value::Int(number);
        }
    }
}

/// What reading a configuration came to.
pub(super) struct Loaded {
    /// Only where there are no problems.
    pub(super) config: Option<Config>,
    /// What could be read where there are problems.
    pub(super) partial: Option<Config>,
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) warnings: Vec<ConfigProblem>,
    /// Whether a file could not be read for a reason that lies with the machine.
    pub(super) machine_failed: bool,
    /// Whether this looks like the configuration of a plugin from before 1.0.
    pub(super) is_legacy: bool,
}

/// Reads the configuration of the plugin in `dir`. Without a label there are no overrides and no variables of
/// the current plugin; without a module every module's keys are known.
pub(super) fn load(dir: &Path, label: Option<&Label>, module: Option<&Module>, site: &Site) -> Loaded {
    let mut findings = Findings::default();
    let mut machine_failed = false;
    let mut sources = Vec::new();
    for (path, is_override) in files(dir, label, site) {
        match fs::read_text_optional(&path) {
            Ok(Some(text)) => sources.push(Source::read(path, &text, is_override, &mut findings)),
            Ok(None) if is_override => {}
            Ok(None) => findings.problem(missing(&path)),
            Err(error) => {
                machine_failed |= error.fault == crate::error::Fault::Machine;
                findings.problems.extend(ConfigProblem::of_error(&path, error));
            }
        }
    }
    let mut sections = Vec::new();
    let mut is_legacy = false;
    if let Some(main) = sources.first().filter(|source| !source.is_override) {
        is_legacy = looks_legacy(&main.document);
        let schema = module.map_or_else(Schema::of_any_module, Schema::of);
        let given = layers::effective(&sources, &site.configuration_name, schema, &mut findings);
        let directory = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let interpolator = Interpolator::new(site, module, label, &directory);
        let auto = |variable: &str| auto(variable, module, site);
        let surroundings = Context { directory: &directory, auto: &auto };
        let validator = Validator { schema, interpolator: &interpolator, surroundings };
        sections = validator.sections(main, &given, &mut findings);
        rules::apply(&mut sections, module, site, &mut findings);
    }
    // As they stand in the file: that is how they will be put right.
    findings.problems.sort_by_key(|problem| (problem.file != dir.join(CONFIG_FILE), problem.line));
    findings.warnings.sort_by_key(|warning| (warning.file != dir.join(CONFIG_FILE), warning.line));
    let read = general(&sections).map(|general| Config { general, sections });
    let (config, partial) = if findings.problems.is_empty() { (read, None) } else { (None, read) };
    let Findings { problems, warnings } = findings;
    Loaded { config, partial, problems, warnings, machine_failed, is_legacy }
}

fn files(dir: &Path, label: Option<&Label>, site: &Site) -> Vec<(PathBuf, bool)> {
    let overrides = label.map(|label| site.overrides(label)).into_iter().flatten();
    let main = (dir.join(CONFIG_FILE), false);
    std::iter::once(main).chain(overrides.map(|path| (path, true))).collect()
}

fn missing(path: &Path) -> ConfigProblem {
    let place = problem::Place { file: path, line: None, column: None, section: None, key: None };
    ConfigProblem::new(&place, "the plugin has no configuration file")
        .hint("write one with a section `[general]`; `mwp new NAME` makes a plugin with all of it")
}

/// What a module does about split logs where the plugin leaves it to `AUTO`.
fn auto(variable: &str, module: Option<&Module>, site: &Site) -> bool {
    module
        .and_then(|module| site.environment.text(&format!("{}_{variable}", module.upper())))
        .is_some_and(value::is_true)
}

/// Before 1.0 the keys of `[general]` had no `_`.
fn looks_legacy(document: &Document) -> bool {
    let Some(general) = document.section("general") else { return document.sections.is_empty() };
    !general.entries.iter().any(|entry| entry.key.starts_with('_'))
}

fn general(sections: &[Section]) -> Option<General> {
    let section = sections.iter().find(|section| section.name == "general")?;
    let text = |key: &str| section.text(key).to_owned();
    Some(General {
        version: text("_version"),
        release: text("_release"),
        summary: text("_summary"),
        license: text("_license"),
        url: text("_url"),
        maintainer: text("_maintainer"),
        vendor: text("_vendor"),
        add_plugin_dir_to_python_path: section.bool("_add_plugin_dir_to_python_path"),
    })
}
