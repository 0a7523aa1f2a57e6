//! What is packed, installed and packed again is the same, whatever it holds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mwp::artifact::{Limits, Manifest, manifest_of};

use crate::support::Sandbox;

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

/// A tree with names, modes and links as they come, and as nobody would choose them.
fn fill(dir: &Path, random: &mut fastrand::Rng) {
    let names = [
        "a",
        "b c",
        "d'e\"f",
        "-g",
        "caf\u{e9}",
        "[x]",
        "{y}",
        "*",
        "~",
        "#",
        "\u{65e5}\u{672c}",
        ".hidden",
        "a.b.c",
    ];
    let mut made = Vec::new();
    for number in 0..random.usize(5..40) {
        let depth = random.usize(1..4);
        let parts: Vec<&str> = (0..depth).map(|_| *random.choice(&names).unwrap()).collect();
        let path = dir.join("data").join(parts.join("/")).join(format!("{number}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match random.u8(0..8) {
            0 => fs::create_dir(&path).unwrap(),
            1 if !made.is_empty() => symlink(random.choice(&made).unwrap(), &path).unwrap(),
            _ => {
                let size = random.choice([0, 1, 511, 512, 513, 300_000]).unwrap();
                fs::write(&path, (0..size).map(|_| random.u8(..)).collect::<Vec<u8>>()).unwrap();
                let mode = random.choice([0o644, 0o755, 0o600, 0o700, 0o664, 0o444]).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                made.push(format!("{number}"));
            }
        }
    }
}

/// Every member with what it has to be, but what says when and where the file was made.
fn members(file: &Path) -> BTreeMap<String, String> {
    let manifest = manifest_of(file, &Limits::default()).unwrap().unwrap();
    let members = Manifest::parse(&manifest).unwrap().members.into_iter();
    members
        .filter(|entry| entry.path != ".metadata.json")
        .map(|entry| (entry.path, format!("{:?}", entry.kind)))
        .collect()
}

#[test]
fn what_is_packed_again_is_what_was_released() {
    for seed in 0..8 {
        let sandbox = Sandbox::new();
        let dir = sandbox.plugin("p");
        fill(&dir, &mut fastrand::Rng::with_seed(seed));
        sandbox.ok(["release", "-q", "-C", "p"]);
        sandbox.ok(["install", FILE]);
        sandbox.ok(["verify"]).says("p is as it was packed");
        sandbox.ok(["repackage", "p", "--output", "again"]);
        let [released, again] =
            [FILE.to_owned(), format!("again/{FILE}")].map(|file| members(&sandbox.work().join(file)));
        assert!(released.len() > 5);
        assert_eq!(again, released, "seed {seed}");
    }
}
