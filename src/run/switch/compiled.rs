//! The rules of all plugins, put together for each switch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::rules::{Rule, Rules, Target, add, has_step};
use crate::error::Result;
use crate::fs;
use crate::plugin::{ConfigProblem, Plugin};
use crate::text;

const HEADER: &str = "# The rules of all plugins, which mwp collects: changes here are lost.\n";

/// What is to be written for the switches, and what is left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compiled {
    /// By the name of the switch.
    files: BTreeMap<String, String>,
    /// What is wrong with the rules of a plugin, which keeps those that it had.
    pub problems: BTreeMap<String, Vec<String>>,
    /// Targets that are not there.
    pub warnings: Vec<String>,
}

impl Compiled {
    /// `unknown` are plugins that are installed, though nobody can tell which steps they have.
    pub fn of(plugins: &BTreeMap<&str, &Plugin>, unknown: &BTreeSet<&str>) -> Compiled {
        let mut compiled = Compiled::default();
        for (name, plugin) in plugins {
            let Rules { rules, problems } = Rules::of(plugin);
            if !problems.is_empty() {
                let told = |problem: ConfigProblem| {
                    format!(
                        "{}: until that is mended its switch rules are those from before, if there were any",
                        problem.message
                    )
                };
                compiled.problems.insert((*name).to_owned(), problems.into_iter().map(told).collect());
                continue;
            }
            let mut sections = Sections::default();
            for rule in rules {
                let is_there = |target: &&Target| match missing(target, &rule, plugins, unknown) {
                    None => true,
                    Some(problem) => {
                        compiled.warnings.push(problem.message);
                        false
                    }
                };
                let targets: Vec<Target> = rule.targets.iter().filter(is_there).cloned().collect();
                // A file that nobody else wants is not to be taken for one that nobody wants.
                let targets = if targets.is_empty() { rule.targets.clone() } else { targets };
                sections.add(rule, targets);
            }
            sections.write(name, &mut compiled.files);
        }
        compiled
    }

    /// Brings the files in this directory up to date; one that is as it should be stays untouched, and one that nobody
    /// has rules for any more becomes empty.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let mut files = self.files.clone();
        let mut present = Vec::new();
        for path in fs::list(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(switch) = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX)) else {
                continue;
            };
            for section in self.kept_sections(&fs::read_text(&path)?) {
                files.entry(switch.to_owned()).or_insert_with(|| HEADER.to_owned()).push_str(&section);
            }
            present.push((switch.to_owned(), path));
        }
        if !files.is_empty() {
            fs::create_own_dir_all(dir)?;
        }
        for (switch, content) in &files {
            write(&dir.join(file_name(switch)), content)?;
        }
        for (_, path) in present.iter().filter(|(switch, _)| !files.contains_key(switch)) {
            write(path, "")?;
        }
        Ok(())
    }

    /// The sections, in a file of rules, of plugins whose rules cannot be read now.
    fn kept_sections(&self, content: &str) -> Vec<String> {
        let sections = content.split("\n[").skip(1);
        let is_kept = |section: &&str| {
            let owner = section.strip_prefix("switch_rules_").and_then(|rest| rest.split(':').next());
            owner.is_some_and(|owner| self.problems.contains_key(owner))
        };
        sections.filter(is_kept).map(|section| format!("\n[{}\n", section.trim_end())).collect()
    }
}

const PREFIX: &str = "plugin_";
const SUFFIX: &str = "_rules.ini";

fn file_name(switch: &str) -> String {
    format!("{PREFIX}{switch}{SUFFIX}")
}

fn write(path: &Path, content: &str) -> Result<()> {
    if fs::read_optional(path)?.is_some_and(|present| present == content.as_bytes()) {
        return Ok(());
    }
    fs::write_atomic_with_mode(path, content.as_bytes(), 0o640)
}

/// Why nothing can go to the target.
fn missing(
    target: &Target,
    rule: &Rule,
    plugins: &BTreeMap<&str, &Plugin>,
    unknown: &BTreeSet<&str>,
) -> Option<ConfigProblem> {
    let name = target.plugin.as_str();
    match plugins.get(name) {
        Some(plugin) if has_step(plugin, &target.step) => None,
        Some(plugin) => Some(rule.without_step(target, plugin)),
        None if unknown.contains(name) => None,
        None => Some(rule.problem(&format!(
            "the plugin `{}` is not installed: nothing goes to its step `{}`",
            text::visible(name),
            text::visible(&target.step)
        ))),
    }
}

/// The rules of one plugin by switch and test, in the order in which they are written. Two sections may come to one.
#[derive(Default)]
struct Sections(Vec<Collected>);

struct Collected {
    switch: String,
    test: String,
    rules: Vec<(String, Vec<Target>)>,
}

impl Sections {
    fn add(&mut self, rule: Rule, targets: Vec<Target>) {
        let Rule { switch, test, pattern, .. } = rule;
        let is_it = |known: &Collected| known.switch == switch && known.test == test;
        let at = self.0.iter().position(is_it).unwrap_or_else(|| {
            self.0.push(Collected { switch, test, rules: Vec::new() });
            self.0.len() - 1
        });
        let rules = &mut self.0[at].rules;
        match rules.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, known)) => targets.into_iter().for_each(|target| add(known, target)),
            None => rules.push((pattern, targets)),
        }
    }

    fn write(self, owner: &str, files: &mut BTreeMap<String, String>) {
        for Collected { switch, test, rules } in self.0 {
            let file = files.entry(switch).or_insert_with(|| HEADER.to_owned());
            file.push_str(&format!("\n[switch_rules_{owner}:{test}]\n"));
            for (pattern, targets) in rules {
                let targets: Vec<String> = targets.iter().map(Target::to_string).collect();
                file.push_str(&format!("{pattern} = {}\n", targets.join(",")));
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.plugin, self.step, if self.allows_link { "*" } else { "" })
    }
}
