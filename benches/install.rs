//! Installing a real node_modules against `tar --zstd -xf` and `sync -f`, updating it against `rsync --link-dest`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::fs;
use std::process::Command;

use support::{compare, finish, mwp, rounds, run, settle};

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

    let (mut installs, mut untars, mut updates, mut rsyncs) = (vec![], vec![], vec![], vec![]);
    let (mut processor, mut processor_of_tar, mut rsyncs_and_removals) = (vec![], vec![], vec![]);
    let mut peak = 0.0_f64;
    for _ in 0..rounds(3) {
        fs::create_dir(root.join("by-tar")).unwrap();
        settle(root);
        let untar = sh(&format!("tar -C by-tar --zstd -xf {one}; sync -f by-tar"));
        settle(root);
        let install = run(in_home(&["install", "-q"]).arg(&one));
        settle(root);
        let rsync = sh("rsync -a --link-dest=$PWD/by-tar by-tar/ by-rsync/; sync -f by-rsync");
        let removal = sh("rm -rf by-tar");
        settle(root);
        let update = run(in_home(&["install", "-q", "--force"]).arg(&two));
        untars.push(untar.time);
        installs.push(install.time);
        rsyncs.push(rsync.time);
        rsyncs_and_removals.push(rsync.time + removal.time);
        updates.push(update.time);
        processor.push(install.processor);
        processor_of_tar.push(untar.processor);
        peak = [peak, install.peak, update.peak].into_iter().fold(0.0, f64::max);
        run(&mut in_home(&["uninstall", "bench"]));
        sh("rm -rf by-rsync");
    }
    println!("peak memory: {peak:.0} MB (at most 300)");
    let (tar, rsync) = ("tar --zstd -xf; sync -f", "rsync -a --link-dest; sync -f");
    let update = "update, one file changed";
    finish(&[
        compare("install", &installs, tar, &untars, 0.75),
        compare("install, processor time", &processor, tar, &processor_of_tar, 1.0),
        compare(update, &updates, rsync, &rsyncs, 1.0),
        compare(update, &updates, &format!("{rsync}; rm -rf old"), &rsyncs_and_removals, 1.0),
        peak <= 300.0,
    ]);
}
