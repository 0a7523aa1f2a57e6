//! `mwp shims`, and the existing commands under their names.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{CONFIG, Done, Sandbox};

/// A sandbox with the commands in `shims`.
fn with_shims() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(["shims", "../shims"]);
    sandbox
}

fn command(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Command {
    let mwp = sandbox.mwp([""; 0]);
    let mut command = Command::new(sandbox.path("shims").join(name));
    command.args(arguments).current_dir(sandbox.work());
    // The same surroundings.
    for (name, value) in mwp.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn run(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Done {
    Done::of(&mut command(sandbox, name, arguments))
}

const NAMES: [&str; 23] = [
    "_make_and_install_crontab.sh",
    "bootstrap_plugin.py",
    "cronwrap.sh",
    "get_layer_home",
    "is_layer_installed",
    "is_layer_loaded",
    "layer_load_bash_cmds",
    "layer_unload_bash_cmds",
    "layer_wrapper",
    "layers",
    "plugin_env",
    "plugin_wrapper",
    "plugins.check",
    "plugins.develop",
    "plugins.hash",
    "plugins.hotswap",
    "plugins.info",
    "plugins.install",
    "plugins.list",
    "plugins.make",
    "plugins.repackage",
    "plugins.uninstall",
    "plugins.validate_name",
];

#[test]
fn every_command_is_there_and_explains_itself() {
    let sandbox = with_shims();
    for name in NAMES {
        run(&sandbox, name, &["--help"]).succeeded().prints("Usage: ");
    }
    for file in ["share/plugin.mk", "opt/misc/share/plugin.mk", "bin/cronwrap.sh", "mwp"] {
        assert!(sandbox.path("shims").join(file).is_file(), "{file}");
    }
}

#[test]
fn what_to_put_on_the_path_is_printed_for_eval() {
    let sandbox = Sandbox::new();
    let odd = sandbox.path("it's here");
    let done = sandbox.ok(["shims", odd.to_str().unwrap()]);
    let script = format!("{}echo \"$MFEXT_HOME\"; plugins.validate_name ok", done.stdout);
    let done = Done::of(Command::new("sh").arg("-c").arg(script)).succeeded();
    assert_eq!(done.stdout, format!("{}\nOK\n", odd.display()));
}

#[test]
fn writing_them_again_changes_nothing_and_strangers_files_stay() {
    let sandbox = with_shims();
    sandbox.ok(["shims", "../shims"]);
    let sandbox = Sandbox::new();
    sandbox.write("mine/layers", "my own");
    sandbox.fails(1, ["shims", "mine"]).says("/mine/layers` is there");
    assert_eq!(sandbox.read("mine/layers"), "my own");
}

#[test]
fn make_works_with_the_shims_alone() {
    let sandbox = with_shims();
    let dir = sandbox.plugin("foo");
    for include in ["$(MFEXT_HOME)/share", "$(MFCOM_HOME)/share", "$(MFEXT_HOME)/opt/misc/share"] {
        fs::write(dir.join("Makefile"), format!("include {include}/plugin.mk\n")).unwrap();
        let shims = sandbox.path("shims");
        let path = format!("{}:{}", shims.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("make");
        command.arg("check").current_dir(&dir).env("PATH", path);
        command.env("MFEXT_HOME", &shims).env("MFCOM_HOME", &shims).env("HOME", sandbox.path("home"));
        for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MWP"] {
            command.env_remove(variable);
        }
        Done::of(&mut command).succeeded().prints("is good");
    }
}

#[test]
fn a_new_plugin_needs_the_commands_on_the_path_and_nothing_else() {
    let sandbox = with_shims();
    run(&sandbox, "bootstrap_plugin.py", &["create", "--no-input", "--template=static", "foo"]).succeeded();
    let path = format!("{}:{}", sandbox.path("shims").display(), std::env::var("PATH").unwrap());
    let mut make = Command::new("make");
    make.arg("release").current_dir(sandbox.work().join("foo")).env("PATH", path);
    make.env("HOME", sandbox.path("home"));
    for variable in [
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "MWP",
        "MFEXT_HOME",
        "MWP_CACHE_DIR",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
    ] {
        make.env_remove(variable);
    }
    Done::of(&mut make).succeeded();
    assert!(sandbox.work().join("foo/foo-0.0.1-1.metwork.mfserv.plugin").is_file());
}

#[test]
fn plugin_wrapper_runs_a_command() {
    let sandbox = with_shims();
    let home = sandbox.installed("foo");
    let print = ["foo", "--", "sh", "-c", "echo $MFSERV_CURRENT_PLUGIN_NAME; exit 9"];
    assert_eq!(run(&sandbox, "plugin_wrapper", &print).exited(9).stdout, "foo\n");
    let options = ["--cwd", "--empty", "--ignore-cache", "foo", "--", "pwd"];
    assert_eq!(run(&sandbox, "plugin_wrapper", &options).succeeded().stdout, format!("{}\n", home.display()));
    run(&sandbox, "plugin_wrapper", &["nosuch", "--", "true"]).exited(1).says("is not installed");
    run(&sandbox, "plugin_wrapper", &["foo", "--", "nosuch"]).exited(127);
    assert_eq!(run(&sandbox, "plugin_wrapper", &["foo", "echo", "-n", "x"]).succeeded().stdout, "x");
}

#[test]
fn plugin_wrapper_prints_commands_for_a_fresh_bash() {
    let sandbox = with_shims();
    let home = sandbox.installed("foo");
    let done = run(&sandbox, "plugin_wrapper", &["--bash-cmds", "--cwd", "foo"]).succeeded();
    let script = format!("{}pwd; echo $MFSERV_CURRENT_PLUGIN_LABEL", done.stdout);
    let done = Done::of(Command::new("bash").arg("-c").arg(script).env_clear()).succeeded();
    assert_eq!(done.stdout, format!("{}\nplugin_foo@mfserv\n", home.display()));
}

#[test]
fn plugin_env_is_a_shell() {
    let sandbox = with_shims();
    sandbox.installed("foo");
    let done =
        Done::of(command(&sandbox, "plugin_env", &["foo"]).env("SHELL", "/usr/bin/printenv")).exited(0);
    done.prints("MFSERV_CURRENT_PLUGIN_NAME=foo\n");
}

#[test]
fn names_are_validated() {
    let sandbox = with_shims();
    assert_eq!(run(&sandbox, "plugins.validate_name", &["foo-1"]).succeeded().stdout, "OK\n");
    for name in ["plugin_x", "base", "a b", "__x"] {
        run(&sandbox, "plugins.validate_name", &[name]).exited(1).prints("ERROR: the plugin name");
    }
}

#[test]
fn a_directory_is_checked_and_packed() {
    let sandbox = with_shims();
    let dir = sandbox.plugin("foo");
    run(&sandbox, "plugins.check", &["--debug", "foo"]).succeeded();
    let done = run(&sandbox, "plugins.make", &["--plugin-path", "foo", "--show-plugin-path"]).succeeded();
    assert_eq!(done.stdout, "foo-0.0.1-1.metwork.mfserv.plugin\n");
    let file = "foo-0.0.1-1.metwork.mfserv.plugin";
    assert_eq!(run(&sandbox, "plugins.hash", &[file]).succeeded().stdout.trim().len(), 32);
    fs::write(dir.join("config.ini"), format!("{CONFIG}[nosuch]\n")).unwrap();
    run(&sandbox, "plugins.check", &["foo"]).exited(1).says("unknown section");
    run(&sandbox, "plugins.make", &["--plugin-path=foo"]).exited(1);
}

#[test]
fn plugins_are_not_installed_inside_a_plugin_environment() {
    let sandbox = with_shims();
    for (name, arguments) in [
        ("plugins.install", vec!["x.plugin"]),
        ("plugins.uninstall", vec!["x"]),
        ("plugins.repackage", vec!["x"]),
    ] {
        let mut command = command(&sandbox, name, &arguments);
        Done::of(command.env("MFDATA_CURRENT_PLUGIN_NAME", "x"))
            .exited(1)
            .says("inside a plugin environment");
    }
}

#[test]
fn a_bad_new_name_is_exit_code_3() {
    let sandbox = with_shims();
    run(&sandbox, "plugins.install", &["--new-name", "a/b", "x.plugin"]).exited(3).says("holds `/`");
    run(&sandbox, "plugins.install", &[]).exited(2);
}

#[test]
fn a_plugin_in_service_is_exit_code_3_for_develop_unless_that_is_fine() {
    let sandbox = with_shims();
    let dir = sandbox.plugin("foo");
    fs::create_dir_all(sandbox.base()).unwrap();
    symlink(&dir, sandbox.base().join("foo")).unwrap();
    let arguments = ["--plugin-path", "foo", "foo"];
    run(&sandbox, "plugins.develop", &arguments).exited(3).says("installed already");
    run(&sandbox, "plugins.develop", &["--ignore-already-installed", "foo"]).succeeded();
}

/// Release with the network, then a shell script without: what an operator does.
#[test]
fn operators_work_without_a_network() {
    let sandbox = with_shims();
    sandbox.python_plugin("foo", "six");
    sandbox.ok(["release", "-C", "foo"]);
    let script = "
        plugins.install foo-*.plugin 2>/dev/null && plugins.list --raw
        plugin_wrapper foo -- python -c 'import six; print(six.__name__)'
        plugins.install foo-*.plugin 2>/dev/null; echo again $?
        plugins.install --new-name=bar foo-*.plugin 2>/dev/null
        plugin_wrapper bar -- sh -c 'python -c \"import six\" && echo $MFSERV_CURRENT_PLUGIN_NAME'
        plugins.info --just-home bar
        plugins.repackage bar 2>/dev/null; ls bar-*.plugin
        plugins.uninstall --clean bar 2>/dev/null && plugins.uninstall foo 2>/dev/null; plugins.list --raw
        plugins.uninstall foo 2>/dev/null; echo gone $?
        plugins.install nosuch.plugin 2>/dev/null; echo absent $?";
    let mwp = sandbox.mwp([""; 0]);
    let mut unshare = Command::new("unshare");
    unshare.args(["-r", "-n", "sh", "-c", script]).current_dir(sandbox.work());
    unshare.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = sandbox.search_path().into_string().unwrap();
    let path = format!("{}:{path}", sandbox.path("shims").display());
    let done = Done::of(unshare.env("PATH", path)).succeeded();
    let base = sandbox.base().display().to_string();
    let file = "bar-0.0.1-1.metwork.mfserv.plugin";
    let expected = format!(
        "foo~~~0.0.1~~~1~~~{base}/foo\nsix\nagain 1\nbar\n{base}/bar\n{file}\n{file}\ngone 1\nabsent 1\n"
    );
    assert_eq!(done.stdout, expected, "{}", done.stderr);
}

#[test]
fn a_development_directory_is_put_into_service_as_a_link() {
    let sandbox = with_shims();
    let dir = sandbox.plugin("foo");
    run(&sandbox, "plugins.develop", &["--plugin-path", "foo", "foo"]).succeeded();
    assert_eq!(fs::canonicalize(sandbox.base().join("foo")).unwrap(), fs::canonicalize(dir).unwrap());
    run(&sandbox, "plugins.list", &["--raw"]).succeeded().prints("foo~~~dev_link~~~dev_link~~~");
    run(&sandbox, "plugins.repackage", &["foo"]).exited(1);
}

/// Lists, pages and hashes as scripts read them, for a file, for what is installed and for a devlink.
#[test]
fn scripts_read_what_upstream_prints() {
    let sandbox = with_shims();
    sandbox.plugin("foo");
    sandbox.plugin("linked");
    run(&sandbox, "plugins.list", &["--json"]).succeeded().prints("[]\n");
    let file = sandbox.packed("foo");
    run(&sandbox, "plugins.install", &[file.to_str().unwrap()]).succeeded();
    run(&sandbox, "plugins.develop", &["--plugin-path", "linked", "linked"]).succeeded();

    let base = sandbox.base().display().to_string();
    let list = run(&sandbox, "plugins.list", &["--json"]).succeeded().stdout;
    assert_eq!(
        list,
        format!(
            "[\n    {{\n        \"name\": \"foo\",\n        \"release\": \"1\",\n        \"version\": \"0.0.1\",\n        \
             \"home\": \"{base}/foo\"\n    }},\n    {{\n        \"name\": \"linked\",\n        \
             \"release\": \"dev_link\",\n        \"version\": \"dev_link\",\n        \"home\": \"{base}/linked\"\n    \
             }}\n]\n"
        )
    );

    let (of_file, of_name) = (
        run(&sandbox, "plugins.info", &[file.to_str().unwrap()]).succeeded().stdout,
        run(&sandbox, "plugins.info", &["foo"]).succeeded().stdout,
    );
    assert_eq!(of_file, of_name);
    let lines: Vec<&str> = of_file.lines().collect();
    assert_eq!(lines[..4], ["Metadata:", "", "Name: foo", "Version: 0.0.1"]);
    let names: Vec<&str> = lines[2..13].iter().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "Name",
        "Version",
        "Release",
        "Summary",
        "Size",
        "Build Host",
        "Build Date",
        "License",
        "Maintainer",
        "Vendor",
        "URL",
    ];
    assert_eq!(names, expected);
    assert_eq!(lines[13..16], ["", "List of files:", ""]);
    assert!(lines[16..].iter().all(|line| line.starts_with("- metwork_plugin/")), "{of_file}");
    let linked = run(&sandbox, "plugins.info", &["linked"]).succeeded().stdout;
    for line in ["Version: dev_link", "Size: unknown", "Build Host: unknown", "Build Date: unknown"] {
        assert!(linked.lines().any(|found| found == line), "{linked}");
    }

    let hash = |what: &str| run(&sandbox, "plugins.hash", &[what]).succeeded().stdout;
    assert_eq!(hash("foo"), hash(file.to_str().unwrap()));
    // Of `unknown, unknown, unknown, dev_link, dev_link`.
    assert_eq!(hash("linked"), "aa46510b7b952a7a13705222ba42a446\n");
    run(&sandbox, "plugins.hash", &["nosuch"]).exited(1);
    run(&sandbox, "plugins.info", &["nosuch"]).exited(1);
}

#[test]
fn raw_and_json_exclude_each_other() {
    let sandbox = with_shims();
    run(&sandbox, "plugins.list", &["--raw", "--json"]).exited(1);
}

#[test]
fn templates_are_listed() {
    let sandbox = with_shims();
    run(&sandbox, "bootstrap_plugin.py", &["list"]).succeeded().prints("default");
    run(&sandbox, "bootstrap_plugin.py", &["create", "--no-input", "--template=static", "bar"]).succeeded();
    assert!(sandbox.work().join("bar/config.ini").exists());
}

#[test]
fn cronwrap_runs_a_plugin_wrapper() {
    let sandbox = with_shims();
    sandbox.installed("foo");
    let shims = sandbox.path("shims");
    let wrapper = shims.join("plugin_wrapper").display().to_string();
    let log = ["--lock", "--log-capture-to", "job.log", "--"];
    let job = [wrapper.as_str(), "foo", "--", "printenv", "MFSERV_CURRENT_PLUGIN_NAME"];
    let arguments: Vec<&str> = log.iter().chain(&job).copied().collect();
    run(&sandbox, "bin/cronwrap.sh", &arguments).succeeded();
    let log = sandbox.path("home/.local/share/mwp/mfserv/log/job.log");
    assert_eq!(fs::read_to_string(log).unwrap(), "foo\n");
}
