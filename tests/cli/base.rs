//! The plugins base whatever happens to it: nothing in it blocks the next command, and nothing in it leads elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::failing::Failed;
use crate::support::users::is_root;
use crate::support::{Done, Sandbox, Unmount, tree};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

/// A sandbox with the release of a plugin `p`.
fn released() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/what", "one");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox
}

/// Another release of `p`, whose `postinstall` never ends.
fn endless(sandbox: &Sandbox) -> PathBuf {
    sandbox.write("p/what", "two");
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("_version=0.0.1", "_version=0.0.2"));
    sandbox.write_executable(
        "p/postinstall",
        "#!/bin/sh\ntouch ../../../../../../../../work/begun\nsleep 9000\n",
    );
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.work().join("p-0.0.2-1.metwork.mfserv.plugin")
}

/// Kills an update after the new version is in its place.
fn kill_an_update(sandbox: &Sandbox) {
    let file = endless(sandbox);
    let mut install = sandbox.mwp([Path::new("install"), Path::new("--force"), &file]);
    let mut child = install.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !sandbox.work().join("begun").exists() {
        assert!(Instant::now() < deadline, "postinstall did not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(sandbox.base().join("p/what")).unwrap(), "two");
}

fn what(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.base().join("p/what")).unwrap()
}

/// What is set aside in our directory.
fn set_aside(sandbox: &Sandbox) -> Vec<String> {
    let names = tree(&sandbox.base().join(".mwp")).into_iter();
    names.filter(|name| !name.contains('/') && name != "lock").collect()
}

#[test]
fn an_old_tree_that_cannot_be_removed_is_set_aside_and_told_once() {
    if !is_root() {
        return;
    }
    let sandbox = released();
    let run = |arguments: &[&str]| Done::of(&mut sandbox.as_ordinary_user(arguments));
    run(&["install", FILE]).succeeded();
    let roots = sandbox.base().join("p/data/of/root");
    fs::create_dir_all(&roots).unwrap();
    fs::write(roots.join("file"), "").unwrap();
    let said = run(&["install", "--force", FILE]).succeeded();
    said.says("warning: an old tree cannot be removed").says("set aside as").says("installed p 0.0.1-1");
    assert!(!sandbox.base().join("p/data").exists());
    let aside = set_aside(&sandbox);
    assert!(matches!(aside.as_slice(), [name] if name.starts_with("set-aside-stage-")), "{aside:?}");
    for arguments in [&["list"][..], &["install", "--force", FILE], &["uninstall", "p"], &["install", FILE]] {
        run(arguments).succeeded().never_says("warning");
    }
    assert_eq!(set_aside(&sandbox), aside);
}

#[test]
fn what_a_killed_command_left_and_nobody_can_remove_does_not_block() {
    if !is_root() {
        return;
    }
    let sandbox = released();
    let run = |arguments: &[&str]| Done::of(&mut sandbox.as_ordinary_user(arguments));
    run(&["install", FILE]).succeeded();
    let stage = sandbox.base().join(".mwp/stage-left");
    fs::create_dir_all(stage.join("plugin/data")).unwrap();
    fs::write(stage.join("plugin/data/file"), "").unwrap();
    std::os::unix::fs::chown(&stage, Some(65534), Some(65534)).unwrap();
    run(&["list"]).succeeded().says("set aside as");
    run(&["install", "--force", FILE]).succeeded().never_says("warning");
    assert_eq!(set_aside(&sandbox), ["set-aside-stage-left"]);
}

#[test]
fn a_mount_below_a_home_is_refused_before_anything_moves() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let place = sandbox.base().join("p/data with space");
    fs::create_dir(&place).unwrap();
    let Some(_mount) = sandbox.mount("tmpfs", "", place.clone()) else { return };
    fs::write(place.join("precious"), "").unwrap();
    for arguments in [&["install", "--force", FILE][..], &["hotswap", FILE], &["uninstall", "p"]] {
        sandbox.fails(3, arguments).says("a file system is mounted at").says("umount");
        assert!(place.join("precious").exists() && sandbox.base().join("p/config.ini").exists());
    }
    assert_eq!(set_aside(&sandbox), [""; 0]);
    sandbox.ok(["list"]).prints("0.0.1");
}

#[test]
fn what_is_mounted_in_a_left_stage_is_never_emptied() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let place = sandbox.base().join(".mwp/stage-left/plugin/data");
    fs::create_dir_all(&place).unwrap();
    let Some(_mount) = sandbox.mount("tmpfs", "", place.clone()) else { return };
    fs::write(place.join("precious"), "").unwrap();
    sandbox.ok(["list"]).says("a file system is mounted at");
    sandbox.ok(["install", "--force", FILE]).never_says("warning");
    let aside = sandbox.base().join(".mwp/set-aside-stage-left/plugin/data");
    assert!(aside.join("precious").exists());
    Done::of(Command::new("umount").arg(aside)).succeeded();
}

#[test]
fn a_killed_update_is_undone_although_every_inode_and_device_number_changed() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    kill_an_update(&sandbox);
    let home = sandbox.path("home");
    let restored = sandbox.path("restored");
    Done::of(Command::new("cp").arg("-a").arg(&home).arg(&restored)).succeeded();
    fs::remove_dir_all(&home).unwrap();
    fs::rename(&restored, &home).unwrap();
    sandbox.ok(["list"]).prints("0.0.1");
    assert_eq!(what(&sandbox), "one");
    sandbox.ok(["verify"]).says("p is as it was packed");
    assert_eq!(set_aside(&sandbox), [""; 0]);
}

#[test]
fn undoing_may_be_interrupted_at_any_step_and_repeated() {
    for step in 0..3 {
        let sandbox = released();
        sandbox.ok(["install", FILE]);
        kill_an_update(&sandbox);
        let own = sandbox.base().join(".mwp");
        let mut stages = fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().path());
        let stage = stages.find(|path| path.join("plugin").exists()).unwrap();
        let (home, tree) = (sandbox.base().join("p"), stage.join("plugin"));
        // As far as a killed recovery came.
        if step > 0 {
            fs::write(home.join(".mwp_new"), "").unwrap();
        }
        if step > 1 {
            fs::rename(&home, sandbox.path("swap")).unwrap();
            fs::rename(&tree, &home).unwrap();
            fs::rename(sandbox.path("swap"), &tree).unwrap();
        }
        sandbox.ok(["list"]).prints("0.0.1");
        assert_eq!(what(&sandbox), "one", "step {step}");
        sandbox.ok(["verify"]).says("p is as it was packed");
    }
}

#[test]
fn a_journal_without_its_stage_does_not_block() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    kill_an_update(&sandbox);
    for path in fs::read_dir(sandbox.base().join(".mwp")).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }
    sandbox.ok(["list"]).says("cannot undo installing p").says("install the plugin again with --force");
    sandbox.ok(["install", "--force", FILE]).never_says("warning");
    assert_eq!(what(&sandbox), "one");
    assert_eq!(set_aside(&sandbox), ["set-aside-journal"]);
}

#[test]
fn a_journal_that_cannot_be_read_or_leads_elsewhere_is_set_aside() {
    let precious = |sandbox: &Sandbox| sandbox.write("precious", "mine");
    for journal in [
        "half",
        r#"{"doing": "x", "stage": "stage-x", "name": "../../precious", "old": null, "files": []}"#,
        r#"{"doing": "x", "stage": "../..", "name": "q", "old": null, "files": []}"#,
        r#"{"doing": "x", "stage": "stage-x", "name": "q", "old": null, "files": [{"path": "PRECIOUS", "saved": null}]}"#,
        r#"{"doing": "x", "stage": "stage-x", "name": "q", "old": null, "files": [{"path": "PRECIOUS", "saved": "../../evil"}]}"#,
    ] {
        let sandbox = released();
        sandbox.ok(["install", FILE]);
        let victim = precious(&sandbox);
        let content = journal.replace("PRECIOUS", &victim.to_string_lossy());
        fs::write(sandbox.base().join(".mwp/journal"), content).unwrap();
        sandbox.ok(["list"]).says("set-aside-journal");
        sandbox.ok(["install", "--force", FILE]).never_says("warning");
        assert_eq!(fs::read_to_string(victim).unwrap(), "mine", "{journal}");
    }
}

#[test]
fn a_configuration_that_vanished_does_not_keep_an_update_from_being_undone() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let config = sandbox.path("home/.local/share/mwp/mfserv/config");
    let file = config.join("plugins/p.ini");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::read_to_string(&file).unwrap();
    kill_an_update(&sandbox);
    fs::remove_dir_all(&config).unwrap();
    sandbox.ok(["list"]).prints("0.0.1").never_says("warning");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "a private file stays private");
}

/// A base of another user with this in our directory; `None` where this user cannot make one.
fn foreign_base(sandbox: &Sandbox) -> Option<PathBuf> {
    is_root().then(|| {
        let base = sandbox.path("foreign");
        fs::create_dir_all(base.join(".mwp")).unwrap();
        for dir in [&base, &base.join(".mwp")] {
            std::os::unix::fs::chown(dir, Some(65534), Some(65534)).unwrap();
        }
        base
    })
}

#[test]
fn a_base_of_another_user_is_neither_recovered_nor_changed() {
    let sandbox = released();
    let Some(base) = foreign_base(&sandbox) else { return };
    let victim = sandbox.write("precious", "mine");
    let option = format!("--plugins-base-dir={}", base.display());
    sandbox.ok(["list", &option]);
    sandbox.fails(3, ["install", &option, FILE]).says("belongs to the user 65534").says("as that user");
    let journal = format!(
        r#"{{"doing": "x", "stage": "stage-x", "name": "q", "old": null, "files": [{{"path": {victim:?}, "saved": null}}]}}"#
    );
    fs::write(base.join(".mwp/journal"), &journal).unwrap();
    for command in [&["list"][..], &["verify"], &["install", FILE], &["uninstall", "q"]] {
        let arguments = [command, &[option.as_str()]].concat();
        sandbox.fails(3, arguments).says("belongs to the user 65534");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert_eq!(fs::read_to_string(base.join(".mwp/journal")).unwrap(), journal);
    assert_eq!(tree(&base.join(".mwp")), ["journal"]);
}

#[test]
fn neither_lock_nor_journal_nor_our_directory_is_opened_through_a_link() {
    let sandbox = released();
    let victim = sandbox.write("precious", "mine");
    let base = sandbox.path("planted");
    let option = format!("--plugins-base-dir={}", base.display());
    fs::create_dir_all(base.join(".mwp")).unwrap();
    let lock = base.join(".mwp/lock");
    symlink(&victim, &lock).unwrap();
    sandbox.fails(3, ["install", &option, FILE]).says("lock` is a link or no file");
    fs::remove_file(&lock).unwrap();
    fs::hard_link(&victim, &lock).unwrap();
    sandbox.fails(3, ["install", &option, FILE]).says("lock` is a link or no file");
    fs::remove_file(&lock).unwrap();
    Done::of(Command::new("mkfifo").arg(&lock)).succeeded();
    sandbox.fails(3, ["install", &option, FILE]).says("lock` is a link or no file");
    fs::remove_file(&lock).unwrap();
    symlink(&victim, base.join(".mwp/journal")).unwrap();
    sandbox.ok(["install", &option, FILE]).says("set-aside-journal");
    fs::remove_dir_all(base.join(".mwp")).unwrap();
    symlink(sandbox.work(), base.join(".mwp")).unwrap();
    sandbox.fails(3, ["install", "--force", &option, FILE]).says(".mwp` is a link");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

#[test]
fn a_base_that_others_can_write_to_is_named_once() {
    let sandbox = released();
    sandbox.ok(["install", FILE]).never_says("others can write");
    fs::set_permissions(sandbox.base(), fs::Permissions::from_mode(0o777)).unwrap();
    let said = sandbox.ok(["uninstall", "p"]).stderr;
    assert_eq!(said.matches("others can write to").count(), 1, "{said}");
    assert!(said.contains("var/plugins`"), "{said}");
    assert_eq!(sandbox.base().metadata().unwrap().mode() & 0o777, 0o777);
}

/// Puts a file system of layers over `dir`, with what is there now in the lower one, as in a container image.
fn as_lower_layer(sandbox: &Sandbox, dir: &Path) -> Option<[Unmount; 2]> {
    let changes = sandbox.path("changes");
    fs::create_dir(&changes).unwrap();
    let disk = sandbox.mount("tmpfs", "", changes.clone())?;
    for name in ["upper", "work"] {
        fs::create_dir(changes.join(name)).unwrap();
    }
    let [lower, changes] = [dir, &changes].map(Path::display);
    let options =
        format!("lowerdir={lower},upperdir={changes}/upper,workdir={changes}/work,redirect_dir=off");
    let layers = sandbox.mount("overlay", &options, dir.to_owned())?;
    Some([layers, disk])
}

const BY_COPY: &str = "by a copy, because the file system cannot rename a directory of a lower layer";

#[test]
fn a_plugin_of_a_lower_layer_is_updated_and_removed() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let home = sandbox.base().join("p");
    fs::create_dir(home.join("data")).unwrap();
    std::os::unix::fs::chown(home.join("data"), Some(65534), Some(65534)).ok();
    let Some(_layers) = as_lower_layer(&sandbox, &sandbox.path("home")) else { return };
    // Undone by a failure, by a kill, then done.
    let file = endless(&sandbox);
    let failing = sandbox.read("p/postinstall").replace("sleep 9000", "exit 1");
    kill_an_update(&sandbox);
    sandbox.ok(["list"]).prints("0.0.1").never_says("warning");
    assert_eq!(what(&sandbox), "one");
    sandbox.write("p/postinstall", failing);
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.fails(1, [Path::new("install"), Path::new("--force"), &file]);
    assert_eq!(what(&sandbox), "one");
    sandbox.write("p/postinstall", "#!/bin/sh\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.ok([Path::new("install"), Path::new("--force"), &file]);
    assert_eq!(what(&sandbox), "two");
    sandbox.ok(["verify"]).says("p is as it was packed");
    sandbox.ok(["uninstall", "p"]);
    assert_eq!(tree(&sandbox.base()), [".mwp", ".mwp/lock"]);
}

#[test]
fn how_a_change_of_a_lower_layer_was_made_is_told_with_v() {
    let sandbox = released();
    sandbox.ok(["install", "-v", FILE]).never_says(BY_COPY);
    sandbox.ok(["install", "-v", "--force", FILE]).says("installing p: in one step");
    let Some(_layers) = as_lower_layer(&sandbox, &sandbox.path("home")) else { return };
    sandbox.ok(["uninstall", "-v", "p"]).says(BY_COPY);
    sandbox.ok(["install", FILE]).never_says(BY_COPY);
}

#[test]
fn a_plugin_directory_of_a_lower_layer_is_built_and_cleaned() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "six==1.17.0\n");
    sandbox.write(
        "p/mwp.toml",
        "[tasks.made]\ninputs = [\"config.ini\"]\noutputs = [\"out\"]\ncommand = [\"sh\", \"-c\", \"mkdir out; touch out/file\"]\n",
    );
    sandbox.ok(["build", "-C", "p"]);
    let Some(_layers) = as_lower_layer(&sandbox, &dir) else { return };
    sandbox.ok(["build", "--force", "-v", "-C", "p"]).says(BY_COPY);
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["clean", "-C", "p"]);
    assert!(!dir.join("local").exists() && !dir.join("out").exists());
    sandbox.ok(["build", "-C", "p"]);
    assert!(dir.join("local/lib").exists() && dir.join("out/file").exists());
    sandbox.ok(["build", "--force", "-v", "-C", "p"]).never_says(BY_COPY);
}

#[test]
fn after_the_point_of_no_return_a_failure_has_a_code_and_words_of_its_own() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let two = sandbox.base().join("p/what");
    let (mut done_but, mut hit) = (0, 0);
    for number in 1..30 {
        fs::write(&two, "before").unwrap();
        let option = format!("inject=fsync,fdatasync,syncfs:error=EIO:when={number}");
        let Some(Failed { done, hits, .. }) = sandbox.traced(&option, &["install", "--force", FILE]) else {
            return;
        };
        if hits.is_empty() {
            break;
        }
        hit += 1;
        let is_new = what(&sandbox) == "one";
        match done.code {
            Some(3) => assert!(!is_new, "{number}: {}", done.stderr),
            Some(4) => {
                assert!(
                    is_new && done.stderr.contains("error: installing p is done, but "),
                    "{}",
                    done.stderr
                );
                done_but += 1;
            }
            Some(0) => assert!(is_new),
            code => panic!("{number}: {code:?}: {}", done.stderr),
        }
        sandbox.ok(["list"]).prints("0.0.1").never_says("warning");
        assert_eq!(what(&sandbox) == "one", is_new);
        assert_eq!(set_aside(&sandbox), [""; 0]);
    }
    assert!(hit > 2 && done_but > 0, "{hit} failures, {done_but} after the end");
}

#[test]
fn a_file_system_that_cannot_exchange_gets_an_update_in_two_steps() {
    for errno in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        let sandbox = released();
        sandbox.ok(["install", FILE]);
        fs::write(sandbox.base().join("p/what"), "before").unwrap();
        let option = format!("inject=renameat2:error={errno}");
        let Some(Failed { done, hits, .. }) = sandbox.traced(&option, &["install", "--force", "-v", FILE])
        else {
            return;
        };
        assert!(!hits.is_empty(), "{errno}: no call was made to fail");
        done.succeeded().says("in two steps, because the file system cannot exchange");
        assert_eq!((what(&sandbox).as_str(), set_aside(&sandbox).len()), ("one", 0), "{errno}");
        sandbox.ok(["verify"]).says("p is as it was packed");
    }
}

#[test]
fn a_file_system_that_shares_no_blocks_and_has_no_second_names_gets_copies() {
    for errno in ["EINVAL", "ENOSYS", "EXDEV", "EOPNOTSUPP"] {
        let sandbox = released();
        sandbox.ok(["install", FILE]);
        let option = format!("inject=link,linkat:error=EPERM inject=copy_file_range:error={errno}");
        let Some(Failed { done, hits, .. }) = sandbox.traced(&option, &["repackage", "--force", "p"]) else {
            return;
        };
        assert!(hits.len() > 1, "{errno}: {hits:?}");
        done.succeeded();
        sandbox.ok(["install", "--force", FILE]);
        assert_eq!(what(&sandbox), "one");
        sandbox.ok(["verify"]).says("p is as it was packed");
    }
}

/// A file that nobody can remove, where the file system has such a thing; it goes with the test.
struct Immutable(PathBuf);

impl Immutable {
    fn new(path: PathBuf) -> Option<Immutable> {
        let chattr = Command::new("chattr").arg("+i").arg(&path).stderr(Stdio::null()).status();
        chattr.is_ok_and(|status| status.success()).then_some(Immutable(path))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        // Wherever it was moved to.
        let _ = Command::new("chattr").args(["-R", "-i"]).arg(&self.0).status();
    }
}

#[test]
fn an_immutable_file_in_an_old_tree_blocks_nothing() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let file = sandbox.base().join("p/data/immutable");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    let Some(mut immutable) = Immutable::new(file) else { return };
    immutable.0 = sandbox.base();
    sandbox.ok(["install", "--force", FILE]).says("an old tree cannot be removed").says("set aside as");
    assert_eq!(what(&sandbox), "one");
    for arguments in
        [&["list"][..], &["install", "--force", FILE], &["verify"], &["uninstall", "p"], &["install", FILE]]
    {
        sandbox.ok(arguments).never_says("warning");
    }
    assert_eq!(set_aside(&sandbox).len(), 1);
}

#[test]
fn an_override_file_that_cannot_be_written_blocks_nothing() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let file = sandbox.path("home/.local/share/mwp/mfserv/config/plugins/p.ini");
    let before = fs::read(&file).unwrap();
    let Some(_immutable) = Immutable::new(file.clone()) else { return };
    for arguments in [&["install", "--force", FILE][..], &["uninstall", "--clean", "p"]] {
        let done = sandbox.fails(3, arguments).says("p.ini`: operation not permitted").never_says("warning");
        assert_eq!(done.stderr.matches("error:").count(), 1, "{}", done.stderr);
    }
    sandbox.ok(["list"]).prints("0.0.1").never_says("warning");
    assert_eq!((what(&sandbox).as_str(), set_aside(&sandbox).len()), ("one", 0));
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn what_is_set_aside_is_shown_by_status() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let _up = sandbox.up_without_nginx();
    fs::create_dir_all(sandbox.base().join(".mwp/set-aside-stage-x")).unwrap();
    Done::of(&mut sandbox.mwp(["status"])).says("set-aside-stage-x` could be neither undone nor removed");
}

#[test]
fn a_journal_of_an_earlier_version_is_undone() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    kill_an_update(&sandbox);
    let journal = sandbox.base().join(".mwp/journal");
    let mut fields: serde_json::Value = serde_json::from_slice(&fs::read(&journal).unwrap()).unwrap();
    // The first ones had neither.
    fields.as_object_mut().unwrap().retain(|name, _| name != "is_marked" && name != "new_link");
    fs::write(&journal, fields.to_string()).unwrap();
    let _ = fs::remove_file(sandbox.base().join("p/.mwp_new"));
    sandbox.ok(["list"]).prints("0.0.1").never_says("warning");
    assert_eq!((what(&sandbox).as_str(), set_aside(&sandbox).len()), ("one", 0));
    sandbox.ok(["verify"]).says("p is as it was packed");
}
