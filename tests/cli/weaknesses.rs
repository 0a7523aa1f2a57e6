//! What earlier tools got wrong and must stay impossible, as far as no other file tests it already.

use std::fs;
use std::process::Command;

use crate::support::{Done, Sandbox, tree};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

#[test]
fn a_shipped_configuration_cache_is_never_read() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["release", "--format", "gzip", "-C", "p"]);
    // A pickle that runs a command when it is loaded, beside everything that is there.
    let script = "import io, sys, tarfile\nold = tarfile.open(sys.argv[1]); new = tarfile.open('evil.plugin', 'w:gz')\n\
        for m in old.getmembers():\n    if m.name.endswith('.mwp_manifest.json'): continue\n    new.addfile(m, old.extractfile(m) if m.isfile() else None)\n\
        evil = b\"cos\\nsystem\\n(S'touch pwned'\\ntR.\"\nm = tarfile.TarInfo('metwork_plugin/.configuration_cache'); m.size = len(evil)\n\
        new.addfile(m, io.BytesIO(evil)); new.close()\n";
    Done::of(Command::new("python3").args(["-c", script, FILE]).current_dir(sandbox.work())).succeeded();
    let _ = Done::of(&mut sandbox.mwp(["install", "evil.plugin"]));
    let _ = Done::of(&mut sandbox.mwp(["exec", "p", "--", "true"]));
    assert!(!tree(&sandbox.path("")).iter().any(|name| name.ends_with("pwned")));
}

#[test]
fn spaces_and_quotes_in_every_path_are_no_obstacle() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.17.0\n");
    sandbox.write_executable("p/postinstall", "#!/bin/sh\ntouch done\n");
    sandbox.ok(["release", "-C", "p", "--output", "out of 'here'"]);
    let home = sandbox.path("home of \"me\"; `id`");
    fs::create_dir(&home).unwrap();
    let mwp = |arguments: &[&str]| Done::of(sandbox.mwp(arguments).env("HOME", &home)).succeeded();
    mwp(&["install", &format!("out of 'here'/{FILE}")]);
    mwp(&["exec", "p", "--", "python", "-c", "import six"]);
    mwp(&["repackage", "--output", "and there", "p"]);
    mwp(&["uninstall", "p"]);
}

#[test]
fn a_killed_extraction_does_not_end_in_the_next_plugin() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.plugin("q");
    for number in 0..2000 {
        sandbox.write(&format!("p/data/{number}"), "from p");
    }
    sandbox.ok(["release", "-q", "-C", "p", "-C", "q"]);
    let mut child = sandbox.mwp(["install", "-q", FILE]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.ok(["install", "q-0.0.1-1.metwork.mfserv.plugin"]);
    assert!(!sandbox.base().join("q/data").exists());
    assert_eq!(tree(&sandbox.base().join(".mwp")), ["lock"]);
}

#[test]
fn provisioning_keeps_the_old_version_where_the_new_one_fails() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    sandbox.write_executable("p/postinstall", "#!/bin/sh\nexit 1\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    fs::copy(sandbox.work().join(FILE), provisioning.join(FILE)).unwrap();
    sandbox.fails(1, ["provision"]).says("`postinstall` of the plugin `p` failed");
    assert!(!sandbox.base().join("p/postinstall").exists());
    sandbox.ok(["verify", "p"]);
}

#[test]
fn a_plugin_is_installed_over_a_broken_link() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["release", "-q", "-C", "p"]);
    fs::create_dir_all(sandbox.base()).unwrap();
    std::os::unix::fs::symlink("/nowhere", sandbox.base().join("p")).unwrap();
    sandbox.ok(["install", FILE]);
    assert!(!sandbox.base().join("p").is_symlink());
    sandbox.ok(["verify", "p"]);
}

#[test]
fn a_failed_freeze_leaves_no_temporary_files() {
    let sandbox = Sandbox::new();
    for requirement in ["six==9999\n", "-e git+file:///nowhere#egg=none\n"] {
        let dir = sandbox.python_plugin("p", requirement);
        let before: Vec<String> = tree(&dir).into_iter().filter(|name| !name.starts_with(".mwp")).collect();
        sandbox.fails(1, ["build", "-q", "-C", "p"]);
        let left: Vec<String> = tree(&dir).into_iter().filter(|name| !name.starts_with(".mwp")).collect();
        assert_eq!(left, before);
        assert_eq!(tree(&dir.join(".mwp/tmp")), [""; 0]);
    }
}

#[test]
fn what_is_installed_has_no_say_in_what_is_released() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("0.0.1", "9.9.9"));
    sandbox.ok(["release", "-C", "p"]).prints("p-9.9.9-1.metwork.mfserv.plugin");
    sandbox.ok(["info", "p-9.9.9-1.metwork.mfserv.plugin"]).prints("Version: 9.9.9");
    sandbox.ok(["uninstall", "p"]);
    sandbox.ok(["develop", "-C", "p"]);
    sandbox.ok(["release", "-C", "p"]).prints("p-9.9.9-1.metwork.mfserv.plugin");
    assert!(sandbox.base().join("p").is_symlink(), "the devlink stays in service");
}

#[test]
fn a_build_leaves_the_installed_plugin_of_the_same_name_alone() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.16.0\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    sandbox.write("p/python3_virtualenv_sources/requirements-to-freeze.txt", "six==1.17.0\n");
    sandbox.ok(["build", "-C", "p"]);
    let script = "import six; print(six.__version__)";
    sandbox.ok(["exec", "p", "--", "python", "-c", script]).prints("1.16.0");
    sandbox.ok(["exec", "./p", "--", "python", "-c", script]).prints("1.17.0");
    sandbox.ok(["verify", "p"]);
}

#[test]
fn a_change_of_the_environment_or_the_configuration_is_seen_at_once() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/config.ini", sandbox.read("p/config.ini") + "[custom]\nfoo={{MINE}}\n");
    let foo = |mine: &str| {
        let mut command =
            sandbox.mwp(["exec", "./p", "--", "sh", "-c", "echo $MFSERV_CURRENT_PLUGIN_CUSTOM_FOO"]);
        Done::of(command.env("MINE", mine)).succeeded().stdout
    };
    assert_eq!((foo("one").as_str(), foo("two").as_str()), ("one\n", "two\n"));
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("{{MINE}}", "three"));
    assert_eq!(foo("one"), "three\n");
}

#[test]
fn an_unprivileged_user_builds_installs_and_removes() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: every other test runs as an unprivileged user already");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["release", "-q", "-C", "p"]);
    Done::of(Command::new("chmod").args(["-R", "a+rwX"]).arg(sandbox.path(""))).succeeded();
    let binary = sandbox.path("mwp");
    fs::copy(env!("CARGO_BIN_EXE_mwp"), &binary).unwrap();
    for arguments in [&["release", "-q", "-C", "p"][..], &["install", FILE], &["verify"], &["uninstall", "p"]]
    {
        let mwp = sandbox.mwp(arguments);
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).args(arguments);
        setpriv
            .current_dir(sandbox.work())
            .envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Done::of(&mut setpriv).succeeded();
    }
}
