//! Files that nobody touched are not read again, and all others are. Written in place, as other programs write.
#![allow(clippy::disallowed_methods)]

use std::fs::{rename, write};

use tempfile::TempDir;

use super::*;
use crate::artifact::exclude::Exclusions;
use crate::artifact::limits::Limits;
use crate::artifact::manifest::Manifest;
use crate::artifact::tree::Tree;

const LARGE: usize = 9 << 20;

struct Plugin {
    dir: TempDir,
    store: TempDir,
}

impl Plugin {
    fn new() -> Plugin {
        let plugin = Plugin { dir: tempfile::tempdir().unwrap(), store: tempfile::tempdir().unwrap() };
        for (name, content) in
            [(".layerapi2_label", "plugin_p@mfserv\n"), ("a", "aaaa"), ("b", "bbbb"), ("c", "password='x'\n")]
        {
            write(plugin.dir.path().join(name), content).unwrap();
        }
        write(plugin.dir.path().join("large"), vec![b'x'; LARGE]).unwrap();
        for name in ["a", "b", "c", "large"] {
            plugin.is_from_before(name);
        }
        plugin
    }

    fn is_from_before(&self, name: &str) {
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        set_modified(&self.dir.path().join(name), before);
    }

    fn nodes(&self) -> Vec<Node> {
        let exclusions = Exclusions::read(self.dir.path(), &|_| false).unwrap();
        Tree::walk(self.dir.path(), &exclusions, &Limits::default()).unwrap().nodes
    }

    fn run(&self, nodes: &[Node], read_at: Instant) -> Result<Compressed> {
        let store = FrameStore::new(Some(self.store.path()));
        let spool = Spool::new(&store, self.store.path());
        let compression = Compression {
            dir: self.dir.path(),
            format: Format::Zstd,
            source_date_epoch: Some(0),
            store: &store,
            spool: &spool,
            read_at,
        };
        compression.run(nodes)
    }

    /// A moment after all that was written so far.
    fn later(&self) -> Instant {
        let written = Instant::now(self.dir.path()).unwrap();
        loop {
            let now = Instant::now(self.dir.path()).unwrap();
            if now != written {
                return now;
            }
        }
    }

    /// Packs what is there now, and once more from scratch: both have to come to the same.
    fn agrees(&self) {
        let known = self.run(&self.nodes(), self.later()).unwrap();
        let fresh = Plugin { dir: tempfile::tempdir().unwrap(), store: tempfile::tempdir().unwrap() };
        for name in ["a", "b", "c", "large"] {
            std::fs::copy(self.dir.path().join(name), fresh.dir.path().join(name)).unwrap();
        }
        write(fresh.dir.path().join(".layerapi2_label"), "plugin_p@mfserv\n").unwrap();
        let fresh = fresh.run(&fresh.nodes(), Instant::NEVER).unwrap();
        assert_eq!(manifest_of(&known), manifest_of(&fresh));
        assert_eq!(known.warnings.len(), fresh.warnings.len());
    }
}

#[test]
fn files_that_nobody_touched_are_not_read_again() {
    let plugin = Plugin::new();
    let nodes = plugin.nodes();
    let first = plugin.run(&nodes, plugin.later()).unwrap();
    // What is not there cannot be read.
    for name in ["a", "b", "c", "large"] {
        std::fs::remove_file(plugin.dir.path().join(name)).unwrap();
    }
    let again = plugin.run(&nodes, Instant::NEVER).unwrap();
    assert_eq!((manifest_of(&again), again.warnings), (manifest_of(&first), first.warnings));
    assert_eq!(again.reused, again.pieces.len());
}

#[test]
fn what_was_changed_in_the_tick_in_which_it_was_read_is_read_again() {
    let plugin = Plugin::new();
    let nodes = plugin.nodes();
    plugin.run(&nodes, Instant::NEVER).unwrap();
    std::fs::remove_file(plugin.dir.path().join("a")).unwrap();
    assert!(plugin.run(&nodes, Instant::NEVER).is_err());
}

#[test]
fn what_was_written_a_moment_ago_is_read_again_as_it_may_be_mapped() {
    let plugin = Plugin::new();
    write(plugin.dir.path().join("a"), "aaaa").unwrap();
    let nodes = plugin.nodes();
    plugin.run(&nodes, plugin.later()).unwrap();
    std::fs::remove_file(plugin.dir.path().join("a")).unwrap();
    assert!(plugin.run(&nodes, plugin.later()).is_err());
}

#[test]
fn an_edit_is_seen_whatever_size_and_time_say() {
    let plugin = Plugin::new();
    plugin.run(&plugin.nodes(), plugin.later()).unwrap();
    let at = |name: &str| plugin.dir.path().join(name);
    let modified = at("a").metadata().unwrap().modified().unwrap();
    write(at("a"), "cccc").unwrap();
    set_modified(&at("a"), modified);
    plugin.agrees();
    let modified = at("large").metadata().unwrap().modified().unwrap();
    write(at("large"), vec![b'y'; LARGE]).unwrap();
    set_modified(&at("large"), modified);
    plugin.agrees();
    rename(at("a"), at("x")).unwrap();
    rename(at("b"), at("a")).unwrap();
    rename(at("x"), at("b")).unwrap();
    plugin.agrees();
    set_modified(&at("a"), std::time::UNIX_EPOCH);
    plugin.agrees();
}

#[test]
fn a_large_file_has_the_digest_of_its_bytes_and_an_edit_spares_what_is_before_it() {
    let plugin = Plugin::new();
    let path = plugin.dir.path().join("large");
    let digest_of = |made: &Compressed| {
        let kind = &manifest_of(made).members.into_iter().find(|entry| entry.path == "large").unwrap().kind;
        let MemberKind::File { sha256, .. } = kind else { panic!("{kind:?}") };
        assert_eq!(*sha256, hex(&Sha256::digest(std::fs::read(&path).unwrap())));
    };
    digest_of(&plugin.run(&plugin.nodes(), plugin.later()).unwrap());
    let mut content = std::fs::read(&path).unwrap();
    content[LARGE - 1] = b'y';
    write(&path, content).unwrap();
    plugin.is_from_before("large");
    let again = plugin.run(&plugin.nodes(), plugin.later()).unwrap();
    digest_of(&again);
    assert_eq!(again.reused + 1, again.pieces.len());
}

#[test]
fn a_large_file_that_shrinks_meanwhile_is_refused() {
    let plugin = Plugin::new();
    let nodes = plugin.nodes();
    for length in [LARGE - 1, 10, 0] {
        write(plugin.dir.path().join("large"), vec![b'x'; length]).unwrap();
        let refused = plugin.run(&nodes, Instant::NEVER).map(drop).unwrap_err().to_string();
        assert!(refused.contains("changed while it was packed"), "{refused}");
    }
}

#[test]
fn a_record_that_is_altered_or_lost_is_a_miss() {
    let plugin = Plugin::new();
    plugin.run(&plugin.nodes(), plugin.later()).unwrap();
    let store: Vec<_> = walk(plugin.store.path());
    assert!(store.len() > 4, "frames and records");
    for path in &store {
        let mut content = std::fs::read(path).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        write(path, content).unwrap();
    }
    plugin.agrees();
    for path in store {
        std::fs::remove_file(path).unwrap();
        plugin.agrees();
    }
}

fn manifest_of(made: &Compressed) -> Manifest {
    Manifest::parse(&Lines::whole(&made.lines)).unwrap()
}

fn set_modified(path: &Path, time: std::time::SystemTime) {
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
