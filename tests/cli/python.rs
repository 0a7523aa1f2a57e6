//! Python: freeze, wheels and virtualenv, with real packages from PyPI, by pip and by uv.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Done, Sandbox, path_with_uv};

const LOCK: &str = "p/python3_virtualenv_sources/requirements3.txt";
const WANTED: &str = "p/python3_virtualenv_sources/requirements-to-freeze.txt";

/// The names and versions in the lock.
fn pins(sandbox: &Sandbox) -> Vec<String> {
    sandbox.read(LOCK).lines().filter(|line| !line.starts_with(['#', '-'])).map(str::to_owned).collect()
}

/// Runs the plugin's own interpreter.
#[track_caller]
fn python(dir: &Path, script: &str) -> Done {
    Done::of(Command::new(dir.join("local/bin/python")).args(["-c", script])).succeeded()
}

fn wheels(sandbox: &Sandbox) -> Vec<String> {
    let dir = sandbox.work().join("p/python3_virtualenv_sources/src");
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs with the network cut.
fn without_network(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    let mwp = sandbox.mwp(arguments);
    let mut unshare = Command::new("unshare");
    unshare.args(["-r", "-n"]).arg(mwp.get_program()).args(mwp.get_args()).current_dir(sandbox.work());
    Done::of(unshare.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?)))))
}

#[test]
fn a_flask_plugin_is_frozen_fetched_and_installed() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "# web\n\nflask");
    sandbox.ok(["build", "-C", "p"]).says("freeze: done").says("wheels: done").says("virtualenv: done");
    assert!(pins(&sandbox).iter().any(|pin| pin.starts_with("flask==")), "{:?}", pins(&sandbox));
    assert_eq!(pins(&sandbox).len(), wheels(&sandbox).len());
    python(&dir, "import flask, jinja2, sys; assert sys.prefix.endswith('/p/local'), sys.prefix");
    Done::of(Command::new(dir.join("local/bin/flask")).arg("--version")).succeeded().prints("Flask 3");
    sandbox.ok(["build", "-C", "p"]).says("up to date");
}

#[test]
fn the_virtualenv_can_be_moved_scripts_included() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "flask\n");
    sandbox.ok(["build", "-C", "p"]);
    let moved = sandbox.work().join("some where 'else'");
    fs::rename(&dir, &moved).unwrap();
    Done::of(Command::new(moved.join("local/bin/flask")).arg("--version")).succeeded().prints("Flask 3");
    for entry in fs::read_dir(moved.join("local/bin")).unwrap() {
        let content = fs::read(entry.unwrap().path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains(&*dir.to_string_lossy()), "{text}");
    }
}

#[test]
fn uv_and_pip_give_the_same_set_of_packages() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "Flask>=3\nrequests[socks]\n");
    Done::of(sandbox.mwp(["build", "-C", "p"]).env("PATH", path_with_uv())).succeeded();
    assert!(sandbox.read("p/.mwp/log/freeze.log").contains("uv pip compile"));
    let by_uv = pins(&sandbox);
    sandbox.ok(["superclean", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]);
    assert!(sandbox.read("p/.mwp/log/freeze.log").contains("-m pip install --dry-run"));
    assert_eq!(pins(&sandbox), by_uv);
}

#[test]
fn a_clone_with_a_lock_never_freezes_again_whatever_the_times() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six\n");
    sandbox.write(LOCK, "six==1.15.0\n");
    let lock = sandbox.read(LOCK);
    let touch = |file: &str, date: &str| {
        Command::new("touch").args(["-d", date]).arg(sandbox.work().join(file)).status().unwrap();
    };
    touch(WANTED, "2030-01-01");
    touch(LOCK, "2001-01-01");
    sandbox.ok(["build", "--locked", "-C", "p"]).never_says("freeze: ");
    assert_eq!(sandbox.read(LOCK), lock);
    assert_eq!(wheels(&sandbox), ["six-1.15.0-py2.py3-none-any.whl"]);
    sandbox.write(WANTED, "six>=1.16\n");
    sandbox.ok(["explain", "freeze", "-C", "p"]).prints("the lock pins `six==1.15.0`, and ");
    sandbox
        .fails(1, ["build", "--locked", "-C", "p"])
        .says("is out of date, and --locked does not let it be made");
    assert_eq!(sandbox.read(LOCK), lock);
    sandbox.ok(["build", "-C", "p"]).says("freeze: done");
    assert_ne!(pins(&sandbox), ["six==1.15.0"]);
}

#[test]
fn a_lock_of_ours_knows_what_it_was_frozen_from() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six\n");
    sandbox.ok(["build", "-C", "p"]);
    let lock = sandbox.read(LOCK);
    fs::remove_dir_all(sandbox.work().join("p/.mwp")).unwrap();
    sandbox.write(WANTED, "# a comment\nsix\n");
    sandbox.ok(["build", "--locked", "-C", "p"]).never_says("freeze: ");
    sandbox.write(WANTED, "six>=1\n");
    sandbox.ok(["explain", "freeze", "-C", "p"]).prints("requirements-to-freeze.txt` changed: ");
    sandbox.fails(1, ["build", "--locked", "-C", "p"]);
    assert_eq!(sandbox.read(LOCK), lock);
}

#[test]
fn an_empty_and_a_comment_only_file_make_an_empty_virtualenv() {
    let sandbox = Sandbox::new();
    for content in ["", "# nothing yet", "\n\n"] {
        let dir = sandbox.python_plugin("p", content);
        sandbox.ok(["build", "-C", "p"]);
        assert_eq!(pins(&sandbox), [""; 0]);
        python(&dir, "pass");
        sandbox.ok(["build", "-C", "p"]).says("up to date");
        sandbox.ok(["superclean", "-C", "p"]);
    }
}

#[test]
fn option_lines_urls_paths_and_git_requirements_are_pinned() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "");
    // A project beside the requirements, and one in a git repository.
    for (project, parent) in [("here", "p/python3_virtualenv_sources/here"), ("there", "there")] {
        let settings = format!(
            "[project]\nname = \"{project}\"\nversion = \"1.0\"\n[build-system]\nrequires = [\"setuptools\"]\n"
        );
        sandbox.write(&format!("{parent}/pyproject.toml"), settings);
        sandbox.write(&format!("{parent}/{project}.py"), "answer = 42\n");
    }
    let repository = sandbox.work().join("there");
    for arguments in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "x"],
    ] {
        Done::of(Command::new("git").args(arguments).current_dir(&repository)).succeeded();
    }
    let git = format!("git+file://{}", repository.display());
    sandbox.write(WANTED, format!("--prefer-binary\n{git}#egg=there\n-e ./here\nsix==1.16.0 # old"));
    for with_uv in [true, false] {
        let mut mwp = sandbox.mwp(["build", "-C", "p"]);
        if with_uv {
            mwp.env("PATH", path_with_uv());
        }
        Done::of(&mut mwp).succeeded();
        let lock = sandbox.read(LOCK);
        assert_eq!(lock.lines().nth(1), Some("--prefer-binary"), "{lock}");
        assert!(lock.contains("six==1.16.0\n"), "{lock}");
        let commit =
            Done::of(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(&repository)).stdout;
        assert!(lock.contains(&format!("{git}@{}", commit.trim())), "{lock}");
        python(&dir, "import here, there, six; assert here.answer + there.answer == 84");
        // What is in a directory counts at every build.
        sandbox.write("p/python3_virtualenv_sources/here/here.py", "answer = 1\n");
        sandbox.ok(["build", "-C", "p"]);
        python(&dir, "import here; assert here.answer == 1");
        sandbox.write("p/python3_virtualenv_sources/here/here.py", "answer = 42\n");
        sandbox.ok(["superclean", "-C", "p"]);
    }
}

#[test]
fn without_allow_binary_packages_everything_is_compiled() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "markupsafe==2.1.5\nsix==1.16.0\n");
    sandbox.ok(["build", "-C", "p"]);
    assert!(wheels(&sandbox)[0].contains("manylinux"), "{:?}", wheels(&sandbox));
    fs::remove_file(dir.join("python3_virtualenv_sources/allow_binary_packages")).unwrap();
    sandbox.write("p/python3_virtualenv_sources/build_constraint", "setuptools<81\n");
    sandbox.ok(["explain", "wheels", "-C", "p"]).prints("allow_binary_packages` is gone");
    sandbox.ok(["build", "-C", "p"]);
    assert!(!wheels(&sandbox)[0].contains("manylinux"), "{:?}", wheels(&sandbox));
    python(&dir, "import markupsafe._speedups");
    // A list names the only ones that may be binary.
    sandbox.write("p/python3_virtualenv_sources/allow_binary_packages", "MarkupSafe\n");
    sandbox.ok(["build", "-C", "p"]);
    assert!(wheels(&sandbox)[0].contains("manylinux"), "{:?}", wheels(&sandbox));
}

#[test]
fn a_requirement_that_cannot_be_met_gives_the_tools_reason_and_not_its_trace() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.16.0\n");
    sandbox.ok(["build", "-C", "p"]);
    let lock = sandbox.read(LOCK);
    sandbox.write(WANTED, "six==9999\n");
    for with_uv in [true, false] {
        let mut mwp = sandbox.mwp(["build", "-q", "-C", "p"]);
        if with_uv {
            mwp.env("PATH", path_with_uv());
        }
        let done =
            Done::of(&mut mwp).exited(1).never_says("Traceback").says("hint: correct that requirement");
        let error = done.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(error.contains("six==9999"), "{error}");
        assert_eq!(sandbox.read(LOCK), lock);
    }
}

#[test]
fn without_a_network_a_locked_build_with_cached_wheels_works() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six\n");
    sandbox.ok(["build", "-C", "p"]);
    // Another plugin with the same pin: the outputs are not in the cache, the wheels are.
    sandbox.plugin("q");
    sandbox.write("q/python3_virtualenv_sources/allow_binary_packages", "");
    sandbox.write("q/python3_virtualenv_sources/requirements3.txt", sandbox.read(LOCK) + "# q\n");
    without_network(&sandbox, &["build", "-C", "q"]).succeeded();
    assert!(sandbox.work().join("q/local/bin/python3").exists());
    sandbox.ok(["cache", "prune", "--all"]);
    sandbox.ok(["clean", "-C", "q"]);
    let done = without_network(&sandbox, &["build", "-C", "q"]).exited(3);
    done.says("no package index can be reached").says("hint: check the network");
}

#[test]
fn another_python_version_rebuilds() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six\n");
    sandbox.ok(["build", "-C", "p"]);
    let real =
        Done::of(Command::new("python3").args(["-c", "import sys; print(sys._base_executable)"])).stdout;
    let other = sandbox.write_executable(
        "other/python3",
        &format!("#!/bin/sh\ncase \"$*\" in *'print(platform.python_implementation()'*) echo CPython 3.99.0 linux x86_64;; *) exec {} \"$@\";; esac\n", real.trim()),
    );
    let path = std::env::var("PATH").unwrap();
    let mut explain = sandbox.mwp(["explain", "-C", "p"]);
    explain.env("PATH", format!("{}:{path}", other.parent().unwrap().display()));
    Done::of(&mut explain)
        .succeeded()
        .prints("freeze: up to date")
        .prints("the tool `python3` changed: CPython 3.");
}

#[test]
fn files_that_a_custom_rule_put_into_local_survive() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "six==1.16.0\n");
    sandbox.write("p/Makefile", "include $(MFEXT_HOME)/share/plugin.mk\ncustom::\n\t@mkdir -p local/bin; test -e local/bin/tool || echo made > local/bin/tool\n");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/local/share/by-hand", "mine");
    sandbox.write(WANTED, "six==1.17.0\n");
    sandbox.ok(["build", "-C", "p"]).says("virtualenv: done");
    assert_eq!(sandbox.read("p/local/bin/tool"), "made\n");
    assert_eq!(sandbox.read("p/local/share/by-hand"), "mine");
    python(&dir, "import six; assert six.__version__ == '1.17.0'");
    assert!(
        !Path::new(&dir)
            .join("local/lib")
            .read_dir()
            .unwrap()
            .any(|lib| { lib.unwrap().path().join("site-packages/six-1.16.0.dist-info").exists() })
    );
}

#[test]
fn a_virtualenv_of_another_tool_is_replaced_and_what_is_beside_it_kept() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "six==1.17.0\n");
    Done::of(Command::new("python3").args(["-m", "venv"]).arg(dir.join("local"))).succeeded();
    Done::of(Command::new(dir.join("local/bin/pip")).args(["install", "-q", "six==1.16.0"])).succeeded();
    sandbox.write("p/local/bin/tool", "made\n");
    sandbox.ok(["build", "-C", "p"]);
    python(&dir, "import six; assert six.__version__ == '1.17.0'");
    assert_eq!(sandbox.read("p/local/bin/tool"), "made\n");
    Done::of(Command::new(dir.join("local/bin/python")).args(["-c", "import setuptools"])).exited(1);
}

#[test]
fn pip_works_in_the_virtualenv_and_drift_is_reported() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "six\n");
    sandbox.ok(["build", "-C", "p"]);
    Done::of(Command::new(dir.join("local/bin/pip")).args(["install", "-q", "itsdangerous==2.2.0"]))
        .succeeded();
    python(&dir, "import itsdangerous");
    sandbox.ok(["build", "-C", "p"]).says("local/ has drifted from its lock: itsdangerous 2.2.0");
    sandbox.ok(["build", "--force", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]).never_says("drifted");
}

/// A layer that provides packages, as MetWork's python3 layer does.
fn layer(sandbox: &Sandbox, pins: &str) -> String {
    let version =
        Done::of(Command::new("python3").args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))
            .stdout;
    sandbox.write("layers/python3/.layerapi2_label", "python3@mfext\n");
    let place = format!("layers/python3/lib/python{}/site-packages/requirements3.txt", version.trim());
    sandbox.write(&place, pins);
    sandbox.work().join("layers").to_string_lossy().into_owned()
}

#[test]
fn layers_are_constraints_and_what_they_provide_is_not_pinned_again() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "jinja2\nsix\n");
    let layers = layer(&sandbox, "MarkupSafe==2.1.3\nsix==1.15.0\n");
    let build = || Done::of(sandbox.mwp(["build", "-C", "p"]).env("LAYERAPI2_LAYERS_PATH", &layers));
    build().succeeded();
    assert!(pins(&sandbox).len() == 1 && pins(&sandbox)[0].starts_with("jinja2=="), "{:?}", pins(&sandbox));
    sandbox.write(WANTED, "six>=1.16\n");
    build().exited(1).says("hint: the layers' own packages are constraints; make an empty file ");
    fs::write(dir.join("python3_virtualenv_sources/override"), "").unwrap();
    build().succeeded();
    assert!(pins(&sandbox)[0].starts_with("six==1.1"), "{:?}", pins(&sandbox));
}

#[test]
fn the_index_that_pip_is_set_up_with_is_used_by_uv_too() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "only-in-our-mirror\n");
    // A folder of wheels is the smallest index there is.
    let mirror = sandbox.work().join("mirror");
    fs::create_dir_all(&mirror).unwrap();
    sandbox.write("lib/pyproject.toml", "[project]\nname = \"only-in-our-mirror\"\nversion = \"1.5\"\n[build-system]\nrequires = [\"setuptools\"]\n");
    sandbox.write("lib/only_in_our_mirror.py", "");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "wheel", "-q", "--no-deps", "-w"]).arg(&mirror).arg(sandbox.work().join("lib"));
    Done::of(&mut pip).succeeded();
    let settings = format!("[global]\nfind-links = {}\n", mirror.display());
    fs::create_dir_all(sandbox.path("home/.config/pip")).unwrap();
    fs::write(sandbox.path("home/.config/pip/pip.conf"), settings).unwrap();
    for with_uv in [true, false] {
        let mut mwp = sandbox.mwp(["build", "-C", "p"]);
        mwp.env_remove("PIP_FIND_LINKS");
        if with_uv {
            mwp.env("PATH", path_with_uv());
        }
        Done::of(&mut mwp).succeeded();
        assert_eq!(pins(&sandbox), ["only-in-our-mirror==1.5"]);
        sandbox.ok(["superclean", "-C", "p"]);
        sandbox.ok(["cache", "prune", "--all"]);
    }
}
