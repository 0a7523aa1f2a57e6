//! `mwp systemd`, judged by `systemd-analyze`, and `mwp worker`, which its units start.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::tar::METADATA;
use crate::support::telling::{SERVER, get, try_get};
use crate::support::{Done, Sandbox, wait_until};

/// systemd itself finds nothing to say.
#[track_caller]
fn verify(sandbox: &Sandbox, dir: &str, options: &[&str]) {
    let runtime = sandbox.path("run");
    fs::create_dir_all(&runtime).unwrap();
    let mut units: Vec<PathBuf> =
        fs::read_dir(sandbox.work().join(dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
    units.sort();
    let mut command = Command::new("systemd-analyze");
    command.arg("verify").args(options).args(units).env("XDG_RUNTIME_DIR", runtime);
    let done = Done::of(&mut command).succeeded();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const SLEEPER: &str = "[app_main]\n_cmd_and_args=sleep 1000\nnumprocesses=1\n";

/// A started worker, ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(sandbox: &Sandbox, worker: [&str; 3]) -> Running {
    let arguments = ["worker", "--module", "mfserv"].into_iter().chain(worker);
    Running(sandbox.mwp(arguments).stdout(Stdio::null()).spawn().unwrap())
}

#[test]
fn systemd_takes_the_units_of_hostile_plugins_without_a_word() {
    let sandbox = Sandbox::new();
    // The binary and the runtime home have every character that a unit could stumble over.
    let dir = sandbox.path("a b 50% $HOME ; é");
    fs::create_dir(&dir).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_mwp"), dir.join("mwp")).unwrap();
    let quoted = sandbox.installed_with(
        "quoted",
        "[app_main]\n_cmd_and_args=printf '%s' \"50%\" '\"' \\\\ $HOME {unix_socket_path}\nnumprocesses=3\n\
         max_age=60\nrlimit_as=1000000000\nrlimit_nofile=100\nrlimit_stack=10000000\nrlimit_fsize=1000000\n\
         log_split_stdout_stderr=1\nlog_split_multiple_workers=1\nsmart_stop_signal=40\nsmart_stop_delay=0\n\
         [app_none]\n_cmd_and_args=sleep 1\nnumprocesses=0\n\
         [extra_daemon_with.dots-and_more]\n_cmd_and_args=sleep 1\nnumprocesses=1\ngraceful_timeout=0\n",
    );
    sandbox.installed_with("static-only", "[app_main]\nnumprocesses=4\n");
    sandbox.installed_with("with-dash", SLEEPER);
    let runtime = dir.join("\"c\" 'd'");
    fs::create_dir(&runtime).unwrap();
    fs::create_dir(runtime.join("var")).unwrap();
    fs::rename(quoted.parent().unwrap(), runtime.join("var/plugins")).unwrap();
    for (out, options) in [("system", [].as_slice()), ("user", &["--user"])] {
        let mwp = sandbox.mwp(["systemd", "--module", "mfserv", "--output", out]);
        let mut command = Command::new(dir.join("mwp"));
        command.args(mwp.get_args()).args(options).current_dir(sandbox.work());
        command.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Done::of(command.env("MFMODULE_RUNTIME_HOME", &runtime)).succeeded().never_says("error");
        let units: Vec<String> = names(&sandbox.work().join(out));
        let services: Vec<&str> = units
            .iter()
            .filter(|name| name.contains('@'))
            .map(|name| name.strip_prefix("mwp-mfserv-").unwrap())
            .collect();
        let expected = [
            "app-quoted-main@.service",
            "app-with\\x2ddash-main@.service",
            "extra-quoted-with.dots\\x2dand_more@.service",
        ];
        assert_eq!(services, expected);
        verify(&sandbox, out, options);
    }
}

#[test]
fn a_flask_plugin_has_exactly_these_units() {
    let sandbox = Sandbox::new();
    sandbox.ok(["bootstrap", "create", "--no-input", "hello"]);
    fs::create_dir_all(sandbox.base()).unwrap();
    fs::rename(sandbox.work().join("hello"), sandbox.base().join("hello")).unwrap();
    fs::write(sandbox.base().join("hello/.metadata.json"), METADATA).unwrap();
    sandbox.ok(["systemd", "--user"]);
    let read = |name: &str| {
        let text = sandbox.read(&format!("systemd/{name}"));
        let text = text.replace(env!("CARGO_BIN_EXE_mwp"), "MWP");
        text.replace(&*sandbox.runtime_home().to_string_lossy(), "HOME")
    };
    let expected = "\
# mwp systemd: mfserv
# Written anew each time: changes are lost here, and kept by `systemctl edit`.

[Unit]
Description=hello/main of mfserv, worker %i
PartOf=mwp-mfserv.target
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=HOME/var/systemd.env
WorkingDirectory=HOME/var/plugins/hello
ExecStart=MWP worker --module mfserv hello app_main %i
ExecStop=MWP worker --module mfserv --drain hello app_main %i
Restart=always
RestartSec=1
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec=63
LimitNOFILE=1000
LimitSTACK=10000000
LimitFSIZE=100000000
StandardOutput=append:HOME/log/app_hello_main.log
StandardError=inherit
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0027
";
    assert_eq!(read("mwp-mfserv-app-hello-main@.service"), expected);
    let target = read("mwp-mfserv.target");
    let wants: Vec<&str> =
        target.lines().filter_map(|line| line.strip_prefix("Wants=mwp-mfserv-app-hello-main@")).collect();
    assert_eq!(wants, ["1.service", "2.service", "3.service", "4.service"]);
    assert!(target.ends_with("\n[Install]\nWantedBy=default.target\n"), "{target}");
    let nginx = read("mwp-mfserv-nginx.service");
    assert!(nginx.contains("\nAfter=mwp-mfserv-app-hello-main@4.service\n"), "{nginx}");
    assert!(nginx.contains("\nExecReload=/bin/kill -HUP $MAINPID\n"), "{nginx}");
    assert!(nginx.contains("\nKillSignal=SIGQUIT\n"), "{nginx}");
    assert!(sandbox.runtime_home().join("var/nginx/nginx.conf").is_file());
    verify(&sandbox, "systemd", &["--user"]);
}

#[test]
fn a_second_run_changes_nothing_and_units_that_are_no_longer_wanted_go() {
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        sandbox.installed_with(name, SLEEPER);
    }
    sandbox.ok(["systemd"]).says("hint: `systemctl link ").says("systemctl enable --now mwp-mfserv.target");
    let dir = sandbox.work().join("systemd");
    let times = || -> Vec<_> {
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().ctime_nsec()).collect()
    };
    let before = times();
    sandbox.ok(["systemd"]).says(" 0 of them new or changed").never_says("hint: `systemctl");
    assert_eq!(times(), before);
    sandbox.write("systemd/mwp-mine.service", "[Service]\n");
    sandbox.write("systemd/other.service", "# mwp systemd: mfserv\n");
    sandbox.write("systemd/mwp-mfdata.target", "# mwp systemd: mfdata\n");
    sandbox.ok(["uninstall", "two"]);
    sandbox.ok(["systemd"]).says("1 stale unit removed");
    let kept = names(&dir);
    assert!(!kept.iter().any(|name| name.contains("-two-")), "{kept:?}");
    for name in ["mwp-mine.service", "other.service", "mwp-mfdata.target", "mwp-mfserv-app-one-main@.service"]
    {
        assert!(kept.contains(&name.to_owned()), "{name} in {kept:?}");
    }
}

#[test]
fn a_unit_of_somebody_else_is_not_written_over() {
    let sandbox = Sandbox::new();
    sandbox.installed_with("one", SLEEPER);
    let name = "systemd/mwp-mfserv-app-one-main@.service";
    sandbox.write(name, "[Service]\n");
    sandbox.fails(1, ["systemd"]).says("is there, and was not written by mwp").says("hint: move it away");
    assert_eq!(sandbox.read(name), "[Service]\n");
    assert_eq!(names(&sandbox.work().join("systemd")).len(), 1);
}

#[test]
fn a_plugin_that_cannot_be_read_keeps_its_units_and_the_others_get_theirs() {
    let sandbox = Sandbox::new();
    let broken = sandbox.installed_with("broken", SLEEPER);
    sandbox.ok(["systemd"]);
    fs::write(broken.join("config.ini"), "[general]\n").unwrap();
    sandbox.installed_with("good", SLEEPER);
    sandbox.fails(1, ["systemd"]).says("error: broken: ");
    let units = names(&sandbox.work().join("systemd"));
    for name in ["broken", "good"] {
        assert!(units.contains(&format!("mwp-mfserv-app-{name}-main@.service")), "{units:?}");
    }
}

#[test]
fn services_with_the_same_sockets_are_not_both_started() {
    let sandbox = Sandbox::new();
    sandbox.installed_with("a", &SLEEPER.replace("main", "b_c"));
    sandbox.installed_with("a_b", &SLEEPER.replace("main", "c"));
    sandbox
        .fails(1, ["systemd"])
        .says("error: a_b: its app `c` would have the sockets and logs of the plugin `a`");
}

#[test]
fn a_home_of_somebody_else_is_served_as_its_owner() {
    let sandbox = Sandbox::new();
    sandbox.installed_with("one", SLEEPER);
    let home = sandbox.runtime_home();
    if chown(&home, Some(65534), Some(65534)).is_err() {
        println!("skipped: this needs root");
        return;
    }
    sandbox.ok(["systemd"]);
    let unit = sandbox.read("systemd/mwp-mfserv-app-one-main@.service");
    assert!(unit.contains("\nUser=65534\n"), "{unit}");
    // nginx' test of its configuration has made logs, as root.
    for name in ["log", "log/nginx_error.log", "var/nginx", "var/nginx/nginx.conf"] {
        assert_eq!(home.join(name).metadata().unwrap().uid(), 65534, "{name}");
    }
    verify(&sandbox, "systemd", &[]);
}

#[test]
fn the_environment_of_the_units_is_for_their_owner_alone() {
    let sandbox = Sandbox::new();
    sandbox.installed_with("one", SLEEPER);
    let mut mwp = sandbox.mwp(["systemd"]);
    Done::of(mwp.env("MFSERV_SECRET", "a \"b\" $c")).succeeded();
    let file = sandbox.runtime_home().join("var/systemd.env");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("\nMFSERV_SECRET=\"a \\\"b\\\" \\$c\"\n"), "{text}");
}

#[test]
fn logs_are_rotated_before_they_reach_the_limit_for_files() {
    let sandbox = Sandbox::new();
    sandbox.installed_with("one", &format!("{SLEEPER}rlimit_fsize=1000\n"));
    fs::write(sandbox.path("bin/logrotate"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(sandbox.path("bin/logrotate"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.ok(["systemd"]).never_says("warning");
    let text = fs::read_to_string(sandbox.runtime_home().join("var/logrotate.conf")).unwrap();
    let log = sandbox.runtime_home().join("log/app_one_main.log");
    assert!(text.contains(&format!("\"{}\" {{\n    daily\n    maxsize 500\n", log.display())), "{text}");
    assert!(sandbox.read("systemd/mwp-mfserv.target").contains("\nWants=mwp-mfserv-logs.timer\n"));
    verify(&sandbox, "systemd", &[]);
}

#[test]
fn a_worker_has_its_command_and_environment_as_they_are_now() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed_with(
        "hello",
        "[app_main]\n_cmd_and_args=python3 {plugin_dir}/server.py {unix_socket_path} '50% \"x\" $HOME' $(circus.wid)\n\
         numprocesses=2\n[custom]\nkey=old\n",
    );
    fs::write(home.join("server.py"), SERVER).unwrap();
    sandbox.configure_module("[nginx]\ntimeout=7\n");
    let socket = sandbox.runtime_home().join("var/app_hello_main_2.socket");
    fs::create_dir_all(sandbox.runtime_home().join("config/plugins")).unwrap();
    for value in ["old", "new"] {
        let text = format!("[custom]\nkey={value}\n");
        fs::write(sandbox.runtime_home().join("config/plugins/hello.ini"), text).unwrap();
        // The second finds the socket that the first left.
        let _worker = start(&sandbox, ["hello", "app_main", "2"]);
        let answer: serde_json::Value = serde_json::from_str(&get(&socket, "/")).unwrap();
        assert_eq!(answer[0], serde_json::json!([socket, "50% \"x\" $HOME", "2"]));
        assert_eq!(answer[1], serde_json::json!(home));
        let variable = |name: &str| answer[2][name].as_str().unwrap_or("none").to_owned();
        assert_eq!(variable("MFSERV_CURRENT_PLUGIN_CUSTOM_KEY"), value);
        assert_eq!(variable("MFSERV_CURRENT_PLUGIN_APP_MAIN_TIMEOUT"), "7");
        assert_eq!(variable("MFSERV_CURRENT_APP_DEBUG"), "0");
    }
    sandbox
        .fails(1, ["worker", "--module", "mfserv", "hello", "app_other", "1"])
        .says("has no command in a section [app_other]");
}

#[test]
fn draining_takes_no_new_requests_and_waits_for_those_under_way() {
    let sandbox = Sandbox::new();
    let home = sandbox.installed_with(
        "hello",
        "[app_main]\n_cmd_and_args=python3 {plugin_dir}/server.py {unix_socket_path}\nnumprocesses=1\n",
    );
    fs::write(home.join("server.py"), SERVER).unwrap();
    let _worker = start(&sandbox, ["hello", "app_main", "1"]);
    let socket = sandbox.runtime_home().join("var/app_hello_main_1.socket");
    get(&socket, "/");
    let slow = {
        let socket = socket.clone();
        std::thread::spawn(move || try_get(&socket, "/slow"))
    };
    std::thread::sleep(Duration::from_millis(300));
    sandbox.ok(["worker", "--module", "mfserv", "--drain", "hello", "app_main", "1"]);
    assert!(slow.join().unwrap().is_ok());
    assert!(try_get(&socket, "/").is_err());
}

/// What `systemd-analyze security` makes of a unit, from 0 (safe) to 10.
fn exposure(unit: &Path) -> f64 {
    let mut command = Command::new("systemd-analyze");
    let done = Done::of(command.args(["security", "--offline=true", "--no-pager"]).arg(unit)).succeeded();
    let line = done.stdout.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    words.iter().find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn services_may_do_no_more_than_they_need_to() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("bin/logrotate"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(sandbox.path("bin/logrotate"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.installed_with("one", SLEEPER);
    let linked = sandbox.plugin("linked");
    sandbox.write("linked/config.ini", format!("{}{SLEEPER}", crate::support::CONFIG));
    sandbox.ok(["develop", "--no-build", "-C", "linked"]);
    sandbox.configure_module("[systemd]\nwritable_paths=/srv/a b, /data\n");
    sandbox.ok(["systemd"]);
    sandbox.ok(["systemd", "--supervisor", "--output", "supervisor"]);
    let mut seen = 0;
    for dir in ["systemd", "supervisor"] {
        for name in names(&sandbox.work().join(dir)) {
            let path = sandbox.work().join(dir).join(&name);
            if name.ends_with(".service") {
                seen += 1;
                let exposure = exposure(&path);
                assert!(exposure <= 4.0, "{name}: {exposure}");
            }
        }
        verify(&sandbox, dir, &[]);
    }
    assert_eq!(seen, 5);
    let unit = sandbox.read("systemd/mwp-mfserv-app-linked-main@.service");
    let writable = unit.lines().find_map(|line| line.strip_prefix("ReadWritePaths=")).unwrap();
    let home = sandbox.runtime_home();
    for path in [home.as_path(), linked.as_path(), Path::new("/data")] {
        assert!(writable.split(' ').any(|word| word == format!("-{}", path.display())), "{writable}");
    }
    assert!(writable.contains("\"-/srv/a b\""), "{writable}");
    sandbox.configure_module("[systemd]\nhardening=0\n");
    sandbox.ok(["systemd"]);
    let unit = sandbox.read("systemd/mwp-mfserv-app-linked-main@.service");
    assert!(!unit.contains("ProtectSystem") && !unit.contains("NoNewPrivileges"), "{unit}");
}

#[test]
fn one_unit_runs_the_module_and_is_told_when_it_is_ready() {
    let sandbox = Sandbox::new();
    sandbox.installed_with("one", SLEEPER);
    sandbox.ok(["systemd", "--supervisor"]).says("systemctl enable --now mwp-mfserv.service");
    assert_eq!(names(&sandbox.work().join("systemd")), ["mwp-mfserv.service"]);
    let unit = sandbox.read("systemd/mwp-mfserv.service").replace(env!("CARGO_BIN_EXE_mwp"), "MWP");
    for line in [
        "Type=notify",
        "NotifyAccess=all",
        "Delegate=yes",
        "KillMode=mixed",
        "Restart=on-failure",
        "ExecStart=MWP up --module mfserv --no-provision",
        "ExecReload=MWP reload --module mfserv",
        "WantedBy=multi-user.target",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line} in\n{unit}");
    }
    // Its processes make groups of their own.
    assert!(!unit.contains("ProtectControlGroups"), "{unit}");
    sandbox.ok(["systemd", "--supervisor", "--user", "--output", "user"]);
    verify(&sandbox, "user", &["--user"]);
    // Of the two forms one is in place.
    sandbox.ok(["systemd"]).says("1 stale unit removed");
    assert!(!sandbox.work().join("systemd/mwp-mfserv.service").exists());
}

#[test]
fn a_service_manager_hears_that_the_module_is_ready_reloads_and_stops() {
    use std::os::unix::net::UnixDatagram;
    let sandbox = Sandbox::new();
    let home = sandbox.installed_with("one", SLEEPER);
    fs::write(home.join("run.sh"), "echo \"notify=$NOTIFY_SOCKET.\"\nexec sleep 1000\n").unwrap();
    let script = SLEEPER.replace("sleep 1000", "sh {plugin_dir}/run.sh");
    fs::write(home.join("config.ini"), format!("{}{script}", crate::support::CONFIG)).unwrap();
    sandbox.configure_module("[nginx]\nflag=0\n");
    let path = sandbox.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut up = sandbox.mwp(["up", "--quiet", "--module", "mfserv"]);
    let mut child =
        Running(up.env("NOTIFY_SOCKET", &path).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let ready = hear();
    assert!(ready.starts_with("READY=1\nSTATUS=mfserv is up"), "{ready}");
    // A server of a plugin cannot speak for the module.
    let log = sandbox.runtime_home().join("log/app_one_main.log");
    let log = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("the log of the server", || log().ends_with('\n'));
    assert_eq!(log(), "notify=.\n");
    sandbox.ok(["reload", "--module", "mfserv"]);
    let reloading = hear();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert!(hear().starts_with("READY=1\n"));
    sandbox.ok(["down", "--module", "mfserv"]);
    assert_eq!(hear(), "STOPPING=1");
    assert!(child.0.wait().unwrap().success());
}
