//! What one plugin says about the files that it wants.

use std::path::Path;

use crate::plugin::config::{CheckedKey, Origin, Section};
use crate::plugin::{ConfigProblem, Module, Plugin, PluginName};
use crate::text;

/// What the sections begin with, and whose rules they are where they do not say.
const SECTION: &str = "switch_rules";
const DEFAULT_SWITCH: &str = "switch";

/// Types of rules that look at a tag, and those that do not.
const OF_A_TAG: [&str; 6] = ["equal", "notequal", "fnmatch", "notfnmatch", "regex", "notregex"];
const WITHOUT_TAG: [&str; 2] = ["alwaystrue", PYTHON];
const PYTHON: &str = "python";

/// What stands in a pattern for what would end a key or begin a comment.
const ESCAPES: [(&str, &str); 2] = [("@@@@@@", "="), ("~~~~~~", "#")];

/// The rules of one plugin, and what is wrong with them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub rules: Vec<Rule>,
    pub problems: Vec<ConfigProblem>,
}

/// One line of a section: files that fit go to these steps.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The plugin whose step evaluates it.
    pub switch: String,
    /// The type, and the tag where it has one: `fnmatch:latest.guess_file_type.main.system_magic`.
    pub test: String,
    /// As it is written, escapes included.
    pub pattern: String,
    pub targets: Vec<Target>,
    section: String,
    key: String,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub plugin: String,
    pub step: String,
    /// The step alters no file, so it may get a hard link.
    pub allows_link: bool,
}

impl Rules {
    pub fn of(plugin: &Plugin) -> Rules {
        let mut found = Rules::default();
        if plugin.label.module != Module::Mfdata {
            return found;
        }
        for section in &plugin.config.sections {
            match Heading::read(section, plugin) {
                None => {}
                Some(Err(problem)) => found.problems.push(*problem),
                Some(Ok(heading)) => {
                    for entry in &section.entries {
                        match heading.rule(section, entry, plugin) {
                            Ok(rule) => found.rules.push(rule),
                            Err(problem) => found.problems.push(*problem),
                        }
                    }
                }
            }
        }
        found
    }

    /// Targets that are steps of the plugin itself, as far as it has no such step.
    pub fn own_steps_that_are_absent(&self, plugin: &Plugin) -> Vec<ConfigProblem> {
        let name = plugin.label.name.as_str();
        let own = self.rules.iter().flat_map(|rule| rule.targets.iter().map(move |target| (rule, target)));
        own.filter(|(_, target)| target.plugin == name && !has_step(plugin, &target.step))
            .map(|(rule, target)| rule.without_step(target, plugin))
            .collect()
    }
}

impl Rule {
    pub(super) fn problem(&self, reason: &str) -> ConfigProblem {
        ConfigProblem::at(&self.origin, &self.section, Some(&self.key), reason)
    }

    /// The finding that a target names no step of a plugin that is there.
    pub(super) fn without_step(&self, target: &Target, plugin: &Plugin) -> ConfigProblem {
        let Target { plugin: name, step, .. } = target;
        let problem = self.problem(&format!("the plugin `{name}` has no step `{step}`: nothing goes there"));
        let known: Vec<&str> = steps(plugin).collect();
        match text::nearest(step, known.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => problem.hint("add a section `[step_NAME]`, or remove the target"),
            None => problem.hint(format!("its steps are {}", known.join(", "))),
        }
    }
}

fn steps(plugin: &Plugin) -> impl Iterator<Item = &str> {
    plugin.config.steps().filter_map(|section| section.instance.as_deref())
}

/// Whether files can be sent to a step of this name; one that tries again has a second inbox.
pub fn has_step(plugin: &Plugin, step: &str) -> bool {
    let is_it = |section: &Section| {
        let name = section.instance.as_deref().unwrap_or_default();
        name == step || (section.int("retry_total") > 0 && step.strip_suffix("_reinject") == Some(name))
    };
    plugin.config.steps().any(is_it)
}

/// What the heading of a section says of all rules in it.
struct Heading {
    switch: String,
    test: String,
    is_python: bool,
}

impl Heading {
    /// `None` for a section of another kind, rules that a switch reads from its own file included.
    fn read(section: &Section, plugin: &Plugin) -> Option<Result<Heading, Box<ConfigProblem>>> {
        let name = filled(&section.name, plugin);
        let (head, test) = name.split_once(':')?;
        let switch = match head.split_once('@') {
            Some((SECTION, switch)) => switch,
            None if head == SECTION => DEFAULT_SWITCH,
            _ => return None,
        };
        let problem = |reason: &str| ConfigProblem::at(&section.origin, &section.name, None, reason);
        if let Err(error) = PluginName::parse(switch) {
            let hint = format!("write `[{SECTION}@NAME:TYPE:TAG]`, where NAME is a plugin that is a switch");
            return Some(Err(problem(&error.to_string()).hint(hint).into()));
        }
        let (kind, tag) = test.split_once(':').unwrap_or((test, ""));
        let (kind, tag) = (kind.trim().to_lowercase(), tag.trim());
        let is_of_a_tag = OF_A_TAG.contains(&kind.as_str());
        if !is_of_a_tag && !WITHOUT_TAG.contains(&kind.as_str()) {
            return Some(Err(unknown_type(&kind, &problem).into()));
        }
        if tag.contains(',') || is_of_a_tag == tag.is_empty() {
            let found = if tag.is_empty() { "no tag".to_owned() } else { format!("the tag `{tag}`") };
            let (allowed, form) = match is_of_a_tag {
                true => ("one tag is required", format!("[{head}:{kind}:TAG]")),
                false => ("none is allowed", format!("[{head}:{kind}]")),
            };
            let reason = format!("found {found}; {allowed} with `{kind}`");
            return Some(Err(problem(&reason).hint(format!("write `{form}`")).into()));
        }
        let is_python = kind == PYTHON;
        let test = if is_of_a_tag { format!("{kind}:{tag}") } else { kind };
        Some(Ok(Heading { switch: switch.to_owned(), test, is_python }))
    }

    fn rule(
        &self,
        section: &Section,
        entry: &CheckedKey,
        plugin: &Plugin,
    ) -> Result<Rule, Box<ConfigProblem>> {
        let origin = entry.origin.as_ref().unwrap_or(&section.origin);
        let problem =
            |reason: &str| ConfigProblem::at(origin, &section.name, Some(entry.key.as_str()), reason);
        let pattern = match self.is_python {
            true => function(&entry.key, &plugin.dir).ok_or_else(|| {
                problem(&format!("found `{}`; module.function is allowed", text::visible(&entry.key)))
                    .hint("the function is in the file `module.py` of the plugin; `/directory:module.function` names one elsewhere")
            })?,
            false => entry.key.clone(),
        };
        Ok(Rule {
            switch: self.switch.clone(),
            test: self.test.clone(),
            pattern,
            targets: targets(entry.value.as_text(), plugin.label.name.as_str(), &problem)?,
            section: section.name.clone(),
            key: entry.key.clone(),
            origin: origin.clone(),
        })
    }
}

fn unknown_type(kind: &str, problem: &dyn Fn(&str) -> ConfigProblem) -> ConfigProblem {
    let known = || OF_A_TAG.into_iter().chain(WITHOUT_TAG);
    let allowed = known().collect::<Vec<_>>().join(", ");
    let problem = problem(&format!("found the type `{}`; {allowed} are allowed", text::visible(kind)));
    match text::nearest(kind, known()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("write `[switch_rules:TYPE:TAG]`"),
    }
}

/// Names of sections know these two variables, and no others.
fn filled(name: &str, plugin: &Plugin) -> String {
    let dir = plugin.dir.to_string_lossy();
    let values = [("DIR", dir.as_ref()), ("NAME", plugin.label.name.as_str())];
    values.into_iter().fold(name.to_owned(), |name, (variable, value)| {
        let variable = format!("MFDATA_CURRENT_PLUGIN_{variable}");
        name.replace(&format!("{{{{{variable}}}}}"), value).replace(&format!("{{{{ {variable} }}}}"), value)
    })
}

/// `/directory:module.function`, with the plugin's directory where none is given.
fn function(key: &str, dir: &Path) -> Option<String> {
    let plain =
        ESCAPES.iter().fold(key.to_owned(), |key, (escape, character)| key.replace(escape, character));
    let (directory, name) = plain.rsplit_once(':').unwrap_or(("", &plain));
    let (module, function) = name.split_once('.')?;
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_numeric())
    };
    let is_good = [module, function].into_iter().all(|name| !name.is_empty() && is_name(name));
    if !is_good || !(directory.is_empty() || directory.starts_with('/')) || plain.starts_with(':') {
        return None;
    }
    if !directory.is_empty() {
        return Some(key.to_owned());
    }
    let dir = dir.to_string_lossy().into_owned();
    let dir = ESCAPES.iter().fold(dir, |dir, (escape, character)| dir.replace(character, escape));
    Some(format!("{dir}:{name}"))
}

/// `STEP`, `PLUGIN/STEP`, each with a `*` at the end or not, with commas between them.
fn targets(
    value: &str,
    owner: &str,
    problem: &dyn Fn(&str) -> ConfigProblem,
) -> Result<Vec<Target>, Box<ConfigProblem>> {
    let hint = "write STEP or PLUGIN/STEP, with commas between several; with a `*` behind it a step may get a hard link";
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    let mut targets: Vec<Target> = Vec::new();
    for written in value.split([',', '\n']).map(str::trim).filter(|written| !written.is_empty()) {
        let (name, allows_link) = match written.strip_suffix('*') {
            Some(name) => (name.trim_end(), true),
            None => (written, false),
        };
        let (plugin, step) = name.split_once('/').unwrap_or((owner, name));
        if !is_name(plugin) || !is_name(step) {
            let reason = format!(
                "found the target `{}`; STEP and PLUGIN/STEP are allowed, of letters, digits, `_` and `-`",
                text::visible(written)
            );
            return Err(problem(&reason).hint(hint).into());
        }
        add(&mut targets, Target { plugin: plugin.to_owned(), step: step.to_owned(), allows_link });
    }
    if targets.is_empty() {
        return Err(problem("found no target; at least one is required").hint(hint).into());
    }
    Ok(targets)
}

/// Of a copy and a hard link to one step, the copy is made.
pub(super) fn add(targets: &mut Vec<Target>, new: Target) {
    let is_same = |known: &&mut Target| known.plugin == new.plugin && known.step == new.step;
    match targets.iter_mut().find(is_same) {
        Some(known) => known.allows_link &= new.allows_link,
        None => targets.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_without_a_directory_is_one_of_the_plugin() {
        for (key, completed) in [
            ("rules.big", Some("/p/a@@@@@@b:rules.big")),
            ("/elsewhere:rules.big", Some("/elsewhere:rules.big")),
            ("big", None),
            ("package.rules.big", None),
            ("rules.", None),
            ("elsewhere:rules.big", None),
            (":rules.big", None),
        ] {
            assert_eq!(function(key, Path::new("/p/a=b")).as_deref(), completed, "{key}");
        }
    }

    #[test]
    fn each_target_is_completed_by_itself_and_a_copy_wins_over_a_link() {
        let problem = |reason: &str| {
            let origin = Origin { file: "f".into(), line: 1, column: 1 };
            ConfigProblem::at(&origin, "s", None, reason)
        };
        let written = |value: &str| {
            let targets = targets(value, "p", &problem).map_err(|problem| problem.message)?;
            let written = targets.iter().map(Target::to_string).collect::<Vec<_>>().join(",");
            Ok::<_, String>(written)
        };
        assert_eq!(written("main, q/main *,\nother*,").as_deref(), Ok("p/main,q/main*,p/other*"));
        assert_eq!(written("q/a*, q/a").as_deref(), Ok("q/a"));
        for bad in ["", ",", "a/b/c", "a b", "/a", "a/", "*", "a**", "{{X}}/a"] {
            assert!(written(bad).is_err(), "{bad}");
        }
    }
}
