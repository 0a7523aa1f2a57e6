//! An update takes unchanged files of packages from the installed version, and neither version can harm the other by it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Done, Sandbox, Unmount, tree};

/// One of a package, and one that is too large for the memory.
const SMALL: &str = "node_modules/a/index.js";
const LARGE: &str = "node_modules/a/large.js";
/// The plugin's own.
const OWN: &str = "main/index.js";

/// An installed plugin, and the `.plugin` file of its next version.
struct Update {
    sandbox: Sandbox,
    large: String,
}

impl Update {
    /// With version 1 installed.
    fn new() -> Update {
        Update::of(Sandbox::new())
    }

    fn of(sandbox: Sandbox) -> Update {
        let large = "0123456789abcdef".repeat(300_000);
        sandbox.plugin("p");
        sandbox.write(&format!("p/{SMALL}"), "small");
        sandbox.write(&format!("p/{LARGE}"), &large);
        sandbox.write(&format!("p/{OWN}"), "own");
        sandbox.write("p/node_modules/a/changed.js", "one");
        let update = Update { sandbox, large };
        update.install("1");
        update
    }

    fn pack(&self, version: &str) -> PathBuf {
        let config = self.sandbox.read("p/config.ini");
        let line = config.lines().find(|line| line.starts_with("_version=")).unwrap().to_owned();
        self.sandbox.write("p/config.ini", config.replace(&line, &format!("_version={version}")));
        self.sandbox.packed("p")
    }

    fn install(&self, version: &str) -> Done {
        let file = self.pack(version);
        self.sandbox.ok(["install".as_ref(), "--force".as_ref(), "-v".as_ref(), file.as_os_str()])
    }

    fn home(&self) -> PathBuf {
        self.sandbox.base().join("p")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    fn inode(&self, name: &str) -> u64 {
        self.path(name).metadata().unwrap().ino()
    }

    /// Everything is as it was packed, and nothing has another name.
    #[track_caller]
    fn assert_whole(&self) {
        assert_eq!(fs::read_to_string(self.path(SMALL)).unwrap(), "small");
        assert!(fs::read_to_string(self.path(LARGE)).unwrap() == self.large);
        for name in [SMALL, LARGE, OWN] {
            assert_eq!(self.path(name).metadata().unwrap().nlink(), 1, "{name}");
        }
        self.sandbox.ok(["verify", "p"]).says("p is as it was packed");
        assert_eq!(tree(&self.sandbox.base().join(".mwp")), ["lock"]);
    }
}

#[test]
fn unchanged_files_of_packages_are_shared_and_all_others_are_not() {
    let update = Update::new();
    let names = [SMALL, LARGE, OWN, "node_modules/a/changed.js"];
    let before = names.map(|name| update.inode(name));
    update.sandbox.write("p/node_modules/a/changed.js", "two");
    update.install("2").says("shared with the version before: 2 unchanged files");
    let after = names.map(|name| update.inode(name));
    assert_eq!([before[0] == after[0], before[1] == after[1]], [true, true]);
    assert_eq!([before[2] == after[2], before[3] == after[3]], [false, false]);
    assert_eq!(fs::read_to_string(update.path("node_modules/a/changed.js")).unwrap(), "two");
    update.assert_whole();
    update.sandbox.ok(["list"]).prints("2");
    // Once more, from files that were shared before.
    update.install("3").says("shared with the version before: 3 unchanged files");
    assert_eq!(update.inode(SMALL), before[0]);
    update.assert_whole();
    update.sandbox.ok(["uninstall", "p"]);
    assert_eq!(tree(&update.sandbox.base()), [".mwp", ".mwp/lock"]);
}

#[test]
fn a_file_that_somebody_altered_comes_from_the_archive() {
    let update = Update::new();
    let modified = update.path(SMALL).metadata().unwrap().modified().unwrap();
    for (name, content) in [(SMALL, "SMALL".to_owned()), (LARGE, update.large.replace('0', "x"))] {
        let file = OpenOptions::new().write(true).open(update.path(name)).unwrap();
        file.write_all_at(content.as_bytes(), 0).unwrap();
        // Neither size nor time tells it.
        file.set_modified(modified).unwrap();
    }
    update.install("2");
    update.assert_whole();
}

#[test]
fn a_file_of_another_time_mode_or_with_another_name_is_not_taken() {
    let update = Update::new();
    let before = update.inode(SMALL);
    File::open(update.path(SMALL)).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    update.install("2");
    assert_ne!(update.inode(SMALL), before);
    let before = update.inode(SMALL);
    fs::set_permissions(update.path(SMALL), fs::Permissions::from_mode(0o666)).unwrap();
    update.install("3");
    assert_ne!(update.inode(SMALL), before);
    let before = update.inode(SMALL);
    fs::hard_link(update.path(SMALL), update.sandbox.work().join("second")).unwrap();
    update.install("4");
    assert_ne!(update.inode(SMALL), before);
    update.assert_whole();
    // A new mode is the new version's alone.
    let before = update.inode(SMALL);
    let packed = update.sandbox.work().join("p").join(SMALL);
    fs::set_permissions(packed, fs::Permissions::from_mode(0o755)).unwrap();
    update.install("5");
    assert_ne!(update.inode(SMALL), before);
    assert_eq!(update.path(SMALL).metadata().unwrap().mode() & 0o777, 0o755);
    update.assert_whole();
}

/// With the plugins on a file system that one version of the plugin nearly fills; `None` without the right to mount one.
fn on_a_small_disk() -> Option<(Update, Unmount)> {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.base()).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(sandbox.base()).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        // Who is not root mounts nothing.
        return None;
    }
    let unmount = Unmount(sandbox.base());
    Some((Update::of(sandbox), unmount))
}

#[test]
fn an_update_needs_room_for_what_it_does_not_take_from_the_installed_version() {
    let Some((update, _unmount)) = on_a_small_disk() else { return };
    let before = update.inode(LARGE);
    update.sandbox.write("p/node_modules/a/changed.js", "two");
    update.install("2").says("shared with the version before: 2 unchanged files");
    assert_eq!(update.inode(LARGE), before);
    update.assert_whole();
}

#[test]
fn what_an_update_cannot_take_counts_as_room_that_it_needs() {
    type Change = fn(&Update);
    let changes: [(&str, Change); 5] = [
        ("content", |update| {
            update.sandbox.write(&format!("p/{LARGE}"), update.large.replace('0', "x"));
        }),
        ("the time in the new version", |update| {
            let packed = update.sandbox.work().join("p").join(LARGE);
            File::open(packed).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("the time of the installed file", |update| {
            File::open(update.path(LARGE)).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("a third name", |update| {
            fs::hard_link(update.path(LARGE), update.path("second")).unwrap();
        }),
        ("a postinstall", |update| {
            update.sandbox.write_executable("p/postinstall", "#!/bin/sh\n");
        }),
    ];
    for (what, change) in changes {
        let Some((update, _unmount)) = on_a_small_disk() else { return };
        change(&update);
        let file = update.pack("2");
        let before = tree(&update.home());
        let done = update.sandbox.fails(3, ["install".as_ref(), "--force".as_ref(), file.as_os_str()]);
        assert!(done.stderr.contains("unpacks to 4.8 MB"), "{what}: {}", done.stderr);
        done.says("are free there").says("hint: free some space").never_says("no space left");
        assert_eq!(tree(&update.home()), before, "{what}");
        update.sandbox.ok(["list"]).prints("1");
    }
}

#[test]
fn nothing_is_taken_by_way_of_a_link() {
    let update = Update::new();
    let elsewhere = update.sandbox.work().join("elsewhere");
    fs::rename(update.path("node_modules"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, update.path("node_modules")).unwrap();
    let before = update.inode(SMALL);
    update.install("2");
    assert_ne!(update.inode(SMALL), before);
    update.assert_whole();
    assert_eq!(elsewhere.join("a/index.js").metadata().unwrap().nlink(), 1);
}

#[test]
fn whoever_has_a_file_of_the_old_version_open_does_not_write_into_the_new_one() {
    let update = Update::new();
    let mut old = OpenOptions::new().append(true).open(update.path(SMALL)).unwrap();
    update.install("2");
    old.write_all(b" and more").unwrap();
    update.assert_whole();
}

/// Writes by a directory that it keeps open, as soon as the file has a second name, which is when it is shared: before the
/// trees are exchanged or after.
#[test]
fn a_write_in_place_by_the_old_version_during_the_update_does_not_reach_the_new_one() {
    let update = Update::new();
    for number in 0..200 {
        update.sandbox.write(&format!("p/node_modules/z/{number}.js"), format!("{number}"));
    }
    update.install("2");
    let mut reached = 0;
    for (round, delay) in
        (3..13).zip(["", "sleep 0.01;", "sleep 0.03;", "sleep 0.06;", "sleep 0.1;"].iter().cycle())
    {
        let file = update.pack(&round.to_string());
        let script = format!(
            "touch ready; while names=$(stat -c %h {SMALL}); do [ $names = 1 ] || break; done; {delay} \
             [ -e {SMALL} ] && echo harm >> {SMALL} && echo written"
        );
        let mut writer = Command::new("sh");
        writer.args(["-c", &script]).current_dir(update.home()).stdout(Stdio::piped()).stderr(Stdio::null());
        let writer = writer.spawn().unwrap();
        while !update.path("ready").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        update.sandbox.ok(["install".as_ref(), "--force".as_ref(), file.as_os_str()]);
        // It looks until the old tree is gone.
        let output = writer.wait_with_output().unwrap();
        reached += usize::from(output.stdout == b"written\n");
        update.assert_whole();
    }
    println!("{reached} of 10 writes came while the file was shared");
    assert!(reached > 0);
}

#[test]
fn a_version_with_a_postinstall_shares_nothing_and_its_failure_leaves_the_old_one_as_it_was() {
    let update = Update::new();
    let before = update.inode(SMALL);
    let script = format!("#!/bin/sh\necho harm >> {SMALL}\necho harm >> {LARGE}\nexit 3\n");
    update.sandbox.write_executable("p/postinstall", &script);
    let file = update.pack("2");
    update.sandbox.fails(1, ["install".as_ref(), "--force".as_ref(), file.as_os_str()]).says("exit code 3");
    assert_eq!(update.inode(SMALL), before);
    update.assert_whole();
    update.sandbox.ok(["list"]).prints("1");
}

/// A file system that has clones, in a file.
fn mount_xfs(sandbox: &Sandbox, place: PathBuf) -> Option<Unmount> {
    let image = sandbox.path("image");
    File::create(&image).unwrap().set_len(400 << 20).unwrap();
    let is_done =
        |command: &mut Command| command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let is_mounted = is_done(Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&image))
        && is_done(Command::new("mount").args(["-o", "loop"]).args([&image, &place]));
    is_mounted.then(|| Unmount(place))
}

#[test]
fn where_the_file_system_can_files_are_cloned_and_a_postinstall_harms_no_other_version() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.base()).unwrap();
    let Some(_mount) = mount_xfs(&sandbox, sandbox.base()) else {
        println!("not tried: no xfs can be mounted here");
        return;
    };
    let update = Update::of(sandbox);
    let own = "own data".repeat(10_000);
    update.sandbox.write("p/data", &own);
    update.install("2");
    let before = [update.inode(LARGE), update.inode("data")];
    // It runs before the new version is final, and the old one comes back.
    let script = format!("#!/bin/sh\necho harm >> {LARGE}\necho harm >> data\nexit 3\n");
    update.sandbox.write_executable("p/postinstall", &script);
    let file = update.pack("3");
    update.sandbox.fails(1, ["install".as_ref(), "--force".as_ref(), file.as_os_str()]).says("exit code 3");
    assert_eq!([update.inode(LARGE), update.inode("data")], before);
    assert!(fs::read_to_string(update.path("data")).unwrap() == own);
    update.assert_whole();
    update.sandbox.write_executable("p/postinstall", "#!/bin/sh\ntrue\n");
    update.install("4").says("cloned from the version before: 2 unchanged files");
    assert!(fs::read_to_string(update.path("data")).unwrap() == own);
    update.assert_whole();
    // What somebody altered is not taken.
    let modified = update.path("data").metadata().unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(update.path("data")).unwrap();
    file.write_all_at(b"OWN", 0).unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    update.install("5").says("1 unchanged file");
    assert!(fs::read_to_string(update.path("data")).unwrap() == own);
    update.assert_whole();
}

#[test]
fn a_version_that_has_to_serve_first_shares_nothing_and_its_failure_leaves_the_old_one_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    sandbox.write(&format!("hello/{SMALL}"), "small");
    let file = sandbox.packed("hello");
    sandbox.ok(["install".as_ref(), file.as_os_str()]);
    let home = sandbox.base().join("hello");
    let before = home.join(SMALL).metadata().unwrap().ino();
    let _up = sandbox.up_without_nginx();
    sandbox.web_plugin("hello", "two");
    let server = sandbox.read("hello/main/server.py");
    let harm = format!(
        "import sys, os\nopen(os.path.dirname(os.path.abspath(__file__)) + '/../{SMALL}', 'a').write('harm')\nsys.exit(3)\n"
    );
    sandbox.write("hello/main/server.py", format!("{harm}{server}"));
    let file = sandbox.packed("hello");
    sandbox.fails(1, ["hotswap".as_ref(), file.as_os_str()]).says("the old one goes on");
    assert_eq!(home.join(SMALL).metadata().unwrap().ino(), before);
    assert_eq!(fs::read_to_string(home.join(SMALL)).unwrap(), "small");
    sandbox.ok(["verify", "hello"]);
}

/// As a kill leaves it, right before and right after the exchange.
#[test]
fn a_version_that_shares_files_stays_once_it_is_in_its_place() {
    for (is_exchanged, version) in [(false, "1"), (true, "2")] {
        let update = Update::new();
        let own = update.sandbox.base().join(".mwp");
        let (kept, stage) = (update.sandbox.path("kept"), own.join("stage-x"));
        let copy = |from: &Path, to: &Path| {
            assert!(Command::new("cp").arg("-al").arg(from).arg(to).status().unwrap().success());
        };
        copy(&update.home(), &kept);
        update.install("2");
        fs::create_dir(&stage).unwrap();
        if is_exchanged {
            fs::rename(&kept, stage.join("plugin")).unwrap();
            // The mark went to its place with the new tree.
            fs::write(update.path(".mwp_new"), "").unwrap();
        } else {
            fs::rename(update.home(), stage.join("plugin")).unwrap();
            fs::write(stage.join("plugin/.mwp_new"), "").unwrap();
            fs::rename(&kept, update.home()).unwrap();
        }
        let journal = "{\"doing\": \"installing p\", \"stage\": \"stage-x\", \"name\": \"p\", \"old\": [1, 1], \
                       \"is_marked\": true, \"is_final\": true, \"files\": []}";
        fs::write(own.join("journal"), journal).unwrap();
        update.sandbox.ok(["list"]).prints(version);
        assert!(!update.path(".mwp_new").exists());
        update.assert_whole();
    }
}
