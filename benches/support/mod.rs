//! What the benches share: a realistic tree, commands run with their peak memory, ratios of best times.
//!
//! Figures are ratios against a peer, taken in turns within one run: times alone say more about the machine.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    let status = child.wait().unwrap();
    let time = start.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    Run { time, peak: watcher.join().unwrap() }
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
    assert!(results.iter().all(|result| *result), "a bound does not hold");
}
