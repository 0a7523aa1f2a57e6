//! package.json.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::fs;
use crate::text;

/// The keys of package.json that a lock repeats.
pub(super) const LOCKED_KEYS: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// The scripts of the plugin itself that run when its dependencies are installed.
const INSTALL_SCRIPTS: [&str; 5] = ["install", "preinstall", "postinstall", "prepare", "prepublish"];

pub(super) struct Package(Value);

impl Package {
    pub(super) fn read(dir: &Path) -> Result<Option<Package>> {
        Ok(read_json(&dir.join("package.json"))?.map(Package))
    }

    pub(super) fn entries(&self, key: &str) -> Vec<(String, String)> {
        entries(&self.0, key)
    }

    /// Whether more than the settings goes into node_modules: workspaces, packages in directories, and scripts of
    /// the plugin itself.
    pub(super) fn sees_more_than_settings(&self, dir: &Path) -> bool {
        let has_script =
            INSTALL_SCRIPTS.iter().any(|script| self.0.pointer(&format!("/scripts/{script}")).is_some());
        let local = |range: &str| {
            let prefixes = ["file:", "link:", "portal:", "workspace:", "patch:", "./", "../", "/", "~/"];
            prefixes.iter().any(|prefix| range.starts_with(prefix))
        };
        let has_local = LOCKED_KEYS.iter().any(|key| self.entries(key).iter().any(|(_, range)| local(range)));
        has_script
            || has_local
            || self.0.get("workspaces").is_some()
            || self.0.get("pnpm").is_some()
            || fs::exists(&dir.join("pnpm-workspace.yaml"))
            || fs::exists(&dir.join(".yarn"))
    }
}

pub(super) fn read_json(path: &Path) -> Result<Option<Value>> {
    let Some(content) = fs::read_text_optional(path)? else { return Ok(None) };
    serde_json::from_str(&content).map(Some).map_err(|error| {
        Error::input(format!("{}:{}: found no valid JSON: {error}", text::path(path), error.line()))
            .hint("correct the file")
    })
}

/// Name and range of each package under a key, sorted.
pub(super) fn entries(package: &Value, key: &str) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = package
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, range)| (name.clone(), range.as_str().unwrap_or_default().to_owned()))
        .collect();
    // npm moves what is optional as well out of `dependencies`.
    if key == "dependencies"
        && let Some(optional) = package.get("optionalDependencies").and_then(Value::as_object)
    {
        entries.retain(|(name, _)| !optional.contains_key(name));
    }
    entries.sort();
    entries
}
