//! What Python keeps in `__pycache__`: it runs that in place of the source, and asks for no more than a matching date.

use std::path::Path;

use crate::artifact::{Damage, DamageKind};
use crate::error::Result;
use crate::fs;
use crate::process::Program;
use crate::python::Interpreter;
use crate::site::Site;
use crate::tools::Tools;

/// Runs in the machine's own Python, apart from the plugin: nothing of the plugin is imported.
const COMPARE: &str = include_str!("bytecode.py");

/// The files that do not stand for their sources. `made_after` names what is not checked. Where there is no Python, none
/// of them is run.
pub(super) fn foreign(home: &Path, made_after: &dyn Fn(&Path) -> bool, site: &Site) -> Result<Vec<Damage>> {
    let root = Path::new("/");
    let tools = Tools::new(site, root);
    if !has_cache(home)? || tools.find("python3").is_none() {
        return Ok(Vec::new());
    }
    let python = Interpreter::find(&tools)?.executable;
    let program = Program::new(python, root, &site.environment).arguments(["-I", "-S", "-B", "-c", COMPARE]);
    let answer = program.argument(home).ask()?;
    let found: Vec<(String, DamageWord)> = serde_json::from_str(&answer).unwrap_or_default();
    let damages = found.into_iter().filter(|(path, _)| !made_after(Path::new(path)));
    Ok(damages.map(|(path, word)| Damage { path, kind: word.into() }).collect())
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum DamageWord {
    Added,
    Altered,
}

impl From<DamageWord> for DamageKind {
    fn from(word: DamageWord) -> DamageKind {
        match word {
            DamageWord::Added => DamageKind::Added,
            DamageWord::Altered => DamageKind::Altered,
        }
    }
}

fn has_cache(dir: &Path) -> Result<bool> {
    for path in fs::list(dir)? {
        if path.is_symlink() || !path.is_dir() {
            continue;
        }
        if path.ends_with("__pycache__") || has_cache(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}
