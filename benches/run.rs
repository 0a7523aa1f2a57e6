//! A module that is up: its start against its 100 apps started by hand, what the supervisor takes while nothing
//! happens, requests through our nginx against one with a minimal configuration, and an update under load.
//! Needs python3 and nginx; wrk where there is one.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "support/running.rs"]
mod running;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use running::{
    Load, Module, PYTHON_APP, PYTHON_SERVER, Processes, middle, of_status, processor_time,
    requests_per_second, wait_for,
};
use support::{finish, is_short, report, report_limit, rounds, scaled};

const APPS: usize = 50;
const ROUNDS: usize = 3;
const PROCESSES: usize = 100;
const IDLE: Duration = Duration::from_secs(10);
/// Short rounds in turns: what else the machine does changes more slowly.
const SECONDS: u64 = 1;
const REQUEST_ROUNDS: usize = 5;

/// The fastest worker there is, so that what is in front of it counts: nginx itself.
const FAST_APP: &str =
    "[app_main]\n_cmd_and_args=sh {plugin_dir}/server {unix_socket_path}\nnumprocesses=1\n";
const FAST_SERVER: &str = r#"
cat >$1.conf <<END
daemon off; pid $1.pid; error_log stderr; worker_processes 1; events {}
http { access_log off; server { listen unix:$1; location / { return 200 OK; } } }
END
exec nginx -e stderr -c $1.conf
"#;

fn main() {
    let mut results = Vec::new();
    results.push(start());
    results.extend(idle());
    results.extend(requests());
    results.extend(update());
    finish(&results);
}

fn start() -> bool {
    let module = Module::new();
    let names: Vec<String> = (0..scaled(APPS)).map(|number| format!("plugin-{number}")).collect();
    for name in &names {
        module.installed(name, &PYTHON_APP.replace("WORKERS", "1"), PYTHON_SERVER);
    }
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for _ in 0..rounds(ROUNDS) {
        by_hand.push(start_by_hand(&module, &names));
        let begun = Instant::now();
        // It returns sooner, and with a complaint, where this machine takes long for so many.
        let _ =
            module.mwp(&["up", "--quiet", "--detach", "--module", "mfserv"]).stderr(Stdio::null()).status();
        wait_for(&names.iter().map(|name| module.socket(name, 1)).collect::<Vec<_>>());
        ours.push(begun.elapsed());
        module.down();
    }
    let single = middle((0..rounds(ROUNDS)).map(|_| start_by_hand(&module, &names[..1])).collect());
    println!("one app by hand: {:.0} ms", single.as_secs_f64() * 1e3);
    report(
        &format!("up, {} apps", names.len()),
        middle(ours),
        "all of them started by hand",
        middle(by_hand),
        1.2,
    )
}

/// The same commands at once, until all of them listen.
fn start_by_hand(module: &Module, names: &[String]) -> Duration {
    let sockets: Vec<PathBuf> = names.iter().map(|name| module.path(name).with_extension("s")).collect();
    let begun = Instant::now();
    let run = |(name, socket): (&String, &PathBuf)| {
        let _ = fs::remove_file(socket);
        let server = module.path("home/var/plugins").join(name).join("server");
        Command::new("python3").arg(server).arg(socket).spawn().unwrap()
    };
    let _processes = Processes(names.iter().zip(&sockets).map(run).collect());
    wait_for(&sockets);
    begun.elapsed()
}

fn idle() -> [bool; 2] {
    let module = Module::new();
    let (number, while_idle) = (scaled(PROCESSES), if is_short() { IDLE / 20 } else { IDLE });
    let daemon =
        format!("[extra_daemon_d]\n_cmd_and_args=sleep 100000\nnumprocesses={number}\ngraceful_timeout=1\n");
    module.installed("sleepers", &daemon, "");
    module.up();
    std::thread::sleep(Duration::from_secs(2));
    let processes = module.processes();
    let taken = || -> Duration { processes.into_iter().map(processor_time).sum() };
    let before = taken();
    std::thread::sleep(while_idle);
    let share = (taken() - before).as_secs_f64() / while_idle.as_secs_f64() * 100.0;
    let memory: u32 = processes.into_iter().map(|pid| of_status(pid, "VmRSS:")).sum();
    let memory = f64::from(memory) * 1024.0 / 1e6;
    let what = format!("supervisor and guardian, {number} processes, {} s idle", while_idle.as_secs());
    [at_most(&what, "% of a processor", share, 0.1), at_most(&what, "MB of memory", memory, 30.0)]
}

/// A line of the report for what is no time.
fn at_most(what: &str, unit: &str, value: f64, bound: f64) -> bool {
    let verdict = if value <= bound { "ok" } else { "TOO MUCH" };
    println!("{what}: {value:.3} {unit} (at most {bound}) {verdict}");
    value <= bound
}

fn requests() -> Vec<bool> {
    let module = Module::new();
    module.installed("fast", FAST_APP, FAST_SERVER);
    module.installed("app", &PYTHON_APP.replace("WORKERS", "2"), PYTHON_SERVER);
    module.up();
    let (_nginx, port) = minimal_nginx(&module);
    let mut results = Vec::new();
    // The first is the worst that can be: there is nothing but nginx to wait for.
    for (path, worker, bound) in [("/fast/", "nginx as the worker", 0.9), ("/app/", "python workers", 0.95)] {
        for (keep_alive, kind) in [(true, "keep-alive"), (false, "close")] {
            let round = |_| {
                let theirs = requests_per_second(port, path, keep_alive, SECONDS);
                (requests_per_second(module.port, path, keep_alive, SECONDS), theirs)
            };
            let rounds = (0..rounds(REQUEST_ROUNDS)).map(round).collect();
            results.push(report_rate(&format!("requests, {worker}, {kind}"), rounds, bound));
        }
    }
    results
}

/// The round with the middle ratio.
fn report_rate(what: &str, mut rounds: Vec<(f64, f64)>, bound: f64) -> bool {
    rounds.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
    let (ours, theirs) = rounds[rounds.len() / 2];
    let ratio = ours / theirs;
    let verdict = if ratio >= bound { "ok" } else { "TOO SLOW" };
    println!(
        "{what}: {ours:.0}/s, minimal nginx: {theirs:.0}/s, ratio {ratio:.2} (at least {bound}) {verdict}"
    );
    ratio >= bound
}

/// What Flask's documentation has nginx tell the app; a worker in Python feels each header.
const HEADERS: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
                       proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host; \
                       proxy_set_header X-Forwarded-Prefix /;";

/// An nginx as one would write it by hand, in front of the same workers.
fn minimal_nginx(module: &Module) -> (Processes, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let upstream = |name: &str, workers: u32| {
        let servers: String = (1..=workers)
            .map(|worker| format!("server unix:{};", module.socket(name, worker).display()))
            .collect();
        format!("upstream {name} {{ least_conn; {servers} }}")
    };
    let dir = module.path("minimal");
    fs::create_dir_all(&dir).unwrap();
    // As root it would reach none of the sockets otherwise.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let conf = format!(
        "{user} daemon off; pid nginx.pid; error_log error.log; worker_processes 1; events {{ worker_connections 1024; }}\n\
         http {{ access_log access.log combined; {HEADERS} {} {}\n\
         server {{ listen 127.0.0.1:{port}; location /fast/ {{ proxy_pass http://fast; }}\n\
         location /app/ {{ proxy_pass http://app; }} }} }}\n",
        upstream("fast", 1),
        upstream("app", 2)
    );
    fs::write(dir.join("nginx.conf"), conf).unwrap();
    let mut nginx = Command::new("nginx");
    nginx.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(&dir).stdout(Stdio::null());
    let nginx = Processes(vec![nginx.spawn().unwrap()]);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nginx does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    (nginx, port)
}

fn update() -> Vec<bool> {
    let module = Module::new();
    let packed = |version: &str| {
        module.plugin("source", "app", version, &PYTHON_APP.replace("WORKERS", "2"), PYTHON_SERVER);
        module.ok(&["pack", "-q", "-C", "source/app", "--output", "."]);
        format!("app-{version}-1.metwork.mfserv.plugin")
    };
    module.ok(&["install", "-q", &packed("1")]);
    module.up();
    let mut results = Vec::new();
    for (version, keep_alive, kind) in [("2", true, "keep-alive"), ("3", false, "close")] {
        let file = packed(version);
        let load = Load::start(module.port, "/app/", keep_alive, 4);
        std::thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        module.ok(&["hotswap", &file]);
        let took = begun.elapsed();
        std::thread::sleep(Duration::from_secs(1));
        let counted = load.stop();
        let what = format!("update under load, {kind}");
        results.push(report_limit(&what, took, Duration::from_secs(3)));
        let lost = counted.lost as f64;
        results.push(at_most(&format!("{what}, {} requests", counted.answered), "lost", lost, 0.0));
    }
    results
}
