//! The first build of a Node.js plugin without a lock, with npm and with pnpm, against `npm install` and `pnpm install`
//! in an empty directory. The caches of npm and pnpm are warm. Needs npm, and the network.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{
    PNPM, beside, compare, finish, is_short, mwp, npm, plugin_files, pnpm, rounds, run, with_programs,
};

/// A set that npm installs in some ten seconds; in short mode the first.
const PACKAGES: [&str; 2] = ["eslint", "typescript"];

/// A package manager, and what was measured with it.
struct Side {
    /// As `packageManager` has it.
    manager: &'static str,
    install: fn() -> Command,
    builds: Vec<Duration>,
    installs: Vec<Duration>,
}

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let packages = &PACKAGES[..if is_short() { 1 } else { PACKAGES.len() }];
    let side = |manager, install| Side { manager, install, builds: vec![], installs: vec![] };
    let mut sides = [side("npm@11", npm_install), side(PNPM, pnpm_install)];
    for side in &sides {
        // For its cache.
        install(side, &new(root.path(), &format!("warm-{}", side.manager), packages, side.manager));
    }
    for round in 0..rounds(3) {
        for side in &mut sides {
            let new =
                |what| new(root.path(), &format!("{what}-{}-{round}", side.manager), packages, side.manager);
            let (ours, theirs) = (new("ours"), new("theirs"));
            side.builds.push(build(&ours));
            side.installs.push(install(side, &theirs));
        }
    }
    let [npm, pnpm] = sides;
    let what = format!("first build of a Node.js plugin ({})", packages.join(", "));
    let is_met = compare(&what, &npm.builds, "npm install", &npm.installs, 1.1);
    beside(&what, &npm.builds, "pnpm install", &pnpm.installs);
    beside("the same with pnpm", &pnpm.builds, "pnpm install", &pnpm.installs);
    finish(&[is_met]);
}

/// A plugin of its own for each run, which stays until the end: where nothing is deleted, nothing has to settle.
fn new(root: &Path, name: &str, packages: &[&str], manager: &str) -> PathBuf {
    let dir = root.join(name);
    fs::create_dir(&dir).unwrap();
    let wanted: Vec<String> = packages.iter().map(|name| format!("\"{name}\": \"*\"")).collect();
    let package = format!(
        "{{\"name\": \"bench\", \"version\": \"1.0.0\", \"packageManager\": \"{manager}\", \"dependencies\": {{{}}}}}",
        wanted.join(", ")
    );
    fs::write(dir.join("package.json"), package).unwrap();
    plugin_files(&dir);
    dir
}

/// With nothing of ours in the cache.
fn build(plugin: &Path) -> Duration {
    let cache = plugin.parent().unwrap().join("caches").join(plugin.file_name().unwrap());
    let mut build = with_programs(pnpm(), mwp(&cache, plugin, &["build", "--quiet"]));
    measured(build.env_remove("MFMODULE"), plugin)
}

fn install(side: &Side, dir: &Path) -> Duration {
    measured((side.install)().current_dir(dir), dir)
}

/// What the run before left in memory is not written at the cost of this one.
fn measured(command: &mut Command, dir: &Path) -> Duration {
    run(Command::new("sync").arg("-f").arg(dir));
    run(command).time
}

fn npm_install() -> Command {
    let mut npm = npm();
    npm.arg("--quiet");
    npm
}

fn pnpm_install() -> Command {
    let mut command = with_programs(pnpm(), Command::new("pnpm"));
    command.args(["install", "--reporter=append-only"]);
    command
}
