//! What the benches share: commands run with their time and peak memory, sides that take turns, rows of the table;
//! realistic trees are in `trees`.
//!
//! Figures are ratios against a peer, taken in turns within one run: times alone say more about the machine.
#![allow(dead_code, unreachable_pub, unused_imports)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod file_system;
mod trees;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

pub use file_system::NewFileSystem;
pub use trees::*;

/// One run of a command.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub time: Duration,
    /// What it and those that it waited for had of the processors, in ticks of 10 ms.
    pub processor: Duration,
    /// Peak resident memory of the process itself, in MB.
    pub peak: f64,
}

/// Runs to the end; a failure ends the bench.
pub fn run(command: &mut Command) -> Run {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut peak = 0.0_f64;
        // A process that ended has no such line any more; the value only grows, so the last one seen is the peak.
        while let Some(now) =
            fs::read_to_string(&status_file).ok().and_then(|status| high_water_mark(&status))
        {
            peak = peak.max(now);
            std::thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    // It ends, and can still be looked at until it is waited for.
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    let time = start.elapsed();
    let processor = processor_time(child.id());
    let status = child.wait().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    Run { time, processor, peak: watcher.join().unwrap() }
}

/// utime, stime, and those of children that it waited for.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let columns = after_name.split_whitespace().skip(11).take(4);
    let ticks: u64 = columns.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

fn high_water_mark(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0 / 1e6)
}

/// A line of the report; says whether the bound holds.
pub fn report(what: &str, ours: Duration, peer: &str, theirs: Duration, bound: f64) -> bool {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let verdict = if ratio <= bound { "ok" } else { "TOO SLOW" };
    println!(
        "{what}: {:.0} ms, {peer}: {:.0} ms, ratio {ratio:.2} (at most {bound:.2}) {verdict}",
        ours.as_secs_f64() * 1e3,
        theirs.as_secs_f64() * 1e3
    );
    ratio <= bound
}

/// A row of the table in README: the middle and the range of both sides, which took turns; says whether the bar is met.
pub fn compare(what: &str, ours: &[Duration], peer: &str, theirs: &[Duration], bar: f64) -> bool {
    let ratio = middle(ours).as_secs_f64() / middle(theirs).as_secs_f64();
    let verdict = if ratio <= bar { "" } else { " TOO SLOW" };
    let (ours, theirs) = (shown(ours), shown(theirs));
    println!("| {what} | {ours} | `{peer}`, {theirs} | {ratio:.2} (at most {bar:.2}){verdict} |");
    ratio <= bar
}

/// As [`compare`], of a peer that is there to be seen beside: nothing is promised.
pub fn beside(what: &str, ours: &[Duration], peer: &str, theirs: &[Duration]) {
    let ratio = middle(ours).as_secs_f64() / middle(theirs).as_secs_f64();
    println!("| {what} | {} | `{peer}`, {} | {ratio:.2} |", shown(ours), shown(theirs));
}

pub fn middle(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

/// `1.20 s (1.18–1.31)`
fn shown(times: &[Duration]) -> String {
    let (unit, factor) = if middle(times) < Duration::from_millis(100) { ("ms", 1e3) } else { ("s", 1.0) };
    let number = |time: Duration| format!("{:.2}", time.as_secs_f64() * factor);
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    format!("{} {unit} ({}–{})", number(middle(times)), number(*least), number(*most))
}

/// As [`compare`], where the peer is what every command costs: what ours takes beyond it.
pub fn exceed(what: &str, ours: &[Duration], peer: &str, theirs: &[Duration], bar: Duration) -> bool {
    let more = middle(ours).saturating_sub(middle(theirs));
    let verdict = if more <= bar { "" } else { " TOO SLOW" };
    let (ours, theirs) = (shown(ours), shown(theirs));
    let [more_ms, bar_ms] = [more, bar].map(|time| time.as_secs_f64() * 1e3);
    println!("| {what} | {ours} | `{peer}`, {theirs} | + {more_ms:.2} ms (at most {bar_ms:.1}){verdict} |");
    more <= bar
}

/// The times of both sides, which take turns: what else the machine does changes slowly.
pub fn in_turns(
    wanted: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> [Vec<Duration>; 2] {
    (0..rounds(wanted)).map(|_| (ours(), theirs())).unzip().into()
}

/// How long it takes, with nothing else beside it: [`run`] looks at what it runs every few milliseconds.
pub fn timed(mut command: Command) -> Duration {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let time = start.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    time
}

/// Whether only the benches themselves are tried: once each, with few files, and whatever the times are.
pub fn is_short() -> bool {
    std::env::var_os("MWP_BENCH_SHORT").is_some()
}

/// How often each side runs: as often as it takes for a middle.
pub fn rounds(wanted: usize) -> usize {
    if is_short() { 1 } else { wanted }
}

/// How many there are of what a bench works on.
pub fn scaled(wanted: usize) -> usize {
    if is_short() { (wanted / 100).max(2) } else { wanted }
}

/// What the run before left in memory is not written at the cost of the next, and the inodes that it gave back can be
/// used again: ext4 passes over those that were deleted within the last seconds, so making files would be several times
/// as slow, whoever does it.
pub fn settle(dir: &Path) {
    run(Command::new("sync").arg("-f").arg(dir));
    if !is_short() {
        std::thread::sleep(Duration::from_secs(6));
    }
}

/// As [`report`], where there is no peer: the bound is a time.
pub fn report_limit(what: &str, ours: Duration, limit: Duration) -> bool {
    let verdict = if ours <= limit { "ok" } else { "TOO SLOW" };
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{what}: {:.1} ms (at most {:.0} ms) {verdict}", milliseconds(ours), milliseconds(limit));
    ours <= limit
}

/// The middle of the times of several runs, each of which has to succeed.
pub fn median(rounds: usize, mut run: impl FnMut() -> Command) -> Duration {
    middle(&(0..rounds).map(|_| timed(run())).collect::<Vec<_>>())
}

/// `mwp` with a cache of its own.
pub fn mwp(cache: &Path, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mwp"));
    command.args(arguments).current_dir(directory).env("MWP_CACHE_DIR", cache);
    command
}

/// Ends the bench with what it found. A bar that is not met is no failure: the next bench is to run as well.
pub fn finish(results: &[bool]) {
    let missed = results.iter().filter(|is_met| !**is_met).count();
    println!("{missed} of {} bars are not met\n", results.len());
}
