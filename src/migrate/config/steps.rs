//! `[step_*]`: what a step is called with, and which files it gets.

use std::sync::LazyLock;

use regex::Regex;

use super::Leftovers;
use crate::migrate::Findings;
use crate::migrate::ini::{Key, Section};

/// Keys that have no effect any more.
const DROPPED: [&str; 2] = ["max_age_variance", "__before_start"];
/// Arguments that the module gives by itself, or that are keys today.
const DROPPED_ARGUMENTS: [&str; 3] =
    ["redis-unix-socket-path", "failure-policy-move-keep-tags", "failure-policy-move-keep-tags-suffix"];

pub(super) fn migrate(section: &mut Section, left: &mut Leftovers, report: &mut Findings) {
    let is_of_old = section.get("cmd").is_some();
    if is_of_old {
        let arguments = arguments(section, left);
        let command = section.value("cmd");
        let given = section.take("args").first().map(Key::value).unwrap_or_default();
        let words: Vec<String> = [own_words(&command), own_words(&given), arguments].concat();
        section.rename("cmd", "_cmd_and_args");
        section.set("_cmd_and_args", &format!("{} {{STANDARD_STEP_ARGUMENTS}}", words.join(" ")));
    }
    section.rename("graceful_timeout", "timeout");
    for key in section.take("listened_directories") {
        let directories: Vec<String> = key.value().split(';').map(|it| it.trim().to_owned()).collect();
        section.set("watched_directories", &directories.join(","));
    }
    for key in DROPPED {
        section.take(key);
    }
    if is_of_old {
        for (key, default) in [("numprocesses", "1"), ("max_age", "310")] {
            if section.get(key).is_none() {
                section.set(key, default);
            }
        }
    }
    switch(section, left, report);
}

/// The words of the step's own, without what names its configuration and its queue.
fn own_words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut given = command.split_whitespace();
    while let Some(word) = given.next() {
        match word {
            "--config-file" => drop(given.next()),
            word if word.starts_with("--config-file=") => {}
            word if word.contains("CURRENT_STEP_QUEUE") || word.starts_with("step.") => {}
            word => words.push(word.to_owned()),
        }
    }
    words
}

/// `arg_X` of the section as words of the command; what is a key today is one.
fn arguments(section: &mut Section, left: &mut Leftovers) -> Vec<String> {
    let names: Vec<String> =
        section.keys().filter_map(|key| key.name.strip_prefix("arg_")).map(str::to_owned).collect();
    let mut words = Vec::new();
    for name in names {
        for key in section.take(&format!("arg_{name}")) {
            let value = key.value();
            match name.as_str() {
                name if DROPPED_ARGUMENTS.contains(&name) => {}
                "failure-policy" => section.set("failure_policy", &value),
                "failure-policy-move-dest-dir" => section.set("failure_policy_move_dest_dir", &value),
                "strftime-template" => words.push(word(section, left, "dest-basename", &value)),
                "keep-original-basenames" => {
                    let kept = matches!(value.as_str(), "1" | "true");
                    let basename = if kept { "{ORIGINAL_BASENAME}" } else { "{RANDOM_ID}" };
                    words.push(word(section, left, "dest-basename", basename));
                }
                name => match name.strip_prefix("reinject-") {
                    Some(rest) => section.set(&format!("retry_{}", rest.replace('-', "_")), &value),
                    None => words.push(word(section, left, name, &value)),
                },
            }
        }
    }
    words
}

fn word(section: &Section, left: &mut Leftovers, name: &str, value: &str) -> String {
    let custom = left.custom(&section.name, name, value);
    format!("--{name}={{CUSTOM_{}}}", custom.to_uppercase())
}

/// The condition of a switch plugin as a rule.
fn switch(section: &mut Section, left: &mut Leftovers, report: &mut Findings) {
    let hardlink = section
        .take("switch_use_hardlink")
        .first()
        .is_some_and(|key| matches!(key.value().as_str(), "1" | "true" | "True"));
    let Some(condition) = section.take("switch_logical_condition").into_iter().next() else { return };
    let step = super::instance(&section.name);
    let target = format!("{step}{}", if hardlink { "*" } else { "" });
    static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"^x\[['"]([^'"]+)['"]\]\.startswith\(b['"]([^'"]*)['"]\)$"#).expect("a pattern")
    });
    let value = condition.value();
    let mut rule = |kind: &str, pattern: String| {
        left.rules.entry(format!("switch_rules:{kind}")).or_default().push((pattern, target.clone()));
    };
    match value.as_str() {
        "False" | "" => {}
        "True" => rule("alwaystrue", "*".to_owned()),
        value => match PREFIX.captures(value) {
            Some(found) => {
                let tag = today(&found[1]);
                rule(&format!("fnmatch:{tag}"), format!("{}*", &found[2]));
            }
            None => report.note(
                "config.ini",
                condition.line,
                format!(
                    "[{}] the condition `{}` has to become a function, named in `[switch_rules:python]` as \
                     `module.function={target}`",
                    section.name, value
                ),
            ),
        },
    }
}

/// The tag of the first switch is that of guess_file_type today.
fn today(tag: &str) -> String {
    match tag.strip_prefix("latest.switch.main") {
        Some(rest) => format!("latest.guess_file_type.main{rest}"),
        None => tag.to_owned(),
    }
}
