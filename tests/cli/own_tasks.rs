//! What a plugin's own tasks read and make, in all its forms: links, modes, empty directories, what they leave behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{Done, Sandbox, tree, wait_until};

/// A plugin `p` with one task, a shell command.
fn with_task(inputs: &str, outputs: &str, script: &str) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let dir = sandbox.plugin("p");
    sandbox.write(
        "p/mwp.toml",
        format!("[tasks.make]\ninputs = {inputs}\noutputs = {outputs}\ncommand = [\"sh\", \"-c\", '''{script}''']\n"),
    );
    (sandbox, dir)
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_edit_behind_a_link_counts_and_is_told() {
    let (sandbox, dir) = with_task(r#"["assets/c"]"#, r#"["out"]"#, "cat assets/c > out");
    sandbox.write("shared/c", "one\ntwo\n");
    fs::create_dir(dir.join("assets")).unwrap();
    symlink("../../shared/c", dir.join("assets/c")).unwrap();
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]).says("p is up to date");
    sandbox.write("shared/c", "one\n2\n");
    sandbox
        .ok(["explain", "-C", "p"])
        .prints("what the input `assets/c`, a link, points to changed: line 2: `two` → `2`");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/out"), "one\n2\n");
    fs::remove_file(sandbox.work().join("shared/c")).unwrap();
    sandbox.ok(["explain", "-C", "p"]).prints("→ nothing");
}

#[test]
fn a_linked_directory_counts_with_all_in_it_and_a_loop_is_cut() {
    let (sandbox, dir) = with_task(r#"["assets"]"#, r#"["out"]"#, "cat assets/lib/*/*.txt > out");
    sandbox.write("shared/deep/a.txt", "a\n");
    fs::create_dir(dir.join("assets")).unwrap();
    symlink("../../shared", dir.join("assets/lib")).unwrap();
    symlink("..", sandbox.work().join("shared/deep/up")).unwrap();
    symlink("nowhere", dir.join("assets/dangling")).unwrap();
    symlink("round", dir.join("assets/round")).unwrap();
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]).says("p is up to date");
    sandbox.write("shared/deep/b.txt", "b\n");
    sandbox.ok(["explain", "-C", "p"]).prints("the input `assets/lib/deep/b.txt` is new");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/out"), "a\nb\n");
    sandbox.write("p/assets/nowhere", "now here\n");
    sandbox.ok(["explain", "-C", "p"]).prints("`assets/dangling`, a link, points to changed: nothing ");
}

#[test]
fn links_modes_and_empty_directories_come_back_from_the_cache() {
    let script = "mkdir -p out/lib out/empty out/bin; echo x > out/lib/libfoo.so.1; \
                  ln -s libfoo.so.1 out/lib/libfoo.so; ln -s ../nowhere out/bin/link; \
                  echo s > out/secret; chmod 640 out/secret; chmod 750 out/empty; echo ran >> ../ran.log";
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out"]"#, script);
    sandbox.write("p/in", "");
    sandbox.ok(["build", "-C", "p"]);
    let made = tree(&dir.join("out"));
    sandbox.ok(["clean", "-C", "p"]);
    assert!(!dir.join("out").exists());
    let mut build = sandbox.mwp(["build", "-C", "p"]);
    Done::of(&mut build).succeeded().says("make: restored from the cache");
    assert_eq!(tree(&dir.join("out")), made);
    assert_eq!(fs::read_link(dir.join("out/lib/libfoo.so")).unwrap(), Path::new("libfoo.so.1"));
    assert_eq!((mode(&dir.join("out/secret")), mode(&dir.join("out/empty"))), (0o640, 0o750));
    assert_eq!(sandbox.runs(), 1);
    // The empty directory is one of the outputs.
    fs::remove_dir(dir.join("out/empty")).unwrap();
    sandbox.ok(["explain", "-C", "p"]).prints("the output `out/empty` is gone");
}

#[test]
fn a_child_that_holds_the_output_does_not_hold_up_the_build() {
    let (sandbox, _) =
        with_task(r#"["in"]"#, r#"["out"]"#, "sleep 300 & echo $! > ../child; echo started; echo x > out");
    sandbox.write("p/in", "");
    sandbox.ok(["build", "-v", "-C", "p"]).says("| started").says("make: done");
    let child = sandbox.read("child");
    assert!(Path::new("/proc").join(child.trim()).exists(), "the child was waited for");
    Command::new("kill").arg(child.trim()).status().unwrap();
}

/// Runs `mwp` as an ordinary user.
fn as_ordinary_user(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    Done::of(&mut sandbox.as_ordinary_user(arguments)).succeeded()
}

#[test]
fn outputs_without_write_permission_are_made_again_restored_and_cleaned() {
    let script = "mkdir out; cat in > out/file; chmod 444 out/file; chmod 555 out";
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out"]"#, script);
    sandbox.write("p/in", "1");
    as_ordinary_user(&sandbox, &["build", "-C", "p"]);
    fs::write(dir.join("in"), "2").unwrap();
    as_ordinary_user(&sandbox, &["build", "-C", "p"]).says("make: done");
    assert_eq!(sandbox.read("p/out/file"), "2");
    fs::write(dir.join("in"), "1").unwrap();
    as_ordinary_user(&sandbox, &["build", "-C", "p"]).says("restored from the cache");
    assert_eq!(sandbox.read("p/out/file"), "1");
    assert_eq!((mode(&dir.join("out")), mode(&dir.join("out/file"))), (0o555, 0o444));
    as_ordinary_user(&sandbox, &["clean", "-C", "p"]);
    assert!(!dir.join("out").exists());
}

#[test]
fn an_earlier_empty_directory_is_out_of_the_way_of_the_command() {
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out"]"#, "mkdir out out/empty; cp in out/file");
    sandbox.write("p/in", "1");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/in", "2");
    sandbox.ok(["build", "-v", "-C", "p"]).never_says("File exists");
    assert_eq!(tree(&dir.join("out")), ["empty", "file"]);
}

#[test]
fn outputs_without_write_permission_come_back_when_the_command_fails() {
    let script = "test ! -e ../fail && mkdir out && cat in > out/file && chmod 555 out";
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out"]"#, script);
    sandbox.write("p/in", "1");
    as_ordinary_user(&sandbox, &["build", "-C", "p"]);
    fs::write(dir.join("in"), "2").unwrap();
    sandbox.write("fail", "");
    sandbox.fails(1, ["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/out/file"), "1");
    assert_eq!(mode(&dir.join("out")), 0o555);
}

#[test]
fn clean_removes_what_own_tasks_made_and_nothing_else() {
    let (sandbox, dir) = with_task(
        r#"["in"]"#,
        r#"["static", "whole"]"#,
        "mkdir -p static/css; cp in static/css/made; cp in static/edited; cp in whole",
    );
    sandbox.write("p/in", "1");
    sandbox.write("p/static/by-hand", "");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/static/edited", "by a person");
    let said = sandbox.ok(["clean", "-n", "-C", "p"]);
    said.says("would remove p/static/css/made");
    assert!(dir.join("static/css/made").exists());
    sandbox.ok(["clean", "-C", "p"]).says("removed p/whole");
    assert_eq!(tree(&dir.join("static")), ["by-hand", "edited"]);
    assert!(!dir.join("whole").exists());
}

#[test]
fn an_output_is_the_same_however_its_path_is_written() {
    for output in ["./out", "out/", "./out/", "./made/./out/"] {
        let script = format!("mkdir -p {output}; cp in {output}");
        let (sandbox, dir) = with_task(r#"["**"]"#, &format!("[\"{output}\"]"), &script);
        sandbox.write("p/in", "1");
        sandbox.ok(["build", "-C", "p"]).never_says("an input changed while it ran");
        sandbox.ok(["build", "-C", "p"]).says("up to date");
        fs::remove_file(dir.join(output).join("in")).unwrap();
        sandbox.ok(["build", "-C", "p"]).never_says("up to date");
        let removed = output.trim_start_matches("./").replace("/./", "/");
        sandbox.ok(["clean", "-C", "p"]).says(&format!("removed p/{}/in", removed.trim_end_matches('/')));
    }
}

#[test]
fn what_cannot_be_looked_at_is_an_error_and_nothing_is_lost() {
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["static"]"#, "mkdir -p static; cp in static/made");
    sandbox
        .write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("outputs", "keep_foreign = true\noutputs"));
    sandbox.write("p/in", "1");
    sandbox.write("p/static/by-hand", "mine");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write(
        "eio.c",
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include <string.h>\nstruct statx;\n\
         typedef int (*function)(int, const char *, int, unsigned, struct statx *);\n\
         int statx(int fd, const char *path, int flags, unsigned mask, struct statx *into) {\n\
         if (path && strstr(path, \"by-hand\")) { errno = EIO; return -1; }\n\
         return ((function)dlsym(RTLD_NEXT, \"statx\"))(fd, path, flags, mask, into); }\n",
    );
    let compile = ["-shared", "-fPIC", "-o", "eio.so", "eio.c", "-ldl"];
    Done::of(Command::new("cc").args(compile).current_dir(sandbox.work())).succeeded();
    sandbox.write("p/in", "2");
    let mut build = sandbox.mwp(["build", "-C", "p"]);
    Done::of(build.env("LD_PRELOAD", sandbox.work().join("eio.so")))
        .exited(3)
        .says("by-hand`: input/output error");
    assert_eq!(sandbox.read("p/static/by-hand"), "mine");
    assert_eq!(sandbox.read("p/static/made"), "1");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(
        (sandbox.read("p/static/by-hand"), sandbox.read("p/static/made")),
        ("mine".into(), "2".into())
    );
    assert!(dir.join("static/made").exists());
}

#[test]
fn a_release_leaves_what_is_known_of_the_other_tasks() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "");
    sandbox.write("p/Makefile", "custom::\n\t@true\n");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["release", "-C", "p"]);
    sandbox.ok(["explain", "virtualenv", "-C", "p"]).prints("virtualenv: up to date");
}

#[test]
fn a_rule_of_the_makefile_may_make_the_label() {
    let sandbox = Sandbox::new();
    let dir = sandbox.plugin("p");
    fs::remove_file(dir.join(".layerapi2_label")).unwrap();
    fs::remove_file(dir.join(".plugin_format_version")).unwrap();
    sandbox.write(
        "p/Makefile",
        "include $(MFEXT_HOME)/share/plugin.mk\nprecustom:: .layerapi2_label .plugin_format_version\n\
         .layerapi2_label:\n\techo plugin_p@mfserv >$@\n",
    );
    sandbox.ok(["release", "-C", "p"]);
    assert!(sandbox.work().join("p-0.0.1-1.metwork.mfserv.plugin").exists());
    // Without such a rule it is asked for before anything is written.
    sandbox.plugin("q");
    fs::remove_file(sandbox.work().join("q/.layerapi2_label")).unwrap();
    sandbox.fails(1, ["build", "-C", "q"]).says(".layerapi2_label");
    assert!(!sandbox.work().join("q/.mwp").exists());
}

#[test]
fn a_directory_that_is_named_twice_is_packed_once() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let done = sandbox.ok(["release", "-C", "p", "-C", "./p"]);
    assert_eq!(done.stdout.lines().count(), 1, "{}", done.stdout);
}

/// Appends, so that whatever is there when it begins shows; waits or fails where it is told to.
const APPENDS: &str = "mkdir -p out; cat in >> out/a; cat in >> b; test ! -e ../waits || { echo $$ > ../pid; sleep 9000; }; \
                       test ! -e ../fails";

fn made(sandbox: &Sandbox) -> [String; 2] {
    ["p/out/a", "p/b"].map(|path| fs::read_to_string(sandbox.work().join(path)).unwrap_or_default())
}

/// A build that is killed while its command waits.
fn killed_build(sandbox: &Sandbox) {
    let waits = sandbox.write("waits", "");
    let pid = sandbox.work().join("pid");
    let mut build = sandbox.mwp(["build", "-C", "p"]).spawn().unwrap();
    wait_until("the command waits", || fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')));
    build.kill().unwrap();
    build.wait().unwrap();
    let command: i32 = sandbox.read("pid").trim().parse().unwrap();
    let _ = kill_process_group(Pid::from_raw(command).unwrap(), Signal::KILL);
    [waits, pid].iter().for_each(|path| fs::remove_file(path).unwrap());
}

#[test]
fn a_command_begins_without_what_an_earlier_run_left_that_failed() {
    let (sandbox, _) = with_task(r#"["in"]"#, r#"["out", "b"]"#, APPENDS);
    let mut earlier = [String::new(), String::new()];
    for round in ["0", "1", "2"] {
        sandbox.write("p/in", round);
        let fails = sandbox.write("fails", "");
        sandbox.fails(1, ["build", "-C", "p"]);
        assert_eq!(made(&sandbox), earlier, "as before");
        fs::remove_file(fails).unwrap();
        sandbox.ok(["build", "-C", "p"]).says("make: done");
        earlier = [round.to_owned(), round.to_owned()];
        assert_eq!(made(&sandbox), earlier);
        // What others have there is never touched.
        sandbox.write("p/out/mine", "mine");
    }
    assert_eq!(sandbox.read("p/out/mine"), "mine");
}

#[test]
fn a_command_begins_without_the_files_of_a_killed_build_and_what_is_in_directories_is_not_kept() {
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out", "b"]"#, APPENDS);
    for round in ["0", "1"] {
        sandbox.write("p/in", round);
        killed_build(&sandbox);
        assert_eq!(made(&sandbox)[1], round);
        // Somebody works there before the next build.
        sandbox.write("p/out/mine", "mine");
        sandbox.ok(["build", "-C", "p"]).says("make: done");
        // A directory may hold anybody's files: all stay, and nothing of it is for others.
        assert_eq!(made(&sandbox), [round.repeat(2), round.to_owned()]);
        assert_eq!(sandbox.read("p/out/mine"), "mine");
        sandbox.ok(["clean", "-C", "p"]);
        sandbox.ok(["build", "-C", "p"]).says("make: done");
        assert_eq!(made(&sandbox), [round, round].map(str::to_owned));
    }
    assert_eq!(fs::read_dir(dir.join(".mwp/tmp")).map_or(0, Iterator::count), 0);
}

#[test]
fn what_came_of_an_output_that_was_there_is_not_kept_for_others() {
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out", "b"]"#, APPENDS);
    sandbox.write("p/in", "new");
    let fresh_has = |expected: [&str; 2]| {
        sandbox.ok(["clean", "-C", "p"]);
        for path in ["out", "b"] {
            let _ = fs::remove_dir_all(dir.join(path));
            let _ = fs::remove_file(dir.join(path));
        }
        sandbox.ok(["build", "-C", "p"]);
        assert_eq!(made(&sandbox), expected.map(str::to_owned));
    };
    // What nobody has recorded.
    sandbox.write("p/b", "mine ");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(made(&sandbox), ["new", "mine new"]);
    fresh_has(["new", "new"]);
    // What somebody has edited, at and below an output.
    for (path, expected) in [("b", ["next", "newmine next"]), ("out/a", ["newmine next", "next"])] {
        sandbox.write(&format!("p/{path}"), "newmine ");
        sandbox.write("p/in", "next");
        sandbox.ok(["build", "--force", "-C", "p"]);
        assert_eq!(made(&sandbox), expected);
        sandbox.write("p/in", "next");
        fresh_has(["next", "next"]);
        sandbox.write("p/in", "new");
        fresh_has(["new", "new"]);
    }
}

#[test]
fn a_directory_in_the_place_of_an_output_file_is_refused_and_stays() {
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["gen/out"]"#, "mkdir -p gen; cp in gen/out");
    sandbox.write("p/in", "1");
    sandbox.ok(["build", "-C", "p"]);
    fs::remove_file(dir.join("gen/out")).unwrap();
    sandbox.write("p/gen/out/mine", "mine");
    for force in [&[][..], &["--force"]] {
        let done = sandbox.fails(1, ["build", "-C", "p"].iter().chain(force));
        done.says("gen/out` is a directory, and the task makes a file there").says("hint: move it away");
    }
    // The same where it would come from the cache, without a record.
    fs::remove_dir_all(dir.join(".mwp")).unwrap();
    sandbox.fails(1, ["build", "-C", "p"]).says("gen/out` is a directory, and the task makes a file there");
    assert_eq!(sandbox.read("p/gen/out/mine"), "mine");
    fs::remove_dir_all(dir.join("gen/out")).unwrap();
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/gen/out"), "1");
}

#[test]
fn links_that_came_back_after_a_failure_are_out_of_the_way_of_the_next_run() {
    let script = "mkdir out; ln -s in out/link; ln -s in link; cat in > out/file; test ! -e ../fails";
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out", "link"]"#, &format!("set -e; {script}"));
    for round in ["1", "2"] {
        sandbox.write("p/in", round);
        let fails = sandbox.write("fails", "");
        sandbox.fails(1, ["build", "-C", "p"]);
        fs::remove_file(fails).unwrap();
        assert_eq!(dir.join("link").is_symlink(), round == "2", "as before");
        sandbox.ok(["build", "-C", "p"]).says("make: done");
        assert_eq!(sandbox.read("p/out/file"), round);
        assert_eq!(fs::read_link(dir.join("out/link")).unwrap(), Path::new("in"));
    }
}

#[test]
fn an_output_in_a_directory_without_write_permission_is_made_again_restored_and_cleaned() {
    // The directory is no output, and the task alone keeps files there.
    let script = "mkdir out && cat in > out/file && chmod 444 out/file && chmod 555 out";
    let (sandbox, dir) = with_task(r#"["in"]"#, r#"["out/file"]"#, script);
    sandbox.write("p/in", "1");
    as_ordinary_user(&sandbox, &["build", "-C", "p"]);
    fs::write(dir.join("in"), "2").unwrap();
    as_ordinary_user(&sandbox, &["build", "-C", "p"]).says("make: done");
    assert_eq!(sandbox.read("p/out/file"), "2");
    fs::write(dir.join("in"), "1").unwrap();
    as_ordinary_user(&sandbox, &["build", "-C", "p"]).says("restored from the cache");
    assert_eq!((sandbox.read("p/out/file").as_str(), mode(&dir.join("out"))), ("1", 0o555));
    as_ordinary_user(&sandbox, &["clean", "-C", "p"]);
    assert!(!dir.join("out").exists());
}
