//! What a command costs beyond what it does: `mwp --version` over `true`, `mwp exec` over the bare command with 200
//! plugins installed, and the list of 1,000 plugins beside `ls -l`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{compare, exceed, finish, in_turns, middle, report_limit, scaled, timed};

const ROUNDS: usize = 201;
const MWP: &str = env!("CARGO_BIN_EXE_mwp");

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let (few, many) = (root.join("few"), root.join("many"));
    (0..200).for_each(|number| plugin(&few, &format!("plugin-{number}")));
    (0..scaled(1000)).for_each(|number| plugin(&many, &format!("plugin-of-number-{number}")));
    let wrapper = root.join("plugin_wrapper");
    symlink(MWP, &wrapper).unwrap();
    let wrapper = wrapper.to_str().unwrap();

    let time = |command: &[&str]| {
        let mut process = Command::new(command[0]);
        process.args(&command[1..]).env("HOME", root).env("MFMODULE_PLUGINS_BASE_DIR", &few);
        timed(process)
    };
    let over = |what: &str, command: &[&str], bar: u64| {
        let [ours, bare] = in_turns(ROUNDS, || time(command), || time(&["true"]));
        exceed(what, &ours, "true", &bare, Duration::from_micros(bar))
    };
    let version = over("mwp --version", &[MWP, "--version"], 1500);
    let exec = over("mwp exec NAME -- true", &[MWP, "exec", "plugin-7", "--", "true"], 2000);
    let wrapper = over("plugin_wrapper NAME -- true", &[wrapper, "plugin-7", "--", "true"], 2000);

    let list = || {
        let mut list = Command::new(MWP);
        list.args(["list", "--json", "--plugins-base-dir"]).arg(&many).env("HOME", root);
        timed(list)
    };
    let ls = || {
        let mut ls = Command::new("ls");
        ls.arg("-l").arg(&many);
        timed(ls)
    };
    let [lists, listings] = in_turns(ROUNDS / 5, list, ls);
    finish(&[
        version,
        exec,
        wrapper,
        compare("list of 1,000 plugins", &lists, "ls -l", &listings, 3.0),
        report_limit("list of 1,000 plugins", middle(&lists), Duration::from_millis(10)),
    ]);
}

/// As if installed.
fn plugin(base: &Path, name: &str) {
    let dir = base.join(name);
    fs::create_dir_all(dir.join("local/bin")).unwrap();
    let config = "[general]\n_version=1\n_summary=s\n_license=l\n_url=u\n_maintainer=m\n_vendor=v\n\
                  [app_main]\nnumprocesses=4\n[custom]\nkey={{HOME}}\n";
    let metadata = "{\"version\":\"1\",\"release\":\"1\",\"build_host\":\"h\",\"build_date\":\"2026-01-01T00:00:00Z\",\
        \"size\":\"1\",\"summary\":\"s\",\"license\":\"l\",\"packager\":\"p\",\"vendor\":\"v\",\"url\":\"u\"}";
    for (file, content) in [
        (".layerapi2_label", format!("plugin_{name}@mfserv\n").as_str()),
        (".layerapi2_dependencies", "python3@mfext\nroot@mfserv\n"),
        (".metadata.json", metadata),
        (".plugin_format_version", "1.0.0\n"),
        ("config.ini", config),
    ] {
        fs::write(dir.join(file), content).unwrap();
    }
}
