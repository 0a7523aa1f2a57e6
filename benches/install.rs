//! Installing 20,000 files of 300 MB against `tar --zstd -xf` of the same file followed by `sync -f`, and listing 200
//! installed plugins.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Run, best, finish, median, mwp, report, report_limit, run};

const ROUNDS: usize = 5;
const PLUGINS: usize = 200;

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let plugin = root.join("bench");
    fs::create_dir(&plugin).unwrap();
    support::fill_plugin(&plugin, 20_000, 300_000_000);
    let cache = root.join("cache");
    let in_home = |arguments: &[&str]| {
        let mut command = mwp(&cache, root, arguments);
        command.env("HOME", root).env_remove("XDG_DATA_HOME").env_remove("MFMODULE");
        command
    };
    run(&mut in_home(&["pack", "-q", "-C", "bench"]));
    let file = "bench-1.0.0-1.metwork.mfserv.plugin";

    let (mut ours, mut theirs, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        let by_tar = root.join("by-tar");
        fs::create_dir(&by_tar).unwrap();
        settle(root);
        theirs.push(untar(root, file).time);
        fs::remove_dir_all(&by_tar).unwrap();
        settle(root);
        let install = run(in_home(&["install", "-q"]).arg(file));
        ours.push(install.time);
        peak = peak.max(install.peak);
        run(&mut in_home(&["uninstall", "bench"]));
    }
    println!("peak memory: {peak:.0} MB (at most 300)");

    small_plugins(root, &plugin);
    let list = median(21, || in_home(&["list", "--json"]));
    finish(&[
        report("install", best(&ours), "tar --zstd -xf, sync -f", best(&theirs), 1.2),
        report_limit(&format!("list, {PLUGINS} plugins"), list, Duration::from_millis(10)),
        peak <= 300.0,
    ]);
}

fn untar(root: &Path, file: &str) -> Run {
    let mut command = Command::new("sh");
    run(command.args(["-ec", "tar -C by-tar --zstd -xf \"$1\"; sync -f by-tar", "sh", file]).current_dir(root))
}

/// What the run before left in memory shall not be written at the cost of the next.
fn settle(root: &Path) {
    run(Command::new("sync").arg("-f").arg(root));
}

fn small_plugins(root: &Path, template: &Path) {
    let base = root.join(".local/share/mwp/mfserv/var/plugins");
    let metadata = "{\"version\":\"1\",\"release\":\"1\",\"build_host\":\"h\",\"build_date\":\"2026-01-01T00:00:00Z\",\
        \"size\":\"1\",\"summary\":\"s\",\"license\":\"l\",\"packager\":\"p\",\"vendor\":\"v\",\"url\":\"u\"}";
    for number in 0..PLUGINS {
        let home = base.join(format!("plugin-of-number-{number}"));
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join(".layerapi2_label"), format!("plugin_plugin-of-number-{number}@mfserv\n")).unwrap();
        fs::write(home.join(".metadata.json"), metadata).unwrap();
        fs::copy(template.join("config.ini"), home.join("config.ini")).unwrap();
    }
}
