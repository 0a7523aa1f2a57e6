//! `mwp clean` and `mwp superclean`.

use std::fs;

use crate::support::{Sandbox, tree};

/// Everything that upstream's `clean` removes, and things that it must leave alone.
fn litter(sandbox: &Sandbox) {
    for name in [
        "local/bin/x",
        "p-1-1.metwork.mfserv.plugin",
        "old.tar.gz",
        "tmp_build/x",
        ".configuration_cache",
        "node_modules/x/index.js",
        "main/__pycache__/x.pyc",
        "python3_virtualenv_sources/src/x.whl",
        "python3_virtualenv_sources/x.tmp",
        "python3_virtualenv_sources/tempolayer12/x",
        "python3_virtualenv_sources/freezed_requirements.12",
        "python2_virtualenv_sources/src/x.whl",
        "python3_virtualenv_sources/requirements3.txt",
        "python2_virtualenv_sources/requirements2.txt",
        "package-lock.json",
        "main/keep.py",
        "main/data.tar.gz",
        "main/local/keep",
        ".git/__pycache__/keep",
    ] {
        sandbox.write(&format!("p/{name}"), "");
    }
}

fn left(sandbox: &Sandbox) -> Vec<String> {
    let files = tree(&sandbox.work().join("p"));
    let own = [".layerapi2_label", ".layerapi2_dependencies", ".plugin_format_version", "config.ini"];
    files
        .into_iter()
        .filter(|name| !own.contains(&name.as_str()) && !sandbox.work().join("p").join(name).is_dir())
        .collect()
}

#[test]
fn clean_removes_what_can_be_made_again_from_the_locks() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    litter(&sandbox);
    sandbox.ok(["clean", "-C", "p"]).says("removed p/node_modules");
    assert_eq!(
        left(&sandbox),
        [
            ".git/__pycache__/keep",
            "main/data.tar.gz",
            "main/keep.py",
            "main/local/keep",
            "package-lock.json",
            "python2_virtualenv_sources/requirements2.txt",
            "python3_virtualenv_sources/requirements3.txt",
        ]
    );
    sandbox.ok(["clean", "-C", "p"]);
}

#[test]
fn superclean_removes_the_locks_too() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    litter(&sandbox);
    sandbox.ok(["superclean", "-C", "p"]);
    assert_eq!(
        left(&sandbox),
        [".git/__pycache__/keep", "main/data.tar.gz", "main/keep.py", "main/local/keep"]
    );
}

#[test]
fn a_dry_run_removes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    litter(&sandbox);
    let before = left(&sandbox);
    sandbox.ok(["clean", "--dry-run", "-C", "p"]).says("would remove p/local");
    assert_eq!(left(&sandbox), before);
}

#[test]
fn a_link_is_removed_and_what_it_points_to_stays() {
    let sandbox = Sandbox::new();
    let dir = sandbox.plugin("p");
    sandbox.write("precious/data", "");
    std::os::unix::fs::symlink("../precious", dir.join("local")).unwrap();
    sandbox.ok(["clean", "-C", "p"]);
    assert!(!dir.join("local").is_symlink());
    assert!(sandbox.work().join("precious/data").exists());
}

#[test]
fn what_is_no_plugin_is_not_cleaned() {
    let sandbox = Sandbox::new();
    sandbox.write("mine/local/data", "");
    sandbox.fails(1, ["clean", "-C", "mine"]).says("is not a plugin");
    assert!(fs::exists(sandbox.work().join("mine/local/data")).unwrap());
}
