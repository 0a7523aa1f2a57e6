//! How plugins are tested that do not say so: what the templates bring, and what people are used to.

use std::path::Path;

use serde::Deserialize;

use crate::error::Result;
use crate::fs;

/// Interpreters of scripts in `tests/`, by their ending.
const SCRIPTS: [(&str, &str); 3] = [("sh", "sh"), ("lua", "luajit"), ("php", "php")];

#[derive(Default, Deserialize)]
struct Package {
    #[serde(default)]
    scripts: std::collections::BTreeMap<String, String>,
}

pub(super) fn usual_command(dir: &Path) -> Result<Option<Vec<String>>> {
    let words = |words: &[&str]| Ok(Some(words.iter().map(|word| (*word).to_owned()).collect()));
    if let Some(text) = fs::read_text_optional(&dir.join("package.json"))?
        && serde_json::from_str::<Package>(&text).unwrap_or_default().scripts.contains_key("test")
    {
        return words(&["npm", "test", "--"]);
    }
    if fs::exists(&dir.join("manage.py")) {
        return words(&["python3", "manage.py", "test"]);
    }
    for path in list(&dir.join("tests")) {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if let Some((_, interpreter)) = SCRIPTS.iter().find(|(known, _)| *known == ending) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return words(&[interpreter, &format!("tests/{name}")]);
        }
    }
    match has_python_test(dir, 3) {
        true => words(&["python3", "-m", "unittest", "discover"]),
        false => Ok(None),
    }
}

fn list(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths = fs::list(dir).unwrap_or_default();
    paths.sort();
    paths
}

fn has_python_test(dir: &Path, depth: usize) -> bool {
    list(dir).iter().any(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_test = name.starts_with("test") && name.ends_with(".py");
        let is_own = !name.starts_with('.') && name != "local" && name != "node_modules";
        is_test || (depth > 0 && is_own && path.is_dir() && has_python_test(path, depth - 1))
    })
}
