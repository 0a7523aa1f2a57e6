//! A Flask plugin from scratch, the packages in each tool's cache, against what one does by hand with pip: a
//! virtualenv to install into and freeze from, `pip wheel`, and a virtualenv installed from the wheels.
//! Needs the network; uv is installed from PyPI for the second half.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{finish, median, mwp, report, rounds};

const ROUNDS: usize = 5;

/// freeze, wheels, install
const BY_HAND: [&str; 3] = [
    "python3 -m venv freeze && freeze/bin/pip install -q -r wanted.txt && freeze/bin/pip freeze > lock.txt",
    "python3 -m pip wheel -q --no-deps -w wheels -r lock.txt",
    "python3 -m venv local && local/bin/pip install -q --no-index --find-links wheels -r lock.txt",
];

/// The same without what the virtualenvs cost: the least that pip can take.
const PIP_ALONE: [&str; 3] = [
    "python3 -m pip install -q --dry-run --ignore-installed --report report.json -r wanted.txt",
    "python3 -m pip wheel -q --no-deps -w wheels -r lock.txt",
    "python3 -m pip install -q --no-index --find-links wheels --target local -r lock.txt",
];

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let cache = root.join("cache");
    median(1, || mwp(&cache, root, &["bootstrap", "create", "--no-input", "hello"]));
    let plugin = root.join("hello");
    let uv = install_uv(root);
    let wanted = plugin.join("python3_virtualenv_sources/requirements-to-freeze.txt");

    let by_hand = |steps: &[&str; 3]| {
        median(rounds(ROUNDS), || {
            let dir = root.join("by-hand");
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            fs::copy(&wanted, dir.join("wanted.txt")).unwrap();
            fs::copy(plugin.join("python3_virtualenv_sources/requirements3.txt"), dir.join("lock.txt"))
                .unwrap();
            let mut command = Command::new("sh");
            command.arg("-ec").arg(steps.join("\n")).current_dir(dir);
            command
        })
    };
    let from_scratch = |path: Option<&Path>| {
        let build = || {
            median(1, || mwp(&cache, &plugin, &["superclean"]));
            // The packages stay cached, as pip's are; what was made from them for this plugin does not.
            let _ = fs::remove_dir_all(cache.join("tasks-v1"));
            let mut command = mwp(&cache, &plugin, &["build"]);
            let old = std::env::var_os("PATH").unwrap();
            let dirs = path.into_iter().map(Path::to_owned).chain(std::env::split_paths(&old));
            command.env("PATH", std::env::join_paths(dirs).unwrap());
            command
        };
        median(1, build);
        median(rounds(ROUNDS), build)
    };
    let with_pip = from_scratch(None);
    let with_uv = from_scratch(Some(&uv));
    let (whole, alone) = (by_hand(&BY_HAND), by_hand(&PIP_ALONE));
    let speed = |what: &str, ours: Duration, peer: &str, theirs: Duration, times: f64| {
        report(what, ours, peer, theirs, 1.0 / times)
    };
    finish(&[
        speed("from scratch with uv", with_uv, "venv + pip by hand", whole, 4.0),
        speed("from scratch with uv", with_uv, "pip freeze + wheel + install alone", alone, 4.0),
        speed("from scratch with pip", with_pip, "venv + pip by hand", whole, 1.5),
        speed("from scratch with pip", with_pip, "pip freeze + wheel + install alone", alone, 1.5),
    ]);
}

/// A directory for PATH that holds uv and nothing else.
fn install_uv(root: &Path) -> std::path::PathBuf {
    let script = "python3 -m venv uv && uv/bin/pip install -q uv && mkdir bin && ln -s ../uv/bin/uv bin/uv";
    median(1, || {
        let mut command = Command::new("sh");
        command.arg("-ec").arg(script).current_dir(root);
        command
    });
    root.join("bin")
}
