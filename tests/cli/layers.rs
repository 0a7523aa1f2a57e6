//! The commands of layerapi2.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Done, Sandbox};

/// A sandbox with layers `a@m` (requires `b@m`) and `b@m`.
fn with_layers() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, dependencies) in [("a", "b@m\n"), ("b", "")] {
        sandbox.write(&format!("layers/{name}/.layerapi2_label"), format!("{name}@m\n"));
        sandbox.write(&format!("layers/{name}/.layerapi2_dependencies"), dependencies);
        sandbox.write_executable(
            &format!("layers/{name}/bin/{name}-tool"),
            &format!("#!/bin/sh\necho {name}\n"),
        );
    }
    sandbox
}

fn command(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Command {
    let link = sandbox.path(name);
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_mwp"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.args(arguments).current_dir(sandbox.work()).env("HOME", sandbox.path("home"));
    command.env("LAYERAPI2_LAYERS_PATH", sandbox.work().join("layers"));
    command
}

fn run(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Done {
    Done::of(&mut command(sandbox, name, arguments))
}

#[test]
fn a_wrapper_loads_layers_and_what_they_require() {
    let sandbox = with_layers();
    let layers = "--layers=-nosuch@m,a@m";
    let done =
        run(&sandbox, "layer_wrapper", &[layers, "--", "sh", "-c", "a-tool; b-tool; exit 4"]).exited(4);
    assert_eq!(done.stdout, "a\nb\n");
    run(&sandbox, "layer_wrapper", &["--layers=nosuch@m", "--", "true"])
        .exited(1)
        .says("no layer `nosuch@m`");
    run(&sandbox, "layer_wrapper", &["--layers=a@m"]).exited(1);
}

#[test]
fn layers_that_require_each_other_are_refused_and_an_optional_one_is_cut() {
    let sandbox = with_layers();
    sandbox.write("layers/b/.layerapi2_dependencies", "# a comment\n-a@m\n");
    let tools = ["--layers=a@m", "--", "sh", "-c", "a-tool; b-tool"];
    assert_eq!(run(&sandbox, "layer_wrapper", &tools).succeeded().stdout, "a\nb\n");
    sandbox.write("layers/b/.layerapi2_dependencies", "a@m\n");
    for layer in ["a@m", "b@m"] {
        let done =
            run(&sandbox, "layer_wrapper", &[&format!("--layers={layer}"), "--", "echo", "ran"]).exited(1);
        assert_eq!(done.stdout, "");
        done.says("layers require each other: ").says("hint: ");
    }
    // The root of a module waits for nobody.
    sandbox.write("layers/root/.layerapi2_label", "root@m\n");
    sandbox.write("layers/root/.layerapi2_dependencies", "b@m\n");
    sandbox.write("layers/b/.layerapi2_dependencies", "");
    assert_eq!(run(&sandbox, "layer_wrapper", &tools).succeeded().stdout, "a\nb\n");
}

#[test]
fn what_a_wrapper_does_not_know_is_exit_code_1() {
    let sandbox = with_layers();
    for words in [&["--nosuch", "--", "true"][..], &["--layers=a@m", "--", "nosuch-program"]] {
        run(&sandbox, "layer_wrapper", words).exited(1);
    }
    let home = sandbox.work().join("layers/a").display().to_string();
    assert_eq!(run(&sandbox, "get_layer_home", &["a@m"]).succeeded().stdout, format!("{home}\n"));
    assert_eq!(run(&sandbox, "get_layer_home", &["nosuch@m"]).exited(1).stdout, "");
}

#[test]
fn a_wrapper_can_empty_the_environment_and_name_the_layer() {
    let sandbox = with_layers();
    let arguments = ["-E", "-k", "KEPT,PATH", "-x", "P", "-c", "-l", "a@m", "--", "sh", "-c"];
    let script = "pwd; echo $KEPT/$LOST/$P_NAME/$P_LABEL/$P_DIR";
    let mut command = command(&sandbox, "layer_wrapper", &arguments);
    let done = Done::of(command.arg(script).env("KEPT", "1").env("LOST", "1")).succeeded();
    let home = sandbox.work().join("layers/a").display().to_string();
    assert_eq!(done.stdout, format!("{home}\n1//a/a@m/{home}\n"));
}

#[test]
fn layers_are_listed_with_their_state() {
    let sandbox = with_layers();
    let home = sandbox.work().join("layers").display().to_string();
    assert_eq!(
        run(&sandbox, "layers", &[]).succeeded().stdout,
        format!("- a@m [{home}/a]\n- b@m [{home}/b]\n")
    );
    let bin = sandbox.path("layers").display().to_string();
    let done = run(&sandbox, "layer_wrapper", &["--layers=b@m", "--", &bin]).succeeded();
    assert_eq!(done.stdout, format!("- a@m [{home}/a]\n- (*) b@m [{home}/b]\n"));
    let done =
        run(&sandbox, "layer_wrapper", &["--layers=b@m", "--", &bin, "--raw", "-m", "yes"]).succeeded();
    assert_eq!(done.stdout, format!("b@m {home}/b\n"));
}

#[test]
fn questions_are_answered_with_1_and_0() {
    let sandbox = with_layers();
    let home = sandbox.work().join("layers/a").display().to_string();
    for (name, layer, answer) in [
        ("is_layer_installed", "a@m", "1\n"),
        ("is_layer_installed", &home, "1\n"),
        ("is_layer_installed", "x@m", "0\n"),
        ("is_layer_loaded", "a@m", "0\n"),
    ] {
        assert_eq!(run(&sandbox, name, &[layer]).succeeded().stdout, answer);
    }
    let bin = sandbox.path("is_layer_loaded").display().to_string();
    let done = run(&sandbox, "layer_wrapper", &["--layers=a@m", "--", &bin, "b@m"]).succeeded();
    assert_eq!(done.stdout, "1\n");
    run(&sandbox, "is_layer_installed", &[]).exited(1);
}

#[test]
fn bash_can_load_and_unload_a_layer() {
    let sandbox = with_layers();
    sandbox.write("layers/a/.layerapi2_extra_env", "FOO=it's {HOME}\n");
    sandbox.write("layers/a/.layerapi2_interactive_profile", "PROFILE=read\n");
    for name in ["layer_load_bash_cmds", "layer_unload_bash_cmds"] {
        command(&sandbox, name, &[]).output().unwrap();
    }
    let script = format!(
        "before=$PATH; eval \"$({0}/layer_load_bash_cmds a@m)\"; a-tool; b-tool; echo $FOO $PROFILE\n\
         eval \"$({0}/layer_unload_bash_cmds b@m)\"; [ \"$PATH\" = \"$before\" ] && echo same; echo ${{FOO-unset}}\n",
        sandbox.path("").display()
    );
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).env("LAYERAPI2_LAYERS_PATH", sandbox.work().join("layers")).env("HOME", "/h");
    let done = Done::of(&mut bash).succeeded();
    assert_eq!(done.stdout, "a\nb\nit's /h read\nsame\nunset\n", "{}", done.stderr);
    run(&sandbox, "layer_load_bash_cmds", &["x@m"]).exited(1);
}

#[test]
fn a_plugin_loads_its_layers_and_says_which_one_is_absent() {
    let sandbox = with_layers();
    let home = sandbox.installed("foo");
    fs::write(home.join(".layerapi2_dependencies"), "# mine\na@m\n").unwrap();
    let mut mwp = sandbox.mwp(["exec", "foo", "--", "b-tool"]);
    let done = Done::of(mwp.env("LAYERAPI2_LAYERS_PATH", sandbox.work().join("layers"))).succeeded();
    assert_eq!(done.stdout, "b\n");
    sandbox.fails(1, ["exec", "foo", "--", "true"]).says("requires the layer `a@m`, which is not installed");
}

#[test]
fn installed_plugins_are_layers() {
    let sandbox = with_layers();
    sandbox.plugin("p");
    sandbox.ok(["install", sandbox.packed("p").to_str().unwrap()]);
    let home = sandbox.base().join("p").display().to_string();
    assert_eq!(run(&sandbox, "get_layer_home", &["plugin_p@mfserv"]).succeeded().stdout, format!("{home}\n"));
    let script = ["--layers=plugin_p@mfserv", "--", "sh", "-c", "echo ran"];
    assert_eq!(run(&sandbox, "layer_wrapper", &script).succeeded().stdout, "ran\n");
    assert_eq!(run(&sandbox, "is_layer_installed", &["plugin_p@mfserv"]).succeeded().stdout, "1\n");
}
