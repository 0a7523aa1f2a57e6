//! What is not trusted: names in an archive, files that are none, a umask, a home, a damaged plugin.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::support::tar::Tar;
use crate::support::unpacking::{all_refused, try_unpack};
use crate::support::{CONFIG, Done, Sandbox, tree};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

fn released() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/config.ini", format!("{CONFIG}[custom]\na=1\n"));
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox
}

#[test]
fn names_of_ours_never_come_in_an_archive() {
    let file = |name: &str| Tar::plugin().file(format!("metwork_plugin/{name}"), "[\"\"]").end();
    all_refused(vec![
        ("what postinstall made", file(".mwp_postinstall.json"), "that mwp keeps for itself"),
        ("state", file(".mwp/state.json"), "that mwp keeps for itself"),
        ("the mark", file(".mwp_new"), "that mwp keeps for itself"),
        ("in capitals", file(".MWP/x"), "that mwp keeps for itself"),
        ("a directory", Tar::plugin().directory("metwork_plugin/.mwp/").end(), "that mwp keeps for itself"),
        ("a link", Tar::plugin().link("metwork_plugin/.mwp", "x").end(), "that mwp keeps for itself"),
    ]);
}

#[test]
fn the_cache_that_upstream_executes_never_arrives_in_any_form() {
    let cache = "metwork_plugin/.configuration_cache";
    let with = |make: &dyn Fn(Tar) -> Tar| make(Tar::plugin().file("metwork_plugin/x", "evil")).end();
    for (form, archive) in [
        ("file", with(&|tar| tar.file(cache, "evil"))),
        ("link", with(&|tar| tar.link(cache, "x"))),
        ("hard link", with(&|tar| tar.hard_link(cache, "metwork_plugin/x"))),
        (
            "directory",
            with(&|tar| tar.directory(&format!("{cache}/")).file(format!("{cache}/__init__.py"), "evil")),
        ),
        ("directory that is not named", with(&|tar| tar.file(format!("{cache}/a/b"), "evil"))),
        ("in capitals", with(&|tar| tar.file("metwork_plugin/.Configuration_Cache", "evil"))),
    ] {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.work().join("staging")).unwrap();
        try_unpack(&sandbox, &archive).unwrap();
        let found = tree(&sandbox.work().join("staging/hello"));
        assert_eq!(found, [".files.json", ".layerapi2_label", ".metadata.json", "x"], "{form}");
    }
}

#[test]
fn private_files_stay_private() {
    let sandbox = released();
    sandbox.write_executable("p/postinstall", "#!/bin/sh\necho secret\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    let module = sandbox.path("home/.local/share/mwp/mfserv");
    assert_eq!(mode(&module.join("log/postinstall_p.log")) & !0o640, 0);
    let overrides = module.join("config/plugins/p.ini");
    fs::set_permissions(&overrides, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.ok(["install", "--force", FILE]);
    assert_eq!(mode(&overrides), 0o600);
}

/// What is below `dir` and others can write to; links have no mode of their own.
fn open_to_others(dir: &Path) -> Vec<String> {
    let is_open = |name: &String| {
        let path = dir.join(name);
        !path.is_symlink() && mode(&path) & 0o022 != 0
    };
    tree(dir).into_iter().filter(is_open).collect()
}

#[test]
fn nothing_is_ever_made_that_others_can_write_to() {
    for umask in ["000", "077"] {
        let sandbox = Sandbox::new();
        sandbox.python_plugin("p", "six==1.17.0\n");
        for arguments in
            [&["release", "-q", "-C", "p"][..], &["install", FILE], &["repackage", "--force", "p"]]
        {
            let mwp = sandbox.mwp(arguments);
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(mwp.get_program());
            shell.args(arguments).current_dir(sandbox.work());
            for (name, value) in mwp.get_envs() {
                match value {
                    Some(value) => shell.env(name, value),
                    None => shell.env_remove(name),
                };
            }
            Done::of(&mut shell).succeeded();
        }
        assert_eq!(open_to_others(&sandbox.path("home")), [""; 0], "umask {umask}");
        assert_eq!(open_to_others(&sandbox.work()), [""; 0], "umask {umask}");
        sandbox.ok(["verify"]).says("p is as it was packed");
    }
}

#[test]
fn pipes_and_devices_are_refused_wherever_a_file_is_read() {
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        Done::of(Command::new("mkfifo").arg(path)).succeeded();
    };
    for name in ["config.ini", ".layerapi2_label", "mwp.toml", ".plugin_format_version", "crontab"] {
        let sandbox = released();
        pipe(&sandbox.work().join("p").join(name));
        // It would wait for ever.
        let done = Done::of(&mut sandbox.mwp(["check", "-C", "p"]));
        assert!(matches!(done.code, Some(1 | 3)), "{name}: {done:?}");
    }
    let sandbox = released();
    pipe(&sandbox.work().join("pipe"));
    for arguments in [["info", "pipe"], ["hash", "pipe"], ["install", "pipe"]] {
        let done = Done::of(&mut sandbox.mwp(arguments));
        assert!(matches!(done.code, Some(1 | 3)), "{done:?}");
    }
    fs::remove_file(sandbox.work().join("p/config.ini")).unwrap();
    symlink("/dev/zero", sandbox.work().join("p/config.ini")).unwrap();
    sandbox.fails(3, ["check", "-C", "p"]).says("it is a pipe, a socket or a device");
}

#[test]
fn what_is_no_file_is_told_with_the_next_step() {
    type Put = fn(&Path);
    let kinds: [(&str, Put); 4] = [
        ("it is a pipe", |path| drop(Done::of(Command::new("mkfifo").arg(path)).succeeded())),
        ("it is a pipe", |path| symlink("/dev/zero", path).unwrap()),
        ("too many levels of symbolic links", |path| symlink(path.file_name().unwrap(), path).unwrap()),
        ("no such device or address", |path| drop(UnixListener::bind(path).unwrap())),
    ];
    for (said, put) in kinds {
        for name in ["config.ini", ".layerapi2_label", "mwp.toml", ".plugin_format_version", ".releaseignore"]
        {
            let sandbox = released();
            let path = sandbox.work().join("p").join(name);
            let _ = fs::remove_file(&path);
            put(&path);
            let done = Done::of(&mut sandbox.mwp(["release", "-C", "p"])).exited(3).says(said);
            assert!(done.says("hint: ").stderr.contains(name));
        }
    }
}

#[test]
fn a_home_that_is_relative_is_an_error() {
    let sandbox = released();
    for variable in ["HOME", "MFMODULE_RUNTIME_HOME", "MFMODULE_PLUGINS_BASE_DIR"] {
        let mut install = sandbox.mwp(["install", FILE]);
        Done::of(install.env(variable, "rel")).exited(3).says(&format!("the variable {variable} is `rel`"));
        assert!(!sandbox.work().join("rel").exists());
    }
}

#[test]
fn a_name_of_an_app_that_is_too_long_for_a_file_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let with = |length: usize| {
        let section = format!("[app_{}]\n_cmd_and_args=x\n", "a".repeat(length));
        sandbox.write("p/config.ini", format!("{CONFIG}{section}"));
    };
    with(100);
    sandbox.ok(["check", "-C", "p"]);
    with(101);
    sandbox.fails(1, ["check", "-C", "p"]).says("has 101 bytes; at most 100 are allowed");
}

#[test]
fn repackage_overwrites_nothing_and_tells_damage_first() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let pristine = fs::read(sandbox.work().join(FILE)).unwrap();
    sandbox.fails(1, ["repackage", "p"]).says("is there already").says("--force");
    fs::write(sandbox.base().join("p/.layerapi2_dependencies"), "other@mfext\n").unwrap();
    sandbox.fails(1, ["repackage", "p", "-o", "elsewhere"]).says(".layerapi2_dependencies").says("--force");
    assert_eq!(fs::read(sandbox.work().join(FILE)).unwrap(), pristine);
    sandbox.ok(["repackage", "--force", "p"]).says("warning:");
    assert_ne!(fs::read(sandbox.work().join(FILE)).unwrap(), pristine);
}

#[test]
fn repackage_keeps_values_whose_lines_look_like_sections() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/config.ini",
        format!("{CONFIG}[custom]\nlist =\n  [1, 2]\n  [custom_b]\n[custom_b]\nx=1\n"),
    );
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    let overrides = sandbox.path("home/.local/share/mwp/mfserv/config/plugins/p.ini");
    fs::write(overrides, "[custom_b]\ny =\n  [3]\n  [4]\n").unwrap();
    sandbox.ok(["repackage", "--force", "p"]);
    sandbox.ok(["uninstall", "--clean", "p"]);
    sandbox.ok(["install", FILE]);
    let config = fs::read_to_string(sandbox.base().join("p/config.ini")).unwrap();
    assert!(
        config
            .contains("[custom]\nlist =\n  [1, 2]\n  [custom_b]\n[custom_b]\ny = \n    [3]\n    [4]\nx=1\n"),
        "{config}"
    );
}

#[test]
fn provisioning_replaces_other_content_with_the_same_hash() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    sandbox.write("p/what", "two");
    sandbox.ok(["release", "-q", "-C", "p"]);
    fs::copy(sandbox.work().join(FILE), provisioning.join("p.plugin")).unwrap();
    sandbox.ok(["provision"]).says("installed");
    sandbox.ok(["provision"]).says("unchanged");
    // As a build of the same second, host and size would have it: the hash is of these alone.
    let home = sandbox.base().join("p");
    let manifest = fs::read_to_string(home.join(".mwp_manifest.json")).unwrap();
    let digest = |text: &str| {
        let output = Command::new("sh").args(["-c", "printf %s \"$0\" | sha256sum", text]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()[..64].to_owned()
    };
    assert!(manifest.contains(&digest("two")));
    fs::write(home.join(".mwp_manifest.json"), manifest.replace(&digest("two"), &digest("one"))).unwrap();
    fs::write(home.join("what"), "one").unwrap();
    sandbox.ok(["verify"]).says("p is as it was packed");
    assert_eq!(sandbox.ok(["hash", "p"]).stdout, sandbox.ok(["hash", FILE]).stdout);
    sandbox.ok(["provision"]).says("replaced");
    assert_eq!(fs::read_to_string(home.join("what")).unwrap(), "two");
    sandbox.ok(["provision"]).says("unchanged");
}
