//! What mfdata fills into the command of a step, as the text of a shell: its name, its queue, its inbox, the values of
//! `[custom]`, and the arguments that every step takes.

use std::path::{Path, PathBuf};

use crate::plugin::config::Section;
use crate::plugin::{Module, Plugin};
use crate::site::Site;

/// Where files and queues of a module's steps are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataHome {
    /// Where files come in; every step has its inbox below it.
    pub input: PathBuf,
    /// Where redis listens.
    pub redis: PathBuf,
}

impl DataHome {
    pub fn of(site: &Site) -> DataHome {
        let home = site.runtime_home(&Module::Mfdata);
        let input = site.environment.path(INPUT).unwrap_or_else(|| home.join("var/in"));
        DataHome { input, redis: home.join("var/redis.socket") }
    }

    /// The directory of files that wait for a step.
    pub fn inbox(&self, plugin: &str, step: &str) -> PathBuf {
        self.input.join(queue(plugin, step))
    }
}

const INPUT: &str = "MFDATA_DATA_IN_DIR";

/// The list in redis that a step takes its files from.
pub(super) fn queue(plugin: &str, step: &str) -> String {
    format!("step.{plugin}.{step}")
}

/// Placeholders of steps with what they stand for.
#[derive(Debug)]
pub(super) struct StepPlaceholders(Vec<(String, String)>);

impl StepPlaceholders {
    pub(super) fn new(plugin: &Plugin, section: &Section, step: &str, site: &Site) -> StepPlaceholders {
        let name = plugin.label.name.as_str();
        let (home, queue) = (DataHome::of(site), queue(name, step));
        let quoted = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"));
        let mut standard = String::new();
        let policy = section.text("failure_policy");
        if policy != "keep" {
            standard.push_str(&format!("--failure-policy={policy} "));
        }
        if policy == "move" {
            let dir = quoted(Path::new(section.text("failure_policy_move_dest_dir")));
            standard.push_str(&format!("--failure-policy-move-dest-dir={dir} "));
        }
        standard.push_str(&format!(
            "--step-name={step} --redis-unix-socket-path={} {queue}",
            quoted(&home.redis)
        ));
        let mut known = vec![
            ("{STANDARD_STEP_ARGUMENTS}".to_owned(), standard),
            ("{MFDATA_CURRENT_STEP_NAME}".to_owned(), step.to_owned()),
            ("{MFDATA_CURRENT_STEP_QUEUE}".to_owned(), queue),
            ("{MFDATA_CURRENT_STEP_DIR}".to_owned(), quoted(&home.inbox(name, step))),
        ];
        let custom =
            plugin.config.section("custom").map(|custom| custom.entries.as_slice()).unwrap_or_default();
        known.extend(custom.iter().map(|entry| {
            let value = entry.value.to_string();
            // What holds no character of a shell needs no quotes, and is read more easily.
            let value = shlex::try_quote(&value).map(std::borrow::Cow::into_owned).unwrap_or_default();
            (format!("{{CUSTOM_{}}}", entry.key.to_ascii_uppercase().replace('-', "_")), value)
        }));
        StepPlaceholders(known)
    }

    pub(super) fn has(&self, placeholder: &str) -> bool {
        self.0.iter().any(|(known, _)| known == placeholder)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}
