//! Installing a real node_modules against `tar --zstd -xf` and `sync -f`, updating it against `rsync --link-dest`.
//!
//! ext4 passes over inodes that were in use within the last minutes, so whoever removes a tree makes the next one slower, his
//! own and that of others. So the sides run on file systems of their own, which are new, and then on that of this machine,
//! where each of them has just removed what it made there before.
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

    let (mut updates, mut rsyncs, mut rsyncs_and_removals) = (vec![], vec![], vec![]);
    let mut peak = 0.0_f64;
    for _ in 0..rounds(3) {
        sh(&format!("mkdir by-tar; tar -C by-tar --zstd -xf {one}"));
        run(in_home(&["install", "-q"]).arg(&one));
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

    let at = root.join("file-system");
    let work_in = |there: &Path, work: &dyn Fn(&Path) -> Run| {
        fs::create_dir_all(there).unwrap();
        fs::copy(root.join(&one), there.join(file)).unwrap();
        settle(there);
        work(there)
    };
    let on_a_new_one = |work: &dyn Fn(&Path) -> Run| {
        let file_system = NewFileSystem::at(&at);
        work_in(file_system.path(), work)
    };
    let here = |work: &dyn Fn(&Path) -> Run| {
        let there = root.join("there");
        let run = work_in(&there, work);
        fs::remove_dir_all(&there).unwrap();
        run
    };
    let in_this =
        |there: &Path, arguments: &[&str]| run(in_home(arguments).current_dir(there).env("HOME", there));
    let install = |there: &Path| in_this(there, &["install", "-q", file]);
    let untar = |there: &Path| {
        let script = format!("mkdir by-tar; tar -C by-tar --zstd -xf {file}; sync -f by-tar");
        run(Command::new("sh").args(["-ec", &script]).current_dir(there))
    };
    let install_again = |there: &Path| {
        install(there);
        in_this(there, &["uninstall", "bench"]);
        settle(there);
        install(there)
    };
    let untar_again = |there: &Path| {
        untar(there);
        fs::remove_dir_all(there.join("by-tar")).unwrap();
        settle(there);
        untar(there)
    };
    let (mut first, mut again) = (Turns::default(), Turns::default());
    for _ in 0..rounds(3) {
        first.take(|| on_a_new_one(&install), || on_a_new_one(&untar));
        again.take(|| here(&install_again), || here(&untar_again));
    }
    peak = first.peak.max(again.peak).max(peak);
    println!("peak memory: {peak:.0} MB (at most 300)");
    let (tar, rsync) = ("tar --zstd -xf; sync -f", "rsync -a --link-dest; sync -f");
    let update = "update, one file changed";
    finish(&[
        first.compare("install, new file system", tar),
        again.compare("install, right after the same was removed", tar),
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
    fn take(&mut self, ours: impl FnOnce() -> Run, theirs: impl FnOnce() -> Run) {
        let ours = ours();
        self.peak = self.peak.max(ours.peak);
        self.ours.push(ours);
        self.theirs.push(theirs());
    }

    /// Rows for the time and for the processor time.
    fn compare(&self, what: &str, peer: &str) -> bool {
        let times = |runs: &[Run]| runs.iter().map(|run| run.time).collect::<Vec<_>>();
        let processor = |runs: &[Run]| runs.iter().map(|run| run.processor).collect::<Vec<_>>();
        let is_fast = compare(what, &times(&self.ours), peer, &times(&self.theirs), 0.75);
        let what = format!("{what}, processor time");
        compare(&what, &processor(&self.ours), peer, &processor(&self.theirs), 1.0) && is_fast
    }
}
