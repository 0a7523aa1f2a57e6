//! A build with nothing to do: on a Flask and on a Node.js plugin, and over 50,000 input files against ninja.
//! Needs ninja on PATH, and the network once.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{finish, median, mwp, report, report_limit, rounds, scaled};

const ROUNDS: usize = 41;
const DIRECTORIES: usize = 500;
const FILES: usize = 100;

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let cache = root.join("cache");
    let mut results = Vec::new();
    for template in ["default", "node"] {
        let create = ["bootstrap", "create", "--no-input", "--template", template, template];
        median(1, || mwp(&cache, root, &create));
        let plugin = root.join(template);
        median(2, || mwp(&cache, &plugin, &["build"]));
        let build = median(rounds(ROUNDS), || mwp(&cache, &plugin, &["build"]));
        results.push(report_limit(&format!("build, template {template}"), build, Duration::from_millis(10)));
        let check = median(rounds(ROUNDS), || mwp(&cache, &plugin, &["check"]));
        results.push(report_limit(&format!("check, template {template}"), check, Duration::from_millis(5)));
    }

    let plugin = root.join("many");
    many_inputs(&root.join("default"), &plugin);
    median(2, || mwp(&cache, &plugin, &["build"]));
    let ninja = || {
        let mut command = Command::new("ninja");
        command.current_dir(&plugin);
        command
    };
    median(2, ninja);
    let ours = median(rounds(ROUNDS), || mwp(&cache, &plugin, &["build"]));
    let theirs = median(rounds(ROUNDS), ninja);
    results.push(report(
        &format!("build over {} inputs", scaled(DIRECTORIES) * FILES),
        ours,
        "ninja",
        theirs,
        1.0,
    ));
    finish(&results);
}

/// One task with all the files as inputs, for us and for ninja.
fn many_inputs(template: &Path, plugin: &Path) {
    fs::create_dir(plugin).unwrap();
    for name in [".layerapi2_label", ".plugin_format_version"] {
        fs::copy(template.join(name), plugin.join(name)).unwrap();
    }
    let config = "[general]\n_version=1\n_summary=s\n_license=l\n_url=u\n_maintainer=m\n_vendor=v\n";
    fs::write(plugin.join("config.ini"), config).unwrap();
    let mut ninja = "rule list\n  command = ls in > $out\nbuild listed-by-ninja: list".to_owned();
    for directory in 0..scaled(DIRECTORIES) {
        fs::create_dir_all(plugin.join(format!("in/{directory:03}"))).unwrap();
        for file in 0..FILES {
            let name = format!("in/{directory:03}/{file:03}.txt");
            fs::write(plugin.join(&name), &name).unwrap();
            write!(ninja, " {name}").unwrap();
        }
    }
    fs::write(plugin.join("build.ninja"), ninja + "\n").unwrap();
    let task = "[tasks.list]\ninputs = [\"in/**\"]\noutputs = [\"listed\"]\ncommand = [\"sh\", \"-c\", \"ls in > listed\"]\n";
    fs::write(plugin.join("mwp.toml"), task).unwrap();
}
