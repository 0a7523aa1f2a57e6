//! Modules that are up: what runs is what is installed, whatever happens to it.

use std::fs;
use std::time::Duration;

use crate::support::running::{Up, processes_of};
use crate::support::{Done, Sandbox};

fn kill(pid: i64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn lives(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

#[test]
fn installed_plugins_run_and_end_with_the_module() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let status = up.status();
    assert_eq!(status["ok"], true, "{status:#}");
    assert_eq!(status["plugins"][0]["services"][0]["test"]["ok"], true, "{status:#}");
    for number in [1, 2] {
        assert!(up.ask_worker("hello", number, "/hello/x").unwrap().starts_with("hello one "));
    }
    let shown = sandbox.ok(["status"]).stdout;
    assert!(shown.contains("hello one-1  app main  1       running"), "{shown}");
    assert!(up.log("app_hello_main.log").contains("version one listens"));
    drop(up);
    assert_eq!(processes_of(&sandbox.runtime_home()), [0; 0]);
    sandbox.fails(1, ["status"]).says("no module is up").says("hint: bring it up with `mwp up`");
    sandbox.ok(["down"]).says("no module is up");
    sandbox.fails(2, ["up", "--detach", "--module", "mfsrv"]).says("did you mean `--module mfserv`?");
}

#[test]
fn what_a_module_has_is_not_for_everybody_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    let file = sandbox.packed("hello");
    sandbox.ok(["install", file.to_str().unwrap()]);
    let home = sandbox.runtime_home();
    let mode = |name: &str| {
        let path = home.join(name);
        let metadata = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!(mode("config/plugins/hello.ini"), 0o640);
    let up = sandbox.up_without_nginx();
    for dir in ["", "log", "var", "config", "config/plugins"] {
        assert_eq!(mode(dir), 0o750, "{dir}");
    }
    drop(up);
    // Who has widened them has done so on purpose.
    for (name, wide) in [("", 0o755), ("log", 0o777), ("config/plugins/hello.ini", 0o644)] {
        fs::set_permissions(home.join(name), fs::Permissions::from_mode(wide)).unwrap();
    }
    sandbox.ok(["install", "--force", file.to_str().unwrap()]);
    let _up = sandbox.up_without_nginx();
    assert_eq!((mode(""), mode("log"), mode("config/plugins/hello.ini")), (0o755, 0o777, 0o644));
}

#[test]
fn a_module_is_up_once() {
    let sandbox = Sandbox::new();
    let _up = sandbox.up_without_nginx();
    sandbox.fails(1, ["up", "--module", "mfserv"]).says("mfserv is up already").says("hint: `mwp status`");
    sandbox.fails(1, ["up", "--detach", "--module", "mfserv"]).says("mfserv is up already");
}

#[test]
fn what_is_installed_updated_and_removed_meanwhile_takes_effect() {
    let sandbox = Sandbox::new();
    let up = sandbox.up_without_nginx();
    sandbox.web_plugin("hello", "one");
    let one = sandbox.packed("hello");
    sandbox.ok(["install", one.to_str().unwrap()]);
    up.until_running("hello", "main");
    sandbox.web_plugin("hello", "two");
    sandbox.ok(["install", "--force", sandbox.packed("hello").to_str().unwrap()]);
    assert!(up.ask_worker("hello", 2, "/").unwrap().starts_with("hello two "));
    let pid = up.pid("hello", "main", 1);
    let overrides = sandbox.runtime_home().join("config/plugins/hello.ini");
    fs::write(&overrides, "[app_main]\nnumprocesses=3\n").unwrap();
    up.until("an override takes effect", || up.worker("hello", "main", 3)["state"] == "running");
    up.until("what ran before has ended", || !lives(pid));
    sandbox.ok(["uninstall", "--clean", "hello"]);
    assert_eq!(up.status()["plugins"].as_array().unwrap().len(), 0);
    assert!(!processes_of(&sandbox.runtime_home()).iter().any(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("server.py")
    }));
}

#[test]
fn a_bad_override_leaves_what_runs_and_is_told() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let pid = up.pid("hello", "main", 1);
    let overrides = sandbox.runtime_home().join("config/plugins/hello.ini");
    fs::write(&overrides, "[app_main]\nnonsense=1\n").unwrap();
    up.until("the mistake is told", || up.status()["ok"] == false);
    sandbox
        .fails(1, ["status"])
        .says("hello.ini:2:1: [app_main] nonsense")
        .says("what runs goes on as it was");
    assert_eq!(up.pid("hello", "main", 1), pid);
    fs::write(&overrides, "").unwrap();
    up.until("all is well again", || up.status()["ok"] == true);
    assert_eq!(up.pid("hello", "main", 1), pid, "nothing had to restart");
}

#[test]
fn an_update_that_is_not_well_leaves_the_old_version_in_place_and_in_service() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let pid = up.pid("hello", "main", 1);
    for (version, reason) in [("broken", "exit code 1 after"), ("ill", "found status 500; 200 is expected")] {
        sandbox.web_plugin("hello", version);
        let file = sandbox.packed("hello");
        for command in [vec!["install", "--force"], vec!["hotswap"]] {
            let arguments = command.into_iter().chain([file.to_str().unwrap()]);
            sandbox.fails(1, arguments).says("the new version of `hello` is not well").says(reason);
            assert!(up.ask_worker("hello", 1, "/").unwrap().starts_with("hello one "));
            assert_eq!(up.pid("hello", "main", 1), pid);
            assert!(sandbox.ok(["list", "--raw"]).stdout.starts_with("hello~~~one~~~"));
        }
    }
    let status = up.status();
    assert_eq!(status["ok"], true, "{status:#}");
    sandbox.web_plugin("hello", "two");
    sandbox.ok(["hotswap", sandbox.packed("hello").to_str().unwrap()]).says("swapped in hello two-1");
    assert!(up.ask_worker("hello", 1, "/").unwrap().starts_with("hello two "));
    assert!(!lives(pid));
}

#[test]
fn an_edit_of_a_devlinked_plugin_restarts_it_alone_and_at_once() {
    let sandbox = Sandbox::new();
    let dir = sandbox.web_plugin("hello", "one");
    sandbox.web_plugin("other", "one");
    sandbox.write("hello/.autorestart_excludes", "*.txt\n");
    sandbox.ok(["develop", "--no-build", "-C", "hello"]);
    sandbox.ok(["develop", "--no-build", "-C", "other"]);
    let up = sandbox.up_without_nginx();
    let other = up.pid("other", "main", 1);
    let is_version = |version: &str| {
        up.ask_worker("hello", 1, "/").is_some_and(|answer| answer.starts_with(&format!("hello {version} ")))
    };
    assert!(is_version("one"));
    fs::write(dir.join("version"), "two").unwrap();
    up.until("an edit is seen", || is_version("two"));
    // A directory that is new, and a file in it.
    let pid = up.pid("hello", "main", 1);
    fs::create_dir_all(dir.join("lib/new")).unwrap();
    up.until("a new directory is seen", || up.pid("hello", "main", 1) != pid);
    std::thread::sleep(Duration::from_millis(300));
    let pid = up.pid("hello", "main", 1);
    fs::write(dir.join("lib/new/file.py"), "x").unwrap();
    up.until("a file in it is seen", || up.pid("hello", "main", 1) != pid);
    // What is excluded does nothing.
    std::thread::sleep(Duration::from_millis(300));
    up.until_running("hello", "main");
    let pid = up.pid("hello", "main", 1);
    fs::write(dir.join("notes.txt"), "x").unwrap();
    fs::create_dir_all(dir.join("__pycache__")).unwrap();
    fs::write(dir.join("__pycache__/x.pyc"), "x").unwrap();
    // Nor does a release made there, the first one or one over another.
    for _ in 0..2 {
        Done::of(sandbox.mwp(["release"]).current_dir(&dir)).succeeded();
        fs::write(dir.join(".mwp-tmp-other"), "x").unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(up.pid("hello", "main", 1), pid);
    // A broken edit leaves the old process at work, and does not spin.
    fs::write(dir.join("version"), "broken").unwrap();
    up.until("the failure is told", || {
        up.worker("hello", "main", 1)["last_error"]
            .as_str()
            .is_some_and(|error| error.contains("the old one goes on"))
    });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(up.pid("hello", "main", 1), pid);
    assert!(up.log("app_hello_main.log").matches("this version does not start").count() <= 2);
    fs::write(dir.join("version"), "three").unwrap();
    up.until("the next edit is seen", || is_version("three"));
    assert_eq!(up.pid("other", "main", 1), other, "the other plugin had nothing to do with it");
}

#[test]
fn an_appended_daemon_starts_by_itself() {
    let sandbox = Sandbox::new();
    let dir = sandbox.web_plugin("hello", "one");
    sandbox.ok(["develop", "--no-build", "-C", "hello"]);
    let up = sandbox.up_without_nginx();
    let config = fs::read_to_string(dir.join("config.ini")).unwrap();
    let daemon =
        "[extra_daemon_foo]\n_cmd_and_args=sh -c \"echo foo runs; exec sleep 1000\"\nnumprocesses=1\n";
    fs::write(dir.join("config.ini"), format!("{config}{daemon}")).unwrap();
    up.until_running("hello", "foo");
    up.until("its log is where the guide says", || up.log("extra_hello_foo.log") == "foo runs\n");
}

#[test]
fn a_daemon_that_ends_is_started_again_later_and_later() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("bad", "echo I cannot go on >&2\nexit 3\n");
    sandbox.web_plugin("good", "one");
    for name in ["bad", "good"] {
        sandbox.ok(["install", sandbox.packed(name).to_str().unwrap()]);
    }
    let up = sandbox.up_without_nginx();
    std::thread::sleep(Duration::from_secs(3));
    let worker = up.worker("bad", "foo", 1);
    assert_eq!(worker["state"], "waiting");
    let error = worker["last_error"].as_str().unwrap();
    assert!(error.starts_with("exit code 3 after 0.") && error.ends_with(": I cannot go on"), "{error}");
    assert!((3..=6).contains(&worker["restarts"].as_i64().unwrap()), "{worker}");
    assert_eq!(up.worker("good", "main", 1)["restarts"], 0);
    sandbox
        .fails(1, ["status"])
        .says("error: bad/foo 1: waiting to start again: exit code 3")
        .says("hint: `mwp logs bad/foo` shows what it said");
    sandbox.ok(["status", "good"]);
    sandbox.ok(["logs", "bad/foo"]).prints("I cannot go on\n");
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    sandbox.plugin("bad");
    let general = sandbox.read("bad/config.ini");
    sandbox.write(
        "bad/config.ini",
        format!("{general}[extra_daemon_foo]\n_cmd_and_args=no-such-program x\nnumprocesses=1\n"),
    );
    sandbox.ok(["install", sandbox.packed("bad").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let error = up.worker("bad", "foo", 1)["last_error"].clone();
    assert_eq!(error, "cannot run `no-such-program`: there is no such program on the plugin's PATH");
}

#[test]
fn whatever_a_worker_leaves_behind_ends_with_it() {
    let sandbox = Sandbox::new();
    let script = "trap '' TERM\nsetsid sleep 7001 &\n(setsid sh -c 'sleep 7002; true' &)\nsleep 7003 &\nsleep 7004\nsleep 7004\n";
    sandbox.daemon_plugin("leaks", script);
    sandbox.ok(["install", sandbox.packed("leaks").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let sleeping = || {
        processes_of(&sandbox.runtime_home())
            .into_iter()
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with("sleep\0")
            })
            .count()
    };
    up.until("they all run", || sleeping() == 4);
    sandbox.ok(["stop", "leaks"]);
    assert_eq!(sleeping(), 0);
    assert_eq!(up.worker("leaks", "foo", 1)["state"], "stopped");
    sandbox.ok(["restart", "leaks"]);
    up.until("they all run again", || sleeping() == 4);
}

#[test]
fn a_supervisor_that_is_killed_is_started_again_and_leaves_no_orphans() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    sandbox.daemon_plugin("leaks", "(setsid sleep 7005 &)\nsleep 7006\n");
    for name in ["hello", "leaks"] {
        sandbox.ok(["install", sandbox.packed(name).to_str().unwrap()]);
    }
    let up = sandbox.up_without_nginx();
    let (supervisor, worker) = (up.supervisor(), up.pid("hello", "main", 1));
    kill(supervisor);
    up.until("another supervisor is there", || ![0, supervisor].contains(&up.supervisor()));
    up.until_running("hello", "main");
    up.until_running("leaks", "foo");
    assert!(!lives(worker));
    let sleeping = |seconds: &str| {
        processes_of(&sandbox.runtime_home())
            .into_iter()
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains(seconds)
            })
            .count()
    };
    up.until("nothing is there twice", || (sleeping("7005"), sleeping("7006")) == (1, 1));
}

#[test]
fn a_guardian_that_is_killed_takes_everything_with_it() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("leaks", "(setsid sleep 7007 &)\nsleep 7008\n");
    sandbox.ok(["install", sandbox.packed("leaks").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let supervisor = up.supervisor();
    let stat = fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap();
    let guardian: i64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    kill(guardian);
    up.until("everything has ended", || {
        !lives(supervisor) && processes_of(&sandbox.runtime_home()).is_empty()
    });
    // And if both go at once, the next start cleans up.
    let up = sandbox.up_without_nginx();
    let supervisor = up.supervisor();
    let stat = fs::read_to_string(format!("/proc/{supervisor}/stat")).unwrap();
    let guardian: i64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    kill(guardian);
    kill(supervisor);
    up.until("both are dead", || !lives(supervisor) && !lives(guardian));
    let up = sandbox.up_without_nginx();
    up.until_running("leaks", "foo");
    let sleeping = processes_of(&sandbox.runtime_home()).into_iter().filter(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("7007")
    });
    assert_eq!(sleeping.count(), 1);
}

#[test]
fn workers_have_their_limits_and_their_environment() {
    let sandbox = Sandbox::new();
    sandbox.plugin("limits");
    let general = sandbox.read("limits/config.ini");
    sandbox.write(
        "limits/config.ini",
        format!(
            "{general}[extra_daemon_foo]\n\
             _cmd_and_args=sh -c \"ulimit -n; ulimit -f; ulimit -v; ulimit -s; env; pwd; echo err >&2; sleep 1000\"\n\
             numprocesses=2\nrlimit_nofile=123\nrlimit_fsize=51200\nrlimit_as=2048000000\nrlimit_stack=1024000\n\
             log_split_stdout_stderr=1\nlog_split_multiple_workers=1\n[custom]\nfoo=bar\n"
        ),
    );
    sandbox.ok(["install", sandbox.packed("limits").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until("it has spoken", || up.log("extra_limits_foo_worker2.stdout").contains("PWD="));
    let said = up.log("extra_limits_foo_worker2.stdout");
    assert!(said.starts_with("123\n100\n2000000\n1000\n"), "{said}");
    for line in [
        "MFSERV_CURRENT_PLUGIN_CUSTOM_FOO=bar",
        "MFSERV_CURRENT_APP_DEBUG=0",
        "MFSERV_CURRENT_PLUGIN_NAME=limits",
    ] {
        assert!(said.lines().any(|found| found == line), "no {line} in {said}");
    }
    let home = sandbox.base().join("limits");
    assert!(said.lines().any(|line| line == home.to_str().unwrap()), "{said}");
    up.until("errors are apart", || up.log("extra_limits_foo_worker1.stderr") == "err\n");
}

#[test]
fn a_worker_that_has_reached_its_age_is_replaced_without_a_gap() {
    let sandbox = Sandbox::new();
    let config = sandbox.web_plugin("hello", "one").join("config.ini");
    let text = fs::read_to_string(&config).unwrap().replace("numprocesses=2", "numprocesses=1\nmax_age=1");
    fs::write(&config, text).unwrap();
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let first = up.pid("hello", "main", 1);
    up.until("it is replaced", || {
        assert!(up.ask_worker("hello", 1, "/").is_some_and(|answer| answer.starts_with("hello one")));
        up.pid("hello", "main", 1) != first
    });
}

#[test]
fn what_does_not_listen_is_not_said_to_run() {
    let sandbox = Sandbox::new();
    let config = sandbox.web_plugin("hello", "one").join("config.ini");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("python3 -u", "sleep 1000 #")).unwrap();
    sandbox.write(
        "hello/config.ini",
        sandbox
            .read("hello/config.ini")
            .replace("sleep 1000 # \"{plugin_dir}/{app_name}/server.py\"", "sh -c \"sleep 1000\""),
    );
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    sandbox.configure_module("[nginx]\nflag=0\n");
    let mut detached = sandbox.mwp(["up", "--module", "mfserv", "--quiet"]).spawn().unwrap();
    let up = Up { sandbox: &sandbox, port: 0 };
    up.until("it is told", || up.worker("hello", "main", 1)["state"] == "starting");
    sandbox.fails(1, ["status"]).says("not everything has come to its start").never_says("error:");
    drop(up);
    assert!(detached.wait().unwrap().success());
}

#[test]
fn names_are_resolved_and_slips_are_named() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    sandbox
        .fails(1, ["restart", "helo"])
        .says("no plugin `helo` runs in mfserv")
        .says("did you mean `hello`?");
    sandbox
        .fails(1, ["restart", "hello/mian"])
        .says("there is no `hello/mian`")
        .says("did you mean `hello/main`?");
    sandbox.fails(1, ["stop", "hello/main/7"]).says("there is no worker `hello/main/7`");
    sandbox.fails(1, ["restart", "nginx"]).says("mfserv has no nginx");
    sandbox.fails(1, ["logs", "nothing"]).says("there is no log of `nothing`");
    let (one, two) = (up.pid("hello", "main", 1), up.pid("hello", "main", 2));
    sandbox.ok(["restart", "hello/main/2"]);
    up.until("the second worker is another", || ![0, two].contains(&up.pid("hello", "main", 2)));
    assert_eq!(up.pid("hello", "main", 1), one);
}

#[test]
fn logs_are_followed_over_rotations() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin(
        "talks",
        "i=0\nwhile :; do i=$((i+1)); echo line $i of a log that grows; sleep 0.01; done\n",
    );
    sandbox.ok(["install", sandbox.packed("talks").to_str().unwrap()]);
    sandbox.configure_module("[nginx]\nflag=0\n[log]\nmax_size_before_rotation=2000\nretention=3\n");
    let up = sandbox.up_at(0);
    let mut follow = sandbox.mwp(["logs", "-f", "-n", "0", "talks"]);
    let mut follow = follow.stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    follow.kill().unwrap();
    let output = follow.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<u32> =
        said.lines().filter_map(|line| line.split(' ').nth(1)).filter_map(|word| word.parse().ok()).collect();
    assert!(numbers.len() > 100, "{said}");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no line is missing: {said}");
    let files = fs::read_dir(sandbox.runtime_home().join("log")).unwrap();
    let kept = files
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().starts_with("extra_talks_foo.log."))
        .count();
    assert!((1..=3).contains(&kept), "{kept}");
    drop(up);
}

#[test]
fn bad_settings_are_refused_with_their_place() {
    let sandbox = Sandbox::new();
    sandbox.configure_module("[nginx]\nport=many\n");
    for detach in [&["up", "--module", "mfserv"][..], &["up", "--detach", "--module", "mfserv"]] {
        Done::of(&mut sandbox.mwp(detach))
            .exited(1)
            .says("config.ini:2: [nginx] port: found `many`; a whole number up to 65535 is allowed");
    }
}

#[test]
fn steps_of_mfdata_run_too() {
    let sandbox = Sandbox::new();
    sandbox.plugin("mover");
    sandbox.write("mover/.layerapi2_label", "plugin_mover@mfdata\n");
    let general = sandbox.read("mover/config.ini");
    let step = "[step_main]\n_cmd_and_args=sh -c \"echo $MFDATA_CURRENT_PLUGIN_NAME {step_name}; exec sleep 1000\"\nnumprocesses=1\n";
    sandbox.write("mover/config.ini", format!("{general}{step}"));
    sandbox.ok(["install", sandbox.packed("mover").to_str().unwrap()]);
    let config = sandbox.path("home/.local/share/mwp/mfdata/config/config.ini");
    fs::write(config, "[internal_plugins]\ninstall_guess_file_type=0\ninstall_switch=0\n").unwrap();
    sandbox.ok(["up", "--detach"]).says("mfdata is up: 1 plugin, 1 worker");
    sandbox.ok(["status"]).prints("step main");
    sandbox.ok(["logs", "mover/main"]).prints("mover main\n");
    sandbox.ok(["down"]).says("mfdata is down");
}

#[test]
fn a_slip_in_an_override_leaves_what_runs_and_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("hello", "one");
    sandbox.ok(["install", sandbox.packed("hello").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let pid = up.pid("hello", "main", 1);
    let overrides = sandbox.runtime_home().join("config/plugins/hello.ini");
    for (value, reason) in [
        ("numprocesses=abc", "hello.ini:2:14: [app_main] numprocesses: "),
        (
            "numprocesses=-1",
            "hello.ini:2:14: [app_main] numprocesses: found -1; 0 to 1000 workers are allowed",
        ),
        ("numprocesses=5000", "found 5000; 0 to 1000 workers are allowed"),
        ("smart_stop_signal=99", "hello.ini:2:19: [app_main] smart_stop_signal: found 99"),
    ] {
        fs::write(&overrides, format!("[app_main]\n{value}\n")).unwrap();
        up.until(value, || Done::of(&mut sandbox.mwp(["status"])).stderr.contains(reason));
        assert_eq!(up.pid("hello", "main", 1), pid);
    }
}

#[test]
fn a_removed_control_socket_comes_back() {
    let sandbox = Sandbox::new();
    let up = sandbox.up_without_nginx();
    fs::remove_file(sandbox.runtime_home().join("var/mwp.socket")).unwrap();
    up.until("it can be asked again", || up.supervisor() != 0);
}

#[test]
fn what_tools_and_editors_leave_for_themselves_restarts_nothing() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("edited", "exec sleep 7500\n");
    sandbox.ok(["develop", "-C", "edited"]);
    let up = sandbox.up_without_nginx();
    up.until_running("edited", "foo");
    for name in [
        ".#foo.sh",
        "#foo.sh#",
        "4913",
        "foo.sh___jb_tmp___",
        ".mypy_cache/x/y.json",
        ".pytest_cache/v/z",
        ".foo.sh.swp",
    ] {
        sandbox.write(&format!("edited/{name}"), "x");
    }
    sandbox.write("edited/bar.txt", "an edit");
    up.until("the edit is noticed", || up.log("supervisor.log").contains("edited: edited"));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(up.log("supervisor.log").matches("edited: edited").count(), 1, "{}", up.log("supervisor.log"));
}

#[test]
fn directories_that_come_later_or_are_replaced_are_watched() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("edited", "exec sleep 7500\n");
    sandbox.ok(["develop", "-C", "edited"]);
    let up = sandbox.up_without_nginx();
    up.until_running("edited", "foo");
    let pid = up.pid("edited", "foo", 1);
    // Cloned anew: another directory of the same name.
    fs::rename(sandbox.path("work/edited"), sandbox.path("work/old")).unwrap();
    sandbox.daemon_plugin("edited", "exec sleep 7501\n");
    up.until("the new one runs", || ![0, pid].contains(&up.pid("edited", "foo", 1)));
    let pid = up.pid("edited", "foo", 1);
    sandbox.write("edited/deep/er/file.py", "x");
    up.until("an edit in it is noticed", || ![0, pid].contains(&up.pid("edited", "foo", 1)));
    // The operator's directory, made after the module came up.
    let overrides = sandbox.path("etc/metwork.config.d/mfserv/plugins");
    fs::create_dir_all(&overrides).unwrap();
    fs::write(overrides.join("edited.ini"), "[extra_daemon_foo]\nnumprocesses=2\n").unwrap();
    up.until("it counts", || up.worker("edited", "foo", 2)["state"] == "running");
}

#[test]
fn a_log_that_somebody_moved_is_written_anew_and_one_that_cannot_be_written_is_told() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("talks", "i=0\nwhile :; do i=$((i+1)); echo line $i; sleep 0.05; done\n");
    sandbox.ok(["install", sandbox.packed("talks").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    let log = sandbox.runtime_home().join("log/extra_talks_foo.log");
    up.until("it has spoken", || up.log("extra_talks_foo.log").contains("line 3"));
    fs::rename(&log, sandbox.runtime_home().join("log/aside")).unwrap();
    fs::write(&log, "").unwrap();
    up.until("the new file is written", || up.log("extra_talks_foo.log").lines().count() > 3);
    let all = up.log("aside") + &up.log("extra_talks_foo.log");
    let numbers: Vec<u32> = all.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no line is lost: {all}");
    // A link is nothing to write to, whatever it leads to.
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    up.until("it is told", || {
        let status = sandbox.mwp(["status"]).output().unwrap();
        status.status.code() == Some(1)
            && String::from_utf8_lossy(&status.stderr).contains("is a link; a log is a file")
    });
}

#[test]
fn files_are_polled_where_the_kernel_has_no_watches_left() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("edited", "exec sleep 7500\n");
    sandbox.ok(["develop", "-C", "edited"]);
    sandbox.configure_module("[nginx]\nflag=0\n");
    // In a user namespace of its own it has a limit of its own.
    let limited =
        "echo 0 > /proc/sys/user/max_inotify_instances || exit 99; exec \"$0\" up --detach --module mfserv";
    let mut command = sandbox.command("unshare");
    command.args(["-Ur", "sh", "-c", limited, env!("CARGO_BIN_EXE_mwp")]);
    let done = Done::of(&mut command);
    if done.code == Some(99) || done.stderr.contains("unshare failed") {
        return eprintln!("no user namespaces here: {done:?}");
    }
    done.exited(0);
    let up = Up { sandbox: &sandbox, port: 0 };
    up.until_running("edited", "foo");
    up.until("it is told", || {
        let status = sandbox.mwp(["status"]).output().unwrap();
        String::from_utf8_lossy(&status.stderr).contains("fs.inotify.max_user_instances is reached")
    });
    let pid = up.pid("edited", "foo", 1);
    std::thread::sleep(Duration::from_millis(1100));
    sandbox.write("edited/foo.sh", "exec sleep 7502\n");
    up.until("the edit is noticed", || ![0, pid].contains(&up.pid("edited", "foo", 1)));
}

#[test]
fn an_order_with_a_name_that_nothing_has_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("d", "exec sleep 1000\n");
    sandbox.ok(["install", sandbox.packed("d").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until_running("d", "foo");
    let worker = up.pid("d", "foo", 1);
    for order in ["restart", "stop"] {
        sandbox.fails(1, [order, "d", "nope"]).says("no plugin `nope` runs in mfserv");
        assert_eq!(up.pid("d", "foo", 1), worker, "{order}");
    }
    sandbox.ok(["restart", "--wait", "d", "d/foo"]);
    assert_ne!(up.pid("d", "foo", 1), worker);
}

#[test]
fn restarts_of_daemons_count_and_say_whether_somebody_asked_for_them() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("d", "exec sleep 1000\n");
    sandbox.ok(["install", sandbox.packed("d").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    up.until_running("d", "foo");
    sandbox.ok(["restart", "--wait", "d"]);
    let count = |key: &str| up.worker("d", "foo", 1)[key].as_u64().unwrap();
    assert_eq!((count("restarts"), count("crashes")), (1, 0));
    let pid = i32::try_from(up.pid("d", "foo", 1)).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    up.until("it was started again", || (count("restarts"), count("crashes")) == (2, 1));
    up.until_running("d", "foo");
    sandbox.ok(["status"]).prints("2 (1 crash)");
}

#[test]
fn status_warns_of_a_mistaken_key_of_the_module() {
    let sandbox = Sandbox::new();
    sandbox.configure_module("[nginx]\nflag=0\n[log]\nretenton=3\n[telegraf]\nurl=x\n");
    let _up = sandbox.up_at(0);
    let said = "config.ini:4: [log] retenton: there is no such key; did you mean `retention`?";
    let done = sandbox.ok(["status"]);
    let done = done.says(said);
    assert!(!format!("{done:?}").contains("telegraf"), "{done:?}");
}
