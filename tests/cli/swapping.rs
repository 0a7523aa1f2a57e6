//! What is told of a change is true: which version serves, what was stopped, what came back.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::running::Up;
use crate::support::{Done, Sandbox};

fn signal(pid: i64, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

fn installed(sandbox: &Sandbox, name: &str, version: &str) -> String {
    sandbox.web_plugin(name, version);
    let file = sandbox.packed(name).to_str().unwrap().to_owned();
    sandbox.ok(["install", &file]);
    file
}

/// Packs another version, with these lines in front of its server.
fn other_version(sandbox: &Sandbox, name: &str, version: &str, before: &str) -> String {
    sandbox.web_plugin(name, version);
    let server = sandbox.read(&format!("{name}/main/server.py"));
    sandbox.write(&format!("{name}/main/server.py"), format!("import time, os, sys\n{before}\n{server}"));
    sandbox.packed(name).to_str().unwrap().to_owned()
}

fn serves(up: &Up<'_>, name: &str, version: &str) -> bool {
    (1..=2).all(|worker| {
        let body = up.ask_worker(name, worker, "/x").unwrap_or_default();
        body.starts_with(&format!("{name} {version} "))
    })
}

#[test]
fn a_plugin_that_is_reinstalled_serves() {
    let sandbox = Sandbox::new();
    let file = installed(&sandbox, "hello", "one");
    let up = sandbox.up();
    for _ in 0..5 {
        sandbox.ok(["uninstall", "hello"]);
        sandbox.ok(["install", &file]);
        let (status, _) = up.get("/hello/").unwrap();
        assert_eq!(status, 200);
    }
    assert_eq!(up.status()["ok"], true);
}

#[test]
fn a_death_of_a_new_worker_before_all_are_well_calls_the_swap_off() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    // The first worker listens and dies; the second one takes its time.
    let before = "import threading\nfirst = sys.argv[1].split('_')[-1].startswith('1.')\n\
                  if first:\n    threading.Timer(1, lambda: os._exit(9)).start()\nelse:\n    time.sleep(3)\n";
    let file = other_version(&sandbox, "hello", "two", before);
    sandbox.fails(1, ["hotswap", &file]).says("exit code 9").says("the old one goes on");
    assert!(serves(&up, "hello", "one"));
    assert_eq!(up.status()["ok"], true, "{:#}", up.status());
}

#[test]
fn a_version_that_crashes_can_be_mended() {
    let sandbox = Sandbox::new();
    let crash = "import threading\nthreading.Timer(0.7, lambda: os._exit(3)).start()\n";
    let file = other_version(&sandbox, "hello", "one", crash);
    sandbox.ok(["install", &file]);
    let up = sandbox.up_without_nginx();
    up.until("it has crashed", || up.worker("hello", "main", 1)["restarts"].as_u64() > Some(2));
    let file = other_version(&sandbox, "hello", "two", "time.sleep(3)");
    sandbox.ok(["install", "--force", &file]);
    assert!(serves(&up, "hello", "two"));
}

#[test]
fn a_number_of_workers_that_is_none_does_not_take_a_plugin_out_of_service() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let file = other_version(&sandbox, "hello", "two", "");
    let config = sandbox.read("hello/config.ini");
    let (start, rest) = config.split_once("[app_main]\n").unwrap();
    let kept: Vec<&str> = rest.lines().filter(|line| !line.starts_with("numprocesses")).collect();
    let odd = format!("{start}[app_main]\nnumprocesses=abc\n{}\n", kept.join("\n"));
    sandbox.write("hello/config.ini", odd);
    assert_eq!(sandbox.packed("hello").to_str(), Some(file.as_str()));
    for arguments in [["install", "--force", &file], ["hotswap", "-v", &file]] {
        sandbox
            .fails(1, arguments)
            .says("numprocesses")
            .says("nothing would run")
            .says("hint: write the number");
        assert!(serves(&up, "hello", "one"));
    }
    // Where nothing runs yet, it is as before: none of them runs, and that is told.
    drop(up);
    sandbox.ok(["install", "--force", &file]);
}

#[test]
fn the_old_versions_death_during_a_swap_changes_nothing() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let file = other_version(&sandbox, "hello", "two", "time.sleep(2)");
    let mut swap = sandbox.mwp(["hotswap", &file]).stderr(Stdio::piped()).spawn().unwrap();
    up.until("it has begun", || up.log("supervisor.log").contains("starts beside the old one"));
    signal(up.pid("hello", "main", 1), Signal::KILL);
    assert!(swap.wait().unwrap().success());
    assert!(serves(&up, "hello", "two"));
}

#[test]
fn a_restart_during_a_swap_waits_for_it() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let file = other_version(&sandbox, "hello", "two", "time.sleep(2)");
    let mut swap = sandbox.mwp(["hotswap", &file]).stderr(Stdio::piped()).spawn().unwrap();
    up.until("it has begun", || up.log("supervisor.log").contains("starts beside the old one"));
    sandbox.ok(["restart", "--wait", "hello"]).says("restarted hello");
    assert!(swap.wait().unwrap().success());
    assert!(serves(&up, "hello", "two"));
}

#[test]
fn each_process_is_stopped_as_it_was_started_to_be() {
    let sandbox = Sandbox::new();
    // The old version ends upon SIGINT alone, and says so.
    let before = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                  signal.signal(signal.SIGINT, lambda *_: (print('told by SIGINT', flush=True), os._exit(0)))\n";
    other_version(&sandbox, "hello", "one", before);
    let config = sandbox.read("hello/config.ini");
    sandbox.write("hello/config.ini", format!("{config}smart_stop_signal=2\n"));
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    sandbox.web_plugin("hello", "two");
    sandbox.ok(["hotswap", sandbox.packed("hello").to_str().unwrap()]);
    up.until("it has been told", || up.log("app_hello_main.log").matches("told by SIGINT").count() == 2);
}

#[test]
fn an_order_to_end_calls_a_swap_off_until_the_new_version_serves() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let file = other_version(&sandbox, "hello", "two", "time.sleep(600)");
    let swap = sandbox.mwp(["hotswap", &file]).stderr(Stdio::piped()).spawn().unwrap();
    up.until("it has begun", || up.log("supervisor.log").contains("starts beside the old one"));
    signal(swap.id().into(), Signal::INT);
    assert_eq!(swap.wait_with_output().unwrap().status.code(), Some(130));
    assert!(serves(&up, "hello", "one"));
    up.until("all is well", || up.status()["ok"] == true);
    let Value::String(version) = up.status()["plugins"][0]["version"].clone() else {
        panic!("{}", up.status())
    };
    assert_eq!(version, "one");
}

#[test]
fn connections_that_stay_hold_up_nobody() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "talker", "one");
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    // As a WebSocket does, one connection to each worker stays open.
    let var = sandbox.runtime_home().join("var");
    let connect = |worker| UnixStream::connect(var.join(format!("app_talker_main_{worker}.socket"))).unwrap();
    let open = [connect(1), connect(2)];
    sandbox.web_plugin("talker", "two");
    sandbox.ok(["hotswap", sandbox.packed("talker").to_str().unwrap()]);
    assert!(serves(&up, "talker", "two"));
    // It did not wait for who stays: the old one is there, and shown.
    let draining = up.worker("talker", "main", 1)["draining"].as_array().map(Vec::len);
    assert_eq!(draining, Some(1));
    drop(open);
    up.until("they end", || up.worker("talker", "main", 1)["draining"].as_array().map(Vec::len) == Some(0));
}

#[test]
fn a_daemons_new_version_that_ends_at_once_brings_the_old_one_back() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("worker", "exec sleep 7100\n");
    sandbox.ok(["install", sandbox.packed("worker").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until_running("worker", "foo");
    sandbox.daemon_plugin("worker", "echo cannot work >&2\nexit 4\n");
    let file = sandbox.packed("worker");
    sandbox.fails(1, ["hotswap", file.to_str().unwrap()]).says("exit code 4").says("cannot work");
    up.until_running("worker", "foo");
    let pid = up.pid("worker", "foo", 1);
    assert!(fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains("7100"));
    // One that goes on replaces it.
    sandbox.daemon_plugin("worker", "exec sleep 7200\n");
    sandbox.ok(["hotswap", sandbox.packed("worker").to_str().unwrap()]);
    let pid = up.pid("worker", "foo", 1);
    assert!(fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains("7200"));
}

#[test]
fn what_was_stopped_stays_stopped_until_somebody_starts_it() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let is_stopped = || up.worker("hello", "main", 1)["state"] == "stopped";
    sandbox.ok(["stop", "hello"]);
    assert!(is_stopped());
    // Neither an override, nor another version, nor a new supervisor starts it.
    let overrides = sandbox.runtime_home().join("config/plugins/hello.ini");
    fs::write(overrides, "[app_main]\nnumprocesses=4\n").unwrap();
    sandbox.ok(["reload"]);
    assert!(is_stopped());
    sandbox.web_plugin("hello", "two");
    sandbox.ok(["hotswap", sandbox.packed("hello").to_str().unwrap()]);
    assert!(is_stopped());
    let supervisor = up.supervisor();
    signal(supervisor, Signal::KILL);
    up.until("another supervisor is there", || ![0, supervisor].contains(&up.supervisor()));
    up.until("it has looked", || up.status()["settled"] == true);
    assert!(is_stopped());
    // And it comes back with as many workers as it is to have.
    sandbox.ok(["restart", "--wait", "hello"]);
    assert_eq!(up.worker("hello", "main", 4)["state"], "running");
    assert!(serves(&up, "hello", "two"));
    sandbox.ok(["stop", "hello/main/2"]);
    sandbox.ok(["down"]);
    let up = sandbox.up_at(0);
    assert_eq!(up.worker("hello", "main", 2)["state"], "running", "`up` starts everything");
}

#[test]
fn a_worker_that_nobody_can_reach_is_made_again() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    for worker in [1, 2] {
        fs::remove_file(sandbox.runtime_home().join(format!("var/app_hello_main_{worker}.socket"))).unwrap();
    }
    up.until("both answer again", || serves(&up, "hello", "one"));
    assert!(up.log("supervisor.log").contains("nobody can connect to"));
}

#[test]
fn a_worker_that_hangs_is_seen_and_replaced() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    let config = sandbox.read("hello/config.ini");
    sandbox.write("hello/config.ini", format!("{config}_http_test_timeout=1\n"));
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    sandbox.configure_module("[nginx]\nflag=0\n[supervisor]\nhealth_interval=1\n");
    let up = sandbox.up_at(0);
    let pids = [up.pid("hello", "main", 1), up.pid("hello", "main", 2)];
    for pid in pids {
        signal(pid, Signal::STOP);
    }
    sandbox.fails(1, ["status", "--no-checks"]).says("it is stopped by a signal");
    up.until("both are replaced", || {
        let now = [up.pid("hello", "main", 1), up.pid("hello", "main", 2)];
        now.iter().all(|pid| *pid != 0 && !pids.contains(pid)) && serves(&up, "hello", "one")
    });
}

#[test]
fn a_plugins_own_check_is_bounded_and_ends_with_who_asked() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let written = sandbox.write_executable("plugin.status", "#!/bin/sh\nsleep 7300 &\nyes\n");
    let check = sandbox.base().join("hello/bin");
    fs::create_dir_all(&check).unwrap();
    fs::rename(written, check.join("plugin.status")).unwrap();
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", up.supervisor())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
        peak.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    sandbox.fails(1, ["status"]).says("bin/plugin.status: ");
    assert!(memory() < 200_000, "{} kB", memory());
    let left = Done::of(std::process::Command::new("pgrep").args(["-fx", "sleep 7300"]));
    assert_eq!(left.code, Some(1), "{left:?}");
}

#[test]
fn kills_from_outside_are_no_failing_starts() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    for _ in 0..8 {
        let pid = up.pid("hello", "main", 1);
        signal(pid, Signal::KILL);
        up.until("another one runs", || ![0, pid].contains(&up.pid("hello", "main", 1)));
        assert_ne!(up.worker("hello", "main", 1)["state"], "waiting");
    }
}

#[test]
fn the_guardian_goes_on_after_every_end_but_an_order() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    sandbox.configure_module("[nginx]\nflag=maybe\n");
    let supervisor = up.supervisor();
    signal(supervisor, Signal::KILL);
    up.until("it has tried and failed", || up.log("supervisor.err").contains("exit code 1"));
    sandbox.configure_module("[nginx]\nflag=0\n");
    up.until("it is up again", || serves(&up, "hello", "one"));
}

#[test]
fn sockets_go_with_their_workers() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let sockets = || {
        let entries = fs::read_dir(sandbox.runtime_home().join("var")).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.contains(".socket")).collect();
        names.sort();
        names
    };
    assert!(sockets().iter().any(|name| name == "app_hello_main_1.socket"));
    sandbox.ok(["uninstall", "hello"]);
    up.until("they are gone", || sockets() == ["metrics.socket", "mwp.socket"]);
    sandbox.ok(["down"]);
    assert_eq!(sockets(), [""; 0]);
}

#[test]
fn a_module_does_not_run_in_the_environment_of_a_plugin() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "aa", "one");
    installed(&sandbox, "hello", "one");
    sandbox.configure_module("[nginx]\nflag=0\n");
    let program = env!("CARGO_BIN_EXE_mwp");
    sandbox.ok(["exec", "aa", "--", program, "up", "--detach", "--module", "mfserv"]);
    let up = Up { sandbox: &sandbox, port: 0 };
    let environment = fs::read_to_string(format!("/proc/{}/environ", up.pid("hello", "main", 1))).unwrap();
    assert!(!environment.contains("/aa/"), "{}", environment.replace('\0', "\n"));
    assert!(!environment.contains("MWP_OUTSIDE"), "{}", environment.replace('\0', "\n"));
}

#[test]
fn one_runtime_home_for_all_modules_is_of_the_one_that_is_up() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let home = sandbox.runtime_home();
    let with_home = |arguments: &[&str]| {
        let mut command = sandbox.mwp(arguments);
        command.env("MFMODULE_RUNTIME_HOME", &home);
        Done::of(&mut command)
    };
    let up = sandbox.up_without_nginx();
    with_home(&["status"]).exited(0).prints("mfserv is up");
    drop(up);
}

#[test]
fn few_descriptors_are_made_more() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("many", "ulimit -n\nexec sleep 7400\n");
    let config = sandbox.read("many/config.ini");
    sandbox.write("many/config.ini", config.replace("numprocesses=1", "numprocesses=60"));
    sandbox.ok(["install", sandbox.packed("many").to_str().unwrap()]);
    sandbox.configure_module("[nginx]\nflag=0\n");
    let program = env!("CARGO_BIN_EXE_mwp");
    let mut limited = sandbox.command("sh");
    limited.args(["-c", &format!("ulimit -S -n 80; exec {program} up --detach --module mfserv")]);
    Done::of(&mut limited).exited(0);
    let up = Up { sandbox: &sandbox, port: 0 };
    assert_eq!(up.status()["ok"], true);
    // The workers have the limit that they would have had.
    up.until("all have said theirs", || {
        up.log("extra_many_foo.log").lines().filter(|line| *line == "80").count() == 60
    });
}

#[test]
fn who_hides_from_its_worker_ends_with_it_or_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("hides", "setsid -f env -i sleep 7700\nexec sleep 7701\n");
    sandbox.ok(["install", sandbox.packed("hides").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until_running("hides", "foo");
    let hidden = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.into_iter().find_map(|entry| {
            let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            (line == "sleep\u{0}7700\u{0}").then(|| entry.file_name().to_string_lossy().into_owned())
        })
    };
    up.until("it hides", || hidden().is_some());
    let has_groups = up.status()["plugins"][0]["cpu"].is_number();
    sandbox.ok(["uninstall", "hides"]);
    if has_groups {
        up.until("it has ended", || hidden().is_none());
    } else {
        let pid = hidden().unwrap();
        sandbox.ok(["status"]).says(&format!("process {pid} (`sleep 7700`) has left its worker behind"));
        signal(pid.parse().unwrap(), Signal::KILL);
    }
}

#[test]
fn limits_of_a_whole_plugin_are_the_operators_to_set_and_told_where_they_have_no_effect() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let overrides = sandbox.runtime_home().join("config/plugins");
    fs::create_dir_all(&overrides).unwrap();
    fs::write(overrides.join("hello.ini"), "[general]\nmemory_max=500000000\ncpu_max=1.5\n").unwrap();
    let up = sandbox.up_without_nginx();
    let status = up.status();
    assert_eq!(status["ok"], true, "{status:#}");
    if !fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default().contains("memory") {
        sandbox.ok(["status"]).says("warning: hello: ");
    }
    fs::write(overrides.join("hello.ini"), "[general]\n_version=7\n").unwrap();
    up.until("it is told", || {
        let status = sandbox.mwp(["status"]).output().unwrap();
        let said = String::from_utf8_lossy(&status.stderr).into_owned();
        status.status.code() == Some(1) && said.contains("only cpu_max and memory_max can be overridden")
    });
}

#[test]
fn whoever_installs_chooses_how_long_to_wait() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    // Without waiting, what fails is for the status.
    let broken = other_version(&sandbox, "hello", "two", "sys.exit('no way')");
    sandbox.ok(["hotswap", "--no-wait", &broken]).says("hello follows");
    up.until("it has failed", || up.worker("hello", "main", 1)["outdated"] == true);
    assert!(serves(&up, "hello", "one"));
    // A new plugin that does not start is a warning, unless somebody insists.
    let file = other_version(&sandbox, "other", "one", "sys.exit('no way')");
    sandbox.ok(["install", &file]).says("warning: other/main 1");
    sandbox.ok(["uninstall", "other"]);
    sandbox.fails(1, ["install", "--wait", &file]).says("error: other/main 1");
}

#[test]
fn how_long_a_new_version_may_take_is_a_setting() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    sandbox.configure_module("[nginx]\nflag=0\n[supervisor]\nstart_timeout=1\n");
    let up = sandbox.up_at(0);
    let slow = other_version(&sandbox, "hello", "two", "time.sleep(3)");
    sandbox.fails(1, ["hotswap", &slow]).says("it did not listen on its socket within 1");
    assert!(serves(&up, "hello", "one"));
    // The app's own word counts more.
    let config = sandbox.read("hello/config.ini");
    sandbox.write("hello/config.ini", format!("{config}smart_start_timeout=60\n"));
    sandbox.ok(["hotswap", sandbox.packed("hello").to_str().unwrap()]);
    assert!(serves(&up, "hello", "two"));
}

#[test]
fn a_server_finds_the_socket_that_it_made_when_it_ends() {
    let sandbox = Sandbox::new();
    // As gunicorn does: a complaint here would hide the cause of an end.
    let before = "import signal\nsignal.signal(signal.SIGTERM, \
                  lambda *_: (os.unlink(sys.argv[1]), print('removed', flush=True), os._exit(0)))\n";
    let file = other_version(&sandbox, "hello", "one", before);
    sandbox.ok(["install", &file]);
    let up = sandbox.up_without_nginx();
    sandbox.ok(["restart", "--wait", "hello"]);
    up.until("the old ones have removed theirs", || {
        up.log("app_hello_main.log").matches("removed").count() == 2
    });
    assert!(serves(&up, "hello", "one"), "the new ones are where they were");
}

#[test]
fn as_many_logs_of_nginx_are_kept_as_should_and_a_deleted_one_comes_back() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sandbox.configure_module(&format!(
        "[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\n[log]\nmax_size_before_rotation=1000\nretention=2\n"
    ));
    let up = sandbox.up_at(port);
    let log = |ending: &str| sandbox.runtime_home().join(format!("log/nginx_access.log{ending}"));
    up.until("it was put aside twice", || {
        (0..20).for_each(|_| drop(up.get("/hello/")));
        log(".2").exists()
    });
    let first = fs::read(log(".2")).unwrap();
    up.until("it was put aside once more", || {
        (0..20).for_each(|_| drop(up.get("/hello/")));
        fs::read(log(".2")).unwrap_or_default() != first
    });
    assert!(!log(".3").exists(), "no more are kept");
    fs::remove_file(log("")).unwrap();
    up.until("it is written again", || {
        up.get("/hello/").unwrap();
        fs::metadata(log("")).is_ok_and(|log| log.len() > 0)
    });
}

#[test]
fn what_is_stopped_and_what_drains_is_shown_with_the_next_step() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let socket = sandbox.runtime_home().join("var/app_hello_main_1.socket");
    let open = UnixStream::connect(socket).unwrap();
    sandbox.ok(["restart", "--wait", "hello"]);
    sandbox.ok(["status"]).prints("running, 1 draining");
    drop(open);
    signal(up.pid("hello", "main", 2), Signal::STOP);
    sandbox
        .fails(1, ["status", "--no-checks"])
        .prints("suspended")
        .says("hint: `mwp restart hello/main` starts it again");
    sandbox.ok(["restart", "--wait", "hello/main/2"]);
    sandbox.ok(["stop", "hello/main/1"]);
    sandbox
        .fails(1, ["status"])
        .says("error: hello/main 1: stopped")
        .says("`mwp restart hello/main` starts it again");
}

#[test]
fn a_swap_whose_asker_is_killed_is_called_off() {
    let sandbox = Sandbox::new();
    installed(&sandbox, "hello", "one");
    let up = sandbox.up_without_nginx();
    let file = other_version(&sandbox, "hello", "two", "time.sleep(4)");
    let mut swap = sandbox.mwp(["hotswap", &file]).stderr(Stdio::null()).spawn().unwrap();
    up.until("it has begun", || up.log("supervisor.log").contains("starts beside the old one"));
    swap.kill().unwrap();
    swap.wait().unwrap();
    sandbox.ok(["list"]).prints("one");
    up.until("it is called off", || {
        up.log("supervisor.log").contains("is not put into service: it was called off")
    });
    assert!(serves(&up, "hello", "one"));
    up.until("all is well", || up.status()["ok"] == true);
    assert!(!up.log("supervisor.log").contains("takes over"), "{}", up.log("supervisor.log"));
}

#[test]
fn a_daemon_that_comes_back_starts_in_its_own_home() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("worker", "pwd\nexec sleep 7800\n");
    sandbox.ok(["install", sandbox.packed("worker").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until_running("worker", "foo");
    sandbox.daemon_plugin("worker", "exit 4\n");
    let file = sandbox.packed("worker");
    for _ in 0..3 {
        sandbox.fails(1, ["hotswap", file.to_str().unwrap()]).says("exit code 4");
        up.until_running("worker", "foo");
        let cwd = fs::read_link(format!("/proc/{}/cwd", up.pid("worker", "foo", 1))).unwrap();
        assert_eq!(cwd, sandbox.base().join("worker"));
    }
}
