//! `mwp install` and what goes with it: nothing is lost, nothing is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Done, Sandbox, tree};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

impl Sandbox {
    fn override_file(&self, name: &str) -> PathBuf {
        self.path(&format!("home/.local/share/mwp/mfserv/config/plugins/{name}.ini"))
    }

    /// Releases the plugin `p` with this version and this content of the file `what`.
    fn release(&self, version: &str) -> PathBuf {
        self.write(
            "p/config.ini",
            self.read("p/config.ini").replace("_version=0.0.1", &format!("_version={version}")),
        );
        self.write("p/what", version);
        self.ok(["release", "-q", "-C", "p"]);
        self.write(
            "p/config.ini",
            self.read("p/config.ini").replace(&format!("_version={version}"), "_version=0.0.1"),
        );
        self.work().join(format!("p-{version}-1.metwork.mfserv.plugin"))
    }

    /// No journal and no staging directory.
    #[track_caller]
    fn assert_no_debris(&self) {
        let own = self.base().join(".mwp");
        let left = if own.exists() { tree(&own) } else { Vec::new() };
        assert!(left.is_empty() || left == ["lock"], "{left:?}");
    }
}

/// With the network cut.
fn offline(mut command: Command) -> Done {
    let mut unshare = Command::new("unshare");
    unshare.args(["-r", "-n"]).arg(command.get_program()).args(command.get_args());
    unshare.current_dir(command.get_current_dir().unwrap());
    unshare.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null());
    Done::of(&mut unshare)
}

#[test]
fn a_plugin_is_installed_without_a_network_used_and_removed() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.17.0\n");
    sandbox.ok(["release", "-C", "p"]);
    offline(sandbox.mwp(["install", FILE])).succeeded().says("installed p 0.0.1-1");
    sandbox.ok(["list"]).prints("p     0.0.1    1");
    offline(sandbox.mwp(["exec", "p", "--", "python", "-c", "import six; print(six.__file__)"]))
        .succeeded()
        .prints("/var/plugins/p/local/lib/");
    sandbox.ok(["info", "--files", "p"]).prints("Name: p").prints("- metwork_plugin/config.ini");
    assert_eq!(sandbox.ok(["hash", "p"]).stdout, sandbox.ok(["hash", FILE]).stdout);
    sandbox.ok(["verify"]).says("p is as it was packed");
    sandbox.ok(["uninstall", "p"]);
    assert_eq!(tree(&sandbox.base()), [".mwp", ".mwp/lock"]);
    assert!(!sandbox.override_file("p").exists());
}

#[test]
fn a_bare_python_is_enough() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.17.0\n");
    sandbox.ok(["release", "-C", "p"]);
    // An interpreter that can import neither pip nor ensurepip nor venv, and nothing else on PATH.
    let real =
        Done::of(Command::new("python3").args(["-c", "import sys; print(sys._base_executable)"])).stdout;
    let bare = sandbox.work().join("bare");
    fs::create_dir(&bare).unwrap();
    std::os::unix::fs::symlink(real.trim(), bare.join("python3")).unwrap();
    let mut install = sandbox.mwp(["install", FILE]);
    install.env("PATH", &bare).env(
        "PYTHONPATH",
        sandbox.write("poison/pip.py", "raise SystemExit('pip was used')").parent().unwrap(),
    );
    for module in ["ensurepip", "venv"] {
        sandbox.write(&format!("poison/{module}.py"), "raise SystemExit('a tool was used')");
    }
    Done::of(&mut install).succeeded();
    sandbox.ok(["exec", "p", "--", "python", "-c", "import six"]);
}

#[test]
fn an_installed_plugin_is_not_overwritten_without_force() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    sandbox.fails(1, ["install".as_ref(), file.as_os_str()]).says("already installed").says("--force");
    sandbox.assert_no_debris();
}

#[test]
fn an_update_that_fails_leaves_the_old_version_running() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let one = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), one.as_os_str()]);
    sandbox.write_executable(
        "p/postinstall",
        "#!/bin/sh\necho made > made-by-postinstall\necho it went wrong >&2\nexit 3\n",
    );
    let two = sandbox.release("0.0.2");
    sandbox
        .fails(1, ["install".as_ref(), "--force".as_ref(), two.as_os_str()])
        .says("`postinstall` of the plugin `p` failed: exit code 3: it went wrong")
        .says("hint: ");
    sandbox.ok(["list"]).prints("0.0.1");
    assert_eq!(fs::read_to_string(sandbox.base().join("p/what")).unwrap(), "0.0.1");
    assert!(!sandbox.base().join("p/made-by-postinstall").exists());
    sandbox.ok(["verify", "p"]);
    sandbox.assert_no_debris();
    // The same for a plugin that was not there.
    sandbox.ok(["uninstall", "p"]);
    sandbox.fails(1, ["install".as_ref(), two.as_os_str()]);
    assert_eq!(tree(&sandbox.base()), [".mwp", ".mwp/lock"]);
    assert!(!sandbox.override_file("p").exists());
}

#[test]
fn postinstall_runs_in_the_plugin_environment_from_the_final_home() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write_executable(
        "p/postinstall",
        "#!/bin/sh\npwd > where\necho $MFSERV_CURRENT_PLUGIN_NAME $MFSERV_CURRENT_PLUGIN_DIR >> where\n",
    );
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    let home = sandbox.base().join("p");
    let home_shown = home.display();
    assert_eq!(fs::read_to_string(home.join("where")).unwrap(), format!("{home_shown}\np {home_shown}\n"));
    sandbox.ok(["verify", "p"]).says("p is as it was packed");
    fs::write(home.join("where"), "changed later").unwrap();
    sandbox.ok(["verify", "p"]);
    fs::write(home.join("extra"), "").unwrap();
    sandbox.fails(1, ["verify", "p"]).says("`extra` was added");
}

#[test]
fn verify_finds_what_is_missing_altered_added_and_of_another_mode() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/one", "1");
    sandbox.write("p/two", "2");
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    let home = sandbox.base().join("p");
    fs::remove_file(home.join("one")).unwrap();
    fs::write(home.join("two"), "3").unwrap();
    fs::write(home.join("three"), "3").unwrap();
    fs::set_permissions(home.join("what"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox
        .fails(1, ["verify"])
        .says("`one` is missing")
        .says("`two` was altered")
        .says("`three` was added")
        .says("`what` has mode 0755 instead of 0644");
}

#[test]
fn a_plugin_can_be_installed_twice_under_two_names() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "flask\n");
    sandbox.ok(["release", "-C", "p"]);
    sandbox.ok(["install", FILE]);
    sandbox.ok(["install", "--new-name", "other", FILE]);
    for name in ["p", "other"] {
        sandbox
            .ok(["exec", name, "--", "sh", "-c", "echo $MFSERV_CURRENT_PLUGIN_NAME; flask --version"])
            .prints(&format!("{name}\n"))
            .prints("Flask");
    }
    sandbox.ok(["verify"]);
    sandbox.fails(2, ["install", "--new-name", "../x", FILE]).says("holds `.`");
}

#[test]
fn the_override_file_is_written_kept_when_edited_and_renewed_when_not() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/config.ini", sandbox.read("p/config.ini") + "[custom]\n# a comment\nfoo=1\n_hidden=2\n");
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    let overrides = sandbox.override_file("p");
    let text = fs::read_to_string(&overrides).unwrap();
    assert!(text.contains("[custom]\n# a comment\n# foo=1\n") && !text.contains("hidden"), "{text}");
    fs::write(&overrides, text.replace("# foo=1", "foo=mine")).unwrap();
    sandbox.ok(["exec", "p", "--", "sh", "-c", "echo $MFSERV_CURRENT_PLUGIN_CUSTOM_FOO"]).prints("mine");
    sandbox.ok(["install".as_ref(), "--force".as_ref(), file.as_os_str()]);
    assert!(fs::read_to_string(&overrides).unwrap().contains("foo=mine"));
    assert!(overrides.with_extension("ini.new").exists());
    sandbox.ok(["uninstall", "p"]);
    assert!(overrides.exists(), "an edited file stays");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    sandbox.ok(["uninstall", "--clean", "p"]);
    assert!(!overrides.exists() && !overrides.with_extension("ini.new").exists());
}

#[test]
fn a_bad_override_is_reported_by_its_own_path_before_anything_is_touched() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    let etc = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&etc).unwrap();
    fs::write(etc.join("p.ini"), "[custom\n").unwrap();
    sandbox
        .fails(1, ["install".as_ref(), file.as_os_str()])
        .says("/etc/metwork.config.d/mfserv/plugins/p.ini:1:1");
    assert!(!sandbox.base().join("p").exists());
    sandbox.assert_no_debris();
}

#[test]
fn repackage_writes_the_name_and_the_overrides_and_keeps_comments() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/config.ini",
        sandbox.read("p/config.ini") + "\n# about foo\n[custom]\n# why\nfoo=1\n# the end\n",
    );
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), "--new-name=q".as_ref(), file.as_os_str()]);
    fs::write(sandbox.override_file("q"), "[custom]\nfoo=mine\n").unwrap();
    sandbox.ok(["repackage", "q"]).prints("q-0.0.1-1.metwork.mfserv.plugin");
    sandbox.ok(["uninstall", "--clean", "q"]);
    sandbox.ok(["install", "q-0.0.1-1.metwork.mfserv.plugin"]);
    let config = fs::read_to_string(sandbox.base().join("q/config.ini")).unwrap();
    assert!(config.ends_with("\n# about foo\n[custom]\n# why\nfoo=mine\n# the end\n"), "{config}");
    sandbox.assert_no_debris();
}

#[test]
fn a_devlink_survives_provisioning_and_is_neither_repackaged_nor_replaced() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    sandbox
        .ok(["develop", "-C", "p"])
        .says("is a link to this directory: edits take effect at once")
        .says("mfserv is not up: `mwp up` starts it");
    sandbox.ok(["develop", "-C", "p"]).says("is a devlink to this directory already");
    sandbox.ok(["list"]).prints("p     dev_link  dev_link");
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    fs::copy(&file, provisioning.join(FILE)).unwrap();
    sandbox.ok(["provision"]).says("left alone, because it is installed as a devlink");
    assert!(sandbox.base().join("p").is_symlink());
    sandbox.fails(1, ["repackage", "p"]).says("is a devlink to");
    sandbox.fails(1, ["install".as_ref(), "--force".as_ref(), file.as_os_str()]).says("as a devlink");
    sandbox.ok(["uninstall", "p"]);
    assert!(sandbox.work().join("p/config.ini").exists(), "the directory itself stays");
}

#[test]
fn provisioning_installs_replaces_and_leaves_alone() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    let place = provisioning.join("any-name.plugin");
    fs::copy(sandbox.release("0.0.1"), &place).unwrap();
    sandbox.ok(["provision"]).says("installed");
    sandbox.ok(["provision"]).says("unchanged");
    fs::copy(sandbox.release("0.0.2"), &place).unwrap();
    fs::write(provisioning.join("aa-bad.plugin"), "no archive").unwrap();
    sandbox.fails(1, ["provision"]).says("aa-bad.plugin").says("any-name.plugin`: replaced");
    assert_eq!(fs::read_to_string(sandbox.base().join("p/what")).unwrap(), "0.0.2");
}

#[test]
fn a_broken_link_and_a_damaged_plugin_are_listed_as_such_and_can_be_removed() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    fs::write(sandbox.base().join("p/.metadata.json"), "garbage").unwrap();
    std::os::unix::fs::symlink("/nowhere", sandbox.base().join("gone")).unwrap();
    sandbox
        .fails(1, ["list"])
        .prints("gone  broken_link")
        .prints("p     error")
        .says("the plugin `gone` is a link to nothing: `/nowhere`")
        .says("the plugin `p` is damaged: ");
    sandbox.ok(["uninstall", "gone", "p"]);
    assert_eq!(tree(&sandbox.base()), [".mwp", ".mwp/lock"]);
}

#[test]
fn upstreams_gzip_files_are_installed() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.ok(["release", "--format", "gzip", "-C", "p"]);
    // As upstream's tools pack it: another order, and no manifest of ours.
    let script = "import sys, tarfile\nold = tarfile.open(sys.argv[1]); new = tarfile.open('up.plugin', 'w:gz')\n\
        for m in reversed(old.getmembers()):\n    if m.name.endswith('.mwp_manifest.json'): continue\n    new.addfile(m, old.extractfile(m) if m.isfile() else None)\nnew.close()\n";
    Done::of(Command::new("python3").args(["-c", script, FILE]).current_dir(sandbox.work())).succeeded();
    sandbox.ok(["install", "up.plugin"]);
    sandbox.ok(["list"]).prints("0.0.1");
    let said = "p was not verified: it has no manifest to be held against";
    for quiet in [&[][..], &["-q"]] {
        let done = sandbox.ok(["verify"].iter().chain(quiet)).says(&format!("warning: {said}"));
        done.says("hint: upstream's tools make none").never_says("is as it was packed");
    }
    let done = sandbox.ok(["verify", "--json", "p"]).says(said);
    let told: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&told[0]["ok"], told[0]["unchecked"].is_string()), (&true.into(), true));
}

#[test]
fn a_plugin_of_another_module_or_python_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "markupsafe==3.0.2\n");
    sandbox.ok(["release", "-C", "p"]);
    let mut install = sandbox.mwp(["install", FILE]);
    Done::of(install.env("MFMODULE", "MFDATA"))
        .exited(1)
        .says("is a plugin of mfserv, and this is the environment of mfdata");
    let src = sandbox.work().join("p/python3_virtualenv_sources/src");
    let wheel = fs::read_dir(&src).unwrap().next().unwrap().unwrap().path();
    fs::rename(&wheel, src.join("MarkupSafe-3.0.2-cp39-cp39-linux_x86_64.whl")).unwrap();
    sandbox.ok(["pack", "-C", "p"]);
    sandbox.fails(1, ["install", FILE]).says("is made for cp39-cp39; this machine has Python 3.");
    sandbox.assert_no_debris();
}

#[test]
fn nothing_is_installed_from_inside_a_plugin_environment() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    let mut install = sandbox.mwp(["install".as_ref(), file.as_os_str()]);
    Done::of(install.env("MFSERV_CURRENT_PLUGIN_NAME", "x")).exited(1).says("environment of the plugin `x`");
}

#[test]
fn a_refused_file_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.plugin", "this is no archive");
    sandbox.fails(1, ["install", "bad.plugin"]).says("bad.plugin");
    sandbox.fails(2, ["install", "absent.plugin"]).says("absent.plugin");
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    let content = fs::read(&file).unwrap();
    fs::write(&file, &content[..content.len() - 20]).unwrap();
    sandbox.fails(1, ["install".as_ref(), file.as_os_str()]);
    assert!(!sandbox.base().join("p").exists());
    sandbox.assert_no_debris();
}

#[test]
fn two_operations_at_once_take_turns_and_a_time_out_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write_executable("p/postinstall", "#!/bin/sh\nsleep 2\n");
    let file = sandbox.release("0.0.1");
    let mut first = sandbox.mwp(["install".as_ref(), file.as_os_str()]);
    let mut first = first.stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let mut impatient = sandbox.mwp(["uninstall", "p"]);
    Done::of(impatient.env("MWP_LOCK_TIMEOUT", "0"))
        .exited(3)
        .says(&format!("held by process {}", first.id()));
    sandbox.ok(["uninstall", "p"]).says(&format!("waiting for process {}", first.id())).says("uninstalled p");
    assert!(first.wait().unwrap().success());
}

#[test]
fn an_operation_killed_at_any_moment_leaves_the_old_or_the_new_state() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six==1.17.0\n");
    sandbox.write("p/config.ini", sandbox.read("p/config.ini") + "[custom]\nfoo=1\n");
    sandbox.write_executable("p/postinstall", "#!/bin/sh\nsleep 0.05\necho done > done\n");
    let (one, two) = (sandbox.release("0.0.1"), sandbox.release("0.0.2"));
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    let present = || {
        let what = sandbox.base().join("p/what");
        let what = fs::read_to_string(what).ok();
        assert_eq!(what.is_some(), sandbox.override_file("p").exists(), "{what:?}");
        what
    };
    let run = |arguments: &[&Path]| sandbox.ok(arguments.iter().map(|argument| argument.as_os_str()));
    let (rounds, mut half_done) = (kills(), 0);
    for round in 0..rounds {
        let operation = ["install", "update", "uninstall", "repackage", "provision"][(round % 5) as usize];
        let arguments: Vec<&Path> = match operation {
            "install" => vec![Path::new("install"), &one],
            "update" => vec![Path::new("install"), Path::new("--force"), &two],
            "uninstall" => vec![Path::new("uninstall"), Path::new("p")],
            "repackage" => {
                vec![Path::new("repackage"), Path::new("--output"), Path::new("out"), Path::new("p")]
            }
            _ => vec![Path::new("provision")],
        };
        let _ = Done::of(&mut sandbox.mwp(["uninstall", "p"]));
        if operation != "install" {
            run(&[Path::new("install"), &one]);
        }
        let _ = fs::remove_file(provisioning.join("p.plugin"));
        if operation == "provision" {
            fs::copy(&two, provisioning.join("p.plugin")).unwrap();
        }
        let before = present();
        let mut command = sandbox.mwp(arguments.iter().map(|argument| argument.as_os_str()));
        let mut child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment(round, rounds));
        let _ = child.kill();
        child.wait().unwrap();
        half_done += u32::from(sandbox.base().join(".mwp/journal").exists());
        // Commands that look see no half state, and leave no debris once another one has changed something.
        sandbox.ok(["list"]);
        sandbox.ok(["verify", "-q"]);
        let after = present();
        let new = match operation {
            "install" => Some("0.0.1"),
            "update" | "provision" => Some("0.0.2"),
            "uninstall" => None,
            _ => before.as_deref(),
        };
        assert!(
            after == before || after.as_deref() == new,
            "{operation}, round {round}: {before:?} → {after:?}"
        );
        if operation == "repackage" {
            let _ = fs::remove_dir_all(sandbox.work().join("out"));
        }
        run(&[Path::new("install"), Path::new("--force"), &one]);
        sandbox.assert_no_debris();
    }
    println!("{rounds} kills, {half_done} of them between the first visible step and the commit");
    assert!(half_done > 0, "no kill came at an interesting moment");
}

/// 40, or as many as `MWP_TEST_KILLS` says.
fn kills() -> u64 {
    std::env::var("MWP_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(40)
}

/// Spread over the quarter of a second that an operation takes, each operation at other moments.
fn moment(round: u64, rounds: u64) -> std::time::Duration {
    std::time::Duration::from_micros(250_000 * round / rounds)
}

#[test]
fn a_full_disk_keeps_the_old_version() {
    let sandbox = Sandbox::new();
    let disk = sandbox.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "none"]).arg(&disk).status();
    if !mount.is_ok_and(|status| status.success()) {
        println!("skipped: mounting a tmpfs needs root");
        return;
    }
    let _unmount = crate::support::Unmount(disk.clone());
    sandbox.plugin("p");
    let one = sandbox.release("0.0.1");
    let noise: Vec<u8> =
        (0..400_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    sandbox.write("p/large", &noise);
    let two = sandbox.release("0.0.2");
    let install = |file: &Path| {
        let mut command = sandbox.mwp(["install", "--force", "--plugins-base-dir"]);
        command.arg(&disk).arg(file);
        Done::of(&mut command)
    };
    install(&one).succeeded();
    fs::write(disk.join("filler"), vec![0; 2_500_000]).unwrap();
    install(&two).exited(3).says("unpacks to 1.6 MB, and only ");
    assert_eq!(fs::read_to_string(disk.join("p/what")).unwrap(), "0.0.1");
    assert_eq!(tree(&disk.join(".mwp")), ["lock"]);
    fs::remove_file(disk.join("filler")).unwrap();
    install(&two).succeeded();
    assert_eq!(fs::read_to_string(disk.join("p/what")).unwrap(), "0.0.2");
}

#[test]
fn a_postinstall_that_removes_its_own_home_does_not_take_the_old_version_with_it() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let one = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), one.as_os_str()]);
    for script in [
        "rm -rf \"$MFSERV_CURRENT_PLUGIN_DIR\"",
        "mv \"$MFSERV_CURRENT_PLUGIN_DIR\" ../../away$$; mkdir \"$MFSERV_CURRENT_PLUGIN_DIR\"",
    ] {
        sandbox.write_executable("p/postinstall", &format!("#!/bin/sh\n{script}\nexit 0\n"));
        let two = sandbox.release("0.0.2");
        sandbox
            .fails(1, ["install".as_ref(), "--force".as_ref(), two.as_os_str()])
            .says("removed or replaced the plugin's own home");
        sandbox.ok(["list"]).prints("0.0.1");
        sandbox.ok(["verify", "p"]);
        sandbox.assert_no_debris();
    }
}

#[test]
fn an_override_file_that_cannot_be_read_does_not_keep_a_plugin_from_being_removed() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    fs::write(sandbox.override_file("p"), b"[custom]\nfoo=\xff\n").unwrap();
    sandbox.ok(["uninstall", "p"]);
    assert!(sandbox.override_file("p").exists());
}

#[test]
fn the_override_file_stays_while_another_base_uses_it() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let file = sandbox.release("0.0.1");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    sandbox.ok(["install".as_ref(), "--plugins-base-dir=other".as_ref(), file.as_os_str()]);
    sandbox.ok(["uninstall", "--clean", "--plugins-base-dir=other", "p"]);
    assert!(sandbox.override_file("p").exists());
}

#[test]
fn of_two_provisioned_files_of_one_plugin_the_last_counts_every_time() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let provisioning = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&provisioning).unwrap();
    fs::copy(sandbox.release("0.0.2"), provisioning.join("a.plugin")).unwrap();
    fs::copy(sandbox.release("0.0.1"), provisioning.join("b.plugin")).unwrap();
    sandbox
        .ok(["provision"])
        .says("a.plugin`: left alone, because a later file is of the same plugin")
        .says("b.plugin`: installed");
    sandbox.ok(["provision"]).says("b.plugin`: unchanged");
}

#[test]
fn a_hot_swap_replaces_an_installed_plugin_alone() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let (one, two) = (sandbox.release("0.0.1"), sandbox.release("0.0.2"));
    sandbox.fails(1, ["hotswap".as_ref(), two.as_os_str()]).says("is not installed");
    sandbox.ok(["install".as_ref(), one.as_os_str()]);
    sandbox.ok(["hotswap".as_ref(), two.as_os_str()]).says("swapped in p 0.0.2-1");
    sandbox.ok(["list"]).prints("0.0.2");
}

#[test]
fn the_path_of_an_installed_home_is_as_good_as_the_name() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed_with("p", "");
    let uninstall = |path: &str, dir: &Path| {
        Done::of(sandbox.mwp(["uninstall", path]).current_dir(dir)).succeeded().says("uninstalled p");
        assert!(!home.exists());
        sandbox.installed_with("p", "");
    };
    uninstall(home.to_str().unwrap(), &sandbox.work());
    uninstall("./p/", &sandbox.base());
    uninstall(".", &home);
    uninstall("../p", &home);
    // What is no home is nobody's plugin, though a plugin of that name is installed.
    sandbox.plugin("p");
    sandbox
        .fails(1, ["uninstall", "./p"])
        .says("/work/p` is no home of an installed plugin")
        .says("hint: `mwp list` shows the plugins and their homes");
    sandbox.fails(1, ["uninstall", "/nowhere/p"]).says("`/nowhere/p` is no home");
    assert!(home.exists());
}
