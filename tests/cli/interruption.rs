//! ^C, kills and half-done work.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::{Sandbox, tree};

fn start(sandbox: &Sandbox) -> Child {
    sandbox.mwp(["build", "-C", "p"]).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal);
}

fn is_alive(pid: i32) -> bool {
    // A zombie has ended.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_for(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < deadline, "it did not happen within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A plugin whose task starts a process of its own that ignores signals, and takes its time.
fn slow_plugin(sandbox: &Sandbox) {
    sandbox.task_plugin("p");
    sandbox.write(
        "p/mwp.toml",
        "[tasks.slow]\ninputs = [\"in/**\"]\noutputs = [\"out\"]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; (trap '' TERM INT; echo $$ > ../pids; sleep 9000) & mkdir -p out; echo half > out/a.txt; wait; sleep 9000\"]\n",
    );
}

#[test]
fn an_interrupt_ends_the_whole_process_group_at_once() {
    for stop in [Signal::INT, Signal::TERM, Signal::HUP] {
        let sandbox = Sandbox::new();
        slow_plugin(&sandbox);
        let child = start(&sandbox);
        wait_for(|| sandbox.work().join("p/out/a.txt").exists() && sandbox.work().join("pids").exists());
        let pid: i32 = sandbox.read("pids").trim().parse().unwrap();
        signal(&child, stop);
        // Left to itself, the task would take hours.
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("error: interrupted"), "{stderr}");
        wait_for(|| !is_alive(pid));
        // Half an output is never taken for a whole one.
        sandbox.ok(["explain", "-C", "p"]).prints("slow: has to run");
        sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("sleep 9000", "true"));
        sandbox.ok(["build", "-C", "p"]).says("slow: done");
    }
}

#[test]
fn children_do_not_outlive_a_killed_build() {
    let sandbox = Sandbox::new();
    slow_plugin(&sandbox);
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml").replace("(trap", "echo $$ > ../pids; (trap"));
    let mut child = start(&sandbox);
    wait_for(|| sandbox.work().join("pids").exists() && !sandbox.read("pids").is_empty());
    let pid: i32 = sandbox.read("pids").trim().parse().unwrap();
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    wait_for(|| !is_alive(pid));
    // What ignores signals is ours to end.
    let _ = kill_process_group(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

#[test]
fn a_build_killed_at_any_moment_is_continued_by_the_next() {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "six\nflask\n");
    sandbox.write("p/package.json", "{\"dependencies\": {\"is-number\": \"7.0.0\"}}");
    let started = Instant::now();
    sandbox.ok(["build", "-C", "p"]);
    let whole = started.elapsed();
    let expected = tree(&dir.join("local"));
    for round in 0..20u32 {
        sandbox.ok(["superclean", "-q", "-C", "p"]);
        if round % 2 == 0 {
            sandbox.ok(["cache", "prune", "--all"]);
        }
        let mut child = start(&sandbox);
        std::thread::sleep(whole * (round * 7 % 20 + 1) / 20);
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        sandbox.ok(["build", "-C", "p"]);
        assert_eq!(tree(&dir.join("local")), expected, "round {round}");
        assert!(dir.join("node_modules/is-number/index.js").exists());
        assert_eq!(tree(&dir.join(".mwp/tmp")), [""; 0], "round {round}");
    }
}
