//! When is a task up to date? One test for each rule, named for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Done, Sandbox, tree};

fn set_time(path: &std::path::Path, seconds: u64) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[test]
fn nothing_changed_runs_nothing() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]).says("copy: done");
    sandbox.ok(["build", "-C", "p"]).says("p is up to date");
    assert_eq!(sandbox.runs(), 1);
    assert_eq!(sandbox.read("p/out/a.txt"), "a\n");
}

#[test]
fn another_time_with_equal_content_is_fresh() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    for seconds in [1, 4_000_000_000] {
        set_time(&dir.join("in/a.txt"), seconds);
        sandbox.ok(["build", "-C", "p"]).says("up to date");
    }
    assert_eq!(sandbox.runs(), 1);
}

#[test]
fn content_that_goes_back_in_time_is_seen() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/in/a.txt", "z\n");
    set_time(&dir.join("in/a.txt"), 1);
    sandbox.ok(["build", "-C", "p"]).says("copy: done");
    assert_eq!(sandbox.read("p/out/a.txt"), "z\n");
}

#[test]
fn an_edit_of_the_same_size_within_the_same_clock_tick_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    for round in 0..30 {
        let content = format!("{:02}\n", round % 100);
        sandbox.write("p/in/a.txt", &content);
        sandbox.ok(["build", "-q", "-C", "p"]);
        assert_eq!(sandbox.read("p/out/a.txt"), content);
    }
}

#[test]
fn a_branch_switch_and_back_runs_nothing() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"];
        Done::of(Command::new("git").args(identity).args(arguments).current_dir(&dir)).succeeded();
    };
    fs::write(dir.join(".gitignore"), "out\n.mwp\n").unwrap();
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    sandbox.ok(["build", "-C", "p"]);
    git(&["checkout", "-q", "-b", "other"]);
    sandbox.write("p/in/a.txt", "other\n");
    git(&["commit", "-q", "-am", "two"]);
    git(&["checkout", "-q", "main"]);
    sandbox.ok(["build", "-C", "p"]).says("up to date");
    assert_eq!(sandbox.runs(), 1);
}

#[test]
fn a_copy_of_the_directory_is_restored_and_not_run() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.task_plugin("clone");
    sandbox.write("clone/.layerapi2_label", "plugin_p@mfserv\n");
    sandbox.ok(["build", "-C", "clone"]).says("copy: restored from the cache");
    assert_eq!(sandbox.runs(), 1);
    assert_eq!(sandbox.read("clone/out/b.txt"), "b\n");
}

#[test]
fn a_new_and_a_removed_input_count() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/in/c.txt", "c\n");
    sandbox.ok(["explain", "-C", "p"]).prints("the input `in/c.txt` is new");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.runs(), 2);
    fs::remove_file(dir.join("in/c.txt")).unwrap();
    sandbox.ok(["explain", "-C", "p"]).prints("the input `in/c.txt` is gone");
    sandbox.ok(["build", "-C", "p"]);
    // The very first inputs again: their outputs are in the cache.
    assert_eq!(sandbox.runs(), 2);
    assert_eq!(tree(&dir.join("out")), ["a.txt", "b.txt"]);
}

#[test]
fn an_executable_bit_counts() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    fs::set_permissions(dir.join("in/a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.ok(["explain", "-C", "p"]).prints("the input `in/a.txt` changed: file ");
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    fs::remove_dir_all(dir.join("in")).unwrap();
    sandbox
        .fails(1, ["build", "-C", "p"])
        .says("task `copy` needs `in/**`, and nothing there matches")
        .says("hint: ");
}

#[test]
fn a_removed_or_altered_output_is_made_again() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    fs::remove_file(dir.join("out/a.txt")).unwrap();
    sandbox.ok(["explain", "-C", "p"]).prints("the output `out/a.txt` is gone");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/out/a.txt"), "a\n");
    sandbox.write("p/out/b.txt", "mine\n");
    sandbox.ok(["explain", "-C", "p"]).prints("the output `out/b.txt` changed: file ");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/out/b.txt"), "b\n");
}

#[test]
fn a_changed_command_a_declared_variable_and_a_tool_count() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    let recipe = sandbox.read("p/mwp.toml") + "environment = [\"FLAVOUR\"]\ntools = [\"flavoured\"]\n";
    sandbox.write("p/mwp.toml", &recipe);
    let tool = |version: &str| {
        sandbox.write_executable("bin/flavoured", &format!("#!/bin/sh\necho flavoured {version}\n"));
    };
    let mwp = |command: &str, flavour: &str| {
        let mut process = sandbox.mwp([command, "-C", "p"]);
        let path = std::env::var_os("PATH").unwrap();
        let dirs = std::iter::once(sandbox.work().join("bin")).chain(std::env::split_paths(&path));
        process.env("PATH", std::env::join_paths(dirs).unwrap()).env("FLAVOUR", flavour);
        Done::of(&mut process).succeeded()
    };
    tool("1");
    mwp("build", "sweet");
    mwp("build", "sweet").says("up to date");
    mwp("explain", "sour").prints("the environment variable `FLAVOUR` has another value");
    tool("2");
    mwp("explain", "sweet").prints("the tool `flavoured` changed: flavoured 1 → flavoured 2");
    sandbox.write("p/mwp.toml", recipe.replace("cp in/*", "cp -v in/*"));
    mwp("explain", "sweet").prints("the recipe's `command` changed: ");
}

#[test]
fn a_tool_that_is_written_in_place_counts_whatever_its_size_and_time_say() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml") + "tools = [\"tool\"]\n");
    let tool = sandbox.write_executable("bin/tool", "#!/bin/sh\necho tool 1\n");
    set_time(&tool, 1_000_000);
    let build = || {
        let mut process = sandbox.mwp(["build", "-C", "p"]);
        let path = format!("{}:{}", sandbox.work().join("bin").display(), std::env::var("PATH").unwrap());
        Done::of(process.env("PATH", path)).succeeded()
    };
    build();
    build().says("up to date");
    fs::write(&tool, "#!/bin/sh\necho tool 2\n").unwrap();
    set_time(&tool, 1_000_000);
    build().says("copy: done");
}

#[test]
fn a_secret_in_a_declared_variable_is_not_written_anywhere() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml") + "environment = [\"TOKEN\"]\n");
    Done::of(sandbox.mwp(["build", "-v", "-C", "p"]).env("TOKEN", "s3cr3t-value")).succeeded();
    for file in tree(&dir.join(".mwp")) {
        let content = fs::read(dir.join(".mwp").join(&file)).unwrap_or_default();
        assert!(!content.windows(12).any(|bytes| bytes == b"s3cr3t-value"), "{file}");
    }
}

#[test]
fn equal_outputs_of_a_dependency_cut_off_what_follows() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/words", "b\na\n");
    sandbox.write(
        "p/mwp.toml",
        "[tasks.sort]\ninputs = [\"words\"]\noutputs = [\"sorted\"]\ncommand = [\"sort\", \"-o\", \"sorted\", \"words\"]\n\
         [tasks.count]\ninputs = [\"sorted\"]\noutputs = [\"count\"]\ndependencies = [\"sort\"]\n\
         command = [\"sh\", \"-c\", \"wc -l < sorted > count; echo ran >> ../ran.log\"]\n",
    );
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/words", "a\nb\n");
    sandbox.ok(["build", "-C", "p"]).says("sort: done").never_says("count: ");
    assert_eq!(sandbox.runs(), 1);
    sandbox.write("p/words", "a\nb\nc\n");
    sandbox.ok(["explain", "-C", "p"]).prints("it needs task `sort`, which has to run first");
    sandbox.ok(["build", "-C", "p"]).says("count: done");
    assert_eq!(sandbox.read("p/count").trim(), "3");
}

#[test]
fn a_failure_is_not_recorded_and_the_old_outputs_stay() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    let good = sandbox.read("p/mwp.toml");
    sandbox.write("p/mwp.toml", good.replace("cp in/* out/", "false"));
    sandbox.fails(1, ["build", "-C", "p"]).says("task `copy`: `sh` failed: exit code 1").says("hint: ");
    assert_eq!(sandbox.read("p/out/a.txt"), "a\n");
    sandbox.fails(1, ["build", "-C", "p"]);
    sandbox.ok(["explain", "-C", "p"]).prints("its last run did not finish");
}

#[test]
fn a_missing_output_after_the_run_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("[\"out\"]", "[\"out\", \"other\"]"));
    sandbox.fails(1, ["build", "-C", "p"]).says("succeeded without making its output `other`");
}

#[test]
fn stale_outputs_do_not_survive_and_files_of_others_do() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.write("p/out/by-hand.txt", "mine\n");
    sandbox.ok(["build", "-C", "p"]);
    fs::remove_file(dir.join("in/b.txt")).unwrap();
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(tree(&dir.join("out")), ["a.txt", "by-hand.txt"]);
    // Restored ones do not sweep them away either.
    fs::remove_file(dir.join("out/a.txt")).unwrap();
    sandbox.ok(["build", "-C", "p"]).says("restored");
    assert_eq!(tree(&dir.join("out")), ["a.txt", "by-hand.txt"]);
}

#[test]
fn damaged_state_and_a_damaged_cache_are_misses() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    fs::write(dir.join(".mwp/state"), b"garbage").unwrap();
    sandbox.ok(["build", "-C", "p"]).says("restored from the cache");
    let cache = sandbox.path("home/.cache/mwp/tasks-v2");
    for file in tree(&cache).iter().filter(|file| file.ends_with(".zst")) {
        let path = cache.join(file);
        let mut content = fs::read(&path).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 0xff;
        fs::write(&path, content).unwrap();
    }
    fs::remove_dir_all(dir.join("out")).unwrap();
    sandbox.ok(["build", "-C", "p"]).says("copy: done");
    assert_eq!(sandbox.read("p/out/a.txt"), "a\n");
}

#[test]
fn a_dry_run_and_an_explanation_write_nothing() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    let before = tree(&dir);
    sandbox.ok(["build", "--dry-run", "-C", "p"]).prints("would run copy");
    sandbox.ok(["explain", "-C", "p"]).prints("copy: has to run");
    sandbox.ok(["graph", "-C", "p"]).prints("copy");
    sandbox.ok(["check", "-C", "p"]);
    assert_eq!(tree(&dir), before);
    assert_eq!(sandbox.runs(), 0);
}

#[test]
fn an_input_that_changed_while_the_task_ran_is_not_recorded_nor_kept() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    let recipe = sandbox.read("p/mwp.toml");
    sandbox.write("p/mwp.toml", recipe.replace("mkdir -p out", "sleep 1; mkdir -p out"));
    let mut child = sandbox.mwp(["build", "-q", "-C", "p"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    sandbox.write("p/in/a.txt", "meanwhile\n");
    assert!(child.wait().unwrap().success());
    // Back to what the task was started with: what it made is of the other content.
    sandbox.write("p/in/a.txt", "a\n");
    sandbox.ok(["build", "-C", "p"]).says("copy: done");
    assert_eq!(sandbox.read("p/out/a.txt"), "a\n");
}

#[test]
fn an_optional_input_is_seen_when_its_directory_appears() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml") + "optional_inputs = [\"opt/*.txt\"]\n");
    sandbox.ok(["build", "-C", "p"]);
    sandbox.write("p/opt/new.txt", "");
    sandbox.ok(["explain", "-C", "p"]).prints("the input `opt/new.txt` is new");
}

#[test]
fn a_damaged_byte_in_what_does_not_compress_is_a_miss_too() {
    let sandbox = Sandbox::new();
    let dir = sandbox.task_plugin("p");
    let noise: Vec<u8> =
        (0..40_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    sandbox.write("p/in/noise", &noise);
    sandbox.ok(["build", "-C", "p"]);
    let cache = sandbox.path("home/.cache/mwp/tasks-v2");
    for file in tree(&cache).iter().filter(|file| file.ends_with(".zst")) {
        let mut content = fs::read(cache.join(file)).unwrap();
        content[60_000] ^= 1;
        fs::write(cache.join(file), content).unwrap();
    }
    fs::remove_dir_all(dir.join("out")).unwrap();
    sandbox.ok(["build", "-C", "p"]).says("copy: done");
    assert!(fs::read(dir.join("out/noise")).unwrap() == noise);
}
