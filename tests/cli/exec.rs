//! `mwp exec`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{CONFIG, Done, Sandbox};

#[test]
fn the_command_runs_in_the_plugins_environment_and_its_exit_code_is_ours() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    let script = "echo $MFSERV_CURRENT_PLUGIN_NAME $MFMODULE; exit 7";
    let done = Done::of(&mut sandbox.mwp(["exec", "foo", "--", "sh", "-c", script])).exited(7);
    assert_eq!(done.stdout, "foo MFSERV\n");
    let done = sandbox.ok(["exec", "foo", "--", "printenv", "MFSERV_CURRENT_PLUGIN_DIR"]);
    assert_eq!(done.stdout, format!("{}\n", home.display()));
}

#[test]
fn the_process_becomes_the_command() {
    let sandbox = Sandbox::new();
    sandbox.installed("foo");
    let mut child = sandbox
        .mwp(["exec", "foo", "--", "sh", "-c", "echo $$"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    child.wait().unwrap();
    assert_eq!(output.trim(), pid.to_string());
}

#[test]
fn a_directory_is_a_plugin_too() {
    let sandbox = Sandbox::new();
    let dir = sandbox.plugin("foo");
    let print = ["--", "printenv", "MFSERV_CURRENT_PLUGIN_DIR"];
    let expected = format!("{}\n", dir.display());
    assert_eq!(sandbox.ok(["exec", "./foo"].iter().chain(&print)).stdout, expected);
    assert_eq!(sandbox.ok(["exec", dir.to_str().unwrap()].iter().chain(&print)).stdout, expected);
    let done = Done::of(sandbox.mwp(["exec", "."].iter().chain(&print)).current_dir(&dir)).succeeded();
    assert_eq!(done.stdout, expected);
}

#[test]
fn an_unknown_plugin_is_exit_code_1_with_the_name_that_was_meant() {
    let sandbox = Sandbox::new();
    sandbox.installed("weather");
    sandbox
        .fails(1, ["exec", "wether", "--", "true"])
        .says("error: the plugin `wether` is not installed in ")
        .says("hint: did you mean `weather`?");
    sandbox.plugin("local");
    sandbox.fails(1, ["exec", "local", "--", "true"]).says("hint: write `./local` for the directory here");
}

#[test]
fn a_bad_configuration_is_exit_code_1() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    fs::write(home.join("config.ini"), format!("{CONFIG}[nosuch]\n")).unwrap();
    sandbox.fails(1, ["exec", "foo", "--", "true"]).says("unknown section");
}

#[test]
fn a_command_that_is_absent_or_cannot_run_has_the_exit_codes_of_shells() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    sandbox.fails(127, ["exec", "foo", "--", "no-such-command"]).says("error: cannot run `no-such-command`");
    fs::write(home.join("data"), "").unwrap();
    let data = home.join("data");
    sandbox.fails(126, ["exec", "foo", "--", data.to_str().unwrap()]).says("permission denied");
    sandbox.fails(2, ["exec", "foo"]);
}

#[test]
fn programs_of_the_plugin_come_before_those_of_the_host() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    for (path, word) in [("bin/hello", "mine"), ("bin/ls", "my ls"), ("local/bin/hello", "local")] {
        let path = home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\necho {word}\n")).unwrap();
        Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    }
    assert_eq!(sandbox.ok(["exec", "foo", "--", "ls"]).stdout, "my ls\n");
    assert_eq!(sandbox.ok(["exec", "foo", "--", "hello"]).stdout, "local\n");
}

#[test]
fn cwd_starts_in_the_plugins_directory() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    assert_eq!(sandbox.ok(["exec", "--cwd", "foo", "--", "pwd"]).stdout, format!("{}\n", home.display()));
    let here = format!("{}\n", sandbox.work().display());
    assert_eq!(sandbox.ok(["exec", "foo", "--", "pwd"]).stdout, here);
}

#[test]
fn another_base_directory_can_be_given() {
    let sandbox = Sandbox::new();
    sandbox.plugin("foo");
    let base = sandbox.work();
    let print = "echo $MFMODULE_PLUGINS_BASE_DIR";
    let arguments = ["exec", "--plugins-base-dir", base.to_str().unwrap(), "foo", "--", "sh", "-c", print];
    assert_eq!(sandbox.ok(arguments).stdout, format!("{}\n", base.display()));
}

#[test]
fn a_devlink_is_its_own_home_and_a_broken_one_is_named() {
    let sandbox = Sandbox::new();
    let dir = sandbox.plugin("foo");
    fs::create_dir_all(sandbox.base()).unwrap();
    symlink(&dir, sandbox.base().join("foo")).unwrap();
    let done = sandbox.ok(["exec", "foo", "--", "printenv", "MFSERV_CURRENT_PLUGIN_DIR"]);
    assert_eq!(done.stdout, format!("{}\n", sandbox.base().join("foo").display()));
    fs::rename(&dir, sandbox.work().join("moved")).unwrap();
    sandbox.fails(1, ["exec", "foo", "--", "true"]).says("which is not there");
}

#[test]
fn empty_unloads_what_was_loaded() {
    let sandbox = Sandbox::new();
    sandbox.installed("foo");
    sandbox.write("layers/a/.layerapi2_label", "a@m\n");
    sandbox.write("layers/a/bin/tool", "");
    let a = sandbox.work().join("layers/a");
    let run = |options: &[&str]| {
        let arguments = ["exec"].iter().chain(options).chain(&["foo", "--", "printenv", "PATH"]);
        let mut command = sandbox.mwp(arguments);
        let path = format!("{}/bin:{}", a.display(), std::env::var("PATH").unwrap());
        command.env("LAYERAPI2_LAYERS_PATH", sandbox.work().join("layers")).env("PATH", path);
        let marker =
            Done::of(Command::new("sh").arg("-c").arg(format!("printf %s '{}' | md5sum", a.display())));
        command.env(format!("LAYERAPI2_LAYER_{}_LOADED", &marker.stdout[..32]), "1");
        Done::of(&mut command).succeeded().stdout
    };
    assert!(run(&[]).contains("layers/a/bin"));
    assert!(!run(&["--empty"]).contains("layers/a/bin"));
}

#[test]
fn any_name_of_the_directory_will_do() {
    let sandbox = Sandbox::new();
    let dir = sandbox.plugin("foo");
    let odd = sandbox.work().join("it's a \"dir\"\nof $HOME");
    fs::rename(dir, &odd).unwrap();
    let done = Done::of(sandbox.mwp(["exec", "--cwd", ".", "--", "pwd"]).current_dir(&odd)).succeeded();
    assert_eq!(done.stdout, format!("{}\n", odd.display()));
}

#[test]
fn the_operators_override_counts() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    fs::write(home.join("config.ini"), format!("{CONFIG}[custom]\na=1\nb[DEV]=2\nb=1\n")).unwrap();
    let overrides = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&overrides).unwrap();
    fs::write(overrides.join("foo.ini"), "[custom]\na=9\n").unwrap();
    let script = "echo $MFSERV_CURRENT_PLUGIN_CUSTOM_A $MFSERV_CURRENT_PLUGIN_CUSTOM_B";
    let mut command = sandbox.mwp(["exec", "foo", "--", "sh", "-c", script]);
    assert_eq!(Done::of(command.env("MFCONFIG", "DEV")).succeeded().stdout, "9 2\n");
}
