//! The first build of a Node.js plugin without a lock, npm's cache warm, against `npm install` in an empty directory.
//! Needs npm, and the network.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;

use support::{compare, finish, is_short, mwp, npm, plugin_files, rounds, run, settle};

/// A set that npm installs in some ten seconds; in short mode the first.
const PACKAGES: [&str; 4] = ["express", "webpack", "typescript", "eslint"];

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let packages = &PACKAGES[..if is_short() { 1 } else { PACKAGES.len() }];
    let wanted: Vec<String> = packages.iter().map(|name| format!("\"{name}\": \"*\"")).collect();
    let package = format!(
        "{{\"name\": \"bench\", \"version\": \"1.0.0\", \"dependencies\": {{{}}}}}",
        wanted.join(", ")
    );
    let new = |name: &str| {
        let dir = root.join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("package.json"), &package).unwrap();
        plugin_files(&dir);
        settle(root);
        dir
    };
    let ours = || {
        let dir = new("ours");
        // Nothing of ours is left of the round before; npm's own cache is as it is.
        let _ = fs::remove_dir_all(root.join("cache"));
        run(mwp(&root.join("cache"), &dir, &["build", "--quiet"]).env_remove("MFMODULE")).time
    };
    let theirs = || install(&new("theirs"));
    // For npm's cache.
    theirs();
    let (mut builds, mut installs) = (vec![], vec![]);
    for _ in 0..rounds(3) {
        builds.push(ours());
        installs.push(theirs());
    }
    let what = format!("first build of a Node.js plugin ({})", packages.join(", "));
    finish(&[compare(&what, &builds, "npm install", &installs, 1.1)]);
}

fn install(dir: &Path) -> std::time::Duration {
    run(npm().arg("--quiet").current_dir(dir)).time
}
