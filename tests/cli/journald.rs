//! `[log] target = journald`: what services write is in the machine's journal.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::support::Sandbox;

/// What listens as systemd-journald does, and keeps what it hears.
struct Journal {
    entries: UnixDatagram,
    syslog: UnixDatagram,
}

impl Journal {
    fn listen(dir: &Path) -> Journal {
        let bind = |name: &str| {
            let socket = UnixDatagram::bind(dir.join(name)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        Journal { entries: bind("socket"), syslog: bind("dev-log") }
    }

    fn heard(socket: &UnixDatagram, into: &mut Vec<String>) -> bool {
        let mut buffer = vec![0; 1 << 17];
        while let Ok(length) = socket.recv(&mut buffer) {
            into.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        true
    }
}

fn journal_dir(sandbox: &Sandbox) -> PathBuf {
    let dir = sandbox.path("journal");
    fs::create_dir(&dir).unwrap();
    dir
}

fn settings(dir: &Path) -> String {
    format!("[log]\ntarget=journald\njournald_socket={}\n", dir.join("socket").display())
}

#[test]
fn each_line_is_an_entry_under_the_name_of_its_log() {
    let sandbox = Sandbox::new();
    sandbox.web_plugin("w", "one");
    sandbox.daemon_plugin("d", "echo to the journal\necho '<3>that is bad' >&2\nexec sleep 1000\n");
    for name in ["w", "d"] {
        sandbox.ok(["install", sandbox.packed(name).to_str().unwrap()]);
    }
    let dir = journal_dir(&sandbox);
    let journal = Journal::listen(&dir);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sandbox
        .configure_module(&format!("[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\n{}", settings(&dir)));
    let up = sandbox.up_at(port);
    let mut entries = Vec::new();
    let entry = |priority: u8, identifier: &str, message: &str| {
        format!(
            "PRIORITY={priority}\nSYSLOG_IDENTIFIER={identifier}\nMETWORK_MODULE=mfserv\nMESSAGE={message}\n"
        )
    };
    let expected = [
        entry(6, "extra_d_foo", "to the journal"),
        entry(3, "extra_d_foo", "that is bad"),
        entry(6, "app_w_main", "version one listens"),
        entry(6, "supervisor", &format!("mfserv is up at http://127.0.0.1:{port}: 2 plugins, 3 workers")),
    ];
    for line in &expected {
        up.until(&format!("{line:?} in the journal"), || {
            Journal::heard(&journal.entries, &mut entries) && entries.contains(line)
        });
    }
    assert_eq!(up.get("/w/ping").unwrap().0, 200);
    let mut requests = Vec::new();
    up.until("the journal has the request", || {
        Journal::heard(&journal.syslog, &mut requests)
            && requests
                .iter()
                .any(|line| line.contains("mfserv_nginx_access: {") && line.contains("\"uri\": \"/w/ping\""))
    });
    let log = sandbox.runtime_home().join("log");
    for name in ["extra_d_foo.log", "app_w_main.log", "supervisor.log"] {
        assert!(!log.join(name).exists(), "{name}");
    }
    sandbox
        .fails(1, ["logs", "d"])
        .says("the logs of mfserv are in the machine's journal")
        .says("journalctl");
}

#[test]
fn status_tells_that_the_journal_takes_nothing_and_the_worker_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("d", "while :; do echo line; sleep 0.1; done\n");
    sandbox.ok(["install", sandbox.packed("d").to_str().unwrap()]);
    let dir = journal_dir(&sandbox);
    sandbox.configure_module(&format!("[nginx]\nflag=0\n{}", settings(&dir)));
    let up = sandbox.up_at(0);
    up.until("the lack is told", || {
        let error = up.worker("d", "foo", 1)["log_error"].as_str().unwrap_or_default().to_owned();
        error.contains("cannot write to the journal at")
    });
    let worker = up.pid("d", "foo", 1);
    let journal = Journal::listen(&dir);
    up.until("it is written to again", || up.worker("d", "foo", 1)["log_error"].is_null());
    let mut entries = Vec::new();
    up.until("lines arrive", || {
        Journal::heard(&journal.entries, &mut entries)
            && entries.iter().any(|entry| entry.ends_with("MESSAGE=line\n"))
    });
    assert_eq!(up.pid("d", "foo", 1), worker);
}

#[test]
fn units_of_systemd_write_to_the_journal_too() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("d", "exec sleep 1000\n");
    sandbox.ok(["install", sandbox.packed("d").to_str().unwrap()]);
    sandbox.configure_module("[nginx]\nflag=0\n[log]\ntarget=journald\n");
    sandbox.ok(["systemd", "--user"]);
    let unit = sandbox.read("systemd/mwp-mfserv-extra-d-foo@.service");
    assert!(
        unit.contains("StandardOutput=journal\nStandardError=inherit\nSyslogIdentifier=extra_d_foo\n"),
        "{unit}"
    );
}

#[test]
fn an_unknown_target_is_refused_with_its_place() {
    let sandbox = Sandbox::new();
    sandbox.configure_module("[log]\ntarget=syslog\n");
    sandbox
        .fails(1, ["up", "--detach", "--module", "mfserv"])
        .says("config.ini:2: [log] target: found `syslog`; `file` or `journald` is allowed");
}
