//! A command in a plugin's environment against the bare command, with 200 plugins installed.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{finish, median, report_limit, rounds};

const ROUNDS: usize = 201;

fn plugin(base: &Path, name: &str) {
    let dir = base.join(name);
    fs::create_dir_all(dir.join("local/bin")).unwrap();
    let config = "[general]\n_version=1\n_summary=s\n_license=l\n_url=u\n_maintainer=m\n_vendor=v\n\
                  [app_main]\nnumprocesses=4\n[custom]\nkey={{HOME}}\n";
    for (file, content) in [
        (".layerapi2_label", format!("plugin_{name}@mfserv\n").as_str()),
        (".layerapi2_dependencies", "python3@mfext\nroot@mfserv\n"),
        (".plugin_format_version", "1.0.0\n"),
        ("config.ini", config),
    ] {
        fs::write(dir.join(file), content).unwrap();
    }
}

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let base = root.path().join("plugins");
    for number in 0..200 {
        plugin(&base, &format!("plugin-{number}"));
    }
    let wrapper = root.path().join("plugin_wrapper");
    symlink(env!("CARGO_BIN_EXE_mwp"), &wrapper).unwrap();
    let command = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", root.path()).env("MFMODULE_PLUGINS_BASE_DIR", &base);
        command
    };
    let bare = median(rounds(ROUNDS), || command(Path::new("true"), &[]));
    let mut results = Vec::new();
    for (program, arguments) in [
        (Path::new(env!("CARGO_BIN_EXE_mwp")), ["exec", "plugin-7", "--", "true"].as_slice()),
        (&wrapper, ["plugin-7", "--", "true"].as_slice()),
    ] {
        let wrapped = median(rounds(ROUNDS), || command(program, arguments));
        let what = format!("{} over the bare command", program.file_name().unwrap().display());
        results.push(report_limit(&what, wrapped.saturating_sub(bare), Duration::from_millis(5)));
    }
    finish(&results);
}
