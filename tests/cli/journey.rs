//! The whole way, with the templates, real packages and a real nginx: from nothing to an answer, through an update under
//! load, and back to nothing.

use std::fs;

use crate::support::running::Load;
use crate::support::{Done, Sandbox};

#[test]
fn plugins_of_three_kinds_are_made_shipped_served_swapped_and_removed() {
    let sandbox = Sandbox::new();
    let up = sandbox.up();
    let plugins = [
        ("hello", "python3_flask", "Hello"),
        ("shop", "node", "Hello World from shop!"),
        ("site", "static", "site"),
    ];
    for (name, template, says) in plugins {
        sandbox.ok(["bootstrap", "create", "--no-input", "--template", template, name]);
        let release = |version: &str| {
            let config = sandbox.read(&format!("{name}/config.ini"));
            let old = config.lines().find(|line| line.starts_with("_version=")).unwrap().to_owned();
            sandbox
                .write(&format!("{name}/config.ini"), config.replace(&old, &format!("_version={version}")));
            sandbox.ok(["release", "-q", "-C", name]);
            sandbox.work().join(format!("{name}-{version}-1.metwork.mfserv.plugin"))
        };
        let file = release("1.0");
        let answers = format!("{name} answers at http://127.0.0.1:{}/{name}/", up.port);
        sandbox.ok(["install", file.to_str().unwrap()]).says(&answers);
        let (status, body) = up.get(&format!("/{name}/")).unwrap();
        assert!(status == 200 && body.contains(says), "{name}: {status} {body}");

        let load = Load::start(up.port, &format!("/{name}/"), true, 4);
        let closing = Load::start(up.port, &format!("/{name}/"), false, 4);
        let file = release("2.0");
        sandbox.ok(["hotswap", file.to_str().unwrap()]).says(&format!("swapped in {name} 2.0-1"));
        for counted in [load.stop(), closing.stop()] {
            assert!(counted.lost == 0 && counted.answered > 0, "{name}: {counted:?}");
        }
        sandbox.ok(["status"]);
    }
    for (name, ..) in plugins {
        sandbox.ok(["uninstall", name]);
        assert_eq!(up.get(&format!("/{name}/")).unwrap().0, 404);
    }
    assert_eq!(sandbox.ok(["list", "--raw"]).stdout, "");
}

#[test]
fn a_daemon_that_is_appended_after_make_develop_starts_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.ok(["bootstrap", "create", "--no-input", "--template", "python3_noweb", "works"]);
    let commands = sandbox.path("commands");
    sandbox.ok(["shims", commands.to_str().unwrap()]);
    let up = sandbox.up();
    let path = std::env::join_paths(
        std::iter::once(commands.clone()).chain(std::env::split_paths(&sandbox.search_path())),
    );
    let mut make = sandbox.mwp([""; 0]);
    let environment: Vec<_> = make
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(std::ffi::OsStr::to_owned)))
        .collect();
    make = std::process::Command::new("make");
    make.arg("develop").current_dir(sandbox.work().join("works"));
    for (name, value) in environment {
        match value {
            Some(value) => make.env(name, value),
            None => make.env_remove(name),
        };
    }
    make.env("PATH", path.unwrap()).env("MFEXT_HOME", &commands);
    Done::of(&mut make).succeeded();
    let config = sandbox.work().join("works/config.ini");
    let text = fs::read_to_string(&config).unwrap();
    let daemon = "[extra_daemon_foo]\n_cmd_and_args=sh -c \"echo $MFSERV_CURRENT_PLUGIN_NAME; exec sleep 1000\"\nnumprocesses=1\n";
    fs::write(&config, format!("{text}\n{daemon}")).unwrap();
    up.until_running("works", "foo");
    up.until("its log is where the guide says", || up.log("extra_works_foo.log") == "works\n");
}
