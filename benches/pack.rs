//! Packing 20,000 files of 300 MB against `tar c | zstd -T0 -3`, and reading what the file says about itself.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use mwp::artifact::Artifact;
use support::{best, report, run};

const ROUNDS: usize = 7;

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let plugin = root.path().join("bench");
    fs::create_dir(&plugin).unwrap();
    support::fill_plugin(&plugin, 20_000, 300_000_000);
    let (cache, output) = (root.path().join("cache"), root.path().join("out"));
    fs::create_dir(&output).unwrap();
    let pack = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mwp"));
        command
            .args(["pack", "-q", "-C"])
            .arg(&plugin)
            .arg("--output")
            .arg(&output)
            .env("MWP_CACHE_DIR", &cache);
        run(&mut command)
    };
    let peer = || {
        let mut command = Command::new("sh");
        let pipe = "tar -C \"$1\" -c . | zstd -q -T0 -3 -f -o \"$2/peer.tar.zst\"";
        run(command.args(["-c", pipe, "sh"]).arg(&plugin).arg(&output))
    };
    peer();
    let (mut cold, mut warm, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut peak = 0.0_f64;
    for round in 0..ROUNDS {
        let _ = fs::remove_dir_all(&cache);
        let first = pack();
        theirs.push(peer().time);
        fs::write(plugin.join("node_modules/package-100/lib/file-06000.json"), format!("[{round}]")).unwrap();
        let second = pack();
        peak = peak.max(first.peak).max(second.peak);
        cold.push(first.time);
        warm.push(second.time);
    }
    let file = output.join("bench-1.0.0-1.metwork.mfserv.plugin");
    let size = |path: &std::path::Path| fs::metadata(path).unwrap().len() as f64 / 1e6;
    println!("size: {:.1} MB, peer {:.1} MB", size(&file), size(&output.join("peer.tar.zst")));
    println!("peak memory: {peak:.0} MB (at most 300)");
    let theirs = best(&theirs);
    let info: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let artifact = Artifact::open(&file).unwrap();
            assert!(artifact.files().len() > 20_000);
            start.elapsed()
        })
        .collect();
    support::finish(&[
        report("pack, cold frame store", best(&cold), "tar | zstd -T0 -3", theirs, 1.0),
        report("pack, one file edited", best(&warm), "tar | zstd -T0 -3", theirs, 0.5),
        report("info", best(&info), "the bound", Duration::from_millis(5), 1.0),
        peak <= 300.0,
    ]);
}
