//! Whatever package.json and the locks of package managers hold, they are read, or not fitting.

use std::path::Path;

use super::manager::{Manager, packages};
use super::*;
use crate::fs;
use crate::fuzz::{Target, has_words};

const WORDS: &[&str] = &[
    "\"dependencies\": {",
    "\"packages\": {",
    "node_modules/",
    "\"version\": \"1\"",
    "\"workspaces\": [\"*\"]",
    "\"file:../x\"",
    "packages:\n",
    "importers:\n",
    "  .:\n",
    "&a [*a, *a]",
    "*a",
    "? ",
    "!!binary ",
    "specifier: ",
    "\"a@^1\":\n",
    "  version \"1\"\n",
    "@",
    "null",
];

fn manager(name: &'static str, manager: &dyn Manager, file: &str) {
    let root = tempfile::tempdir().unwrap();
    fs::write_atomic(
        &root.path().join("package.json"),
        br#"{"dependencies": {"a": "^1"}, "packageManager": "x@1"}"#,
    )
    .unwrap();
    let packages = packages(root.path()).unwrap();
    Target::new(name).words(WORDS).run(|bytes| {
        fs::write_atomic(&root.path().join(file), bytes).unwrap();
        if let Err(error) = manager.check_lock(root.path(), &packages) {
            has_words(&error);
        }
        manager.locked(&String::from_utf8_lossy(bytes));
    });
}

#[test]
fn a_lock_of_npm_is_read_whatever_it_holds() {
    manager("npm-lock", &Npm, "package-lock.json");
}

#[test]
fn a_lock_of_pnpm_is_read_whatever_it_holds() {
    manager("pnpm-lock", &Pnpm, "pnpm-lock.yaml");
}

#[test]
fn a_lock_of_yarn_is_read_whatever_it_holds() {
    manager("yarn-lock", &Yarn, "yarn.lock");
}

#[test]
fn a_package_json_is_read_or_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(&root.path().join("packages/a")).unwrap();
    Target::new("package-json")
        .words(WORDS)
        .words(&["\"packages/*\"", "../*", "**", "\"patchedDependencies\""])
        .run(|bytes| {
            fs::write_atomic(&root.path().join("package.json"), bytes).unwrap();
            fs::write_atomic(&root.path().join("packages/a/package.json"), bytes).unwrap();
            match packages(root.path()) {
                Err(error) => has_words(&error),
                Ok(packages) => {
                    for package in packages {
                        let _ = (
                            package.requirements(),
                            package.needs_something(),
                            package.steering(),
                            package.manager(),
                        );
                        let _ = (
                            package.scripts_read(),
                            package.local_paths(),
                            package.needs_its_directory(Path::new("/")),
                        );
                    }
                }
            }
        });
}
