//! What the tasks of Python read is in their keys: with `--locked`, too, nothing stale passes. By pip and by uv, from
//! directories of tiny wheels, without a network.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::wheel::{project, source, wheel, wheel_with};
use crate::support::{Done, Sandbox, path_with_uv, path_without_uv};

const LINKS: &str = "--no-index\n--find-links ./vendor\n";

/// The one installer and the other.
fn paths() -> [OsString; 2] {
    [path_with_uv(), path_without_uv()]
}

/// `mwp` with this PATH and without the index settings of the machine.
fn mwp(sandbox: &Sandbox, path: &OsString, arguments: &[&str]) -> Command {
    let mut mwp = sandbox.mwp(arguments);
    mwp.env("PATH", path).env_remove("PIP_FIND_LINKS").env_remove("CFLAGS");
    mwp
}

#[track_caller]
fn ok(sandbox: &Sandbox, path: &OsString, arguments: &[&str]) -> Done {
    Done::of(&mut mwp(sandbox, path, arguments)).succeeded()
}

#[track_caller]
fn refused_when_locked(sandbox: &Sandbox, path: &OsString) -> Done {
    Done::of(&mut mwp(sandbox, path, &["build", "--locked", "-C", "p"]))
        .exited(1)
        .says("--locked does not let it be made")
}

/// What the module of the plugin's virtualenv says.
#[track_caller]
fn who(dir: &Path, module: &str) -> String {
    let script = format!("import {module}; print({module}.WHO)");
    Done::of(Command::new(dir.join("local/bin/python")).args(["-c", &script]))
        .succeeded()
        .stdout
        .trim()
        .to_owned()
}

fn plugin(sandbox: &Sandbox, name: &str, requirements: &str) -> std::path::PathBuf {
    sandbox.python_plugin(name, &format!("{LINKS}{requirements}"))
}

const SOURCES: &str = "p/python3_virtualenv_sources";

#[test]
fn a_file_that_requirements_include_counts_at_any_depth() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let dir = plugin(&sandbox, "p", "alpha==1.0\n-r more/common.txt\n");
        let vendor = dir.join("python3_virtualenv_sources/vendor");
        for name in ["alpha", "beta", "gamma"] {
            wheel(&vendor, name, "1.0", name, &[]);
        }
        sandbox.write(&format!("{SOURCES}/more/common.txt"), "-r deep.txt\n");
        sandbox.write(&format!("{SOURCES}/more/deep.txt"), "beta\n");
        ok(&sandbox, path, &["build", "-C", "p"]);
        ok(&sandbox, path, &["build", "--locked", "-C", "p"]).says("up to date");
        sandbox.write(&format!("{SOURCES}/more/deep.txt"), "beta\ngamma\n");
        ok(&sandbox, path, &["explain", "freeze", "-C", "p"])
            .prints("freeze: has to run")
            .prints("the input `python3_virtualenv_sources/more/deep.txt` changed");
        refused_when_locked(&sandbox, path);
        ok(&sandbox, path, &["build", "-C", "p"]).says("freeze: + gamma 1.0");
        assert_eq!(who(&dir, "gamma"), "gamma");
        fs::remove_file(sandbox.work().join(format!("{SOURCES}/more/deep.txt"))).unwrap();
        Done::of(&mut mwp(&sandbox, path, &["build", "-C", "p"])).exited(1).says("more/common.txt:1: ");
    }
}

#[test]
fn a_private_wheel_never_turns_up_in_another_plugin() {
    let sandbox = Sandbox::new();
    for name in ["pa", "pb"] {
        let dir = plugin(&sandbox, name, "alpha==1.0\n");
        wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", name, &[]);
    }
    for (path, is_locked) in [(path_with_uv(), false), (path_without_uv(), true)] {
        for name in ["pa", "pb"] {
            let arguments =
                if is_locked { vec!["build", "--locked", "-C", name] } else { vec!["build", "-C", name] };
            ok(&sandbox, &path, &arguments);
            assert_eq!(who(&sandbox.work().join(name), "alpha"), name);
            ok(&sandbox, &path, &["clean", "-C", name]);
        }
    }
}

#[test]
fn a_file_in_a_directory_of_links_counts() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let dir = plugin(&sandbox, "p", "alpha==1.0\n");
        let vendor = dir.join("python3_virtualenv_sources/vendor");
        wheel(&vendor, "alpha", "1.0", "old", &[]);
        ok(&sandbox, path, &["build", "-C", "p"]);
        wheel(&vendor, "alpha", "1.0", "new", &[]);
        ok(&sandbox, path, &["explain", "wheels", "-C", "p"])
            .prints("vendor/alpha-1.0-py3-none-any.whl` changed");
        // The lock says which file it is; another one is not taken without a word.
        Done::of(&mut mwp(&sandbox, path, &["build", "--locked", "-C", "p"]))
            .exited(1)
            .says("error: the file of `alpha==1.0` has sha256 ");
        ok(&sandbox, path, &["lock", "--upgrade-package", "alpha", "-C", "p"]);
        ok(&sandbox, path, &["build", "--locked", "-C", "p"]);
        assert_eq!(who(&dir, "alpha"), "new");
    }
}

#[test]
fn requirements_behind_a_symbolic_link_count() {
    let path = path_without_uv();
    let sandbox = Sandbox::new();
    let dir = plugin(&sandbox, "p", "");
    let vendor = dir.join("python3_virtualenv_sources/vendor");
    wheel(&vendor, "alpha", "1.0", "a", &[]);
    wheel(&vendor, "beta", "1.0", "b", &[]);
    let wanted = dir.join("python3_virtualenv_sources/requirements-to-freeze.txt");
    fs::remove_file(&wanted).unwrap();
    sandbox.write("shared.txt", format!("{LINKS}alpha\n"));
    std::os::unix::fs::symlink("../../shared.txt", &wanted).unwrap();
    ok(&sandbox, &path, &["build", "-C", "p"]);
    ok(&sandbox, &path, &["build", "--locked", "-C", "p"]).says("up to date");
    sandbox.write("shared.txt", format!("{LINKS}alpha\nbeta\n"));
    refused_when_locked(&sandbox, &path);
    ok(&sandbox, &path, &["build", "-C", "p"]);
    assert_eq!(who(&dir, "beta"), "b");
}

#[test]
fn constraints_of_the_machine_hold_with_uv_and_with_pip() {
    for path in &paths() {
        for from_file in [false, true] {
            let sandbox = Sandbox::new();
            let dir = plugin(&sandbox, "p", "alpha\n");
            let vendor = dir.join("python3_virtualenv_sources/vendor");
            wheel(&vendor, "alpha", "1.0", "1", &[]);
            wheel(&vendor, "alpha", "2.0", "2", &[]);
            let limits = sandbox.write("limits.txt", "alpha<2\n");
            let command = |arguments: &[&str]| {
                let mut command = mwp(&sandbox, path, arguments);
                if !from_file {
                    command.env("PIP_CONSTRAINT", &limits);
                }
                Done::of(&mut command)
            };
            if from_file {
                fs::create_dir_all(sandbox.path("home/.config/pip")).unwrap();
                let settings = format!("[global]\nconstraint = {}\n", limits.display());
                fs::write(sandbox.path("home/.config/pip/pip.conf"), settings).unwrap();
            }
            command(&["build", "-C", "p"]).succeeded();
            assert_eq!(who(&dir, "alpha"), "1");
            command(&["build", "--locked", "-C", "p"]).succeeded().says("up to date");
            sandbox.write("limits.txt", "alpha>1\n");
            command(&["explain", "freeze", "-C", "p"]).succeeded().prints("limits.txt:1 asks for `alpha>1`");
            command(&["build", "--locked", "-C", "p"]).exited(1).says("--locked does not let it be made");
            command(&["build", "-C", "p"]).succeeded().says("~ alpha 1.0 → 2.0");
            assert_eq!(who(&dir, "alpha"), "2");
        }
    }
}

#[test]
fn what_is_compiled_depends_on_the_compilers_variables_and_what_is_ready_made_does_not() {
    let path = path_without_uv();
    let sandbox = Sandbox::new();
    let dir = plugin(&sandbox, "p", "ext==1.0\nready==1.0\n");
    let vendor = dir.join("python3_virtualenv_sources/vendor");
    source(&vendor, "ext", "1.0", &[]);
    wheel(&vendor, "ready", "1.0", "r", &[]);
    sandbox.write(&format!("{SOURCES}/allow_binary_packages"), "ready\n");
    let build = |flags: &str, arguments: &[&str]| {
        let arguments = [&["build", "-v", "-C", "p"], arguments].concat();
        Done::of(mwp(&sandbox, &path, &arguments).env("CFLAGS", flags)).succeeded()
    };
    build("-DX=1", &[]).says("compiling ext 1.0");
    assert_eq!(who(&dir, "ext"), "-DX=1");
    build("-DX=2", &["--locked"])
        .says("compiling ext 1.0")
        .never_says("Processing ./python3_virtualenv_sources/vendor/ready");
    assert_eq!(who(&dir, "ext"), "-DX=2");
    build("-DX=1", &["--force"]);
    assert_eq!(who(&dir, "ext"), "-DX=1");
    ok(&sandbox, &path, &["build", "-C", "p"]);
    assert_eq!(who(&dir, "ext"), "None");
    build("-DX=1", &[]);
    assert_eq!(who(&dir, "ext"), "-DX=1");
    // Where nothing is compiled, the flags are nobody's business.
    sandbox.write(&format!("{SOURCES}/requirements-to-freeze.txt"), format!("{LINKS}ready==1.0\n"));
    build("-DX=1", &[]);
    build("-DX=3", &[]).says("up to date");
}

#[test]
fn what_a_build_needs_may_come_ready_made() {
    let path = path_without_uv();
    let sandbox = Sandbox::new();
    let dir = plugin(&sandbox, "p", "project==1.0\nhelper==1.0\n");
    let sources = dir.join("python3_virtualenv_sources");
    // The build of `project` needs `helper`, which is pinned as well.
    source(&sources.join("vendor"), "project", "1.0", &["helper"]);
    wheel(&sources.join("vendor"), "helper", "1.0", "h", &[]);
    fs::write(sources.join("allow_binary_packages"), "helper\n").unwrap();
    ok(&sandbox, &path, &["build", "-C", "p"]);
    assert_eq!(who(&dir, "project"), "None");
    assert!(sandbox.read("p/.mwp/log/wheels.log").contains("--no-binary project"));
}

#[test]
fn local_wheels_and_projects_are_built_when_and_only_when_they_changed() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let dir = sandbox.python_plugin("p", "./wheels/foo-1.0-py3-none-any.whl\n-e ./lib/bar\n");
        let sources = dir.join("python3_virtualenv_sources");
        wheel(&sources.join("wheels"), "foo", "1.0", "foo 1", &[]);
        project(&sources.join("lib/bar"), "bar", "bar 1");
        ok(&sandbox, path, &["build", "-C", "p"]);
        assert_eq!((who(&dir, "foo"), who(&dir, "bar")), ("foo 1".into(), "bar 1".into()));
        let left: Vec<_> = crate::support::tree(&sources.join("lib/bar"));
        assert_eq!(left, ["backend.py", "pyproject.toml", "who.data.py"]);
        ok(&sandbox, path, &["build", "--locked", "-C", "p"]).says("up to date");
        sandbox.write(&format!("{SOURCES}/lib/bar/who.data.py"), "bar 2");
        ok(&sandbox, path, &["explain", "wheels", "-C", "p"]).prints("lib/bar/who.data.py` changed");
        ok(&sandbox, path, &["build", "--locked", "-C", "p"]);
        assert_eq!(who(&dir, "bar"), "bar 2");
        wheel(&sources.join("wheels"), "foo", "1.0", "foo 2", &[]);
        ok(&sandbox, path, &["build", "-C", "p"]);
        assert_eq!(who(&dir, "foo"), "foo 2");
        ok(&sandbox, path, &["build", "-C", "p"]).says("up to date");
    }
}

#[test]
fn times_before_1980_do_not_keep_a_local_project_from_being_built() {
    let path = path_without_uv();
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "./lib/bar\n");
    let bar = dir.join("python3_virtualenv_sources/lib/bar");
    project(&bar, "bar", "old");
    let module = bar.join("who.data.py");
    Done::of(Command::new("touch").args(["-d", "1969-06-01"]).arg(&module)).succeeded();
    let mut build = mwp(&sandbox, &path, &["build", "-C", "p"]);
    Done::of(build.env("SOURCE_DATE_EPOCH", "0")).succeeded();
    assert_eq!(who(&dir, "bar"), "old");
}

#[test]
fn a_requirement_file_is_decoded_as_pip_does_it() {
    let utf16 = |text: &str| -> Vec<u8> {
        std::iter::once(0xfeff_u16).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    for path in &paths() {
        let text = format!("{LINKS}alpha # caf\u{e9}\n");
        for content in [
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            utf16(&text),
            [b"# -*- coding: latin-1 -*-\n# caf\xe9\n", LINKS.as_bytes(), b"alpha\n"].concat(),
        ] {
            let sandbox = Sandbox::new();
            let dir = sandbox.python_plugin("p", "");
            wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", "a", &[]);
            sandbox.write(&format!("{SOURCES}/requirements-to-freeze.txt"), content);
            ok(&sandbox, path, &["build", "-C", "p"]);
            assert_eq!(who(&dir, "alpha"), "a");
        }
    }
}

#[test]
fn a_wheels_script_keeps_its_docstring_and_its_encoding() {
    let path = path_without_uv();
    let sandbox = Sandbox::new();
    let dir = plugin(&sandbox, "p", "tool==1.0\n");
    let told = b"#!python\n\"\"\"What it does.\"\"\"\nfrom __future__ import annotations\nimport sys\nprint(__doc__, sys.argv[1:])\n";
    let coded = b"#!python\n# -*- coding: latin-1 -*-\nprint(ascii('caf\xe9'))\n";
    wheel_with(
        &dir.join("python3_virtualenv_sources/vendor"),
        "tool",
        "1.0",
        "t",
        &[],
        &[("tool-1.0.data/scripts/told", told), ("tool-1.0.data/scripts/coded", coded)],
    );
    ok(&sandbox, &path, &["build", "-C", "p"]);
    let moved = sandbox.work().join("some where else");
    fs::rename(&dir, &moved).unwrap();
    let link = sandbox.work().join("link");
    std::os::unix::fs::symlink(moved.join("local/bin/told"), &link).unwrap();
    for program in [moved.join("local/bin/told"), link] {
        let done = Done::of(Command::new(program).args(["a b", "c"])).succeeded();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("What it does. ['a b', 'c']\n", ""));
    }
    let by_python = Done::of(Command::new("python3").arg(moved.join("local/bin/told"))).succeeded();
    assert_eq!(by_python.stdout, "What it does. []\n");
    assert_eq!(Done::of(&mut Command::new(moved.join("local/bin/coded"))).succeeded().stdout, "'caf\\xe9'\n");
}

#[test]
fn a_makefile_with_a_custom_rule_leaves_nothing_to_do_but_that() {
    let path = path_without_uv();
    let sandbox = Sandbox::new();
    let dir = plugin(&sandbox, "p", "alpha\n");
    wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", "a", &[]);
    sandbox.write("p/Makefile", "include $(MFEXT_HOME)/share/plugin.mk\ncustom::\n\t@true\n");
    ok(&sandbox, &path, &["build", "-C", "p"]);
    ok(&sandbox, &path, &["release", "-C", "p"]);
    ok(&sandbox, &path, &["explain", "-C", "p"])
        .prints("virtualenv: up to date")
        .prints("wheels: up to date");
}

#[test]
fn a_constraint_file_of_the_machine_counts_with_those_that_it_names() {
    for path in &paths() {
        let sandbox = Sandbox::new();
        let dir = plugin(&sandbox, "p", "alpha\n");
        let vendor = dir.join("python3_virtualenv_sources/vendor");
        wheel(&vendor, "alpha", "1.0", "1", &[]);
        wheel(&vendor, "alpha", "2.0", "2", &[]);
        let limits = sandbox.write("limits.txt", "-c deep/more.txt\n");
        sandbox.write("deep/more.txt", "alpha<2\n");
        let run =
            |arguments: &[&str]| Done::of(mwp(&sandbox, path, arguments).env("PIP_CONSTRAINT", &limits));
        run(&["build", "-C", "p"]).succeeded();
        assert_eq!(who(&dir, "alpha"), "1");
        sandbox.write("deep/more.txt", "alpha>=2\n");
        run(&["build", "--locked", "-C", "p"]).exited(1).says("deep/more.txt");
        run(&["lock", "--check", "-C", "p"]).exited(1);
        run(&["build", "-C", "p"]).succeeded().says("~ alpha 1.0 → 2.0");
        assert_eq!(who(&dir, "alpha"), "2");
    }
}
