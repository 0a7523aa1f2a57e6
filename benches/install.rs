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
    let mut peak = 0.0_f64;
    for _ in 0..rounds(5) {
        fs::create_dir(root.join("by-tar")).unwrap();
        settle(root);
        untars.push(sh(&format!("tar -C by-tar --zstd -xf {one}; sync -f by-tar")).time);
        settle(root);
        let install = run(in_home(&["install", "-q"]).arg(&one));
        settle(root);
        rsyncs.push(sh("rsync -a --link-dest=$PWD/by-tar by-tar/ by-rsync/; sync -f by-rsync").time);
        settle(root);
        let update = run(in_home(&["install", "-q", "--force"]).arg(&two));
        installs.push(install.time);
        updates.push(update.time);
        peak = [peak, install.peak, update.peak].into_iter().fold(0.0, f64::max);
        run(&mut in_home(&["uninstall", "bench"]));
        sh("rm -rf by-tar by-rsync");
    }
    println!("peak memory: {peak:.0} MB (at most 300)");
    finish(&[
        compare("install", &installs, "tar --zstd -xf; sync -f", &untars, 0.75),
        compare("update, one file changed", &updates, "rsync -a --link-dest; sync -f", &rsyncs, 1.0),
        peak <= 300.0,
    ]);
}
