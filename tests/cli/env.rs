//! `mwp env`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{CONFIG, Done, Sandbox};

#[test]
fn printed_lines_can_be_evaluated_whatever_they_hold() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    fs::write(home.join("config.ini"), format!("{CONFIG}[custom]\na=it's \"$HOME\" `x`\n two\n")).unwrap();
    let print = sandbox.ok(["env", "--print", "foo"]);
    assert!(print.stdout.lines().any(|line| line == "export MFSERV_CURRENT_PLUGIN_NAME='foo'"));
    let script = format!("{}printf %s \"$MFSERV_CURRENT_PLUGIN_CUSTOM_A\"", print.stdout);
    let done = Done::of(Command::new("sh").arg("-c").arg(script)).succeeded();
    assert_eq!(done.stdout, "it's \"$HOME\" `x`\ntwo");
}

#[test]
fn only_what_differs_is_printed() {
    let sandbox = Sandbox::new();
    sandbox.installed("foo");
    let print = sandbox.ok(["env", "--print", "foo"]).stdout;
    assert!(!print.contains("export HOME="), "{print}");
    // What belongs to another plugin is taken away.
    let mut inside = sandbox.mwp(["env", "--print", "foo"]);
    let done = Done::of(inside.env("MFSERV_CURRENT_PLUGIN_CUSTOM_X", "1")).succeeded();
    done.prints("unset MFSERV_CURRENT_PLUGIN_CUSTOM_X\n");
}

#[test]
fn json_is_for_machines() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    let done = sandbox.ok(["env", "--json", "foo"]);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(value["name"], "foo");
    assert_eq!(value["variables"]["MFSERV_CURRENT_PLUGIN_DIR"], home.to_str().unwrap());
}

#[test]
fn without_a_name_it_is_the_current_directory() {
    let sandbox = Sandbox::new();
    let dir = sandbox.plugin("foo");
    Done::of(sandbox.mwp(["env", "--print"]).current_dir(dir)).succeeded().prints("NAME='foo'");
    sandbox.fails(1, ["env", "--print"]).says("is not a plugin");
}

/// Runs the shell with these commands on its standard input.
fn shell(sandbox: &Sandbox, shell: &str, arguments: &[&str], input: &str) -> Done {
    let mut command = sandbox.mwp(arguments);
    command.env("SHELL", shell).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn the_users_shell_runs_inside() {
    let sandbox = Sandbox::new();
    sandbox.installed("foo");
    let done = shell(&sandbox, "/bin/sh", &["env", "foo"], "echo $MFSERV_CURRENT_PLUGIN_NAME; exit 3\n");
    assert_eq!((done.code, done.stdout.as_str()), (Some(3), "foo\n"));
}

#[test]
fn an_interactive_bash_shows_the_plugin_and_keeps_its_path() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed("foo");
    fs::create_dir_all(home.join("bin")).unwrap();
    fs::write(sandbox.path("home/.bashrc"), "PATH=/usr/bin:/bin; PS1='mine> '; alias hello='echo alias'\n")
        .unwrap();
    sandbox.write_executable("bash", "");
    // An interactive bash reads its settings although no terminal is there.
    let wrapper = sandbox.write_executable("sh/bash", "#!/bin/sh\nexec /bin/bash \"$@\" -i\n");
    let input = "echo \"<$PS1>\"; echo \"<$PATH>\"; alias hello\n";
    let done = shell(&sandbox, wrapper.to_str().unwrap(), &["env", "foo"], input);
    assert!(done.stdout.contains("<(foo) mine> >"), "{done:?}");
    assert!(done.stdout.contains(&format!("<{}/bin:", home.display())), "{done:?}");
    assert!(done.stdout.contains("alias hello='echo alias'"), "{done:?}");
}

#[test]
fn there_is_no_shell_inside_a_shell() {
    let sandbox = Sandbox::new();
    sandbox.installed("foo");
    let mut command = sandbox.mwp(["env", "foo"]);
    let done = Done::of(command.env("MFSERV_CURRENT_PLUGIN_NAME", "bar")).exited(1);
    done.says("this is the environment of the plugin `bar` already");
}

#[test]
fn tmpdir_is_there() {
    let sandbox = Sandbox::new();
    sandbox.installed("foo");
    let done = sandbox.ok(["exec", "foo", "--", "sh", "-c", "cd \"$TMPDIR\" && pwd"]);
    let tmp = sandbox.path("home/.local/share/mwp/mfserv/tmp/foo");
    assert_eq!(done.stdout, format!("{}\n", tmp.display()));
}

/// With real packages from PyPI.
#[test]
fn pip_installs_into_the_plugin_and_the_next_build_says_so() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "six");
    sandbox.ok(["build", "-C", "p"]);
    let script = "pip install -q --no-deps idna && python -c 'import idna, six; print(idna.__file__)'";
    let done = sandbox.ok(["exec", "./p", "--", "sh", "-c", script]);
    assert!(done.stdout.starts_with(&format!("{}/local/lib/", dir.display())), "{done:?}");
    sandbox.ok(["build", "-C", "p"]).says("local/ has drifted from its lock: idna");
}

/// With a real package from npm's registry.
#[test]
fn npm_installs_into_the_plugin() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/package.json", "{\"name\": \"p\", \"version\": \"1.0.0\", \"dependencies\": {}}");
    sandbox.ok(["build", "-C", "p"]);
    let script =
        "npm install --silent is-number@7.0.0 && cd / && node -e 'console.log(require(\"is-number\")(3))'";
    assert_eq!(
        sandbox.ok(["exec", "--cwd", "./p", "--", "sh", "-c", script]).stdout.lines().last(),
        Some("true")
    );
}

/// What a plugin's values, its environment and its processes know of the module's own configuration.
#[test]
fn the_settings_of_the_module_are_variables() {
    let sandbox = Sandbox::new();
    sandbox.write("p/.layerapi2_label", "plugin_p@mfdata\n");
    sandbox.write("p/.plugin_format_version", "1.0.0\n");
    sandbox.write(
        "p/config.ini",
        format!("{CONFIG}[custom]\nin={{{{MFDATA_DATA_IN_DIR}}}}\npolicy={{{{MFDATA_INTERNAL_PLUGINS_SWITCH_NO_MATCH_POLICY}}}}\n"),
    );
    let ask = |name: &str| {
        let done = sandbox.ok(["exec", "./p", "--", "sh", "-c", &format!("echo ${name}")]);
        done.stdout.trim().to_owned()
    };
    let home = sandbox.path("home/.local/share/mwp/mfdata");
    let input = home.join("var/in").display().to_string();
    for name in ["MFDATA_DATA_IN_DIR", "MFDATA_CURRENT_PLUGIN_CUSTOM_IN"] {
        assert_eq!(ask(name), input, "{name}");
    }
    assert_eq!(ask("MFDATA_CURRENT_PLUGIN_CUSTOM_POLICY"), "delete");
    fs::create_dir_all(home.join("config")).unwrap();
    fs::write(
        home.join("config/config.ini"),
        "[data_in]\ndir=/data\n[internal_plugins]\nswitch_no_match_policy=keep\n",
    )
    .unwrap();
    for (name, value) in [
        ("MFDATA_DATA_IN_DIR", "/data"),
        ("MFDATA_CURRENT_PLUGIN_CUSTOM_IN", "/data"),
        ("MFDATA_CURRENT_PLUGIN_CUSTOM_POLICY", "keep"),
    ] {
        assert_eq!(ask(name), value, "{name}");
    }
}
