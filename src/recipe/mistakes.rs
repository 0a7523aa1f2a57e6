//! Everything that is wrong with a plugin's `mwp.toml` at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::file::{PLUGIN_RECIPE_FILE, PluginRecipe};
use super::read::{line_of, not_read};
use super::{Recipes, builtin};
use crate::error::{Error, Fault, Problem, Result};
use crate::fs;
use crate::graph::{Plan, Target};
use crate::text;
use crate::toml_text;

/// More are no help.
const MOST: usize = 20;
/// Statements of more lines are not looked behind.
const MOST_LINES: usize = 200;

/// What is wrong with the recipe of the plugin in `dir`; an error where it cannot be looked at.
pub fn mistakes(dir: &Path) -> Result<Vec<Problem>> {
    let path = dir.join(PLUGIN_RECIPE_FILE);
    let Some(content) = fs::read_text_optional(&path)? else { return Ok(Vec::new()) };
    let Readable { recipe, errors, gone } = Readable::of(&path, &content);
    let mut found: Vec<Problem> = errors.into_iter().flat_map(|error| error.problems).collect();
    let Some(mut recipe) = recipe else { return Ok(found) };
    if let Err(error) = recipe.refuse_many(&path) {
        return Ok(error.problems);
    }

    let mut starts: Vec<usize> = recipe.places().map(|(_, start)| start).collect();
    starts.sort_unstable();
    // A task that lines were taken out of lacks what they said.
    let is_whole = |name: Range<usize>| {
        let end = starts.iter().find(|start| **start > name.start).copied().unwrap_or(content.len());
        !gone.iter().any(|at| (name.start..end).contains(at))
    };
    let own = recipe.mistakes(&path, &content, &is_whole);
    found.extend(own.into_iter().flat_map(|error| error.problems));
    let lines: BTreeMap<String, usize> =
        recipe.places().map(|(name, start)| (name.to_owned(), line_of(&content, start))).collect();
    recipe.make_do();
    for problem in among_tasks(recipe, dir)? {
        let problem = placed(problem, &path, &lines);
        if !found.contains(&problem) {
            found.push(problem);
        }
    }
    Ok(found)
}

/// An error of the recipe that was met first, with all others.
pub(super) fn with_all(dir: &Path, first: Error) -> Error {
    let is_of_recipe = |problem: &Problem| problem.message.contains(PLUGIN_RECIPE_FILE);
    match mistakes(dir) {
        Ok(all) if !all.is_empty() && first.problems.iter().all(is_of_recipe) => {
            Error::many(Fault::Input, all)
        }
        _ => first,
    }
}

/// What can be read of the text, what cannot, and where that was.
struct Readable {
    recipe: Option<PluginRecipe>,
    errors: Vec<Error>,
    gone: Vec<usize>,
}

impl Readable {
    /// Whatever cannot be read is taken out line by line, and the rest is read again.
    fn of(path: &Path, content: &str) -> Readable {
        let name = path.to_string_lossy();
        let (mut rest, mut errors, mut gone) = (content.to_owned(), Vec::new(), Vec::new());
        loop {
            let error = match toml_text::from_str(&rest) {
                Ok(recipe) => return Readable { recipe: Some(recipe), errors, gone },
                Err(error) => error,
            };
            errors.push(not_read(&name, content, &error));
            // Where it is no TOML, nobody knows what the rest would mean.
            let span = error.span().filter(|_| errors.len() < MOST && is_toml(&rest));
            match span.and_then(|span| without(&rest, span.start)) {
                Some((shorter, at)) => {
                    rest = shorter;
                    gone.push(at);
                }
                None => return Readable { recipe: None, errors, gone },
            }
        }
    }
}

fn is_toml(text: &str) -> bool {
    toml_text::from_str::<toml::Table>(text).is_ok()
}

/// The text without the statement, or the table, that begins in the line of this place; each other line where it was.
fn without(content: &str, place: usize) -> Option<(String, usize)> {
    let start = content[..place].rfind('\n').map_or(0, |end| end + 1);
    let is_header = |at: usize| content[at..].trim_start_matches([' ', '\t']).starts_with('[');
    let is_table = is_header(start);
    let mut end = start;
    let mut tries = 0;
    // Each reads all of it again.
    while end < content.len() && tries < MOST_LINES {
        tries += 1;
        end = content[end..].find('\n').map_or(content.len(), |length| end + length + 1);
        if is_table && end < content.len() && !is_header(end) {
            continue;
        }
        let blank: String = content[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        let shorter = format!("{}{blank}{}", &content[..start], &content[end..]);
        if is_toml(&shorter) {
            return (shorter.len() == content.len()).then_some((shorter, start));
        }
    }
    None
}

/// What the tasks say about each other, for both targets.
fn among_tasks(own: PluginRecipe, dir: &Path) -> Result<Vec<Problem>> {
    let mut recipes = Recipes::default();
    for recipe in builtin::recipes()? {
        recipe.add_to(&mut recipes, dir)?;
    }
    if let Err(error) = own.apply_to(&mut recipes, dir) {
        return Ok(error.problems);
    }
    let plans = [Target::Build, Target::Release]
        .map(|target| Plan::new(dir, recipes.tasks.clone(), &recipes.known, target));
    Ok(plans.into_iter().filter_map(Result::err).flat_map(|error| error.problems).collect())
}

/// With the line of the task that it is about.
fn placed(mut problem: Problem, path: &Path, lines: &BTreeMap<String, usize>) -> Problem {
    let Some((file, rest)) = problem.message.split_once(": ") else { return problem };
    if !file.ends_with(&format!("{PLUGIN_RECIPE_FILE}`")) {
        return problem;
    }
    let names = rest.split(['[', ']', ' ']).map(|word| word.strip_prefix("tasks.").unwrap_or(word));
    if let Some(line) = names.into_iter().find_map(|name| lines.get(name)) {
        problem.message = format!("{}: {rest}", text::place(path, *line, None));
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let told = |content: &str| -> Vec<String> {
            fs::write_atomic(&dir.path().join(PLUGIN_RECIPE_FILE), content.as_bytes()).unwrap();
            let shorten = |problem: Problem| problem.message.rsplit("mwp.toml").next().unwrap().to_owned();
            mistakes(dir.path()).unwrap().into_iter().map(shorten).collect()
        };
        let all = told(
            "[tasks.a]\ncommand = [\"x\"]\nalways = true\nafter = [\"b\"]\n\n\
             [tasks.b]\ncommand = [\"x\"]\nalways = true\nafter = [\"a\"]\n\n\
             [tasks.c]\ncommand = []\ninputs = [\"../x\"]\ndependencies = [\"nothing\"]\n\n\
             [tasks.d]\nnonsense = [\n  1,\n]\nalways = 3\n",
        );
        for (line, what) in [
            (17, "unknown field `nonsense`"),
            (20, "invalid type: integer `3`"),
            (11, "`command` is empty"),
            (11, "`inputs` found `../x`"),
            (11, "`dependencies` found `nothing`"),
            (1, "the tasks wait for each other: a → b → a"),
        ] {
            let is_told = |told: &String| {
                told.trim_start_matches('`').starts_with(&format!(":{line}: ")) && told.contains(what)
            };
            assert!(all.iter().any(is_told), "no {line}: {what} in {all:#?}");
        }
        assert_eq!(all.len(), 6, "{all:#?}");
        assert_eq!(told("[tasks.a]\ncommand = [\"x\"]\nalways = true\n"), [""; 0]);
        assert_eq!(told("[tasks.a\nnonsense = 1\n").len(), 1);
        let misnamed = told("[task.a]\ncommand = [\n  \"x\",\n]\nalways = true\n\n[task.b]\nalways = true\n");
        assert_eq!(misnamed.len(), 2, "{misnamed:#?}");
        let hints: Vec<_> =
            mistakes(dir.path()).unwrap().into_iter().filter_map(|found| found.hint).collect();
        assert_eq!(hints, ["did you mean `tasks`?"; 2]);
    }
}
