//! What supervision costs: the status of 200 workers, an update while clients stay, the crash loop of a neighbour.
//! Needs python3 and nginx.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

#[path = "support/running.rs"]
mod running;
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use running::{Module, PYTHON_APP, PYTHON_SERVER, Processes, ask_once, middle, wait_for};
use support::{finish, report_limit};

fn main() {
    finish(&[status(), update_while_somebody_stays(), crash_loop()]);
}

/// How long `mwp status` takes over 200 workers.
fn status() -> bool {
    let module = Module::new();
    let daemon = "[extra_daemon_d]\n_cmd_and_args=sleep 100000\nnumprocesses=200\ngraceful_timeout=1\n";
    module.installed("sleepers", daemon, "");
    module.up();
    std::thread::sleep(Duration::from_secs(2));
    let took = |_| {
        let begun = Instant::now();
        module.ok(&["status", "--module", "mfserv"]);
        begun.elapsed()
    };
    report_limit("status, 200 workers", middle((0..9).map(took).collect()), Duration::from_millis(50))
}

/// A hot-swap of an app whose clients stay connected, as WebSockets do.
fn update_while_somebody_stays() -> bool {
    let module = Module::new();
    let packed = |version: &str| {
        module.plugin("source", "app", version, &PYTHON_APP.replace("WORKERS", "2"), PYTHON_SERVER);
        module.ok(&["pack", "-q", "-C", "source/app", "--output", "."]);
        format!("app-{version}-1.metwork.mfserv.plugin")
    };
    module.ok(&["install", "-q", &packed("1")]);
    module.up();
    let connect = |worker| std::os::unix::net::UnixStream::connect(module.socket("app", worker)).unwrap();
    let _open = [connect(1), connect(2)];
    let file = packed("2");
    // The start of python itself, which has to be waited for.
    let start = start_by_hand_of(&module.path("source/app/server"), &module.path("by-hand.s"));
    let begun = Instant::now();
    module.ok(&["hotswap", &file]);
    let took = begun.elapsed().saturating_sub(start);
    report_limit("update while clients stay, less the start of the worker", took, Duration::from_secs(1))
}

fn start_by_hand_of(server: &std::path::Path, socket: &PathBuf) -> Duration {
    let begun = Instant::now();
    let _process = Processes(vec![Command::new("python3").arg(server).arg(socket).spawn().unwrap()]);
    wait_for(std::slice::from_ref(socket));
    begun.elapsed()
}

/// What one plugin's crash loop costs the requests of another: the 99th percentile with it and without, in turns.
fn crash_loop() -> bool {
    let module = Module::new();
    module.installed("app", &PYTHON_APP.replace("WORKERS", "1"), PYTHON_SERVER);
    module.up();
    let crash = "[extra_daemon_d]\n_cmd_and_args=sh -c 'exit 3'\nnumprocesses=1\n";
    module.installed("crashes", crash, "");
    // What crashes is told of, and is meant to.
    let _ = module.mwp(&["reload", "--module", "mfserv"]).stderr(Stdio::null()).status();
    let mut rounds = Vec::new();
    for _ in 0..7 {
        module.ok(&["stop", "--module", "mfserv", "crashes"]);
        let quiet = slowest_percent(module.port);
        let _ = module.mwp(&["restart", "--module", "mfserv", "crashes"]).stderr(Stdio::null()).status();
        rounds.push((slowest_percent(module.port), quiet));
    }
    rounds.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let round = rounds[rounds.len() / 2];
    let verdict = if ratio(&round) <= 1.1 { "ok" } else { "TOO SLOW" };
    println!(
        "requests of others during a crash loop, 99th percentile: {:.2} ms, without it: {:.2} ms, ratio {:.2} (at most 1.1) {verdict}",
        round.0.as_secs_f64() * 1e3,
        round.1.as_secs_f64() * 1e3,
        ratio(&round)
    );
    ratio(&round) <= 1.1
}

fn ratio((with, without): &(Duration, Duration)) -> f64 {
    with.as_secs_f64() / without.as_secs_f64()
}

/// The 99th percentile of two seconds of requests, one after the other.
fn slowest_percent(port: u16) -> Duration {
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(2) {
        let one = Instant::now();
        assert!(ask_once(port, "/app/").unwrap());
        times.push(one.elapsed());
    }
    times.sort();
    times[times.len() * 99 / 100]
}
