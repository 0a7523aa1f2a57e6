//! `mwp circus`, with the real circusd from PyPI.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::telling::{SERVER, ask, get};
use crate::support::{Done, Sandbox, python_tool, wait_until};

/// circusd in a group of its own, ended with the test.
struct Circus(Child);

impl Circus {
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap()
    }

    /// Told to end, it does, and all that it started.
    fn end(mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let begun = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "circusd does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Circus {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill_process(self.pid(), Signal::TERM);
            std::thread::sleep(Duration::from_secs(3));
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

#[test]
fn circusd_runs_the_workers_and_ends_them() {
    let sandbox = Sandbox::new();
    let bin = python_tool("circusd", "circus==0.19.0");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sandbox.configure_module(&format!("[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\n"));
    let home = sandbox.installed_with(
        "hello",
        "[app_main]\n_cmd_and_args=python3 {plugin_dir}/server.py {unix_socket_path} 'a ;b' '$(x) 50%'\n\
         numprocesses=2\nrlimit_nofile=100\nsmart_stop_delay=5\ntimeout=1\n\
         [extra_daemon_tick]\n_cmd_and_args=sh -c 'echo out; echo err >&2; exec sleep 1000'\nnumprocesses=1\n\
         graceful_timeout=5\nlog_split_stdout_stderr=1\n",
    );
    fs::write(home.join("server.py"), SERVER).unwrap();
    sandbox.ok(["circus"]).says("hint: `circusd circus.ini` runs them");

    let mwp = sandbox.mwp([""; 0]);
    let mut command = Command::new(bin.join("circusd"));
    command.arg("circus.ini").current_dir(sandbox.work());
    command.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0);
    let circus = Circus(command.spawn().unwrap());

    for worker in [1, 2] {
        let socket = sandbox.runtime_home().join(format!("var/app_hello_main_{worker}.socket"));
        let answer: serde_json::Value = serde_json::from_str(&get(&socket, "/")).unwrap();
        assert_eq!(answer[0], serde_json::json!([socket, "a ;b", "$(x) 50%"]));
        assert_eq!(answer[1], serde_json::json!(home));
        assert_eq!(answer[2]["MFSERV_CURRENT_PLUGIN_NAME"], "hello");
    }
    let at_nginx = || ask(TcpStream::connect(("127.0.0.1", port))?, "/hello/");
    wait_until("nginx answers", || at_nginx().is_ok_and(|body| body.contains("a ;b")));
    let endpoint = format!("ipc://{}", sandbox.runtime_home().join("var/circus.socket").display());
    let ask = |question: &[&str]| {
        let mut circusctl = Command::new(bin.join("circusctl"));
        Done::of(circusctl.args(["--timeout", "10", "--endpoint", &endpoint]).args(question)).succeeded()
    };
    ask(&["status"])
        .prints("app_hello_main: active")
        .prints("extra_hello_tick: active")
        .prints("nginx: active");
    ask(&["numprocesses", "app_hello_main"]).prints("2");
    let list = ask(&["list", "app_hello_main"]).stdout;
    let workers: Vec<&str> = list.trim().split(',').map(str::trim).collect();
    assert_eq!(workers.len(), 2, "{list}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", workers[0])).unwrap();
    assert!(
        limits.lines().any(|line| line.starts_with("Max open files") && line.contains(" 100 ")),
        "{limits}"
    );

    let log =
        |name: &str| fs::read_to_string(sandbox.runtime_home().join("log").join(name)).unwrap_or_default();
    // The access log goes to standard error, which has no file of its own.
    wait_until("the log of the app", || log("app_hello_main.log").contains("\"GET / HTTP/1.0\" 200"));
    assert!(log("app_hello_main.log").contains("listening on"));
    wait_until("the logs of the daemon", || log("extra_hello_tick.stderr") == "err\n");
    assert_eq!(log("extra_hello_tick.stdout"), "out\n");

    // There is never a second set of processes.
    sandbox.fails(1, ["up", "--detach", "--module", "mfserv"]).says("mfserv is run by circus already");
    sandbox.fails(1, ["status", "--module", "mfserv"]).says("mfserv is run by circus, and not by `mwp up`");
    assert!(at_nginx().is_ok(), "its nginx goes on");

    circus.end();
    for worker in workers {
        assert!(!Path::new("/proc").join(worker).exists(), "{worker} is left");
    }
}

#[test]
fn what_circus_cannot_do_is_said() {
    let sandbox = Sandbox::new();
    sandbox.installed_with(
        "hello",
        "[app_main]\n_cmd_and_args=sleep 1\nnumprocesses=2\nlog_split_multiple_workers=1\nmax_age=60\n",
    );
    sandbox.ok(["circus"]).says("warning: hello/main: circus has no log for each worker; they share one");
    let text = sandbox.read("circus.ini");
    for line in [
        "# hello/main: circus has no log for each worker; they share one",
        "[watcher:app_hello_main]",
        "numprocesses = 2",
        "max_age = 60",
        "max_age_variance = 60",
        "[watcher:nginx]",
        "send_hup = True",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
    }
    let args = text.lines().find(|line| line.starts_with("args = worker")).unwrap();
    assert_eq!(args, "args = worker --module mfserv --one-stream hello app_main $(circus.wid)");
    sandbox.ok(["circus"]).says("is as it should be");
    sandbox.write("circus.ini", "[circus]\n");
    sandbox.fails(1, ["circus"]).says("`circus.ini` is there, and was not written by mwp");
}
