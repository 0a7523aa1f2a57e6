//! package.json, and the packages of its workspaces.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::fs;
use crate::text;

/// The tables of package.json that a lock repeats.
const TABLES: [&str; 4] = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// The scripts of the plugin itself that run when its dependencies are installed.
const INSTALL_SCRIPTS: [&str; 5] = ["install", "preinstall", "postinstall", "prepare", "prepublish"];

/// Programs of such scripts of which is known what they read.
const KNOWN_SCRIPTS: [(&str, &str); 2] = [("patch-package", "patches"), ("husky", ".husky")];

/// Fields that steer which versions are taken, and that not every lock repeats.
const STEERING: [&str; 6] =
    ["overrides", "resolutions", "packageManager", "pnpm", "dependenciesMeta", "workspaces"];

#[derive(Debug)]
pub(in crate::action) struct Package {
    /// Relative to the plugin's directory.
    pub dir: PathBuf,
    content: Value,
}

impl Package {
    /// The plugin's own; `None` where it has none.
    pub(super) fn read(plugin_dir: &Path) -> Result<Option<Package>> {
        Package::read_below(plugin_dir, Path::new(""))
    }

    fn read_below(plugin_dir: &Path, dir: &Path) -> Result<Option<Package>> {
        let content = read_json(&plugin_dir.join(dir).join("package.json"))?;
        Ok(content.map(|content| Package { dir: dir.to_owned(), content }))
    }

    /// What is asked for, over all tables: name → range. npm moves what is optional as well out of `dependencies`.
    pub(super) fn requirements(&self) -> BTreeMap<(&'static str, String), String> {
        requirements(&self.content)
    }

    /// Whether it needs something at run time, so that an empty node_modules is no success.
    pub(super) fn needs_something(&self) -> bool {
        self.requirements().keys().any(|(table, _)| *table == "dependencies")
    }

    /// The steering fields that are there, as text.
    pub(super) fn steering(&self) -> BTreeMap<&'static str, String> {
        STEERING.iter().filter_map(|field| Some((*field, self.content.get(*field)?.to_string()))).collect()
    }

    /// The packages that `resolutions` sets something for.
    pub(super) fn resolutions(&self) -> Vec<&str> {
        overridden(self.content.get("resolutions"))
    }

    pub(super) fn manager(&self) -> Option<&str> {
        self.content.get("packageManager")?.as_str()?.split('@').next()
    }

    /// Whether a package manager has to run in the plugin's directory, because it reads more than its settings.
    pub(super) fn needs_its_directory(&self, plugin_dir: &Path) -> Result<bool> {
        Ok(!self.scripts().is_empty()
            || !self.local_paths().is_empty()
            || !self.workspace_patterns(plugin_dir)?.is_empty()
            || self.content.get("pnpm").is_some()
            || [".yarn", "pnpm-workspace.yaml", ".pnpmfile.cjs"]
                .iter()
                .any(|name| fs::exists(&plugin_dir.join(name))))
    }

    fn scripts(&self) -> Vec<&str> {
        let scripts = INSTALL_SCRIPTS.iter().map(|script| format!("/scripts/{script}"));
        scripts.filter_map(|pointer| self.content.pointer(&pointer)?.as_str()).collect()
    }

    /// What the install scripts read: known files, or `None` where that may be anything in the plugin.
    pub(super) fn scripts_read(&self) -> Option<Vec<&'static str>> {
        let mut read = Vec::new();
        for script in self.scripts() {
            for command in script.split(['&', '|', ';']).map(str::trim).filter(|command| !command.is_empty())
            {
                let program = command.split_whitespace().next().unwrap_or_default();
                let known = KNOWN_SCRIPTS.iter().find(|(name, _)| *name == program);
                match known {
                    Some((_, reads)) => read.push(*reads),
                    None if matches!(program, "true" | ":" | "echo") => {}
                    None => return None,
                }
            }
        }
        Some(read)
    }

    /// Files and directories that ranges and overrides name, relative to the plugin's directory.
    pub(super) fn local_paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let tables = TABLES.iter().chain(&["overrides", "resolutions", "pnpm"]);
        for table in tables.filter_map(|table| self.content.get(*table)) {
            collect_paths(table, &mut paths);
        }
        paths.into_iter().map(|path| plain(&self.dir.join(path))).collect()
    }

    /// The package in a directory beside the plugin's own that a lock names; `None` where there is none to be read.
    pub(super) fn beside(plugin_dir: &Path, dir: &Path) -> Option<Package> {
        Package::read_below(plugin_dir, dir).ok().flatten()
    }

    /// The names of what it needs itself, where another package brings it in.
    pub(super) fn needs(&self) -> BTreeSet<String> {
        let needed = |table: &str| matches!(table, "dependencies" | "optionalDependencies");
        self.requirements().into_keys().filter(|(table, _)| needed(table)).map(|(_, name)| name).collect()
    }

    /// Names that `overrides` gives another file, wherever in it.
    pub(super) fn overridden_by_files(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Some(overrides) = self.content.get("overrides") {
            collect_overridden(overrides, &mut names);
        }
        names
    }

    /// `overrides` that give one name one version or file everywhere.
    pub(super) fn plain_overrides(&self) -> impl Iterator<Item = (&str, &str)> {
        let overrides = self.content.get("overrides").and_then(Value::as_object).into_iter().flatten();
        let plain = overrides.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        plain.filter(|(name, value)| without_range(name) == *name && !value.starts_with('$'))
    }

    /// The other packages of its workspaces, by their directories.
    pub(super) fn members(&self, plugin_dir: &Path) -> Result<Vec<Package>> {
        let patterns = self.workspace_patterns(plugin_dir)?;
        if patterns.is_empty() {
            return Ok(Vec::new());
        }
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            patterns.iter().partition(|pattern| !pattern.starts_with('!'));
        let wanted = glob_set(wanted.into_iter().map(String::as_str))?;
        let unwanted = glob_set(unwanted.into_iter().map(|pattern| pattern.trim_start_matches('!')))?;
        let mut members = Vec::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(dir) = waiting.pop() {
            for path in fs::list(&plugin_dir.join(&dir))? {
                let Some(name) = path.file_name() else { continue };
                let is_other = name == "node_modules" || name.as_encoded_bytes().starts_with(b".");
                if is_other || path.is_symlink() || !path.is_dir() {
                    continue;
                }
                let member = dir.join(name);
                if wanted.is_match(&member) && !unwanted.is_match(&member) {
                    members.extend(Package::read_below(plugin_dir, &member)?);
                }
                waiting.push(member);
            }
        }
        members.sort_by(|one, other| one.dir.cmp(&other.dir));
        Ok(members)
    }

    /// `workspaces` of package.json, as a list or with `packages`, and the `packages:` of pnpm-workspace.yaml.
    pub(super) fn workspace_patterns(&self, plugin_dir: &Path) -> Result<Vec<String>> {
        let stated = self.content.get("workspaces");
        let list =
            stated.and_then(|stated| stated.get("packages").or(Some(stated))).and_then(Value::as_array);
        let mut patterns: Vec<String> =
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let path = plugin_dir.join("pnpm-workspace.yaml");
        if let Some(content) = fs::read_text_optional(&path)? {
            let workspace: Value = serde_yaml_ng::from_str(&content).map_err(|error| {
                Error::input(format!("{}: found no valid YAML: {error}", text::path(&path)))
                    .hint("correct the file")
            })?;
            let list = workspace.get("packages").and_then(Value::as_array).into_iter().flatten();
            patterns.extend(list.filter_map(Value::as_str).map(str::to_owned));
        }
        for pattern in &mut patterns {
            *pattern = pattern.trim_start_matches("./").trim_end_matches('/').to_owned();
        }
        Ok(patterns)
    }
}

pub(super) fn read_json(path: &Path) -> Result<Option<Value>> {
    let Some(content) = fs::read_text_optional(path)? else { return Ok(None) };
    serde_json::from_str(&content).map(Some).map_err(|error| {
        let place = text::place(path, error.line(), Some(error.column()).filter(|column| *column > 0));
        Error::input(format!("{place}: found no valid JSON: {error}")).hint("correct the file")
    })
}

pub(super) fn requirements(package: &Value) -> BTreeMap<(&'static str, String), String> {
    let table = |name: &str| package.get(name).and_then(Value::as_object);
    let optional = table("optionalDependencies");
    let mut requirements = BTreeMap::new();
    for name in TABLES {
        for (package, range) in table(name).into_iter().flatten() {
            let is_moved = name == "dependencies"
                && optional.is_some_and(|table: &Map<_, _>| table.contains_key(package));
            if !is_moved {
                requirements.insert((name, package.clone()), range.as_str().unwrap_or_default().to_owned());
            }
        }
    }
    requirements
}

/// `@a/b` of `@a/b@^1`.
fn without_range(name: &str) -> &str {
    let at_range =
        |(at, character): &(usize, char)| *character == '@' && *at > 0 && !name[..*at].ends_with('/');
    name.char_indices().find(at_range).map_or(name, |(at, _)| &name[..at])
}

fn collect_overridden(overrides: &Value, names: &mut BTreeSet<String>) {
    for (name, value) in overrides.as_object().into_iter().flatten() {
        let name = without_range(name);
        let is_file = |value: &Value| value.as_str().is_some_and(|value| value.starts_with("file:"));
        if is_file(value) || value.get(".").is_some_and(is_file) {
            names.insert(name.to_owned());
        }
        collect_overridden(value, names);
    }
}

fn collect_paths(value: &Value, paths: &mut Vec<PathBuf>) {
    match value {
        Value::String(range) => {
            let path = ["file:", "link:", "portal:"].iter().find_map(|prefix| range.strip_prefix(prefix));
            let path =
                path.or_else(|| range.strip_prefix("patch:").and_then(|patch| patch.split('#').nth(1)));
            let is_bare = ["./", "../", "/"].iter().any(|prefix| range.starts_with(prefix));
            let path = path.or(Some(range.as_str()).filter(|_| is_bare));
            paths.extend(path.map(|path| PathBuf::from(path.trim_start_matches("~/"))));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_paths(value, paths)),
        Value::Object(table) => table.values().for_each(|value| collect_paths(value, paths)),
        _ => {}
    }
}

/// `a/../b` is `b`, as far as names tell.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn glob_set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<GlobSet> {
    let invalid = |error: globset::Error| {
        Error::input(format!("`package.json`: `workspaces`: bad glob: {error}"))
            .hint("correct the pattern: `*`, `**`, `?` and `{a,b}` are allowed")
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(invalid)?);
    }
    set.build().map_err(invalid)
}

/// The packages that a table of overrides sets something for, each by the last name of its key: `a`, `a@^1`, `b>a`,
/// `b/a`, `**/a`.
pub(super) fn overridden(table: Option<&Value>) -> Vec<&str> {
    let keys = table.and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str());
    keys.map(|key| {
        let path = without_range(key.rsplit('>').next().unwrap_or_default());
        let mut parts = path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let scope = parts.next().filter(|scope| scope.starts_with('@'));
        &path[path.len() - name.len() - scope.map_or(0, |scope| scope.len() + 1)..]
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overridden_is_the_last_name_of_a_key() {
        let keys = [
            ("a", "a"),
            ("@x/a", "@x/a"),
            ("a@^1", "a"),
            ("@x/a@npm:1", "@x/a"),
            ("b>a", "a"),
            ("b@1>@x/a@2", "@x/a"),
            ("b/a", "a"),
            ("**/a", "a"),
            ("b/@x/a", "@x/a"),
            ("@y/b/a", "a"),
            ("@y/b/@x/a", "@x/a"),
        ];
        for (key, name) in keys {
            assert_eq!(overridden(Some(&serde_json::json!({ key: "1" }))), [name], "{key}");
        }
    }

    fn package(content: &str) -> Package {
        Package { dir: PathBuf::new(), content: serde_json::from_str(content).unwrap() }
    }

    #[test]
    fn paths_are_found_wherever_they_are_named() {
        let package = package(
            r#"{"dependencies": {"a": "file:./lib/a", "b": "^1", "c": "../c.tgz"},
                "overrides": {"d": {"e": "file:x/../e"}}, "resolutions": {"f": "patch:f@1#.yarn/patches/f.patch"}}"#,
        );
        let paths = ["lib/a", "../c.tgz", "e", ".yarn/patches/f.patch"].map(PathBuf::from);
        assert_eq!(package.local_paths(), paths);
    }

    #[test]
    fn what_install_scripts_read_is_known_of_a_few_programs() {
        let reads = |script: &str| {
            let script = serde_json::to_string(script).unwrap();
            package(&format!(r#"{{"scripts": {{"postinstall": {script}}}}}"#)).scripts_read()
        };
        assert_eq!(reads("patch-package && husky || true"), Some(vec!["patches", ".husky"]));
        assert_eq!(reads("patch-package; node x.js"), None);
        assert_eq!(package("{}").scripts_read(), Some(vec![]));
    }
}
