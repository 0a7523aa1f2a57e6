//! What the benches share: a realistic tree, commands run with their peak memory, ratios of best times.
//!
//! Figures are ratios against a peer, taken in turns within one run: times alone say more about the machine.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Reproducible pseudo-random numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }
}

/// Fills a plugin's directory as a node plugin with some libraries looks: mostly source text in a deep tree, some
/// data, some bytes that do not compress.
pub fn fill_plugin(dir: &Path, files: usize, bytes: usize) {
    let mut random = Random::new(42);
    let words: Vec<String> = (0..3000)
        .map(|_| (0..3 + random.below(8)).map(|_| char::from(b'a' + random.below(26) as u8)).collect())
        .collect();
    let average = bytes / files;
    for number in 0..files {
        let package = number / 60;
        let folder = ["lib", "dist", "src/util", "test"][(number / 15) % 4];
        let parent = dir.join(format!("node_modules/package-{package:03}/{folder}"));
        fs::create_dir_all(&parent).unwrap();
        // Skewed as real trees are: most files are small, a few make up much of the size.
        let size = match number % 100 {
            0 => average * 18,
            1..=10 => average * 3,
            _ => average * 3 / 5,
        };
        let size = size * 3 / 4 + random.below(size / 2);
        let (extension, content) = match number % 8 {
            0 => ("json", json(&mut random, &words, size)),
            1 => ("node", binary(&mut random, size)),
            _ => ("js", text(&mut random, &words, size)),
        };
        fs::write(parent.join(format!("file-{number:05}.{extension}")), content).unwrap();
    }
    fs::write(dir.join(".layerapi2_label"), "plugin_bench@mfserv\n").unwrap();
    fs::write(dir.join(".layerapi2_dependencies"), "nodejs@mfext\n").unwrap();
    fs::write(dir.join(".plugin_format_version"), "1.0.0\n").unwrap();
    let config = "[general]\n_version=1.0.0\n_release=1\n_summary=bench\n_license=BSD\n_url=u\n_maintainer=m\n_vendor=v\n";
    fs::write(dir.join("config.ini"), config).unwrap();
}

fn text(random: &mut Random, words: &[String], size: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(size + 64);
    while content.len() < size {
        let depth = random.below(5);
        content.extend(std::iter::repeat_n(b' ', depth * 2));
        for _ in 0..2 + random.below(7) {
            // A small part of the vocabulary does most of the work.
            let spread = if random.below(3) == 0 { words.len() } else { 150 };
            content.extend(words[random.below(spread)].as_bytes());
            content.push(b" .(),;"[random.below(6)]);
        }
        content.push(b'\n');
    }
    content
}

fn json(random: &mut Random, words: &[String], size: usize) -> Vec<u8> {
    let mut content = b"[\n".to_vec();
    while content.len() < size {
        let (key, number) = (&words[random.below(200)], random.below(1_000_000));
        content.extend(
            format!("  {{\"{key}\": {number}, \"name\": \"{}\"}},\n", words[random.below(3000)]).bytes(),
        );
    }
    content.extend(b"  {}\n]\n");
    content
}

fn binary(random: &mut Random, size: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        if random.below(4) == 0 {
            content.extend(random.next().to_le_bytes());
        } else {
            content.extend([0, 0, 0x48, 0x89, random.below(16) as u8, 0xe8, random.below(256) as u8, 0]);
        }
    }
    content
}

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

/// The best of several runs: what else the machine does can only slow one down.
pub fn best(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap()
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

/// The node_modules of express, webpack, typescript, next, jest, eslint and @babel: some 20,000 files and 400 MB, fetched
/// once and kept in `target/`. In short mode express alone.
pub fn node_modules() -> std::path::PathBuf {
    let packages: &[&str] = match is_short() {
        true => &["express"],
        false => &[
            "express",
            "webpack",
            "webpack-cli",
            "typescript",
            "next",
            "jest",
            "eslint",
            "@babel/core",
            "@babel/preset-env",
            "@babel/preset-react",
            "@babel/preset-typescript",
        ],
    };
    let name = if is_short() { "short" } else { "node" };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-trees").join(name);
    let done = dir.join("done");
    if !done.exists() {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("package.json"), "{\"name\": \"bench\", \"version\": \"1.0.0\"}").unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-progress"]).args(packages).current_dir(&dir);
        run(&mut npm);
        fs::write(done, "").unwrap();
    }
    dir.join("node_modules")
}

/// A plugin in `dir` with these node_modules, which are its own as if somebody had put them there.
pub fn node_plugin(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    run(Command::new("cp").arg("-a").arg(node_modules()).arg(dir));
    fs::write(dir.join(".layerapi2_label"), "plugin_bench@mfserv\n").unwrap();
    fs::write(dir.join(".layerapi2_dependencies"), "nodejs@mfext\n").unwrap();
    fs::write(dir.join(".plugin_format_version"), "1.0.0\n").unwrap();
    let config = "[general]\n_version=1.0.0\n_release=1\n_summary=bench\n_license=BSD\n_url=u\n_maintainer=m\n_vendor=v\n";
    fs::write(dir.join("config.ini"), config).unwrap();
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
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let mut command = run();
            let start = Instant::now();
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert!(status.success(), "{command:?}: {status}");
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// `mwp` with a cache of its own.
pub fn mwp(cache: &Path, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mwp"));
    command.args(arguments).current_dir(directory).env("MWP_CACHE_DIR", cache);
    command
}

/// Ends the bench with what it found.
pub fn finish(results: &[bool]) {
    assert!(is_short() || results.iter().all(|result| *result), "a bound does not hold");
}
