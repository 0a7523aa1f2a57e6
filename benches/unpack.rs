//! Unpacking 20,000 files of 300 MB, made durable, against `tar --zstd -xf` and `sync -f`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use mwp::artifact::{Limits, unpack, verify};
use support::{best, report, run};

const ROUNDS: usize = 5;

fn main() {
    // The measured side is this program itself, started again: its peak memory is that of unpacking alone.
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, file, into] = &arguments[..]
        && verb == "unpack"
    {
        let done = unpack(Path::new(file), Path::new(into), &Limits::default()).unwrap();
        assert!(done.verified);
        mwp::fs::sync_filesystem(Path::new(into)).unwrap();
        return;
    }
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let plugin = root.path().join("bench");
    fs::create_dir(&plugin).unwrap();
    support::fill_plugin(&plugin, 20_000, 300_000_000);
    let mut pack = Command::new(env!("CARGO_BIN_EXE_mwp"));
    run(pack
        .args(["pack", "-q", "-C"])
        .arg(&plugin)
        .arg("-o")
        .arg(root.path())
        .env("MWP_CACHE_DIR", root.path()));
    let file = root.path().join("bench-1.0.0-1.metwork.mfserv.plugin");
    let into = root.path().join("into");
    Command::new("sync").status().unwrap();

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut peak = 0.0_f64;
    let mut verified = std::time::Duration::MAX;
    for _ in 0..ROUNDS {
        let done = run(Command::new(std::env::current_exe().unwrap()).arg("unpack").arg(&file).arg(&into));
        ours.push(done.time);
        peak = peak.max(done.peak);
        let start = std::time::Instant::now();
        assert!(verify(&into, &[], &|_| false).unwrap().is_empty());
        verified = verified.min(start.elapsed());
        clear(&into);
        let pipe = "mkdir \"$2\" && tar --zstd -C \"$2\" -xf \"$1\" && sync -f \"$2\"";
        theirs.push(run(Command::new("sh").args(["-c", pipe, "sh"]).arg(&file).arg(&into)).time);
        clear(&into);
    }
    println!("peak memory: {peak:.0} MB (at most 300)");
    println!("verify: {:.0} ms", verified.as_secs_f64() * 1e3);
    support::finish(&[
        report("unpack and sync", best(&ours), "tar --zstd -xf, sync -f", best(&theirs), 1.2),
        peak <= 300.0,
    ]);
}

/// Removes the tree and waits until the disk is quiet, so that one side does not pay for the other.
fn clear(into: &Path) {
    fs::remove_dir_all(into).unwrap();
    Command::new("sync").status().unwrap();
}
