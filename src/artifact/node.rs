//! Which packages in `node_modules/` only development needs.
//!
//! Told from what is installed and not from a lock, so that it is the same for npm, pnpm and yarn: packages are looked
//! for as Node does, from `dependencies` (`optionalDependencies` and `peerDependencies` included) and from
//! `devDependencies` of the plugin and of its workspaces. What the latter alone reach is for development; what neither
//! reaches was put there by somebody, and stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Result;
use crate::fs;

const MODULES: &str = "node_modules";

/// What of a `package.json` says what is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Needs {
    dependencies: BTreeMap<String, serde_json::Value>,
    optional_dependencies: BTreeMap<String, serde_json::Value>,
    peer_dependencies: BTreeMap<String, serde_json::Value>,
    dev_dependencies: BTreeMap<String, serde_json::Value>,
}

/// Packages that only development needs.
#[derive(Debug, Default)]
pub struct DevPackages {
    /// Relative to the plugin: directories, and links that lead into them.
    paths: BTreeSet<PathBuf>,
    /// Of all files in them.
    pub bytes: u64,
    /// Those that `devDependencies` names.
    pub names: Vec<String>,
}

impl DevPackages {
    /// Of the plugin in `dir`; nothing where there is no `node_modules/`.
    pub fn of(dir: &Path) -> Result<DevPackages> {
        let Ok(root) = std::fs::canonicalize(dir) else { return Ok(DevPackages::default()) };
        if !root.join(MODULES).is_dir() {
            return Ok(DevPackages::default());
        }
        let roots = [vec![root.clone()], workspaces(&root)?].concat();
        let mut names = BTreeSet::new();
        let (mut wanted, mut for_development) = (Vec::new(), Vec::new());
        for member in &roots {
            let needs = Needs::read(member);
            names.extend(
                needs.dev_dependencies.keys().filter(|name| !needs.dependencies.contains_key(*name)).cloned(),
            );
            wanted.extend(needs.at_run_time().filter_map(|name| resolve(&root, member, name)));
            let dev = needs.dev_dependencies.keys();
            for_development.extend(dev.filter_map(|name| resolve(&root, member, name)));
        }
        let needed = reached(&root, wanted);
        let gone: BTreeSet<PathBuf> =
            reached(&root, for_development).into_iter().filter(|path| !needed.contains(path)).collect();
        let gone: BTreeSet<PathBuf> = gone.into_iter().filter(|path| is_installed(&root, path)).collect();
        if gone.is_empty() {
            return Ok(DevPackages::default());
        }
        let mut found = DevPackages { names: names.into_iter().collect(), ..DevPackages::default() };
        for package in &gone {
            found.bytes += size(package)?;
            found.add(&root, place(package));
        }
        found.add_links(&root, &root.join(MODULES), &gone)?;
        Ok(found)
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether a path, relative to the plugin, is a package that only development needs, or a link to one.
    pub fn contains(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    fn add(&mut self, root: &Path, path: &Path) {
        if let Ok(path) = path.strip_prefix(root) {
            self.paths.insert(path.to_owned());
        }
    }

    /// Links to what goes, in this directory of packages and in those of the packages that stay.
    fn add_links(&mut self, root: &Path, dir: &Path, gone: &BTreeSet<PathBuf>) -> Result<()> {
        for path in fs::list(dir)? {
            if path.is_symlink() {
                let target = std::fs::canonicalize(&path).ok();
                if target.is_some_and(|target| gone.iter().any(|package| target.starts_with(package))) {
                    self.add(root, &path);
                }
            } else if path.is_dir() && !self.paths.contains(path.strip_prefix(root).unwrap_or(&path)) {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let holds_packages = name.starts_with('@') || matches!(name, ".bin" | ".pnpm" | MODULES);
                let in_store = dir.ends_with(".pnpm");
                if holds_packages || in_store {
                    self.add_links(root, &path, gone)?;
                } else if path.join(MODULES).is_dir() {
                    self.add_links(root, &path.join(MODULES), gone)?;
                }
            }
        }
        Ok(())
    }
}

impl Needs {
    /// What cannot be read needs nothing.
    fn read(package: &Path) -> Needs {
        let content = fs::read_optional(&package.join("package.json")).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&content).unwrap_or_default()
    }

    fn at_run_time(&self) -> impl Iterator<Item = &String> {
        self.dependencies.keys().chain(self.optional_dependencies.keys()).chain(self.peer_dependencies.keys())
    }
}

/// The members of the plugin that `node_modules/` links to.
fn workspaces(root: &Path) -> Result<Vec<PathBuf>> {
    let mut members = Vec::new();
    let mut waiting = vec![root.join(MODULES)];
    while let Some(dir) = waiting.pop() {
        for path in fs::list(&dir)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_symlink() {
                let target = std::fs::canonicalize(&path).unwrap_or_default();
                if target.starts_with(root) && !is_installed(root, &target) && target != root {
                    members.push(target);
                }
            } else if name.starts_with('@') && path.is_dir() {
                waiting.push(path);
            }
        }
    }
    members.sort();
    members.dedup();
    Ok(members)
}

/// Where Node finds a package from within another one: the real directory, which is one of the plugin.
fn resolve(root: &Path, from: &Path, name: &str) -> Option<PathBuf> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let above = from.ancestors().take_while(|dir| dir.starts_with(root));
    let mut candidates = above.filter(|dir| !dir.ends_with(MODULES)).map(|dir| dir.join(MODULES).join(name));
    let found = candidates.find(|path| path.join("package.json").is_file())?;
    std::fs::canonicalize(found).ok().filter(|path| path.starts_with(root))
}

/// These packages and all that they need in turn.
fn reached(root: &Path, first: Vec<PathBuf>) -> BTreeSet<PathBuf> {
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    let mut waiting = first;
    while let Some(package) = waiting.pop() {
        if seen.contains(&package) {
            continue;
        }
        let needs = Needs::read(&package);
        waiting.extend(needs.at_run_time().filter_map(|name| resolve(root, &package, name)));
        seen.insert(package);
    }
    seen
}

/// Whether a package lies in `node_modules/`, and is no part of the plugin's own sources.
fn is_installed(root: &Path, package: &Path) -> bool {
    package.strip_prefix(root).is_ok_and(|path| path.components().any(|part| part.as_os_str() == MODULES))
}

/// What goes with a package: pnpm keeps each in a directory with links to what it needs.
fn place(package: &Path) -> &Path {
    let store = package.ancestors().find(|dir| dir.parent().is_some_and(|parent| parent.ends_with(".pnpm")));
    store.unwrap_or(package)
}

fn size(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in fs::list(dir)? {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        bytes += if metadata.is_dir() {
            size(&path)?
        } else if metadata.is_file() {
            metadata.len()
        } else {
            0
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packages by their place, each with its `package.json`; `to` makes it a link.
    fn plugin(packages: &[(&str, &str)], links: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (place, json) in packages {
            let dir = root.path().join(place);
            fs::create_dir_all(&dir).unwrap();
            fs::write_atomic(&dir.join("package.json"), json.as_bytes()).unwrap();
            fs::write_atomic(&dir.join("index.js"), &[b'x'; 1000]).unwrap();
        }
        for (place, target) in links {
            let link = root.path().join(place);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            fs::symlink(Path::new(target), &link).unwrap();
        }
        root
    }

    fn gone(root: &tempfile::TempDir) -> Vec<String> {
        let found = DevPackages::of(root.path()).unwrap();
        found.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_only_development_reaches_goes_with_its_links() {
        let root = plugin(
            &[
                (
                    "",
                    r#"{"dependencies": {"app": "1"}, "devDependencies": {"tool": "1", "both": "1", "@types/x": "1"}}"#,
                ),
                ("node_modules/app", r#"{"dependencies": {"both": "1", "deep": "1"}}"#),
                ("node_modules/app/node_modules/deep", "{}"),
                ("node_modules/both", "{}"),
                (
                    "node_modules/tool",
                    r#"{"dependencies": {"helper": "1", "both": "1"}, "devDependencies": {"app": "1"}}"#,
                ),
                ("node_modules/helper", "{}"),
                ("node_modules/@types/x", "{}"),
                ("node_modules/added-by-hand", "{}"),
            ],
            &[("node_modules/.bin/tool", "../tool/index.js"), ("node_modules/.bin/app", "../app/index.js")],
        );
        let expected =
            ["node_modules/.bin/tool", "node_modules/@types/x", "node_modules/helper", "node_modules/tool"];
        assert_eq!(gone(&root), expected);
        let found = DevPackages::of(root.path()).unwrap();
        assert!(found.bytes > 3000 && found.bytes < 4000, "{}", found.bytes);
        assert_eq!(found.names, ["@types/x", "both", "tool"]);
    }

    #[test]
    fn packages_in_the_store_of_pnpm_go_with_their_place_there() {
        let root = plugin(
            &[
                ("", r#"{"dependencies": {"app": "1"}, "devDependencies": {"tool": "1"}}"#),
                ("node_modules/.pnpm/app@1/node_modules/app", r#"{"dependencies": {"deep": "1"}}"#),
                ("node_modules/.pnpm/deep@1/node_modules/deep", "{}"),
                (
                    "node_modules/.pnpm/tool@1/node_modules/tool",
                    r#"{"dependencies": {"deep": "1", "helper": "1"}}"#,
                ),
                ("node_modules/.pnpm/helper@1/node_modules/helper", "{}"),
            ],
            &[
                ("node_modules/app", ".pnpm/app@1/node_modules/app"),
                ("node_modules/tool", ".pnpm/tool@1/node_modules/tool"),
                ("node_modules/.pnpm/app@1/node_modules/deep", "../../deep@1/node_modules/deep"),
                ("node_modules/.pnpm/tool@1/node_modules/deep", "../../deep@1/node_modules/deep"),
                ("node_modules/.pnpm/tool@1/node_modules/helper", "../../helper@1/node_modules/helper"),
                ("node_modules/.pnpm/node_modules/helper", "../helper@1/node_modules/helper"),
            ],
        );
        let expected = [
            "node_modules/.pnpm/helper@1",
            "node_modules/.pnpm/node_modules/helper",
            "node_modules/.pnpm/tool@1",
            "node_modules/tool",
        ];
        assert_eq!(gone(&root), expected);
    }

    #[test]
    fn workspaces_are_the_plugins_own() {
        let root = plugin(
            &[
                ("", r#"{"workspaces": ["packages/*"], "devDependencies": {"lib": "*"}}"#),
                ("packages/lib", r#"{"dependencies": {"used": "1"}, "devDependencies": {"tool": "1"}}"#),
                ("node_modules/used", "{}"),
                ("node_modules/tool", "{}"),
            ],
            &[("node_modules/lib", "../packages/lib")],
        );
        assert_eq!(gone(&root), ["node_modules/tool"]);
        assert_eq!(gone(&plugin(&[("", r#"{"devDependencies": {"a": "1"}}"#)], &[])), [""; 0]);
    }
}
