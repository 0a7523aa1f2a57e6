//! The override file `config/plugins/{name}.ini`: what an administrator may change, ready to be uncommented.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs;
use crate::plugin::config::{CONFIG_FILE, Document};
use crate::plugin::{Label, PluginName};
use crate::site::Site;

/// The override file of a plugin, and the place of a new one beside an edited one.
pub(super) struct OverrideFile {
    pub(super) path: PathBuf,
    pub(super) beside: PathBuf,
}

impl OverrideFile {
    pub(super) fn of(label: &Label, site: &Site) -> OverrideFile {
        let [path, _] = site.overrides(label);
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        OverrideFile { path, beside: beside.into() }
    }

    /// Whether somebody has uncommented or added keys.
    pub(super) fn is_edited(&self) -> Result<bool> {
        // A link is an administrator's own doing, wherever it leads.
        if self.path.is_symlink() {
            return Ok(true);
        }
        let content = match fs::read_optional(&self.path) {
            Ok(Some(content)) => String::from_utf8_lossy(&content).into_owned(),
            Ok(None) => return Ok(false),
            Err(_) => return Ok(true),
        };
        let (document, mistakes) = Document::parse(&content);
        // What cannot be read was not written by us.
        Ok(!mistakes.is_empty() || document.sections.iter().any(|section| !section.entries.is_empty()))
    }

    /// Writes the file for the configuration of the plugin at `home`; one with live keys stays, and the new one is
    /// written beside it.
    pub(super) fn write(&self, home: &Path, name: &PluginName) -> Result<()> {
        let config = fs::read_text(&home.join(CONFIG_FILE))?;
        let content = template(&config, &home.join(CONFIG_FILE), name);
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        if self.is_edited()? {
            return fs::write_atomic(&self.beside, content.as_bytes());
        }
        fs::write_atomic(&self.path, content.as_bytes())?;
        fs::remove_file(&self.beside)
    }
}

/// Every section but `[general]`, with its comments, and every key that may be overridden, commented out.
fn template(config: &str, of: &Path, name: &PluginName) -> String {
    let mut text = format!(
        "# Overrides for the plugin {name}, of {}.\n\
         #\n\
         # Uncomment a key and change its value to override it on this machine. An update of the plugin leaves\n\
         # this file alone once a key is uncommented, and writes the new one beside it as {name}.ini.new.\n\
         # /etc/metwork.config.d overrides this file.\n",
        of.display()
    );
    let mut wanted = false;
    let mut key_is_wanted = true;
    // Comments belong to what follows them.
    let mut pending = String::new();
    for line in config.lines() {
        let trimmed = line.trim();
        if let Some(section) =
            trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name)
        {
            wanted = section != "general" && !section.starts_with('_');
            if wanted {
                text.push_str(&std::mem::take(&mut pending));
                text.push_str(&format!("[{section}]\n"));
            }
            pending.clear();
        } else if trimmed.is_empty() || trimmed.starts_with('#') {
            pending.push_str(line.trim_end());
            pending.push('\n');
        } else {
            if !line.starts_with([' ', '\t']) {
                key_is_wanted = wanted && !trimmed.starts_with('_');
            }
            if key_is_wanted {
                text.push_str(&std::mem::take(&mut pending));
                text.push_str(&format!("# {}\n", line.trim_end()));
            }
            pending.clear();
        }
    }
    if wanted {
        text.push_str(&pending);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_may_be_overridden_is_there_commented_out() {
        let config = "# top\n[general]\n_version=1\n\n# The app\n[app_main]\n# hidden\n_cmd_and_args=x\n\n# how many\nnumprocesses=2\nlong=a\n  b\n[_private]\nx=1\n[custom]\nfoo=bar\n# last\n";
        let name = PluginName::parse("p").unwrap();
        let text = template(config, Path::new("/p/config.ini"), &name);
        let body = text.split_once("overrides this file.\n").unwrap().1;
        assert_eq!(
            body,
            "\n# The app\n[app_main]\n\n# how many\n# numprocesses=2\n# long=a\n#   b\n[custom]\n# foo=bar\n# last\n"
        );
        let (document, mistakes) = Document::parse(&text);
        assert!(mistakes.is_empty() && document.sections.iter().all(|section| section.entries.is_empty()));
    }
}
