//! Brings a template's later changes into a plugin.
//!
//! The base of the merge is what the template made then, kept in the plugin's record: a template on a disk, or in another
//! version of this binary, is not there any more as it was, and to render an old one again would need all of it. The
//! template is rendered with the answers, the time and the chance of then, so that what differs from the base is a change
//! of the template (or of an answer) and nothing else.
//!
//! The result is written to `.mwp/update/` first, then a plan of what goes where, then every file takes its place by a
//! rename, the record last. Links are left alone. Killed before the plan is whole, nothing has happened; after that, the next
//! `mwp bootstrap update` ends what was begun before it does anything else. `.mwp/` is neither packed nor versioned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::create::{Request, check};
use super::merge::{self, Change, Ours, Outcome};
use super::questions::plain;
use super::record::{self, Record};
use super::{Ask, Template, find, make};
use crate::error::{Error, Fault, Result};
use crate::fs;
use crate::plugin::{Module, PluginName};
use crate::site::Site;
use crate::text;

/// Our own directory in a plugin.
const OWN: &str = ".mwp";
/// Where an update is prepared.
const PLACE: &str = ".mwp/update";
const PLAN: &str = "plan.json";

/// An update, ready to be applied.
pub struct Update {
    directory: PathBuf,
    record: Record,
    changes: Vec<Change>,
}

/// Marks within marks would say nothing to anybody.
fn refuse_old_conflicts(
    directory: &Path,
    base: &merge::Tree,
    ours: &dyn Fn(&str) -> Result<Ours>,
) -> Result<()> {
    let mut problems = Vec::new();
    for (path, file) in base.iter().filter(|(_, file)| !file.has_marks()) {
        if let Ours::File(found) = ours(path)?
            && found != *file
            && found.has_marks()
        {
            problems.push(crate::error::Problem {
                message: format!(
                    "{} has conflicts that nobody has resolved",
                    text::path(&directory.join(path))
                ),
                hint: None,
            });
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::many(Fault::Input, problems).hint("look for `<<<<<<<`, choose, and update again"))
}

/// One path of the plugin, and the prepared file that goes there; without one the path goes.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    path: String,
    file: Option<String>,
}

impl Update {
    /// Finds out what would change. `answers` are asked and recorded ones together, those given now first; `template` is
    /// another place of the template.
    pub fn plan(
        directory: &Path,
        template: Option<&str>,
        answers: BTreeMap<String, String>,
        site: &Site,
        ask: &mut Ask<'_>,
    ) -> Result<Update> {
        let old = Record::read(directory)?;
        let own = directory.join(OWN);
        fs::create_dir_all(&own)?;
        // What a killed one left there.
        fs::sweep(&own);
        let planned = Update::planned(directory, &old, template, answers, site, ask);
        remove_if_empty(&own)?;
        planned
    }

    fn planned(
        directory: &Path,
        old: &Record,
        template: Option<&str>,
        answers: BTreeMap<String, String>,
        site: &Site,
        ask: &mut Ask<'_>,
    ) -> Result<Update> {
        let module = Module::parse(&old.module)?;
        let name = PluginName::parse(&old.name)?;
        let given = template;
        let mut template: Template =
            find(given.unwrap_or(&old.template), &module, site).map_err(|error| {
                let hint = "`--template` takes the place where the template is now";
                match given {
                    // What names it is the plugin.
                    None if error.fault == Fault::Usage => Error { fault: Fault::Input, ..error }.hint(hint),
                    _ => error.hint_if_none(hint),
                }
            })?;
        if given.is_none() {
            template.given.clone_from(&old.given);
        }
        let mut all: BTreeMap<String, String> =
            old.answers.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
        // A question that is asked no more has no answer.
        all.retain(|name, _| template.questions.entries.contains_key(name) || name == "template");
        all.extend(answers);
        let place = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let parent = place.parent().unwrap_or(&place);
        let scratch = fs::Staging::claimed_in(&directory.join(OWN))?;
        let request = Request {
            template: &template,
            module: &module,
            name: &name,
            parent,
            answers: all,
            defaults: serde_json::Map::new(),
        };
        let chance = old.chance(directory)?;
        let made = make::make(&request, scratch.path(), &chance, site, ask)?;
        check(&made.directory, directory, &request, site)?;
        let theirs = record::tree(&made.directory)?;
        let ours = |path: &str| Ours::of(directory, path);
        let base = old.base(directory)?;
        refuse_old_conflicts(directory, &base, &ours)?;
        let changes = merge::merge(&base, &theirs, &ours)?;
        let new = Record::of(&request, made.asked, &chance, &made.directory)?;
        Ok(Update { directory: directory.to_owned(), record: new, changes })
    }

    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The paths that a person has to look at, each with the reason.
    pub fn conflicts(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.changes.iter().filter_map(|change| match change.outcome {
            Outcome::Conflict(reason) => Some((change.path.as_str(), reason)),
            _ => None,
        })
    }

    /// Puts every file in its place.
    pub fn apply(&self) -> Result<()> {
        let place = self.directory.join(PLACE);
        fs::remove_tree(&place)?;
        fs::create_dir_all(&place)?;
        let mut steps = Vec::new();
        for (number, change) in self.changes.iter().enumerate() {
            if change.before == change.after {
                continue;
            }
            let file = match &change.after {
                None => None,
                Some(after) => {
                    let name = number.to_string();
                    let mode = mode(&self.directory.join(&change.path), after.is_executable);
                    fs::write_atomic_with_mode(&place.join(&name), &after.content, mode)?;
                    Some(name)
                }
            };
            steps.push(Step { path: change.path.clone(), file });
        }
        let record = self.record.text()?;
        fs::write_atomic(&place.join("record"), record.as_bytes())?;
        steps.push(Step { path: record::FILE.to_owned(), file: Some("record".to_owned()) });
        let plan = serde_json::to_vec(&steps).map_err(|error| Error::machine(error.to_string()))?;
        fs::write_atomic(&place.join(PLAN), &plan)?;
        finish(&self.directory, &place, &steps)
    }
}

/// Whether an update was killed half-way, and waits to be ended.
pub fn was_interrupted(directory: &Path) -> bool {
    fs::exists(&directory.join(PLACE).join(PLAN))
}

/// Ends an update that was killed half-way; whether there was one.
pub fn finish_interrupted(directory: &Path) -> Result<bool> {
    let place = directory.join(PLACE);
    let Some(plan) = fs::read_optional(&place.join(PLAN))? else {
        if fs::exists(&place) {
            fs::remove_tree(&place)?;
        }
        return Ok(false);
    };
    let steps: Vec<Step> = serde_json::from_slice(&plan).map_err(|error| {
        Error::input(format!("{}: {error}", text::path(&place.join(PLAN))))
            .hint("remove this directory to forget the update")
    })?;
    finish(directory, &place, &steps)?;
    Ok(true)
}

fn finish(directory: &Path, place: &Path, steps: &[Step]) -> Result<()> {
    for step in steps {
        let target = directory.join(&step.path);
        match step.file.as_ref().map(|name| place.join(name)) {
            None => {
                fs::remove_file(&target)?;
                remove_empty_parents(directory, &target)?;
            }
            // One that is not there any more has its place already.
            Some(file) if fs::exists(&file) => {
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::rename(&file, &target)?;
            }
            Some(_) => {}
        }
    }
    fs::remove_tree(place)?;
    remove_if_empty(&directory.join(OWN))
}

/// That of the file there, so that what is private stays so, with or without the right to be run.
fn mode(path: &Path, is_executable: bool) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    let mode = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file);
    let mode = mode.map_or(0o644, |metadata| metadata.permissions().mode() & 0o777);
    if is_executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 }
}

fn remove_if_empty(directory: &Path) -> Result<()> {
    if directory.is_dir() && fs::list(directory)?.is_empty() { fs::remove_tree(directory) } else { Ok(()) }
}

/// Directories that hold nothing any more go with their last file.
fn remove_empty_parents(directory: &Path, file: &Path) -> Result<()> {
    for parent in file.ancestors().skip(1).take_while(|parent| *parent != directory) {
        if !parent.is_dir() || !fs::list(parent)?.is_empty() {
            break;
        }
        fs::remove_tree(parent)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_killed_half_way_is_ended() {
        let root = tempfile::tempdir().unwrap();
        let (directory, place) = (root.path(), root.path().join(PLACE));
        fs::create_dir_all(&place).unwrap();
        for (path, content) in [("old/x", "x"), ("kept", "k"), (".mwp/update/1", "new")] {
            fs::create_dir_all(directory.join(path).parent().unwrap()).unwrap();
            fs::write_atomic(&directory.join(path), content.as_bytes()).unwrap();
        }
        // Without a plan nothing was promised.
        assert!(!finish_interrupted(directory).unwrap() && !fs::exists(&place));
        fs::create_dir_all(&place).unwrap();
        fs::write_atomic(&place.join("1"), b"new").unwrap();
        let steps = r#"[{"path": "done", "file": "0"}, {"path": "a/b", "file": "1"}, {"path": "old/x", "file": null}]"#;
        fs::write_atomic(&place.join(PLAN), steps.as_bytes()).unwrap();
        assert!(finish_interrupted(directory).unwrap());
        assert_eq!(fs::read_text(&directory.join("a/b")).unwrap(), "new");
        assert!(
            !fs::exists(&directory.join("old")) && fs::exists(&directory.join("kept")) && !fs::exists(&place)
        );
        assert!(!finish_interrupted(directory).unwrap());
    }
}
