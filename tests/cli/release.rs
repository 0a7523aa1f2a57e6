//! `mwp release`: what is stale is built, everything for an offline install is inside, the same input gives the same
//! bytes.

use std::fs;
use std::process::Command;

use crate::support::{Done, Sandbox};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

fn members(sandbox: &Sandbox) -> Vec<String> {
    let mut tar = Command::new("tar");
    let done = Done::of(tar.args(["--zstd", "-tf", FILE]).current_dir(sandbox.work())).succeeded();
    done.stdout.lines().map(|line| line.trim_start_matches("metwork_plugin/").to_owned()).collect()
}

#[test]
fn a_release_holds_the_wheels_and_not_the_virtualenv() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.17.0\n");
    sandbox.write("p/local/bin/tool", "by a custom step");
    sandbox.write("p/old-0.0.1-1.metwork.mfserv.plugin", "");
    sandbox.ok(["release", "-C", "p"]).prints(FILE).never_says("virtualenv: ");
    let before = members(&sandbox);
    assert!(
        before.contains(&"python3_virtualenv_sources/src/six-1.17.0-py2.py3-none-any.whl".to_owned()),
        "{before:?}"
    );
    assert!(before.contains(&"local/bin/tool".to_owned()), "{before:?}");
    assert!(!before.iter().any(|name| name.contains(".mwp/") || name.contains("old-0.0.1")), "{before:?}");
    // The same with a virtualenv in place.
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["release", "-C", "p"]);
    assert_eq!(members(&sandbox), before);
    assert!(sandbox.work().join("p/local/bin/python3").exists(), "a release cleans nothing");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.17.0\n");
    let release = || {
        Done::of(sandbox.mwp(["release", "-C", "p"]).env("SOURCE_DATE_EPOCH", "1700000000")).succeeded();
        fs::read(sandbox.work().join(FILE)).unwrap()
    };
    let first = release();
    sandbox.ok(["superclean", "-C", "p"]);
    sandbox.ok(["cache", "prune", "--all"]);
    sandbox.write("p/config.ini", sandbox.read("p/config.ini"));
    assert!(release() == first);
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("a test", "A test"));
    assert!(release() != first);
}

#[test]
fn version_and_release_come_from_the_directory() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/config.ini",
        sandbox.read("p/config.ini").replace("0.0.1", "9.9.9").replace("_release=1", "_release=rc2"),
    );
    sandbox.ok(["release", "-C", "p"]).prints("p-9.9.9-rc2.metwork.mfserv.plugin");
}

#[test]
fn a_failed_build_packs_nothing() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("cp in/*", "false"));
    sandbox.fails(1, ["release", "-C", "p"]);
    assert!(!sandbox.work().join(FILE).exists());
}

#[test]
fn a_dry_run_packs_nothing() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["release", "--dry-run", "-C", "p"]).prints("would run copy");
    assert!(!sandbox.work().join(FILE).exists());
}

#[test]
fn tasks_for_a_release_alone_run_for_a_release_alone() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml") + "targets = [\"release\"]\n");
    sandbox.ok(["build", "-C", "p"]).says("up to date");
    assert_eq!(sandbox.runs(), 0);
    sandbox.ok(["release", "-C", "p"]).says("copy: done");
}

#[test]
fn several_plugins_are_released_into_one_directory() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.plugin("q");
    sandbox
        .ok(["release", "-C", "p", "-C", "q", "--output", "out", "--format", "gzip"])
        .prints(&format!("out/{FILE}"));
    assert!(sandbox.work().join("out/q-0.0.1-1.metwork.mfserv.plugin").exists());
    Done::of(Command::new("tar").args(["-tzf"]).arg(sandbox.work().join("out").join(FILE))).succeeded();
}
