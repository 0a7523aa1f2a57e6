//! `mwp cronwrap`, known as `cronwrap.sh`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Done, Sandbox};

fn log(sandbox: &Sandbox, name: &str) -> String {
    fs::read_to_string(sandbox.path("home/.local/share/mwp/mfserv/log").join(name)).unwrap()
}

/// Waits until something is so, for a while.
fn eventually(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn a_line_is_for_the_shell_and_its_exit_code_is_ours() {
    let sandbox = Sandbox::new();
    let done = Done::of(&mut sandbox.mwp(["cronwrap", "--", "echo one; exit 5"])).exited(5);
    assert_eq!(done.stdout, "one\n");
    assert_eq!(sandbox.ok(["cronwrap", "sh", "-c", "echo $0-a; exit 0"]).stdout, "sh-a\n");
    sandbox.fails(2, ["cronwrap"]);
}

#[test]
fn several_words_are_the_words_of_the_command() {
    let sandbox = Sandbox::new();
    for name in ["a b.tmp", "c.tmp", "d"] {
        sandbox.write(&format!("dir/{name}"), "");
    }
    // What the shell would take for a pattern of its own, where it stands.
    sandbox.write("here.tmp", "");
    let find = ["cronwrap", "--", "find", "dir", "-name", "*.tmp", "-exec", "echo", "[{}]", ";"];
    let done = sandbox.ok(find);
    let mut found: Vec<&str> = done.stdout.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["[dir/a b.tmp]", "[dir/c.tmp]"]);
    let words = ["cronwrap", "echo", "$HOME", "a  b", "&&", "echo", "it's", "`x`", ">f"];
    assert_eq!(sandbox.ok(words).stdout, "$HOME a  b && echo it's `x` >f\n");
    // Settings go first, and leave the words alone.
    sandbox.write("settings", "FROM_FILE=2; export FROM_FILE\n");
    let words = ["cronwrap", "-e", "-f", "settings", "sh", "-c", "echo $FROM_FILE \"$1\"", "sh", "* *"];
    assert_eq!(sandbox.ok(words).stdout, "2 * *\n");
}

#[test]
fn options_end_at_the_first_word_that_is_none() {
    let sandbox = Sandbox::new();
    sandbox.write("dir/file", "");
    assert_eq!(sandbox.ok(["cronwrap", "find", "dir", "-type", "f"]).stdout, "dir/file\n");
    assert_eq!(sandbox.ok(["cronwrap", "-t", "60", "find", "dir", "-type", "f"]).stdout, "dir/file\n");
    assert_eq!(sandbox.ok(["cronwrap", "echo", "--lock", "--", "-t", "-r1"]).stdout, "--lock -- -t -r1\n");
}

#[test]
fn output_to_null_goes_nowhere() {
    let sandbox = Sandbox::new();
    let done = Done::of(&mut sandbox.mwp([
        "cronwrap",
        "--log-capture-to=NULL",
        "--",
        "echo out; echo err >&2; exit 4",
    ]))
    .exited(4);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    assert!(!sandbox.path("home/.local/share/mwp/mfserv/log/NULL").exists());
    assert!(!sandbox.work().join("NULL").exists());
}

#[test]
fn the_whole_tree_is_killed_on_time_out_daemons_included() {
    let sandbox = Sandbox::new();
    // One in the foreground, one in the background, and one in a session of its own whose parent ended.
    let script = "sleep 61 & setsid sh -c 'sleep 62 & echo $! >pid; exec sleep 63' & sleep 64";
    let done = sandbox.fails(12, ["cronwrap", "-t", "1", "--", script]);
    done.says("killed after 1 s");
    let pid = sandbox.read("pid");
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "the daemon is alive");
}

#[test]
fn without_a_time_limit_it_may_take_as_long_as_it_takes() {
    let sandbox = Sandbox::new();
    sandbox.ok(["cronwrap", "-t", "0", "--", "sleep 1.2"]);
}

#[test]
fn the_same_command_does_not_run_twice_at_once() {
    let sandbox = Sandbox::new();
    let script = "echo run >>runs; while [ ! -e go ]; do sleep 0.05; done";
    let start = |options: &[&str]| {
        let mut command = sandbox.mwp(["cronwrap", "--lock", "-w", "0"]);
        command.args(options).args(["--", script]);
        command
    };
    let mut first = start(&[]).stdout(Stdio::null()).spawn().unwrap();
    assert!(eventually(|| sandbox.work().join("runs").exists()));
    let message = format!("can't acquire lock for executing {script} => can be a normal behaviour\n");
    for (behaviour, stdout, stderr) in
        [("print_stdout", message.as_str(), ""), ("print_stderr", "", message.as_str()), ("nothing", "", "")]
    {
        let done = Done::of(&mut start(&["-b", behaviour])).succeeded();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), (stdout, stderr), "{behaviour}");
    }
    // Another command is another lock.
    sandbox.ok(["cronwrap", "--lock", "--", "true"]);
    sandbox.write("go", "");
    assert!(first.wait().unwrap().success());
    Done::of(&mut start(&[])).succeeded();
    assert_eq!(sandbox.read("runs"), "run\nrun\n");
}

#[test]
fn a_lock_is_waited_for() {
    let sandbox = Sandbox::new();
    let script = "echo run >>runs; sleep 0.7";
    let start = || sandbox.mwp(["cronwrap", "--lock", "-w", "20", "--", script]).spawn().unwrap();
    let mut children = [start(), start()];
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!(sandbox.read("runs"), "run\nrun\n");
}

#[test]
fn both_streams_go_to_the_log() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let script = "echo out; echo err >&2; exit 2";
        let done =
            Done::of(&mut sandbox.mwp(["cronwrap", "--log-capture-to", "job.log", "--", script])).exited(2);
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    }
    assert_eq!(log(&sandbox, "job.log"), "out\nerr\nout\nerr\n");
}

#[test]
fn a_daemon_in_the_background_does_not_hold_up_the_end() {
    let sandbox = Sandbox::new();
    let script = "echo one; sleep 600 & echo $! >pid; echo two";
    sandbox.ok(["cronwrap", "--log-capture-to", "job.log", "--", script]);
    // It goes on: nobody has waited for it.
    let pid = sandbox.read("pid").trim().to_owned();
    assert!(fs::exists(format!("/proc/{pid}")).unwrap());
    Command::new("kill").arg(&pid).status().unwrap();
    assert_eq!(log(&sandbox, "job.log"), "one\ntwo\n");
}

/// What `nice` prints of a process that is so much nicer than these tests.
fn lowered_by(nicer: i32) -> String {
    let own = Command::new("nice").output().unwrap().stdout;
    let own: i32 = String::from_utf8(own).unwrap().trim().parse().unwrap();
    format!("{}\n", (own + nicer).min(19))
}

#[test]
fn priority_is_lowered() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.ok(["cronwrap", "-n", "5", "--", "nice"]).stdout, lowered_by(5));
    assert_eq!(sandbox.ok(["cronwrap", "--low", "--", "nice; ionice"]).stdout, "19\nidle\n");
    assert_eq!(
        sandbox.ok(["cronwrap", "-i", "2", "--", "ionice"]).stdout.split(':').next(),
        Some("best-effort")
    );
    sandbox.fails(2, ["cronwrap", "--low", "--nice", "3", "--", "true"]);
    sandbox.fails(2, ["cronwrap", "--low", "--ionice", "3", "--", "true"]);
}

#[test]
fn settings_are_read_first() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("home/.bashrc"), "FROM_BASHRC=1; echo noise\n").unwrap();
    sandbox.write("my settings", "FROM_FILE=2\n");
    let print = "echo $FROM_BASHRC/$FROM_FILE";
    assert_eq!(sandbox.ok(["cronwrap", "--", print]).stdout, "/\n");
    assert_eq!(sandbox.ok(["cronwrap", "-e", "--", print]).stdout, "1/\n");
    assert_eq!(sandbox.ok(["cronwrap", "-e", "-f", "my settings", "--", print]).stdout, "/2\n");
    assert_eq!(sandbox.ok(["cronwrap", "-e", "-f", "nosuch", "--", print]).stdout, "/\n");
}

#[test]
fn the_shell_can_be_chosen() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.ok(["cronwrap", "-s", "/bin/bash", "--", "echo ${BASH_VERSION:+bash}"]).stdout,
        "bash\n"
    );
}

#[test]
fn a_signal_ends_the_command_too() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.mwp(["cronwrap", "--", "echo $$ >pid; sleep 60"]).spawn().unwrap();
    assert!(eventually(|| sandbox.work().join("pid").exists() && !sandbox.read("pid").is_empty()));
    let pid = sandbox.read("pid");
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(eventually(|| !fs::exists(format!("/proc/{}", pid.trim())).unwrap()));
}

#[test]
fn a_random_sleep_is_within_its_bound() {
    let sandbox = Sandbox::new();
    // The bound itself is that of a unit test; here it is seconds, and not minutes or more.
    assert_eq!(sandbox.ok(["cronwrap", "-r", "1", "--", "echo", "done"]).stdout, "done\n");
}

#[test]
fn every_option_has_its_long_name_and_all_go_together() {
    let sandbox = Sandbox::new();
    sandbox.write("settings", "FROM_FILE=2\n");
    let options = "--timeout 60 --random-sleep 0 --lock --wait-for-lock-timeout 1 --lock-timeout-behaviour nothing \
                   --nice 3 --ionice 2 --load-env --load-env-file settings --shell /bin/bash --log-capture-to a.log --";
    let script = "echo ${BASH_VERSION:+bash} $FROM_FILE; nice; ionice | cut -d: -f1";
    let arguments: Vec<&str> =
        std::iter::once("cronwrap").chain(options.split(' ')).chain([script]).collect();
    assert_eq!(sandbox.ok(arguments).stdout, "");
    assert_eq!(log(&sandbox, "a.log"), format!("bash 2\n{}best-effort\n", lowered_by(3)));
}

#[test]
fn a_job_that_took_too_long_leaves_its_words_and_frees_its_lock() {
    let sandbox = Sandbox::new();
    let arguments =
        ["cronwrap", "-l", "-t", "1", "--log-capture-to", "slow.log", "--", "echo one; sleep 60; echo two"];
    sandbox.fails(12, arguments);
    assert_eq!(log(&sandbox, "slow.log"), "one\n");
    // Not `can't acquire lock`, which is exit code 0.
    sandbox.fails(12, arguments);
    assert_eq!(log(&sandbox, "slow.log"), "one\none\n");
}

#[test]
fn a_grandchild_that_hides_and_defies_signals_is_killed_too() {
    let sandbox = Sandbox::new();
    // In a session of its own, deaf, its parent gone, and with children that come one after the other.
    let deaf = "trap '' TERM HUP INT; echo $$ >pid; while :; do sleep 0.1; done";
    let script = format!("setsid setsid sh -c \"{}\" & sleep 60", deaf.replace('$', "\\$"));
    sandbox.fails(12, ["cronwrap", "--timeout", "1", "--", &script]);
    let pid = sandbox.read("pid");
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "the grandchild is alive");
}

#[test]
fn waiting_for_a_lock_ends_when_the_time_is_over() {
    let sandbox = Sandbox::new();
    let script = "touch runs; while [ ! -e go ]; do sleep 0.05; done";
    let mut first = sandbox.mwp(["cronwrap", "-l", "--", script]).spawn().unwrap();
    assert!(eventually(|| sandbox.work().join("runs").exists()));
    let start = Instant::now();
    sandbox.ok(["cronwrap", "-l", "--wait-for-lock-timeout=2", "--", script]).prints("can't acquire lock");
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    sandbox.write("go", "");
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_large_log_is_put_aside() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("home/.local/share/mwp/mfserv/log");
    fs::create_dir_all(&dir).unwrap();
    fs::File::create(dir.join("x.log")).unwrap().set_len(100_000_001).unwrap();
    sandbox.ok(["cronwrap", "--log-capture-to", "x.log", "--", "echo new"]);
    assert_eq!(log(&sandbox, "x.log"), "new\n");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}
