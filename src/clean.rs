//! Removes what a build makes: the lists are in the recipes.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};
use crate::fs;
use crate::graph::{self, STATE_DIR, lock_directory};
use crate::plugin::Label;
use crate::recipe::Recipes;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What can be made again from the locks.
    Clean,
    /// The locks as well: the next build may take newer versions.
    Superclean,
}

/// Removes, and returns what was removed; `dry` removes nothing. Links are removed, never what they point to.
pub fn clean(dir: &Path, depth: Depth, dry: bool, mut on_wait: impl FnMut(&str)) -> Result<Vec<PathBuf>> {
    Label::read(dir)?;
    let recipes = Recipes::of_plugin(dir)?;
    graph::refuse_odd_directory(dir)?;
    recipes.tasks.iter().try_for_each(|task| graph::refuse_linked_directories(dir, task))?;
    let mut patterns = recipes.clean;
    if depth == Depth::Superclean {
        patterns.extend(recipes.superclean);
    }
    if dry {
        let mut found = matches(dir, &glob_set(&patterns)?)?;
        found.extend(graph::remove_outputs(dir, &recipes.tasks, true)?);
        found.extend(Some(dir.join(STATE_DIR)).filter(|path| fs::exists(path)));
        return Ok(found);
    }
    let had_state = fs::exists(&dir.join(STATE_DIR));
    let lock = lock_directory(dir, &mut on_wait)?;
    let mut found = matches(dir, &glob_set(&patterns)?)?;
    for path in &found {
        fs::in_writable(path.parent().unwrap_or(dir), || fs::remove_tree(path))?;
    }
    found.extend(graph::remove_outputs(dir, &recipes.tasks, false)?);
    // Everything in our own directory but the lock, which goes last: whoever waits for it sees that it is gone.
    let state_dir = dir.join(STATE_DIR);
    for path in fs::list(&state_dir)?.iter().filter(|path| !path.ends_with("lock")) {
        fs::remove_tree(path)?;
    }
    lock.remove();
    fs::remove_tree(&state_dir)?;
    if had_state {
        found.push(state_dir);
    }
    Ok(found)
}

fn glob_set(patterns: &[String]) -> Result<GlobSet> {
    let invalid = |error: globset::Error| {
        Error::input(format!("bad glob: {error}")).hint(
            "correct it below [clean] or [superclean] of mwp.toml: `*`, `**`, `?` and `{a,b}` are allowed",
        )
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(invalid)?);
    }
    set.build().map_err(invalid)
}

/// What matches, whole directories as one; neither version control nor our own state is looked into.
fn matches(dir: &Path, set: &GlobSet) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(at) = waiting.pop() {
        for path in fs::list(&at)? {
            let name = path.strip_prefix(dir).unwrap_or(&path);
            let is_ours = matches!(
                path.file_name().and_then(|name| name.to_str()),
                Some(".git" | ".hg" | ".svn" | STATE_DIR)
            );
            if is_ours {
                continue;
            }
            if set.is_match(name) {
                found.push(path);
            } else if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
