//! A build with nothing to do, against what would notice a change as well: a bare `lstat` of the same files by as many
//! threads as there are processors, ninja, make. Of 40 plugins, one is edited.
//! Needs ninja and make on PATH, and the network once.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{
    built_node_plugin, built_python_plugin, compare, finish, in_turns, kept, median, middle, mwp, new_plugin,
    plugin_files, report_limit, rounds, run, scaled, timed, with_uv,
};

const ROUNDS: usize = 41;
const DIRECTORIES: usize = 500;
const FILES: usize = 100;
const PLUGINS: usize = 40;

/// The first argument with which the bench itself is the peer.
const LSTAT: &str = "lstat";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, list] = arguments.as_slice()
        && word == LSTAT
    {
        return lstat_all(Path::new(list));
    }
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let mut results = Vec::new();
    results.extend(new_plugins(root));
    results.extend(tree("node_modules", &built_node_plugin(), root));
    results.extend(tree("local", &built_python_plugin(), root));
    results.extend(inputs(root));
    results.extend(forty_plugins(root));
    finish(&results);
}

/// Of what a template makes.
fn new_plugins(root: &Path) -> Vec<bool> {
    let cache = root.join("cache");
    let mut results = Vec::new();
    for template in ["default", "node"] {
        let plugin = new_plugin(root, template, template, &cache);
        timed(mwp(&cache, &plugin, &["build"]));
        for (command, limit) in [("build", 10), ("check", 5)] {
            let time = median(rounds(ROUNDS), || mwp(&cache, &plugin, &[command]));
            let what = format!("{command}, template {template}");
            results.push(report_limit(&what, time, Duration::from_millis(limit)));
        }
    }
    results
}

/// What a large task has made, and we look after.
fn tree(output: &str, plugin: &Path, root: &Path) -> [bool; 2] {
    let build = || timed(with_uv(mwp(&kept("cache"), plugin, &["build"])));
    let list = root.join("list");
    let files = list_files(plugin, output, &list);
    build();
    let [ours, bare] = in_turns(ROUNDS, build, || timed(lstat(&list, plugin)));
    let what = format!("build with nothing to do, {files} files in {output}");
    [
        compare(&what, &ours, "lstat of each, in parallel", &bare, 1.3),
        report_limit(&what, middle(&ours), Duration::from_millis(10)),
    ]
}

/// One task with many files as inputs, for us and for ninja.
fn inputs(root: &Path) -> [bool; 2] {
    let plugin = root.join("inputs");
    many_inputs(&plugin);
    let (cache, list) = (root.join("cache"), root.join("list"));
    let files = list_files(&plugin, "in", &list);
    let build = || timed(mwp(&cache, &plugin, &["build"]));
    let ninja = || {
        let mut ninja = Command::new("ninja");
        ninja.current_dir(&plugin);
        timed(ninja)
    };
    // Once to make it, once to have records that are old enough to be believed.
    for _ in 0..2 {
        build();
        ninja();
    }
    let mut bare = Vec::new();
    let [ours, theirs] = in_turns(ROUNDS, build, || {
        bare.push(timed(lstat(&list, &plugin)));
        ninja()
    });
    let what = format!("build with nothing to do, {files} inputs");
    [
        compare(&what, &ours, "ninja", &theirs, 0.45),
        compare(&what, &ours, "lstat of each, in parallel", &bare, 1.3),
    ]
}

fn many_inputs(plugin: &Path) {
    let mut ninja = "rule list\n  command = ls in > $out\nbuild listed-by-ninja: list".to_owned();
    for directory in 0..scaled(DIRECTORIES) {
        fs::create_dir_all(plugin.join(format!("in/{directory:03}"))).unwrap();
        for file in 0..FILES {
            let name = format!("in/{directory:03}/{file:03}.txt");
            fs::write(plugin.join(&name), &name).unwrap();
            write!(ninja, " {name}").unwrap();
        }
    }
    plugin_files(plugin);
    fs::write(plugin.join("build.ninja"), ninja + "\n").unwrap();
    let task = "[tasks.list]\ninputs = [\"in/**\"]\noutputs = [\"listed\"]\ncommand = [\"sh\", \"-c\", \"ls in > listed\"]\n";
    fs::write(plugin.join("mwp.toml"), task).unwrap();
}

/// What upstream's rules do before they look at any file: a shell for the name and one for the version. (Theirs starts
/// Python for the latter.) Targets without files, because of which `make -q` never finds anything up to date, are left out.
const MAKEFILE: &str = r#"
NAME := $(shell cat .layerapi2_label 2>/dev/null | sed 's/^plugin_//g' | awk -F '@' '{print $$1;}')
VERSION := $(shell sed -n 's/^_version=//p' config.ini)
PREREQ := .plugin_format_version site
ifneq ("$(wildcard python3_virtualenv_sources/requirements-to-freeze.txt)", "")
PREREQ += python3_virtualenv_sources/requirements3.txt
endif
ifneq ("$(wildcard package.json)", "")
PREREQ += package-lock.json node_modules
endif
all: $(PREREQ)
site: $(wildcard pages/*)
	cat pages/* > site
"#;
const TASK: &str = "[tasks.site]\ninputs = [\"pages/*\"]\noutputs = [\"site\"]\ncommand = [\"sh\", \"-c\", \"cat pages/* > site\"]\n";

/// Many plugins side by side, one of them edited: we build it, `make` only says that it would.
fn forty_plugins(root: &Path) -> [bool; 2] {
    let (root, cache) = (root.join("forty"), root.join("cache"));
    let plugins: Vec<PathBuf> =
        (0..PLUGINS).map(|number| root.join(format!("plugins/{number:02}"))).collect();
    for plugin in &plugins {
        fs::create_dir_all(plugin.join("pages")).unwrap();
        plugin_files(plugin);
        for page in 0..20 {
            fs::write(plugin.join(format!("pages/{page}")), "page\n").unwrap();
        }
        fs::write(plugin.join("mwp.toml"), TASK).unwrap();
        fs::write(plugin.join("rules.mk"), MAKEFILE).unwrap();
    }
    let build = || timed(sh("exec \"$0\" build plugins/*", &root, &cache));
    let make = || {
        timed(sh("for dir in plugins/*; do make -q -C $dir -f rules.mk || test $? = 1; done", &root, &cache))
    };
    for _ in 0..2 {
        build();
    }
    let mut round = 0;
    let [theirs, ours] = in_turns(
        ROUNDS,
        || {
            round += 1;
            fs::write(plugins[round % PLUGINS].join("pages/7"), format!("page {round}\n")).unwrap();
            make()
        },
        build,
    );
    let what = format!("build {PLUGINS} plugins, one edited");
    [
        compare(&what, &ours, "make -q, 40 times", &theirs, 0.05),
        report_limit(&what, middle(&ours), Duration::from_millis(15)),
    ]
}

/// A script with the path of our program as `$0`.
fn sh(script: &str, dir: &Path, cache: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-ec", script, env!("CARGO_BIN_EXE_mwp")]).current_dir(dir).env("MWP_CACHE_DIR", cache);
    command
}

/// Writes the names of all that is no directory below `plugin/output` into `list`; how many there are.
fn list_files(plugin: &Path, output: &str, list: &Path) -> usize {
    let script = format!("find {output} -name __pycache__ -prune -o ! -type d -print > \"$0\"");
    run(Command::new("sh").args(["-ec", &script]).arg(list).current_dir(plugin));
    fs::read_to_string(list).unwrap().lines().count()
}

/// The bare peer, in a process of its own as ours is.
fn lstat(list: &Path, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(LSTAT).arg(list).current_dir(dir);
    command
}

fn lstat_all(list: &Path) {
    let names = fs::read_to_string(list).unwrap();
    let names: Vec<&str> = names.lines().collect();
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for part in names.chunks(names.len().div_ceil(threads)) {
            scope.spawn(move || {
                for name in part {
                    rustix::fs::lstat(*name).unwrap();
                }
            });
        }
    });
}
