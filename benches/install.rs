//! Installing a real node_modules against `tar --zstd -xf` and `sync -f`, updating it against `rsync --link-dest`.
//!
//! Twice, where root runs it: on a file system that is new for each run, and on one from which as many files have just
//! been deleted. ext4 passes over inodes that were deleted within the last minutes, so both sides take longer there;
//! which of them goes first changes with each round.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{NewFileSystem, Run, compare, finish, mwp, rounds, run, settle};

fn main() {
    let root = tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap();
    let root = root.path();
    let plugin = root.join("bench");
    support::node_plugin(&plugin);
    let in_home = |arguments: &[&str]| {
        let mut command = mwp(&root.join("cache"), root, arguments);
        command.env("HOME", root).env_remove("XDG_DATA_HOME").env_remove("MFMODULE");
        command
    };
    let sh = |script: &str| run(Command::new("sh").args(["-ec", script]).current_dir(root));
    run(&mut in_home(&["pack", "-q", "-C", "bench", "-o", "one"]));
    fs::write(plugin.join("node_modules/express/index.js"), "// two").unwrap();
    run(&mut in_home(&["pack", "-q", "-C", "bench", "-o", "two"]));
    let file = "bench-1.0.0-1.metwork.mfserv.plugin";
    let (one, two) = (format!("one/{file}"), format!("two/{file}"));

    let mut installs = Turns::default();
    let (mut updates, mut rsyncs, mut rsyncs_and_removals) = (vec![], vec![], vec![]);
    let mut peak = 0.0_f64;
    for round in 0..rounds(4) {
        fs::create_dir(root.join("by-tar")).unwrap();
        let untar = || {
            settle(root);
            sh(&format!("tar -C by-tar --zstd -xf {one}; sync -f by-tar"))
        };
        let install = || {
            settle(root);
            run(in_home(&["install", "-q"]).arg(&one))
        };
        installs.take(round, install, untar);
        settle(root);
        let rsync = sh("rsync -a --link-dest=$PWD/by-tar by-tar/ by-rsync/; sync -f by-rsync");
        let removal = sh("rm -rf by-tar");
        settle(root);
        let update = run(in_home(&["install", "-q", "--force"]).arg(&two));
        rsyncs.push(rsync.time);
        rsyncs_and_removals.push(rsync.time + removal.time);
        updates.push(update.time);
        peak = peak.max(update.peak);
        run(&mut in_home(&["uninstall", "bench"]));
        sh("rm -rf by-rsync");
    }
    let mut on_new_ones = Turns::default();
    let on_a_new_one = |work: &dyn Fn(&Path) -> Run| {
        let file_system = NewFileSystem::mounted(&root.join("file-system")).unwrap();
        let there = file_system.path();
        fs::copy(root.join(&one), there.join(file)).unwrap();
        settle(there);
        work(there)
    };
    let install = |there: &Path| run(in_home(&["install", "-q", file]).current_dir(there).env("HOME", there));
    let untar = |there: &Path| {
        let script = format!("mkdir by-tar; tar -C by-tar --zstd -xf {file}; sync -f by-tar");
        run(Command::new("sh").args(["-ec", &script]).current_dir(there))
    };
    if NewFileSystem::mounted(&root.join("file-system")).is_none() {
        println!("install, new file system: only root may mount one, with a loop device");
    } else {
        for round in 0..rounds(4) {
            on_new_ones.take(round, || on_a_new_one(&install), || on_a_new_one(&untar));
        }
    }
    peak = installs.peak.max(on_new_ones.peak).max(peak);
    println!("peak memory: {peak:.0} MB (at most 300)");
    let (tar, rsync) = ("tar --zstd -xf; sync -f", "rsync -a --link-dest; sync -f");
    let update = "update, one file changed";
    finish(&[
        installs.compare("install, after a deletion", tar),
        on_new_ones.compare("install, new file system", tar),
        compare(update, &updates, rsync, &rsyncs, 1.0),
        compare(update, &updates, &format!("{rsync}; rm -rf old"), &rsyncs_and_removals, 1.0),
        peak <= 300.0,
    ]);
}

/// Runs of both sides.
#[derive(Default)]
struct Turns {
    ours: Vec<Run>,
    theirs: Vec<Run>,
    /// Of ours, in MB.
    peak: f64,
}

impl Turns {
    fn take(&mut self, round: usize, ours: impl FnOnce() -> Run, theirs: impl FnOnce() -> Run) {
        let (ours, theirs) = if round.is_multiple_of(2) {
            let theirs = theirs();
            (ours(), theirs)
        } else {
            (ours(), theirs())
        };
        self.peak = self.peak.max(ours.peak);
        self.ours.push(ours);
        self.theirs.push(theirs);
    }

    /// Rows for the time and for the processor time, where there are any runs.
    fn compare(&self, what: &str, peer: &str) -> bool {
        let times = |runs: &[Run]| runs.iter().map(|run| run.time).collect::<Vec<_>>();
        let processor = |runs: &[Run]| runs.iter().map(|run| run.processor).collect::<Vec<_>>();
        if self.ours.is_empty() {
            return true;
        }
        let is_fast = compare(what, &times(&self.ours), peer, &times(&self.theirs), 0.75);
        let what = format!("{what}, processor time");
        compare(&what, &processor(&self.ours), peer, &processor(&self.theirs), 1.0) && is_fast
    }
}
