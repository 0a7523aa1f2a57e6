//! A Flask plugin from scratch, the packages in each tool's cache, against what one does by hand with pip and with uv;
//! and what installing a release with many wheels costs, against uv with the same wheels.
//! Needs the network.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{
    built_python_plugin, compare, finish, kept, mwp, new_plugin, rounds, run, settle, timed, with_uv,
    write_pins,
};

/// freeze, wheels, install
const PIP: &str = "
    python3 -m venv freeze && freeze/bin/pip install -q -r wanted.txt && freeze/bin/pip freeze > lock.txt
    python3 -m pip wheel -q --no-deps -w wheels -r lock.txt
    python3 -m venv local && local/bin/pip install -q --no-index --find-links wheels -r lock.txt";

/// The same without what the virtualenvs cost: the least that pip can take.
const PIP_ALONE: &str = "
    python3 -m pip install -q --dry-run --ignore-installed --report report.json -r wanted.txt
    python3 -m pip wheel -q --no-deps -w wheels -r lock.txt
    python3 -m pip install -q --no-index --find-links wheels --target local -r lock.txt";

const UV: &str = "uv venv -q local && uv pip sync -q --python local/bin/python lock.txt";
const UV_COMPILE: &str = "uv pip compile -q wanted.txt -o lock.txt";

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let mut results = from_scratch(root.path());
    results.extend(install(root.path()));
    finish(&results);
}

fn from_scratch(root: &Path) -> Vec<bool> {
    let cache = root.join("cache");
    let plugin = new_plugin(root, "default", "hello", &cache);
    // The packages stay cached, as pip's and uv's are; what was made from them for this plugin does not.
    let ours = |clean: &str, build: &str, with: fn(Command) -> Command| {
        timed(mwp(&cache, &plugin, &[clean]));
        let _ = fs::remove_dir_all(cache.join("tasks-v2"));
        timed(with(mwp(&cache, &plugin, &[build])))
    };
    let theirs = |script: &str| {
        let dir = root.join("by-hand");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let sources = plugin.join("python3_virtualenv_sources");
        fs::copy(sources.join("requirements-to-freeze.txt"), dir.join("wanted.txt")).unwrap();
        write_pins(&plugin, &dir.join("lock.txt"));
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(dir);
        timed(with_uv(command))
    };
    let compile_and_sync = format!("{UV_COMPILE}\n{UV}");
    // Each tool has its packages, and the plugin its lock.
    ours("superclean", "build", |command| command);
    ours("superclean", "build", with_uv);
    theirs(&compile_and_sync);
    let [mut by_pip, mut by_uv, mut release, mut locked] = std::array::from_fn(|_| Vec::new());
    let [mut pip, mut pip_alone, mut compiled, mut synced] = std::array::from_fn(|_| Vec::new());
    // It takes half a minute.
    pip.push(theirs(PIP));
    for _ in 0..rounds(3) {
        by_pip.push(ours("superclean", "build", |command| command));
        by_uv.push(ours("superclean", "build", with_uv));
        pip_alone.push(theirs(PIP_ALONE));
    }
    for _ in 0..rounds(5) {
        release
            .push(ours("superclean", "build", with_uv) + timed(with_uv(mwp(&cache, &plugin, &["release"]))));
        compiled.push(theirs(&compile_and_sync));
        locked.push(ours("clean", "build", with_uv) + timed(with_uv(mwp(&cache, &plugin, &["release"]))));
        synced.push(theirs(UV));
    }
    vec![
        compare(
            "Flask from scratch, with uv",
            &by_uv,
            "venv, pip install, freeze, wheel, install",
            &pip,
            0.25,
        ),
        compare("Flask from scratch, with uv", &by_uv, "pip freeze, wheel, install alone", &pip_alone, 0.25),
        compare(
            "Flask from scratch, with pip",
            &by_pip,
            "venv, pip install, freeze, wheel, install",
            &pip,
            0.66,
        ),
        compare(
            "Flask from scratch, with pip",
            &by_pip,
            "pip freeze, wheel, install alone",
            &pip_alone,
            0.66,
        ),
        compare("Flask, build and release", &release, "uv pip compile; uv venv; uv pip sync", &compiled, 1.0),
        compare("Flask with its lock, build and release", &locked, "uv venv; uv pip sync", &synced, 1.0),
    ]
}

/// What makes the virtualenv where the plugin is installed, of the wheels in the release.
fn install(root: &Path) -> [bool; 1] {
    let plugin = built_python_plugin();
    let (links, pins) = (root.join("links"), root.join("pins.txt"));
    run(Command::new("cp").arg("-r").arg(plugin.join("python3_virtualenv_sources/src")).arg(&links));
    let number = write_pins(&plugin, &pins);
    run(&mut with_uv(mwp(&kept("cache"), &plugin, &["release", "--quiet", "-o", root.to_str().unwrap()])));
    let file = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|it| it == "plugin")).unwrap();
    let ours = |arguments: &[&str]| {
        let mut command = with_uv(mwp(&kept("cache"), root, arguments));
        command.env("HOME", root).env_remove("XDG_DATA_HOME").env_remove("MFMODULE");
        run(command.stderr(Stdio::null())).time
    };
    let theirs = "uv venv -q by-uv && uv pip install -q --python by-uv/bin/python --offline --no-index --no-cache \
                  --find-links links -r pins.txt && sync -f by-uv";
    let (mut installs, mut by_uv): (Vec<Duration>, Vec<Duration>) = (vec![], vec![]);
    for _ in 0..rounds(3) {
        settle(root);
        installs.push(ours(&["install", "--quiet", file.to_str().unwrap()]));
        ours(&["uninstall", "hello"]);
        settle(root);
        by_uv.push(run(with_uv(Command::new("sh")).args(["-ec", theirs]).current_dir(root)).time);
        fs::remove_dir_all(root.join("by-uv")).unwrap();
    }
    let peer = "uv venv; uv pip install --offline --no-index --no-cache; sync -f";
    [compare(&format!("install a release with the wheels of {number} pins"), &installs, peer, &by_uv, 0.6)]
}
