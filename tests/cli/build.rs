//! `mwp build`: several directories, locks, bad input. What makes a task run again is in `freshness`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Done, Sandbox, Unmount, tree};

#[test]
fn build_is_the_default_command() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["-C", "p"]).says("p is built");
}

#[test]
fn several_directories_are_built_at_once_and_fail_apart() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("one");
    sandbox.task_plugin("two");
    sandbox.plugin("three");
    sandbox.write("three/config.ini", "");
    sandbox
        .fails(1, ["build", "-C", "one", "-C", "two", "-C", "three"])
        .says("one is built")
        .says("two is built")
        .says("error: `three/config.ini`");
    assert_eq!(sandbox.read("two/out/a.txt"), "a\n");
}

#[test]
fn a_directory_named_twice_is_built_once() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p", "-C", "./p/"]);
    assert_eq!(sandbox.runs(), 1);
}

#[test]
fn json_tells_what_was_done_and_why() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.ok(["build", "--json", "-C", "p"]).stdout).unwrap();
    let task = &json[0]["tasks"][1];
    assert_eq!(
        (&json[0]["plugin"], &task["task"], &task["fresh"]),
        (&"p".into(), &"copy".into(), &false.into())
    );
    assert_eq!(task["reasons"][0]["reason"], "never_ran");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.ok(["explain", "--json", "-C", "p"]).stdout).unwrap();
    assert_eq!(json[1]["fresh"], true);
}

#[test]
fn quiet_says_nothing_and_verbose_says_why() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    let done = sandbox.ok(["build", "-q", "-C", "p"]);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    sandbox.write("p/in/a.txt", "new\n");
    sandbox
        .ok(["build", "-v", "-C", "p"])
        .says("because the input `in/a.txt` changed: ")
        .says("check: up to date");
}

#[test]
fn force_runs_what_is_up_to_date() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["build", "--force", "-C", "p"]).says("copy: done");
    assert_eq!(sandbox.runs(), 2);
}

#[test]
fn two_builds_at_once_take_turns() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("mkdir -p out", "sleep 1; mkdir -p out"));
    let mut first = sandbox.mwp(["build", "-C", "p"]);
    let mut first = first.stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    sandbox
        .ok(["build", "-C", "p"])
        .says(&format!("waiting for process {} (mwp build)", first.id()))
        .says("up to date");
    assert!(first.wait().unwrap().success());
    assert_eq!(sandbox.runs(), 1);
}

#[test]
fn odd_names_are_no_obstacle() {
    let sandbox = Sandbox::new();
    for name in [&b"with space"[..], b"it's \"quoted\"", b"new\nline", b"\xff\xfe", b"$(touch x);`id`"] {
        let source = sandbox.task_plugin("p");
        sandbox
            .write("p/Makefile", "include $(MFEXT_HOME)/share/plugin.mk\ncustom::\n\techo $(NAME) > made\n");
        let dir = sandbox.work().join(Path::new(std::ffi::OsStr::from_bytes(name)));
        fs::rename(&source, &dir).unwrap();
        Done::of(sandbox.mwp(["build"]).current_dir(&dir)).succeeded();
        Done::of(sandbox.mwp(["release"]).current_dir(&dir)).succeeded();
        assert_eq!(fs::read_to_string(dir.join("made")).unwrap(), "p\n");
        assert!(dir.join("out/a.txt").exists() && dir.join("p-0.0.1-1.metwork.mfserv.plugin").exists());
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(!sandbox.work().join("x").exists());
}

#[test]
fn what_is_no_plugin_is_named_with_the_next_step() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("empty")).unwrap();
    let commands: [&[&str]; 16] = [
        &["build"],
        &["release"],
        &["pack"],
        &["check"],
        &["lock"],
        &["outdated"],
        &["tree"],
        &["explain"],
        &["clean"],
        &["superclean"],
        &["size"],
        &["add", "six"],
        &["add", "--python", "six"],
        &["run", "true"],
        &["test"],
        &["develop"],
    ];
    for command in commands {
        let mut mwp = sandbox.mwp(command);
        let done = Done::of(mwp.current_dir(sandbox.work().join("empty"))).exited(1);
        done.says("error: `empty` is not a plugin: it has no `.layerapi2_label`").says("mwp new NAME");
        assert_eq!(tree(&sandbox.work().join("empty")), [""; 0], "{command:?}");
    }
    sandbox.fails(2, ["build", "-C", "nowhere"]).says("error: cannot enter `nowhere`").says("hint: ");
    sandbox.fails(2, ["build", "--jobs", "0"]).says("error: ");
    sandbox.fails(2, ["biuld"]).says("error: ");
    assert!(!sandbox.work().join("empty/.mwp").exists());
}

#[test]
fn a_full_disk_loses_nothing_and_the_next_build_goes_on() {
    let sandbox = Sandbox::new();
    let disk = sandbox.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&disk).status();
    if !mount.is_ok_and(|status| status.success()) {
        println!("skipped: mounting a tmpfs needs root");
        return;
    }
    let _unmount = Unmount(disk.clone());
    let source = sandbox.task_plugin("p");
    assert!(Command::new("cp").arg("-r").arg(&source).arg(disk.join("p")).status().unwrap().success());
    let build = |code: i32| Done::of(sandbox.mwp(["build"]).current_dir(disk.join("p"))).exited(code);
    build(0);
    fs::write(disk.join("p/in/a.txt"), "new\n").unwrap();
    let filler = disk.join("filler");
    let _ = fs::write(&filler, vec![0; 4 << 20]);
    build(3).says("no space left").says("hint: free some space");
    assert_eq!(fs::read_to_string(disk.join("p/out/b.txt")).unwrap(), "b\n");
    fs::remove_file(&filler).unwrap();
    build(0);
    assert_eq!(fs::read_to_string(disk.join("p/out/a.txt")).unwrap(), "new\n");
}

#[test]
fn an_unwritable_directory_is_an_error_of_the_machine() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    let mut unmount = None;
    if rustix::process::geteuid().is_root() {
        // Root writes anywhere but to a file system that nobody writes to.
        let is_done = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        if !is_done(Command::new("mount").arg("--bind").args([&dir, &dir])) {
            println!("skipped: root may mount nothing");
            return;
        }
        unmount = Some(Unmount(dir.clone()));
        assert!(is_done(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&dir)));
    } else {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    }
    sandbox
        .fails(3, ["build", "-C", "p"])
        .says("error: cannot create directory `p/.mwp`: ")
        .says("hint: check the owner and the permissions");
    if unmount.is_none() {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn the_cache_tells_its_size_and_can_be_emptied() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.ok(["cache", "info", "--json"]).stdout).unwrap();
    assert_eq!(
        (&json["buckets"][0]["name"], &json["buckets"][0]["entries"]),
        (&"tasks-v2".into(), &1.into())
    );
    sandbox.ok(["cache", "info"]).prints("tasks-v2");
    sandbox.ok(["cache", "prune"]);
    sandbox.ok(["clean", "-C", "p"]);
    sandbox.ok(["cache", "prune", "--all"]).says("freed ");
    sandbox.write("p/out/a.txt", "");
    sandbox.ok(["build", "-C", "p"]).says("copy: done");
}

#[test]
fn the_cache_stays_below_its_limit() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    for round in 0..5 {
        sandbox.write("p/in/a.txt", format!("{round}"));
        Done::of(sandbox.mwp(["build", "-C", "p"]).env("MWP_CACHE_SIZE", "400")).succeeded();
    }
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.ok(["cache", "info", "--json"]).stdout).unwrap();
    assert!(json["size"].as_u64().unwrap() <= 400, "{json}");
}
