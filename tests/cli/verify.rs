//! `mwp verify`: what the installation made is checked as what was packed is, and a Python that went away is told.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::tar::Tar;
use crate::support::unpacking::all_refused;
use crate::support::wheel::wheel;
use crate::support::{Done, Sandbox, tree};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

/// A sandbox with the plugin `p` installed: a virtualenv with `alpha`, and a file of its own in `local/`.
fn installed() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "--no-index\n--find-links vendor\nalpha\n");
    wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", "a", &[]);
    sandbox.write("p/local/share/own.txt", "own");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    let home = sandbox.base().join("p");
    (sandbox, home)
}

fn find(home: &Path, name: &str) -> String {
    tree(home).into_iter().find(|path| path.ends_with(name)).unwrap()
}

#[test]
fn what_the_installation_made_is_checked_and_made_again() {
    let (sandbox, home) = installed();
    sandbox.ok(["verify"]).says("p is as it was packed");
    let before = tree(&home.join("local"));
    let alpha = find(&home, "site-packages/alpha.py");
    let record = find(&home, "alpha-1.0.dist-info/RECORD");
    let refused = |said: &str| {
        sandbox.fails(1, ["verify", "p"]).says(said).says("hint: ");
        sandbox.ok(["verify", "--repair", "p"]).says("made the virtualenv");
        sandbox.ok(["verify", "p"]).says("p is as it was packed");
        assert_eq!(tree(&home.join("local")), before);
    };
    fs::write(home.join(&alpha), "evil").unwrap();
    refused(&format!("`{alpha}` was altered"));
    fs::remove_file(home.join(&alpha)).unwrap();
    refused(&format!("`{alpha}` is missing"));
    // Whoever plants a file may list it, too.
    let planted = Path::new(&alpha).with_file_name("planted.py");
    fs::write(home.join(&planted), "evil").unwrap();
    let list = fs::read_to_string(home.join(&record)).unwrap();
    fs::write(home.join(&record), format!("{list}planted.py,,\n")).unwrap();
    refused(&format!("`{}` was added", planted.display()));
    let python = home.join("local/bin/python3");
    fs::remove_file(&python).unwrap();
    symlink("/bin/true", &python).unwrap();
    refused("`local/bin/python3` was altered");
    fs::remove_file(&python).unwrap();
    fs::write(&python, "#!/bin/sh\n").unwrap();
    refused("`local/bin/python3` was altered");
    fs::write(home.join("local/bin/pip3"), "evil").unwrap();
    refused("`local/bin/pip3` was altered");
    fs::write(home.join("local/bin/activate"), "evil").unwrap();
    refused("`local/bin/activate` was added");
    fs::write(home.join("local/pyvenv.cfg"), "home = /evil").unwrap();
    refused("`local/pyvenv.cfg` was altered");
    let own = fs::read_to_string(home.join("local/share/own.txt")).unwrap();
    assert_eq!(own, "own");
}

#[test]
fn a_virtualenv_that_was_removed_is_missing_and_is_made_again() {
    let (sandbox, home) = installed();
    fs::remove_dir_all(home.join("local")).unwrap();
    sandbox
        .fails(1, ["verify", "p"])
        .says("`local/pyvenv.cfg` is missing")
        .says("`local/share/own.txt` is missing");
    sandbox
        .fails(1, ["verify", "--repair", "p"])
        .says("`local/share/own.txt` is missing")
        .never_says("pyvenv.cfg");
    sandbox.ok(["exec", "p", "--", "python3", "-c", "import alpha"]);
}

#[test]
fn a_manifest_that_was_removed_is_missing() {
    let (sandbox, home) = installed();
    fs::remove_file(home.join(".mwp_manifest.json")).unwrap();
    sandbox
        .fails(1, ["verify", "p"])
        .says("`.mwp_manifest.json` is missing")
        .says("hint: install the plugin again")
        .never_says("upstream");
}

#[test]
fn a_list_of_what_was_made_that_was_removed_is_missing() {
    let (sandbox, home) = installed();
    let list = home.join(".mwp_installed.json");
    for content in [None, Some("{"), Some("[]")] {
        match content {
            None => fs::remove_file(&list).unwrap(),
            Some(content) => fs::write(&list, content).unwrap(),
        }
        fs::write(home.join(find(&home, "site-packages/alpha.py")), "evil").unwrap();
        sandbox.fails(1, ["verify", "p"]).says("`.mwp_installed.json` is missing");
        sandbox.ok(["verify", "--repair", "p"]).says("made the virtualenv");
        assert_ne!(fs::read_to_string(home.join(find(&home, "site-packages/alpha.py"))).unwrap(), "evil");
    }
}

#[test]
fn links_in_the_place_of_what_python_keeps_and_open_directories_are_found() {
    let (sandbox, home) = installed();
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).unwrap();
    for name in [
        "__pycache__",
        "python3_virtualenv_sources/__pycache__",
        ".configuration_cache",
        "tmp_build",
        "x.tar.gz",
    ] {
        symlink(&outside, home.join(name)).unwrap();
        sandbox.fails(1, ["verify", "p"]).says(&format!("`{name}` was added"));
        fs::remove_file(home.join(name)).unwrap();
    }
    sandbox.ok(["verify", "p"]);
    fs::set_permissions(home.join("local/share"), fs::Permissions::from_mode(0o777)).unwrap();
    sandbox.fails(1, ["verify", "p"]).says("`local/share` has mode 0777 instead of 0755");
}

#[test]
fn what_a_file_system_keeps_in_its_root_is_no_plugin() {
    let (sandbox, home) = installed();
    fs::create_dir(home.with_file_name("lost+found")).unwrap();
    sandbox.ok(["verify"]).says("p is as it was packed").never_says("lost+found");
    assert!(!sandbox.ok(["list"]).stdout.contains("lost+found"));
}

#[test]
fn nothing_is_made_of_wheels_that_were_altered() {
    let (sandbox, home) = installed();
    let shipped = find(&home, "alpha-1.0-py3-none-any.whl");
    wheel(home.join(&shipped).parent().unwrap(), "alpha", "1.0", "evil", &[]);
    let before = fs::read(home.join(find(&home, "site-packages/alpha.py"))).unwrap();
    sandbox.fails(1, ["verify", "--repair", "p"]).says(&format!("`{shipped}` was altered"));
    assert_eq!(fs::read(home.join(find(&home, "site-packages/alpha.py"))).unwrap(), before);
}

#[test]
fn a_list_of_what_postinstall_made_vouches_for_nothing_by_itself() {
    let (sandbox, home) = installed();
    fs::write(home.join(".mwp_postinstall.json"), "[\"\", \"config.ini\", \"/\", \"..\"]").unwrap();
    fs::write(home.join("config.ini"), sandbox.read("p/config.ini") + "# evil\n").unwrap();
    let done = sandbox.fails(1, ["verify", "p"]);
    done.says("`config.ini` was altered").says("`.mwp_postinstall.json` was added");
    // With a script it stands for what it names, and for no more.
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write_executable("p/postinstall", "#!/bin/sh\necho made > made\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    let home = sandbox.base().join("p");
    sandbox.ok(["verify", "p"]);
    fs::write(home.join(".mwp_postinstall.json"), "[\"\", \".\", \"made\"]").unwrap();
    fs::write(home.join("extra"), "evil").unwrap();
    sandbox.fails(1, ["verify", "p"]).says("`extra` was added");
}

#[test]
fn names_that_mwp_keeps_for_itself_are_refused_in_an_archive_and_not_packed() {
    let names =
        [".mwp_postinstall.json", ".mwp_installed.json", ".mwp/state", ".mwp-shipped-local/x", ".mwp"];
    let cases = names.map(|name| {
        let archive = Tar::plugin().file(format!("metwork_plugin/{name}"), "[\"\"]").end();
        (name, archive, "a name that mwp keeps for itself")
    });
    all_refused(cases.into());
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/.mwp_installed.json", "{}");
    sandbox.ok(["pack", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    assert!(!sandbox.base().join("p/.mwp_installed.json").exists());
}

#[test]
fn another_python_never_takes_the_place_of_one_that_is_gone() {
    let (sandbox, home) = installed();
    let python = home.join("local/bin/python3");
    let target = sandbox.work().join("host/python3.7");
    for (link, said) in [
        (Some(Path::new("/nonexistent/python3.11")), "its interpreter `/nonexistent/python3.11` is gone"),
        (Some(target.as_path()), "is Python 3.7 now, and it was made for Python 3."),
        (None, "local/bin/python3` is missing"),
    ] {
        let before = fs::read_link(&python).unwrap();
        fs::remove_file(&python).unwrap();
        sandbox.write_executable("host/python3.7", "#!/bin/sh\necho evil\n");
        link.into_iter().for_each(|link| symlink(link, &python).unwrap());
        for command in [&["python3", "-c", ""][..], &["alpha"], &["true"]] {
            let arguments = ["exec", "p", "--"].iter().chain(command);
            let done = Done::of(&mut sandbox.mwp(arguments)).exited(1);
            done.says("the virtualenv of the plugin `p` cannot be used: ")
                .says(said)
                .says("mwp verify --repair p");
        }
        sandbox.fails(1, ["verify", "p"]).says(said);
        sandbox.ok(["verify", "--repair", "p"]);
        assert_eq!(fs::read_link(&python).unwrap(), before);
        sandbox.ok(["exec", "p", "--", "python3", "-c", "import alpha"]);
    }
}

#[test]
fn another_python_never_takes_the_place_of_one_that_cannot_be_run() {
    let (sandbox, home) = installed();
    let bin = home.join("local/bin");
    let damages: [(&str, &dyn Fn()); 5] = [
        ("local/bin/python3` cannot be run", &|| fs::create_dir(bin.join("python3")).unwrap()),
        ("local/bin/python3` cannot be run", &|| fs::write(bin.join("python3"), "x").unwrap()),
        ("local/bin/python` is not its interpreter", &|| {
            symlink(fs::read_link(bin.join("python3.11-before")).unwrap(), bin.join("python3")).unwrap();
            fs::remove_file(bin.join("python")).unwrap();
        }),
        ("local/bin/python3` is missing", &|| {}),
        ("local/pyvenv.cfg` is missing", &|| fs::remove_dir_all(home.join("local")).unwrap()),
    ];
    for (said, damage) in damages {
        fs::rename(bin.join("python3"), bin.join("python3.11-before")).unwrap();
        damage();
        for program in ["python3", "python"] {
            let done = sandbox.fails(1, ["exec", "p", "--", program, "-c", "print('ran')"]).says(said);
            assert_eq!(done.stdout, "");
        }
        sandbox.fails(1, ["verify", "p"]);
        let _ = Done::of(&mut sandbox.mwp(["verify", "--repair", "p"]));
        sandbox.ok(["exec", "p", "--", "python3", "-c", "import alpha"]);
    }
}

#[test]
fn info_tells_what_a_release_needs() {
    let (sandbox, _) = installed();
    for what in ["p", FILE] {
        sandbox.ok(["info", what]).prints("\nNeeds: Python 3\n");
        sandbox.ok(["info", "--json", what]).prints("\"needs\": \"Python 3\"");
    }
}

#[test]
fn bytecode_that_is_not_that_of_its_source_is_found() {
    let (sandbox, home) = installed();
    let import = || {
        let mut import = sandbox.mwp(["exec", "p", "--", "python3", "-c", "import alpha"]);
        for variable in ["PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"] {
            import.env_remove(variable);
        }
        Done::of(&mut import).succeeded();
    };
    let cached = |home: &Path| {
        let found =
            tree(home).into_iter().find(|path| path.contains("__pycache__/alpha.") && path.ends_with(".pyc"));
        found.unwrap()
    };
    import();
    let path = cached(&home);
    sandbox.ok(["verify", "p"]).says("p is as it was packed");
    // As Python has it: magic, flags, time and size of the source, code.
    let honest = fs::read(home.join(&path)).unwrap();
    let compile = "import marshal, sys; sys.stdout.buffer.write(marshal.dumps(compile(\"print('evil')\", 'alpha.py', 'exec')))";
    let python = home.join("local/bin/python3");
    let evil = std::process::Command::new(python).args(["-c", compile]).output().unwrap().stdout;
    let dated = [&honest[..16], &evil].concat();
    let undated = [&honest[..4], &1_u32.to_le_bytes(), b"whatever", &evil].concat();
    for planted in [dated, undated, honest[..honest.len() - 5].to_vec()] {
        fs::write(home.join(&path), planted).unwrap();
        sandbox.fails(1, ["verify", "p"]).says(&format!("`{path}` was altered"));
    }
    fs::write(home.join(&path), &honest).unwrap();
    sandbox.ok(["verify", "p"]);
    let other = path.replace("alpha.", "other.");
    fs::write(home.join(&other), &honest).unwrap();
    sandbox.fails(1, ["verify", "p"]).says(&format!("`{other}` was added"));
    sandbox.ok(["verify", "--repair", "p"]);
    import();
    sandbox.ok(["verify", "p"]);
}

#[test]
fn status_tells_that_the_python_of_what_runs_is_gone() {
    let sandbox = Sandbox::new();
    let dir = sandbox.daemon_plugin("d", "exec sleep 1000\n");
    let sources = "d/python3_virtualenv_sources";
    sandbox
        .write(&format!("{sources}/requirements-to-freeze.txt"), "--no-index\n--find-links vendor\nalpha\n");
    sandbox.write(&format!("{sources}/allow_binary_packages"), "");
    wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", "a", &[]);
    sandbox.ok(["build", "-q", "-C", "d"]);
    sandbox.ok(["install", sandbox.packed("d").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until_running("d", "foo");
    sandbox.ok(["status"]);
    let python = sandbox.base().join("d/local/bin/python3");
    fs::remove_file(&python).unwrap();
    symlink("/nonexistent/python3.11", &python).unwrap();
    // The module itself may have seen it first, and says the same of what it could not start anew.
    let said = "cannot be used: its interpreter `/nonexistent/python3.11` is gone";
    sandbox.fails(1, ["status"]).says("error: d: ").says(said).says("hint: ");
    sandbox.ok(["verify", "--repair", "d"]);
    up.until("all is well again", || sandbox.mwp(["status"]).output().unwrap().status.success());
}

#[test]
fn a_base_that_is_not_there_is_not_well() {
    let sandbox = Sandbox::new();
    sandbox.fails(2, ["verify", "--plugins-base-dir", "nope"]).says("`nope` is no directory").says("hint: ");
}
