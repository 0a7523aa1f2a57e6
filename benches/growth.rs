//! What ten times as many files cost, and 5 GB of them: times that grow with the files, and a peak of memory that does not.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Random, Run, fill_plugin, finish, is_short, middle, mwp, plugin_files, rounds, run, scaled};

const FILES: usize = 2000;
const BYTES_OF_EACH: usize = 8000;
/// Peak memory in MB, whatever the size.
const MOST_MEMORY: f64 = 300.0;
/// What 5 GB take as a directory, as a release, in the cache, installed, and beside that while it is updated.
const ROOM: u64 = 25_000_000_000;
const LARGE: usize = 5_000_000_000;

fn main() {
    let root = || tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let mut results = ten_times(root().path());
    results.extend(large(root().path()));
    finish(&results);
}

/// The files are inputs.
const TASK: &str = "[tasks.list]\ninputs = [\"node_modules/**\"]\noutputs = [\"listed\"]\ncommand = [\"touch\", \"listed\"]\n";

const STEPS: [&str; 4] = ["pack", "install", "update", "build with nothing to do"];

fn ten_times(root: &Path) -> Vec<bool> {
    let files = scaled(FILES);
    let [few, many] = [files, files * 10].map(|files| {
        let mut runs: [Vec<Run>; 4] = Default::default();
        for round in 0..rounds(3) {
            // Nothing is deleted before all is measured: who makes files after that pays for it.
            let bench = Bench::new(root, &format!("{files}-{round}"));
            fill_plugin(&bench.plugin(), files, files * BYTES_OF_EACH);
            fs::write(bench.plugin().join("mwp.toml"), TASK).unwrap();
            for (runs, run) in runs.iter_mut().zip(bench.round()) {
                runs.push(run);
            }
        }
        runs
    });
    let grown = |(step, (few, many)): (&str, (Vec<Run>, Vec<Run>))| {
        let times = [&few, &many].map(|runs| middle(&runs.iter().map(|run| run.time).collect::<Vec<_>>()));
        let peaks = [&few, &many].map(|runs| runs.iter().map(|run| run.peak).fold(0.0, f64::max));
        let times_as_long = times[1].as_secs_f64() / times[0].as_secs_f64();
        let [few_ms, many_ms] = times.map(milliseconds);
        let is_good = times_as_long <= 11.0 && peaks[1] <= MOST_MEMORY;
        println!(
            "| {step}, {files} files → {} | {few_ms:.0} ms → {many_ms:.0} ms | × {times_as_long:.1} (at most × 11) | \
             peak {:.0} → {:.0} MB, × {:.2} |{}",
            files * 10,
            peaks[0],
            peaks[1],
            peaks[1] / peaks[0],
            if is_good { "" } else { " TOO MUCH" }
        );
        is_good
    };
    STEPS.into_iter().zip(few.into_iter().zip(many)).map(grown).collect()
}

/// A plugin of 5 GB that does not compress: three quarters in large files, the rest in many middle ones.
fn large(root: &Path) -> Option<bool> {
    let bytes = if is_short() { LARGE / 1000 } else { LARGE };
    if !is_short() && free_bytes(root) < ROOM {
        println!("a plugin of 5 GB is left out: {} has less than 25 GB free", root.display());
        return None;
    }
    let bench = Bench::new(root, "large");
    let dir = bench.plugin();
    fs::create_dir_all(dir.join("data")).unwrap();
    plugin_files(&dir);
    let mut random = Random::new(7);
    for number in 0..3 {
        incompressible(&mut random, &dir.join(format!("data/large-{number}")), bytes / 4);
    }
    let middle_files = scaled(1250);
    for number in 0..middle_files {
        incompressible(&mut random, &dir.join(format!("data/middle-{number}")), bytes / 4 / middle_files);
    }
    let runs = bench.round();
    let mut is_good = true;
    for (step, run) in STEPS.iter().zip(runs).take(3) {
        let verdict = if run.peak <= MOST_MEMORY { "" } else { " TOO MUCH" };
        let gigabytes = bytes as f64 / 1e9;
        println!(
            "| {step}, {gigabytes} GB | {:.1} s | – | peak {:.0} MB (at most {MOST_MEMORY}){verdict} |",
            run.time.as_secs_f64(),
            run.peak
        );
        is_good &= run.peak <= MOST_MEMORY;
    }
    Some(is_good)
}

fn incompressible(random: &mut Random, path: &Path, bytes: usize) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    for _ in 0..bytes / 8 {
        file.write_all(&random.next().to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

fn free_bytes(dir: &Path) -> u64 {
    let stat = rustix::fs::statvfs(dir).unwrap();
    stat.f_bavail * stat.f_frsize
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A plugin, a cache and a plugins base of their own.
struct Bench {
    root: PathBuf,
}

impl Bench {
    fn new(root: &Path, name: &str) -> Bench {
        let root = root.join(name);
        fs::create_dir_all(root.join("bench")).unwrap();
        Bench { root }
    }

    fn plugin(&self) -> PathBuf {
        self.root.join("bench")
    }

    fn mwp(&self, arguments: &[&str]) -> Run {
        let mut command = mwp(&self.root.join("cache"), &self.root, arguments);
        command.env("HOME", &self.root).env_remove("XDG_DATA_HOME").env_remove("MFMODULE");
        run(command.stderr(Stdio::null()))
    }

    /// Packs, installs, packs again with one file changed, updates, and builds with nothing to do.
    fn round(&self) -> [Run; 4] {
        let sync = || run(Command::new("sync").arg("-f").arg(&self.root));
        let file = "bench-1.0.0-1.metwork.mfserv.plugin";
        sync();
        let pack = self.mwp(&["pack", "-q", "-C", "bench", "-o", "."]);
        sync();
        let install = self.mwp(&["install", "-q", file]);
        fs::remove_file(self.root.join(file)).unwrap();
        fs::write(self.plugin().join("changed"), "changed").unwrap();
        self.mwp(&["pack", "-q", "-C", "bench", "-o", "."]);
        sync();
        let update = self.mwp(&["install", "-q", "--force", file]);
        for _ in 0..2 {
            self.mwp(&["build", "-q", "-C", "bench"]);
        }
        let build = self.mwp(&["build", "-q", "-C", "bench"]);
        [pack, install, update, build]
    }
}
