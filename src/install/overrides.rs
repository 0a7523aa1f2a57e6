//! The override file `config/plugins/{name}.ini`: what an administrator may change, ready to be uncommented.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::fs;
use crate::plugin::config::{CONFIG_FILE, Document};
use crate::plugin::{Label, PluginName};
use crate::site::Site;

/// There may be secrets in it.
const MODE: u32 = 0o640;

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

    /// Writes the file for the configuration in `tree`, which is or will be at `home`; one with live keys stays, and the
    /// new one is written beside it.
    pub(super) fn write(&self, tree: &Path, home: &Path, name: &PluginName) -> Result<()> {
        let config = fs::read_text(&tree.join(CONFIG_FILE))?;
        let content = template(&config, &home.join(CONFIG_FILE), name);
        if let Some(parent) = self.path.parent() {
            fs::create_own_dir_all(parent)?;
        }
        if self.is_edited()? {
            return fs::write_atomic_with_mode(&self.beside, content.as_bytes(), MODE);
        }
        match self.path.metadata() {
            // Whoever made it private keeps it so.
            Ok(metadata) => {
                let mode = metadata.permissions().mode() & 0o777;
                fs::write_atomic_with_mode(&self.path, content.as_bytes(), mode)?;
            }
            Err(_) => fs::write_atomic_with_mode(&self.path, content.as_bytes(), MODE)?,
        }
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
    let (document, _) = Document::parse(config);
    let mut kinds = BTreeMap::new();
    for section in &document.sections {
        kinds.insert(section.line, Line::Heading(&section.name));
        for entry in &section.entries {
            kinds.insert(entry.line, Line::Key(&entry.key));
            kinds.extend(entry.continuations.iter().map(|(line, _)| (*line, Line::Continued)));
        }
    }
    let mut wanted = false;
    let mut key_is_wanted = true;
    // Comments belong to what follows them.
    let mut pending = String::new();
    for (index, line) in document.lines().enumerate() {
        let line = line.trim_end();
        match kinds.get(&(index + 1)) {
            Some(Line::Heading(name)) => {
                wanted = *name != "general" && !name.starts_with('_');
                if wanted {
                    text.push_str(&std::mem::take(&mut pending));
                    text.push_str(&format!("[{name}]\n"));
                }
                pending.clear();
            }
            Some(kind) => {
                if let Line::Key(key) = kind {
                    key_is_wanted = wanted && !key.starts_with('_');
                }
                if key_is_wanted {
                    text.push_str(&std::mem::take(&mut pending));
                    text.push_str(&format!("# {line}\n"));
                }
                pending.clear();
            }
            None => {
                pending.push_str(line);
                pending.push('\n');
            }
        }
    }
    if wanted {
        text.push_str(&pending);
    }
    text
}

/// What a line of the configuration is that is neither empty nor a comment.
enum Line<'a> {
    Heading(&'a str),
    Key(&'a str),
    Continued,
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

    /// Sections and live keys, as Python's configparser reads them; an empty list where it refuses the file.
    const PYTHON: &str = "
import configparser, json, sys
found = []
for text in json.load(sys.stdin):
    parser = configparser.ConfigParser(delimiters=('=',), comment_prefixes=('#',), interpolation=None,
                                       strict=True, default_section=None)
    parser.optionxform = str
    parser.read_string(text)
    found.append([[name, len(parser[name])] for name in parser.sections()])
json.dump(found, sys.stdout)
";

    #[test]
    fn a_written_override_file_is_read_as_sections_without_a_live_key_by_python_too() {
        use std::io::Write;
        use std::process::{Command, Stdio};

        let pieces = [
            "[custom]",
            "[app_x] tail",
            "[a]b]",
            "[general]",
            "[_x]",
            "k = 1",
            "_k = 1",
            "list =",
            "  [1, 2]",
            "\t[x]",
            "  more = 2",
            "# c",
            "  # c",
            "# c\rpwn = 1",
            "#\r[pwn]\rk = 1",
            "",
            "  ",
            "k[DEV]=x\u{85}y",
            "z = \u{2028}[q]",
            "\u{a0}[nbsp]",
            "k2=v\r  [3]",
            "=x",
            "no delimiter",
            "k3 = a\u{b}b\u{1c}[z]",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        let name = PluginName::parse("p").unwrap();
        let mut written = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..2000 {
            let mut config = "[custom_0]\n".to_owned();
            for _ in 0..random.usize(0..12) {
                config.push_str(random.choice(pieces).unwrap());
                config.push_str(random.choice(["\n", "\r\n", "\r", "\n\n"]).unwrap());
            }
            let (document, mistakes) = Document::parse(&config);
            // What check refuses is never installed.
            if !mistakes.is_empty() {
                continue;
            }
            let is_wanted = |name: &str| name != "general" && !name.starts_with('_');
            let names = document.sections.iter().map(|section| section.name.clone());
            expected.push(names.filter(|name| is_wanted(name)).map(|name| (name, 0)).collect::<Vec<_>>());
            written.push(template(&config, Path::new("/p/config.ini"), &name));
        }
        assert!(written.len() > 200, "{}", written.len());
        let mut python = Command::new("python3")
            .args(["-c", PYTHON])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(&serde_json::to_vec(&written).unwrap()).unwrap();
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success());
        let found: Vec<Vec<(String, usize)>> = serde_json::from_slice(&output.stdout).unwrap();
        for (index, text) in written.iter().enumerate() {
            assert_eq!(found[index], expected[index], "{text:?}");
            let (document, mistakes) = Document::parse(text);
            assert!(
                mistakes.is_empty() && document.sections.iter().all(|section| section.entries.is_empty())
            );
        }
    }
}
