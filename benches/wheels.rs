//! The wheels of some 70 pins, against `pip wheel` and `uv pip sync` of the same lock: from the network, with each tool's
//! cache, and from a directory that has the files. Needs the network; uv is installed from PyPI.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{compare, finish, mwp, python_plugin, rounds, run, uv, with_uv, write_pins};

struct Bench {
    root: PathBuf,
    plugin: PathBuf,
    cache: PathBuf,
}

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let bench = Bench::prepare(root.path());
    let (links, uv_cache) = (root.path().join("links"), root.path().join("uv-cache"));
    let [mut cold, mut kept, mut near, mut sync, mut synced, mut pip] = std::array::from_fn(|_| Vec::new());
    for _ in 0..rounds(3) {
        let _ = fs::remove_dir_all(&bench.cache);
        cold.push(bench.wheels(None));
        let _ = fs::remove_dir_all(&links);
        run(Command::new("cp")
            .arg("-r")
            .arg(bench.plugin.join("python3_virtualenv_sources/src"))
            .arg(&links));
        // The wheels stay cached, what was made of them for this plugin does not.
        fs::remove_dir_all(bench.cache.join("tasks-v2")).unwrap();
        kept.push(bench.wheels(None));
        fs::remove_dir_all(&bench.cache).unwrap();
        near.push(bench.wheels(Some(&links)));
        let _ = fs::remove_dir_all(&uv_cache);
        sync.push(bench.sync(&uv_cache));
        synced.push(bench.sync(&uv_cache));
    }
    // With its cache as it is; it takes half a minute.
    pip.push(bench.by_pip());
    finish(&[
        compare("wheels, nothing cached", &cold, "uv pip sync, nothing cached", &sync, 1.2),
        compare("wheels, from a directory", &near, "uv pip sync, all cached", &synced, 1.2),
        compare("wheels, all cached", &kept, "uv pip sync, all cached", &synced, 1.2),
        compare("wheels, nothing cached", &cold, "pip wheel", &pip, 0.5),
    ]);
}

impl Bench {
    /// A plugin with a lock.
    fn prepare(root: &Path) -> Bench {
        let cache = root.join("cache");
        let plugin = python_plugin(root, &cache);
        let bench = Bench { root: root.to_owned(), plugin, cache };
        run(&mut bench.mwp(&["lock", "--quiet"]));
        println!("{} pins", write_pins(&bench.plugin, &root.join("lock.txt")));
        bench
    }

    fn mwp(&self, arguments: &[&str]) -> Command {
        let mut command = with_uv(mwp(&self.cache, &self.plugin, arguments));
        command.env_remove("PIP_FIND_LINKS");
        command
    }

    /// How long the task took.
    fn wheels(&self, links: Option<&Path>) -> Duration {
        let sources = self.plugin.join("python3_virtualenv_sources");
        let _ = fs::remove_dir_all(sources.join("src"));
        let mut command = self.mwp(&["build", "--locked", "--json=events"]);
        command.envs(links.map(|links| ("PIP_FIND_LINKS", links)));
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{command:?}");
        let events = String::from_utf8(output.stdout).unwrap();
        let events = events.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut finished = events.filter(|event| event["event"] == "finished" && event["task"] == "wheels");
        Duration::from_millis(finished.next().unwrap()["milliseconds"].as_u64().unwrap())
    }

    fn sync(&self, cache: &Path) -> Duration {
        let uv = |arguments: &[&str]| {
            let mut command = Command::new(uv().join("uv"));
            command.args(arguments).arg("--quiet").current_dir(&self.root).env("UV_CACHE_DIR", cache);
            run(&mut command).time
        };
        uv(&["venv", "--clear", "venv"]);
        uv(&["pip", "sync", "--python", "venv/bin/python", "lock.txt"])
    }

    fn by_pip(&self) -> Duration {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "wheel", "-q", "--no-deps", "-w", "by-pip", "-r", "lock.txt"]);
        run(pip.current_dir(&self.root).env_remove("PIP_FIND_LINKS")).time
    }
}
