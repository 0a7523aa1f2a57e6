//! Updates that pass over frames.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::artifact::Format;
use crate::artifact::pack::pack_stand_in;

/// The times of all files.
const EPOCH: i64 = 1_700_000_000;

/// A plugin with packages in frames of their own, and its versions.
struct Versions {
    root: tempfile::TempDir,
}

impl Versions {
    /// With the first one unpacked.
    fn new() -> Versions {
        let versions = Versions { root: tempfile::tempdir().unwrap() };
        versions.write(".layerapi2_label", b"plugin_hello@mfserv\n");
        versions.write("config.ini", b"[general]\n_version=1\n");
        for number in 0..60_u8 {
            versions.write(&format!("node_modules/a/{number}.js"), &[number; 100_000]);
        }
        versions.write("node_modules/a/large.js", &[7; 9_000_000]);
        versions.unpack("one", None);
        versions
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path("hello").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write_atomic_with_mode(&path, content, 0o644).unwrap();
    }

    /// Packs the plugin as it is and unpacks it as `name`, over another version.
    fn unpack(&self, name: &str, over: Option<&str>) -> Unpacked {
        let file = pack_stand_in(&self.path("hello"), self.root.path(), Format::Zstd, EPOCH);
        let installed = over.map(|over| Installed { home: self.path(over), may_link: true });
        unpack_update(&file, &self.path(name), installed.as_ref(), &Limits::default()).unwrap()
    }

    /// Content and time of every package's file.
    fn packages(&self, name: &str) -> BTreeMap<PathBuf, (Vec<u8>, i64)> {
        let files = fs::list(&self.path(name).join("node_modules/a")).unwrap().into_iter();
        let file = |path: PathBuf| {
            let content = (fs::read(&path).unwrap(), path.metadata().unwrap().mtime());
            (path.file_name().unwrap().into(), content)
        };
        files.map(file).collect()
    }

    /// An update over what `one` has become is as good as a new installation; how many files have a second name.
    fn assert_update_is_whole(&self) -> usize {
        let updated = self.unpack("two", Some("one"));
        self.unpack("new", None);
        assert_eq!(self.packages("two"), self.packages("new"));
        assert!(self.packages("two").values().all(|(_, modified)| *modified == EPOCH));
        // What it writes down is as good, too.
        let list = |name| FrameList::read(&self.path(name)).frames(|_| true).count();
        assert_eq!(list("two"), list("new"));
        updated.shared.len()
    }
}

#[test]
fn what_is_in_unchanged_frames_is_taken_and_the_rest_is_read() {
    let versions = Versions::new();
    versions.write("node_modules/a/30.js", b"other");
    versions.write("node_modules/a/new.js", b"new");
    assert_eq!(versions.assert_update_is_whole(), 60);
}

#[test]
fn a_large_file_that_changed_behind_its_first_frame_comes_from_the_archive() {
    let versions = Versions::new();
    let mut large = vec![7; 9_000_000];
    large[8_000_000] = 8;
    versions.write("node_modules/a/large.js", &large);
    assert_eq!(versions.assert_update_is_whole(), 60);
}

#[test]
fn what_is_no_more_as_it_was_unpacked_comes_from_the_archive() {
    let versions = Versions::new();
    let file = |number: u8| versions.path("one").join(format!("node_modules/a/{number}.js"));
    fs::remove_file(&file(1)).unwrap();
    // Same size, same time.
    fs::write_atomic_with_mode(&file(2), &[0; 100_000], 0o644).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(EPOCH as u64);
    std::fs::File::open(file(2)).unwrap().set_modified(time).unwrap();
    std::fs::File::open(file(3)).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(versions.assert_update_is_whole(), 58);
}

#[test]
fn a_list_of_frames_that_lies_is_found_out() {
    let lies: [fn(&mut Vec<Member>); 5] = [
        |members| members.truncate(members.len() - 1),
        |members| {
            members
                .push(Member { path: b"metwork_plugin/node_modules/a/evil".to_vec(), ..members[0].clone() });
        },
        |members| members.push(Member { path: b"metwork_plugin/../evil".to_vec(), ..members[0].clone() }),
        |members| members.iter_mut().for_each(|member| member.modified += 1),
        |members| members.iter_mut().for_each(|member| member.size += 1),
    ];
    for lie in lies {
        let versions = Versions::new();
        let list = FrameList::read(&versions.path("one"));
        let changed = frame_list::changed(list, lie);
        fs::write_atomic(&versions.path("one").join(frame_list::FILE), &changed).unwrap();
        versions.assert_update_is_whole();
        assert!(!versions.path("evil").exists());
    }
}
