//! What mfdata fills into the command of a step, as the text of a shell: its name, its queue, its inbox, the values of
//! `[custom]`, and the arguments that every step takes.

use super::data_home::{DataHome, queue_of};
use super::retries;
use crate::plugin::Plugin;
use crate::plugin::config::Section;
use crate::site::Site;

/// Placeholders of steps with what they stand for.
#[derive(Debug)]
pub(super) struct StepPlaceholders(Vec<(String, String)>);

impl StepPlaceholders {
    pub(super) fn new(plugin: &Plugin, section: &Section, step: &str, site: &Site) -> StepPlaceholders {
        let name = plugin.label.name.as_str();
        let (home, queue) = (DataHome::of(site), queue_of(name, step));
        let policy = match retries::are_wanted(section) {
            true => FailurePolicy::to_retries(name, step),
            false => FailurePolicy::of_section(section),
        };
        let standard = standard_arguments(&policy, name, step, &home);
        let standard = standard.iter().map(|word| quoted_option(word)).collect::<Vec<_>>().join(" ");
        let mut known = vec![
            ("{STANDARD_STEP_ARGUMENTS}".to_owned(), standard),
            ("{MFDATA_CURRENT_STEP_NAME}".to_owned(), step.to_owned()),
            ("{MFDATA_CURRENT_STEP_QUEUE}".to_owned(), queue),
            ("{MFDATA_CURRENT_STEP_DIR}".to_owned(), quoted(&home.inbox(name, step).to_string_lossy())),
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

/// What becomes of files that a step could not process.
pub(super) struct FailurePolicy {
    policy: String,
    move_dest_dir: String,
}

impl FailurePolicy {
    pub(super) fn of_section(section: &Section) -> FailurePolicy {
        FailurePolicy {
            policy: section.text("failure_policy").to_owned(),
            move_dest_dir: section.text("failure_policy_move_dest_dir").to_owned(),
        }
    }

    /// They go to the step that gives them back.
    fn to_retries(plugin: &str, step: &str) -> FailurePolicy {
        let step = retries::name_of(step);
        FailurePolicy { policy: "move".to_owned(), move_dest_dir: format!("{plugin}/{step}") }
    }
}

/// The arguments that every step takes, as words.
pub(super) fn standard_arguments(
    FailurePolicy { policy, move_dest_dir }: &FailurePolicy,
    plugin: &str,
    step: &str,
    home: &DataHome,
) -> Vec<String> {
    let mut words = Vec::new();
    if policy != "keep" {
        words.push(format!("--failure-policy={policy}"));
    }
    if policy == "move" {
        words.push(format!("--failure-policy-move-dest-dir={move_dest_dir}"));
    }
    words.push(format!("--step-name={step}"));
    words.extend(home.redis.step_arguments());
    words.push(queue_of(plugin, step));
    words
}

/// An option for a shell, with the value in quotes where it is a path or the like.
fn quoted_option(word: &str) -> String {
    match word.split_once('=') {
        Some((name, value)) if value.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') => {
            format!("{name}={}", quoted(value))
        }
        _ => word.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
