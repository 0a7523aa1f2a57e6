//! Whatever a `.plugin` file holds, it is unpacked as its manifest says, or refused with its name and nothing is left.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::frame::Encoder;
use super::frames::Frames;
use super::header::BLOCK;
use super::pack::pack_stand_in;
use super::*;
use crate::fs;
use crate::fuzz::{Target, names_file};

const WORDS: &[&str] = &[
    "metwork_plugin/",
    ".mwp_manifest.json",
    ".metadata.json",
    ".files.json",
    ".layerapi2_label",
    "ustar",
    "././@LongLink",
    "path=",
    "linkpath=",
    "size=",
    "\"sha256\":\"",
    "\"size\":",
    "\"kind\":\"link\"",
    "\"target\":\"../x\"",
    "\"mode\":\"4755\"",
    "/etc/passwd",
    "../",
];

fn limits() -> Limits {
    Limits {
        members: 200,
        bytes: 2_000_000,
        ratio: 1,
        names: 20_000,
        depth: 20,
        path: 300,
        ..Limits::default()
    }
}

/// A plugin with a bit of everything, packed.
fn packed(format: Format) -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("hello");
    for (name, content) in [
        (".layerapi2_label", "plugin_hello@mfserv\n"),
        ("config.ini", "[general]\n_version=1\n"),
        ("bin/run", "#!/bin/sh\n"),
        ("data/deep/er/file", "content\n"),
        ("private", "secret\n"),
    ] {
        fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
        fs::write_atomic_with_mode(&tree.join(name), content.as_bytes(), 0o644).unwrap();
    }
    fs::set_mode(&tree.join("bin/run"), 0o755).unwrap();
    fs::set_mode(&tree.join("private"), 0o600).unwrap();
    fs::symlink(Path::new("deep/er"), &tree.join("data/link")).unwrap();
    fs::read(&pack_stand_in(&tree, root.path(), format, 1_700_000_000)).unwrap()
}

fn tar(compressed: &[u8]) -> Vec<u8> {
    zstd::decode_all(compressed).unwrap()
}

/// The members of a tar but for one.
fn without(tar: &[u8], name: &str) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at + BLOCK <= tar.len() {
        let mut header = ::tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&tar[at..at + BLOCK]);
        let size = usize::try_from(header.entry_size().unwrap_or(0)).unwrap();
        let end = at + BLOCK + size.div_ceil(BLOCK) * BLOCK;
        if !header.path_bytes().ends_with(name.as_bytes()) {
            kept.extend_from_slice(&tar[at..end]);
        }
        at = end;
    }
    kept
}

/// Makes the checksums of all that may be headers right again: a reader that stops there finds nothing.
fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        let mut header = ::tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
    }
    tar
}

fn in_frames(tar: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(Format::Zstd).unwrap();
    let pieces = tar.chunks(4 * BLOCK + 100);
    pieces.flat_map(|piece| encoder.frame(piece).unwrap().bytes.to_vec()).collect()
}

/// Unpacks it in a directory where nothing else may change.
fn unpacked_or_refused(archive: &[u8]) {
    let root = tempfile::tempdir().unwrap();
    let (file, precious) = (root.path().join("x.plugin"), root.path().join("precious"));
    let into = root.path().join("base/hello");
    fs::create_dir_all(into.parent().unwrap()).unwrap();
    fs::write_atomic(&file, archive).unwrap();
    fs::write_atomic(&precious, b"precious").unwrap();

    if let Err(error) = Artifact::open(&file) {
        names_file(&error, &file);
    }
    if let Err(error) = manifest_of(&file, &limits()) {
        names_file(&error, &file);
    }
    match unpack(&file, &into, &limits()) {
        Err(error) => {
            names_file(&error, &file);
            assert!(!fs::exists(&into), "something is left");
        }
        Ok(unpacked) => {
            if unpacked.verified {
                assert_eq!(verify(&into, &[], &|_| false).unwrap(), []);
            }
            inside(&into, &into);
        }
    }
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert_eq!(fs::list(root.path()).unwrap().len(), 3);
    assert!(fs::list(into.parent().unwrap()).unwrap().iter().all(|path| *path == into));
}

/// Files, directories and links that stay inside, with modes that we give.
fn inside(dir: &Path, top: &Path) {
    for path in fs::list(dir).unwrap() {
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_symlink() {
            if let Ok(real) = std::fs::canonicalize(&path) {
                assert!(real.starts_with(std::fs::canonicalize(top).unwrap()), "{}", path.display());
            }
            continue;
        }
        assert!(metadata.is_file() || metadata.is_dir(), "{}", path.display());
        assert!([0o644, 0o755, 0o600, 0o700].contains(&(metadata.mode() & 0o7777)), "{}", path.display());
        if metadata.is_dir() {
            inside(&path, top);
        }
    }
}

#[test]
fn a_damaged_plugin_file_is_refused_and_nothing_is_left() {
    let (zstd, gzip) = (packed(Format::Zstd), packed(Format::Gzip));
    let target = Target::new("plugin-file").seed(tar(&zstd)).seed(zstd).seed(gzip).words(WORDS);
    target.cases(200).run(unpacked_or_refused);
}

#[test]
fn a_tar_that_somebody_made_up_stays_inside_or_is_refused() {
    let ours = tar(&packed(Format::Zstd));
    let upstream = without(&ours, MANIFEST);
    let target = Target::new("tar").seed(ours).seed(upstream).words(WORDS).cases(200);
    target.run(|bytes| unpacked_or_refused(&in_frames(&with_checksums(bytes))));
}

#[test]
fn frames_are_read_as_the_ordinary_decoder_reads_them() {
    let target = Target::new("frames").seed(packed(Format::Zstd)).seed(in_frames(&[7; 30_000]));
    target.run(|bytes| {
        let mut file = fs::unnamed_file_in(&std::env::temp_dir()).unwrap();
        file.write_all(bytes).unwrap();
        let Some(frames) = Frames::of(&file, false).unwrap() else { return };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let read = frames.take(64 << 20).read_to_end(&mut ours);
        let expected = zstd::Decoder::new(bytes).unwrap().take(64 << 20).read_to_end(&mut theirs);
        assert_eq!(read.is_ok(), expected.is_ok(), "{read:?}, and theirs {expected:?}");
        assert!(read.is_err() || ours == theirs);
    });
}

#[test]
fn a_manifest_is_refused_or_read_back_as_it_is() {
    let manifest = r#"{"version": 1, "members": [
{"path":"a","kind":"directory"},{"path":"b","kind":"directory","mode":"0700"},
{"path":"a/c","kind":"file","size":3,"mode":"0644","sha256":"ab"},{"path":"l","kind":"link","target":"a"}]}"#;
    let target = Target::new("manifest").seed(manifest).words(WORDS).words(&[
        "\"x\":[",
        "1e99",
        "\"version\":",
        "null",
    ]);
    target.run(|bytes| match Manifest::parse_within(bytes, 100) {
        Ok(manifest) => {
            assert!(manifest.members.len() <= 100);
            assert_eq!(Manifest::parse(&manifest.to_bytes().unwrap()).unwrap(), manifest);
            let _ = manifest.bytes();
        }
        Err(error) => crate::fuzz::has_words(&error),
    });
}

#[test]
fn metadata_is_refused_or_read() {
    let metadata = r#"{"version": "1.0", "release": "1", "build_host": "box", "build_date": "2026-01-02T03:04:05Z",
        "size": "12", "summary": "s", "license": "BSD", "packager": "me", "vendor": "v", "url": "u"}"#;
    Target::new("metadata").seed(metadata).run(|bytes| match Metadata::parse(bytes) {
        Ok(metadata) => drop(metadata.plugin_hash()),
        Err(error) => crate::fuzz::has_words(&error),
    });
}
