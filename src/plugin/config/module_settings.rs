//! The settings of a module itself: its `config.ini` files, in the dialect of the plugins'.
//!
//! Files are laid over each other key by key as written, later ones winning; then the best variant of each key
//! is taken, as for plugins. Which keys there are is the reader's business: a MetWork module has many that are
//! none of ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::interpolate::Interpolator;
use super::reader::Document;
use super::variant::Key;
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::plugin::Module;
use crate::site::Site;
use crate::text;

/// A value with its place, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    pub file: PathBuf,
    pub line: usize,
}

/// What the files say, by section and key.
#[derive(Debug, Clone, Default)]
pub struct ModuleSettings(BTreeMap<(String, String), Setting>);

impl ModuleSettings {
    /// Reads the files that exist, weakest first; every mistake in them is an error.
    pub fn read(files: &[PathBuf], module: &Module, site: &Site) -> Result<ModuleSettings> {
        let mut written: BTreeMap<(String, String), Setting> = BTreeMap::new();
        let mut problems = Vec::new();
        for file in files {
            let Some(text) = fs::read_text_optional(file)? else { continue };
            let (document, mistakes) = Document::parse(&text);
            problems.extend(mistakes.iter().map(|mistake| Problem {
                message: format!(
                    "{}: this is no `key = value` of a section",
                    text::place(file, mistake.line, None)
                ),
                hint: Some("sections, keys and values are written as in a plugin's config.ini".to_owned()),
            }));
            for section in &document.sections {
                for entry in &section.entries {
                    let setting =
                        Setting { value: entry.value.clone(), file: file.clone(), line: entry.line };
                    written.insert((section.name.clone(), entry.key.clone()), setting);
                }
            }
        }
        if !problems.is_empty() {
            return Err(Error::many(Fault::Input, problems));
        }
        let interpolator = Interpolator::new(site, Some(module), None, Path::new("/"));
        let mut best = BTreeMap::new();
        for ((section, key), setting) in written {
            let key = Key::parse(&key);
            let Some(fit) = key.fit(&site.configuration_name) else { continue };
            let place = (section, key.name.to_owned());
            if best.get(&place).is_none_or(|(known, _)| *known < fit) {
                best.insert(place, (fit, setting));
            }
        }
        let mut settings = BTreeMap::new();
        for ((section, key), (_, mut setting)) in best {
            setting.value = interpolator.render(&setting.value).map_err(|reason| {
                Error::input(format!(
                    "{}: [{}] {}: {}",
                    text::place(&setting.file, setting.line, None),
                    text::visible(&section),
                    text::visible(&key),
                    text::visible(&reason)
                ))
                .hint("values are Jinja2 templates over the environment")
            })?;
            settings.insert((section, key), setting);
        }
        Ok(ModuleSettings(settings))
    }

    /// The settings as variables, `MFDATA_DATA_IN_DIR` for `[data_in] dir`: what the files say.
    pub fn variables(&self, module: &Module) -> BTreeMap<String, String> {
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let given = self.iter().filter(|(section, key, _)| is_plain(section) && is_plain(key));
        given.map(|(section, key, setting)| (variable(module, section, key), setting.value.clone())).collect()
    }

    /// What counts for a module on this machine. Later wins: `config/config.ini` of the module's home, then of its
    /// runtime home; `/etc/metwork.config.d/{module}/config.ini`.
    pub fn of(module: &Module, site: &Site) -> Result<ModuleSettings> {
        let file = Path::new("config/config.ini");
        let root = site.etc.join("metwork.config.d").join(module.as_str()).join("config.ini");
        let home = site.environment.path("MFMODULE_HOME").map(|home| home.join(file));
        let files: Vec<_> = home.into_iter().chain([site.runtime_home(module).join(file), root]).collect();
        ModuleSettings::read(&files, module, site)
    }

    pub fn get(&self, section: &str, key: &str) -> Option<&Setting> {
        self.0.get(&(section.to_owned(), key.to_owned()))
    }

    /// Every value with its section and key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Setting)> {
        self.0.iter().map(|((section, key), setting)| (section.as_str(), key.as_str(), setting))
    }
}

fn variable(module: &Module, section: &str, key: &str) -> String {
    format!("{}_{section}_{key}", module.upper()).to_ascii_uppercase()
}

/// The settings that plugins of a module count on, where nobody says otherwise.
pub fn default_variables(module: &Module, site: &Site) -> BTreeMap<String, String> {
    if *module != Module::Mfdata {
        return BTreeMap::new();
    }
    let input = site.runtime_home(module).join("var/in").to_string_lossy().into_owned();
    let defaults = [
        ("data_in", "dir", input.as_str()),
        ("internal_plugins", "watched_directories", "incoming"),
        ("internal_plugins", "switch_no_match_policy", "delete"),
        ("internal_plugins", "switch_no_match_keep_original_basename", "0"),
    ];
    defaults.map(|(section, key, value)| (variable(module, section, key), value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Environment;

    #[test]
    fn later_files_and_better_variants_win() {
        let root = tempfile::tempdir().unwrap();
        let (weak, strong) = (root.path().join("weak.ini"), root.path().join("strong.ini"));
        fs::write_atomic(&weak, b"[nginx]\nport=1\nport[DEV]=2\ntimeout={{ SECONDS }}\n").unwrap();
        fs::write_atomic(&strong, b"[nginx]\nport=3\nlogging=0\n").unwrap();
        let mut environment = Environment::default();
        environment.set("MFCONFIG", "DEV_ME");
        environment.set("SECONDS", "7");
        let site = Site::new(environment);
        let module = Module::parse("mfserv").unwrap();
        let files = [weak, strong, root.path().join("none.ini")];
        let settings = ModuleSettings::read(&files, &module, &site).unwrap();
        let value = |key| settings.get("nginx", key).map(|setting| setting.value.as_str());
        assert_eq!((value("port"), value("timeout"), value("logging")), (Some("2"), Some("7"), Some("0")));
        fs::write_atomic(&files[1], b"[nginx]\nnonsense\n").unwrap();
        let error = ModuleSettings::read(&files, &module, &site).unwrap_err();
        assert!(error.to_string().contains("strong.ini:2: "), "{error}");
    }
}
