//! Releasing a real node_modules against `tar | zstd -T0 -3`: the first time, again after one edit, and how large it is.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mwp::artifact::Artifact;
use support::{compare, finish, report_limit, rounds, run};

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let plugin = root.join("bench");
    support::node_plugin(&plugin);
    let pack = || {
        let mut command =
            support::mwp(&root.join("cache"), root, &["pack", "-q", "-C", "bench", "-o", "out"]);
        run(&mut command)
    };
    let peer = || {
        let pipe = "tar -C bench -c . | zstd -q -T0 -3 -f -o out/peer.tar.zst";
        run(Command::new("sh").args(["-c", pipe]).current_dir(root))
    };
    fs::create_dir(root.join("out")).unwrap();
    peer();
    let (mut first, mut again, mut theirs, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..rounds(7) {
        let _ = fs::remove_dir_all(root.join("cache"));
        let cold = pack();
        theirs.push(peer().time);
        fs::write(plugin.join("node_modules/express/index.js"), format!("// {round}")).unwrap();
        let warm = pack();
        peak = peak.max(cold.peak).max(warm.peak);
        first.push(cold.time);
        again.push(warm.time);
    }
    let file = root.join("out/bench-1.0.0-1.metwork.mfserv.plugin");
    let size = |path: &Path| fs::metadata(path).unwrap().len() as f64 / 1e6;
    let (size, peer_size) = (size(&file), size(&root.join("out/peer.tar.zst")));
    println!("size: {size:.1} MB, peer {peer_size:.1} MB; peak memory: {peak:.0} MB (at most 300)");
    let start = Instant::now();
    assert!(!Artifact::open(&file).unwrap().files().is_empty());
    let info = start.elapsed();
    finish(&[
        compare("release, the first time", &first, "tar | zstd -T0 -3", &theirs, 0.9),
        compare("release again, one file edited", &again, "tar | zstd -T0 -3", &theirs, 0.1),
        report_limit("info", info, Duration::from_millis(10)),
        peak <= 300.0,
        size <= peer_size * 1.02,
    ]);
}
