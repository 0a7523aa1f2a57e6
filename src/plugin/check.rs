//! Whether a directory is a good plugin: label, format version and configuration, all problems at once.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::config::{self, Config, ConfigProblem};
use super::format_version::{FORMAT_VERSION_FILE, FormatVersion};
use super::label::{LABEL_FILE, Label};
use super::module::Module;
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::site::Site;

/// A plugin that passed every check.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// As it was given.
    pub dir: PathBuf,
    pub label: Label,
    pub config: Config,
}

/// What the checks came to.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Where the label is good.
    #[serde(serialize_with = "as_text")]
    pub label: Option<Label>,
    /// Where the configuration is good.
    pub config: Option<Config>,
    pub problems: Vec<ConfigProblem>,
    pub warnings: Vec<ConfigProblem>,
    /// What could be read of a configuration that has problems.
    #[serde(skip)]
    pub(crate) partial: Option<Config>,
    #[serde(skip)]
    pub(crate) fault: Option<Fault>,
}

/// Checks the plugin in `dir`.
pub fn check(dir: &Path, site: &Site) -> Checked {
    let mut problems = Vec::new();
    let mut fault = None;
    let mut blame = |error: &Error| {
        // A machine that cannot read is not the plugin's fault, whatever else is.
        if fault != Some(Fault::Machine) {
            fault = Some(error.fault);
        }
    };
    let label = match Label::read(dir) {
        Ok(label) => Some(label),
        Err(error) => {
            blame(&error);
            let is_plugin = fs::exists(&dir.join(LABEL_FILE)) || fs::exists(&dir.join(config::CONFIG_FILE));
            problems.extend(ConfigProblem::of_error(&dir.join(LABEL_FILE), error));
            if !is_plugin {
                // No plugin at all: that it lacks the rest, too, is no news.
                return Checked {
                    label: None,
                    config: None,
                    problems,
                    warnings: Vec::new(),
                    partial: None,
                    fault,
                };
            }
            None
        }
    };
    let module = label.as_ref().map(|label| label.module.clone()).or_else(|| module_in_label(dir));
    let module = module.or_else(|| site.module.clone());
    let mut is_old = false;
    if let Err(error) = FormatVersion::read(dir) {
        blame(&error);
        is_old = true;
        problems.extend(ConfigProblem::of_error(&dir.join(FORMAT_VERSION_FILE), error));
    }
    let loaded = config::load(dir, label.as_ref(), module.as_ref(), site);
    if !loaded.problems.is_empty() {
        blame(&if loaded.machine_failed { Error::machine("") } else { Error::input("") });
    }
    // A plugin from before 1.0 has another configuration throughout: what its keys are called today is told, the rest
    // would hide that.
    let is_told = |problem: &ConfigProblem| !(is_old && loaded.is_legacy) || problem.suggestion.is_some();
    problems.extend(loaded.problems.into_iter().filter(is_told));
    let is_readable = !(is_old && loaded.is_legacy);
    let config = loaded.config.filter(|_| is_readable);
    let partial = loaded.partial.filter(|_| is_readable);
    Checked { label, config, problems, warnings: loaded.warnings, partial, fault }
}

/// The module of a label whose name is bad.
fn module_in_label(dir: &Path) -> Option<Module> {
    let content = fs::read_text_optional(&dir.join(LABEL_FILE)).ok()??;
    let (_, module) = content.trim().rsplit_once('@')?;
    Module::parse(module).ok()
}

impl Checked {
    /// Notes who is at fault for a further problem: the machine, whatever else is.
    pub(crate) fn blame(&mut self, fault: Fault) {
        if self.fault != Some(Fault::Machine) {
            self.fault = Some(fault);
        }
    }

    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// The plugin in `dir`, or all its problems as one error.
    pub fn into_plugin(self, dir: &Path) -> Result<Plugin> {
        match (self.label, self.config) {
            (Some(label), Some(config)) if self.problems.is_empty() => {
                Ok(Plugin { dir: dir.to_owned(), label, config })
            }
            _ => {
                let problems = self.problems.into_iter().map(Into::into).collect();
                Err(Error::many(self.fault.unwrap_or(Fault::Input), problems))
            }
        }
    }
}

impl Plugin {
    /// Reads and checks the plugin in `dir`; warnings are dropped.
    pub fn load(dir: &Path, site: &Site) -> Result<Plugin> {
        check(dir, site).into_plugin(dir)
    }
}

fn as_text<S: serde::Serializer>(
    label: &Option<Label>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    label.as_ref().map(ToString::to_string).serialize(serializer)
}
