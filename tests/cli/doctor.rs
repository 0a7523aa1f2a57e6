//! What a machine has and lacks.

use std::fs;

use serde_json::Value;

use crate::support::{Done, Sandbox, tree};

fn findings(done: &Done) -> Vec<Value> {
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    document["findings"].as_array().unwrap().clone()
}

fn state(done: &Done, what: &str) -> String {
    let all = findings(done);
    let finding = all.iter().find(|finding| finding["what"] == what);
    finding.unwrap_or_else(|| panic!("no {what} in {all:?}"))["state"].as_str().unwrap().to_owned()
}

#[test]
fn it_says_what_is_there_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let before = tree(&sandbox.path("."));
    let done = sandbox.ok(["doctor", "--json"]);
    assert_eq!(state(&done, "python3"), "ok");
    assert_eq!(state(&done, "make"), "ok");
    assert_eq!(state(&done, "clock"), "ok");
    sandbox.ok(["doctor"]).prints("mfserv is run by: nobody");
    assert_eq!(tree(&sandbox.path(".")), before);
}

#[test]
fn what_is_lacking_is_an_error_where_an_installed_plugin_needs_it_alone() {
    let sandbox = Sandbox::new();
    let doctor = |json: &[&str]| {
        let mut command = sandbox.mwp([&["doctor"], json].concat());
        Done::of(command.env("PATH", sandbox.path("etc")))
    };
    let done = doctor(&["--json"]).succeeded();
    assert_eq!(state(&done, "python3"), "missing");
    doctor(&[]).succeeded().prints("apt-get install python3");
    // A devlink to a plugin with packages of Python.
    let dir = sandbox.python_plugin("p", "");
    fs::create_dir_all(sandbox.base()).unwrap();
    std::os::unix::fs::symlink(dir, sandbox.base().join("p")).unwrap();
    let done = doctor(&[]).exited(1);
    done.says("error: python3 is not there").says("hint: apt-get install python3");
}

#[test]
fn who_runs_a_module_is_told() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("d", "exec sleep 1000\n");
    sandbox.ok(["install", sandbox.packed("d").to_str().unwrap()]);
    let _up = sandbox.up_without_nginx();
    sandbox.ok(["doctor"]).prints("mfserv is run by: mwp");
}
