//! Unpacking: what is merely unusual, what the limits are, our own files, and the manifest.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use mwp::artifact::{DamageKind, Limits, unpack, verify};

use crate::support::tar::{LABEL, METADATA, Tar, record};
use crate::support::unpacking::{all_refused, gzip, try_unpack, within_memory, zstd};
use crate::support::{Done, Sandbox, tree};

const IN: &str = "metwork_plugin";

#[test]
fn what_is_merely_unusual_is_unpacked() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("staging")).unwrap();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let archive = Tar(Vec::new())
        // Members before their directories, and before the description.
        .member("metwork_plugin/bin/tool", b'0', 0o6777, b"", b"#!/bin/sh\n")
        .member("metwork_plugin/secret", b'\0', 0o600, b"", b"key")
        .hard_link("metwork_plugin/bin/same", "metwork_plugin/bin/tool")
        .member("metwork_plugin/bin/", b'5', 0o1777, b"", b"")
        .member("metwork_plugin/closed/", b'5', 0o000, b"", b"")
        .file("metwork_plugin/closed/file", "x")
        .file("metwork_plugin/.configuration_cache", "a pickle")
        .link("metwork_plugin/dangling", "nowhere/yet")
        .link("metwork_plugin/bin/up", "../secret")
        .long_name(format!("{IN}/{long}"))
        .file("short", "long")
        .pax(&[record("path", "metwork_plugin/caf\u{e9}".as_bytes()), record("mtime", b"1234.5")])
        .file("ascii", "pax")
        .member("g", b'g', 0, b"", &record("comment", b"from git archive"))
        .pax(&[record("mtime", b"9999999999999999")])
        .file("metwork_plugin/from the future", "")
        .pax(&[record("mtime", b"-5")])
        .file("metwork_plugin/from before", "")
        .file("metwork_plugin/large", vec![b'x'; 3_000_000])
        .describe(LABEL, METADATA, "[]")
        .end();
    for archive in [archive.clone(), gzip(&archive), zstd(&archive)] {
        let done = try_unpack(&sandbox, &archive).unwrap();
        assert_eq!((done.label.name.as_str(), done.metadata.version.as_str()), ("hello", "1.0"));
        assert!(!done.verified);
        let home = sandbox.work().join("staging/hello");
        let mode = |path: &str| fs::symlink_metadata(home.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("bin/tool"), 0o755, "set-user-ID and foreign write permission are dropped");
        assert_eq!(mode("secret"), 0o600, "what only the owner may read stays so");
        assert_eq!(mode("bin"), 0o755);
        assert_eq!(mode("closed"), 0o700);
        let owner = fs::metadata(&home).unwrap().uid();
        assert_eq!(fs::metadata(home.join("bin/tool")).unwrap().uid(), owner);
        assert_eq!(fs::read_to_string(home.join("bin/same")).unwrap(), "#!/bin/sh\n");
        assert_eq!(fs::read_to_string(home.join(&long)).unwrap(), "long");
        assert_eq!(fs::read_to_string(home.join("bin/up")).unwrap(), "key");
        assert_eq!(fs::metadata(home.join("caf\u{e9}")).unwrap().mtime(), 1234);
        assert_eq!(fs::metadata(home.join("large")).unwrap().mtime(), 1_700_000_000);
        assert_eq!(fs::metadata(home.join("large")).unwrap().len(), 3_000_000);
        assert_eq!(fs::metadata(home.join("from before")).unwrap().mtime(), 0);
        assert_eq!(fs::read_link(home.join("dangling")).unwrap(), Path::new("nowhere/yet"));
        assert!(!home.join(".configuration_cache").exists(), "what upstream would execute");
        fs::remove_dir_all(&home).unwrap();
    }
}

#[test]
fn the_archives_of_python_and_gnu_tar_are_unpacked() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("staging")).unwrap();
    for (path, content) in
        [(".layerapi2_label", LABEL), (".metadata.json", METADATA), (".files.json", "[]"), ("x/y", "z")]
    {
        sandbox.write(&format!("metwork_plugin/{path}"), content);
    }
    sandbox.write(&format!("metwork_plugin/{}/{}", "\u{e9}".repeat(80), "n".repeat(150)), "long");
    let python = "
import sys, tarfile
for name, format in (('pax', tarfile.PAX_FORMAT), ('gnu', tarfile.GNU_FORMAT)):
    with tarfile.open(name + '.plugin', 'w:gz', format=format) as tar:
        tar.add('metwork_plugin')
";
    Done::of(Command::new("python3").args(["-c", python]).current_dir(sandbox.work())).succeeded();
    let gnu_tar = "tar -cf plain.plugin metwork_plugin && tar -czf gz.plugin metwork_plugin &&
        tar --format=posix --zstd -cf posix.plugin metwork_plugin && tar --format=ustar -cf ustar.plugin metwork_plugin/.[lmf]* metwork_plugin/x";
    Done::of(Command::new("sh").args(["-c", gnu_tar]).current_dir(sandbox.work())).succeeded();
    for name in ["pax", "gnu", "plain", "gz", "posix", "ustar"] {
        let home = sandbox.work().join("staging").join(name);
        let done = unpack(&sandbox.work().join(format!("{name}.plugin")), &home, &Limits::default());
        assert!(done.is_ok(), "{name}: {done:?}");
        assert_eq!(fs::read_to_string(home.join("x/y")).unwrap(), "z");
    }
}

#[test]
fn a_hundred_thousand_members_are_handled() {
    // In memory where there is such a place: on disks, this many names take half a minute whoever makes them.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory } else { Path::new("/tmp") };
    let root = tempfile::tempdir_in(place).unwrap();
    let file = root.path().join("x.plugin");
    let mut encoder = zstd::Encoder::new(File::create(&file).unwrap(), 1).unwrap();
    let mut tar = Tar(&mut encoder).describe(LABEL, METADATA, "[]");
    for n in 0..100_000 {
        tar = tar.link(&format!("metwork_plugin/d{}/l{n}", n / 1000), "x");
    }
    tar.end();
    encoder.finish().unwrap();
    let home = root.path().join("hello");
    let done = within_memory(|| unpack(&file, &home, &Limits::default()).unwrap());
    assert_eq!(done.files, 100_003);
}

#[test]
fn limits_are_the_callers() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("staging")).unwrap();
    let file = sandbox.write("x.plugin", Tar::plugin().file("metwork_plugin/x", vec![0; 5000]).end());
    let home = sandbox.work().join("staging/hello");
    for (limits, reason) in [
        (Limits { members: 3, ..Limits::default() }, "has more than 3 members"),
        (Limits { bytes: 4000, ..Limits::default() }, "unpacks to more than"),
        (Limits { names: 10, ..Limits::default() }, "10 B of names"),
        (Limits { depth: 0, ..Limits::default() }, "deeper than 0"),
    ] {
        let error = unpack(&file, &home, &limits).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!home.exists());
    }
    unpack(&file, &home, &Limits::default()).unwrap();
    let error = unpack(&file, &home, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("file exists"), "{error}");
    assert!(home.join("x").exists(), "what was there before is not touched");
}

/// A manifest of the good start and of `a` with the content `a`.
fn manifest(change: impl Fn(String) -> String) -> Vec<u8> {
    let sum = |content: &str| {
        use sha2::Digest;
        sha2::Sha256::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let entry = |path: &str, content: &str| {
        let (size, sum) = (content.len(), sum(content));
        format!(
            "{{\"path\":\"{path}\",\"kind\":\"file\",\"size\":{size},\"mode\":\"0644\",\"sha256\":\"{sum}\"}}"
        )
    };
    let entries = [
        entry(".layerapi2_label", LABEL),
        entry(".metadata.json", METADATA),
        entry(".files.json", "[]"),
        entry("a", "a"),
        "{\"path\":\"l\",\"kind\":\"link\",\"target\":\"a\"}".to_owned(),
    ];
    let manifest = change(format!("{{\"version\": 1, \"members\": [{}]}}", entries.join(",\n")));
    Tar::plugin()
        .file("metwork_plugin/.mwp_manifest.json", manifest)
        .file("metwork_plugin/a", "a")
        .link("metwork_plugin/l", "a")
        .end()
}

#[test]
fn an_archive_that_differs_from_its_manifest_is_refused() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("staging")).unwrap();
    assert!(try_unpack(&sandbox, &manifest(|same| same)).unwrap().verified);
    let late = Tar::plugin()
        .file("metwork_plugin/a", "a")
        .file("metwork_plugin/.mwp_manifest.json", "{\"version\": 1, \"members\": []}");
    let differs = "has `metwork_plugin/a`, which differs from its manifest";
    all_refused(vec![
        ("other content", manifest(|m| m.replace("ca978112", "00000000")), differs),
        ("other size", manifest(|m| m.replace("\"size\":1,", "\"size\":2,")), differs),
        (
            "other mode",
            manifest(|m| m.replace("\"size\":1,\"mode\":\"0644\"", "\"size\":1,\"mode\":\"0755\"")),
            differs,
        ),
        (
            "other label",
            manifest(|m| m.replace("\"size\":20,", "\"size\":21,")),
            "`metwork_plugin/.layerapi2_label`, which differs",
        ),
        (
            "other target",
            manifest(|m| m.replace("\"target\":\"a\"", "\"target\":\"b\"")),
            "`metwork_plugin/l`, which differs",
        ),
        (
            "other kind",
            manifest(|m| m.replace("\"kind\":\"link\",\"target\":\"a\"", "\"kind\":\"directory\"")),
            "`metwork_plugin/l`, which differs",
        ),
        (
            "member that is missing",
            manifest(|m| {
                m.replace("{\"path\":\"l\"", "{\"path\":\"z\",\"kind\":\"directory\"},{\"path\":\"l\"")
            }),
            "lacks `metwork_plugin/z`",
        ),
        (
            "member that is not listed",
            manifest(|m| m.replace("\"path\":\"l\"", "\"path\":\"m\"")),
            "`metwork_plugin/l`, which its manifest does not list",
        ),
        (
            "member listed twice",
            manifest(|m| m.replace("\"path\":\"l\"", "\"path\":\"a\"")),
            "lists a member twice",
        ),
        (
            "unknown version",
            manifest(|m| m.replace("\"version\": 1", "\"version\": 99")),
            "the manifest has version 99",
        ),
        ("no manifest in it", manifest(|_| "hello".to_owned()), "that cannot be read"),
        ("manifest at the end", late.end(), "has its manifest too late, behind `metwork_plugin/a`"),
    ]);
}

/// Our own file, unpacked.
fn installed(sandbox: &Sandbox) -> PathBuf {
    let plugin = sandbox.plugin("hello");
    sandbox.write_executable("hello/bin/run", "#!/bin/sh\n");
    sandbox.write("hello/lib/a.py", "a = 1\n");
    sandbox.write("hello/large", vec![b'x'; 9_000_000]);
    std::os::unix::fs::symlink("lib/a.py", plugin.join("link")).unwrap();
    sandbox.ok(["pack", "-q", "-C", "hello"]);
    let home = sandbox.work().join("home");
    let file = sandbox.work().join("hello-0.0.1-1.metwork.mfserv.plugin");
    let done = unpack(&file, &home, &Limits::default()).unwrap();
    assert!(done.verified);
    home
}

#[test]
fn our_own_files_come_out_as_they_went_in() {
    let sandbox = Sandbox::new();
    let home = installed(&sandbox);
    let plugin = sandbox.work().join("hello");
    let shipped: Vec<String> = tree(&home)
        .into_iter()
        .filter(|path| ![".metadata.json", ".files.json", ".mwp_manifest.json"].contains(&path.as_str()))
        .collect();
    assert_eq!(shipped, tree(&plugin));
    for path in shipped {
        let (from, to) = (plugin.join(&path), home.join(&path));
        assert_eq!(from.is_symlink(), to.is_symlink());
        if from.is_file() {
            assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap(), "{path}");
            assert_eq!(fs::metadata(&from).unwrap().mtime(), fs::metadata(&to).unwrap().mtime(), "{path}");
        }
    }
    assert_eq!(verify(&home, &[], &|_| false).unwrap(), []);
}

#[test]
fn verify_tells_what_is_missing_altered_added_and_of_another_mode() {
    let sandbox = Sandbox::new();
    let home = installed(&sandbox);
    fs::remove_file(home.join(".plugin_format_version")).unwrap();
    fs::write(home.join("lib/a.py"), "a = 2\n").unwrap();
    fs::write(home.join("lib/b.py"), "new\n").unwrap();
    fs::create_dir(home.join("new")).unwrap();
    fs::write(home.join("new/file"), "new\n").unwrap();
    fs::set_permissions(home.join("bin/run"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(home.join("link")).unwrap();
    std::os::unix::fs::symlink("lib/b.py", home.join("link")).unwrap();
    fs::create_dir(home.join("local")).unwrap();
    fs::create_dir(home.join("lib/__pycache__")).unwrap();
    let damages = verify(&home, &[], &|path| path == Path::new("local")).unwrap();
    let told: Vec<String> = damages.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`.plugin_format_version` is missing",
            "`bin/run` has mode 0644 instead of 0755",
            "`lib/a.py` was altered",
            "`lib/b.py` was added",
            "`link` was altered",
            "`new` was added",
        ]
    );
    assert_eq!(damages[0].kind, DamageKind::Missing);
    fs::remove_file(home.join(".mwp_manifest.json")).unwrap();
    let error = verify(&home, &[], &|_| false).unwrap_err();
    assert!(error.to_string().contains("has no `.mwp_manifest.json`"), "{error}");
}
