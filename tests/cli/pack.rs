//! `mwp pack`: what ends up in a `.plugin` file, and what keeps one from being made.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Done, Sandbox, tree};

const NAME: &str = "hello-0.0.1-1.metwork.mfserv.plugin";

/// The members as GNU tar lists them.
fn members(file: &Path) -> Vec<String> {
    let list = Done::of(Command::new("tar").args(["--quoting-style=literal", "-tf"]).arg(file)).succeeded();
    list.stdout.lines().map(str::to_owned).collect()
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

fn packed(sandbox: &Sandbox, extra: &[&str]) -> Vec<String> {
    sandbox.ok([&["pack", "-C", "hello"], extra].concat());
    members(&sandbox.work().join(NAME))
}

#[test]
fn a_plugin_becomes_one_file_that_tar_reads() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    sandbox.write_executable("hello/bin/run me", "#!/bin/sh\n");
    sandbox.write("hello/it's \"quoted\" \u{e9}.txt", "x");
    sandbox.write("hello/empty file", "");
    fs::create_dir(plugin.join("empty dir")).unwrap();
    symlink("bin/run me", plugin.join("link")).unwrap();
    let long = format!("hello/{}/{}", "d".repeat(90), "f".repeat(200));
    sandbox.write(&long, "long");
    symlink("x".repeat(150), plugin.join("long link")).unwrap();
    let done = sandbox.ok(["pack", "-C", "hello"]);
    assert_eq!(done.stdout, format!("{NAME}\n"));
    let expected = [
        "metwork_plugin/".to_owned(),
        "metwork_plugin/.layerapi2_label".to_owned(),
        "metwork_plugin/.metadata.json".to_owned(),
        "metwork_plugin/.files.json".to_owned(),
        "metwork_plugin/.mwp_manifest.json".to_owned(),
        // Of each directory the directories, then the files by their extensions.
        "metwork_plugin/bin/".to_owned(),
        format!("metwork_plugin/{}/", "d".repeat(90)),
        "metwork_plugin/empty dir/".to_owned(),
        "metwork_plugin/empty file".to_owned(),
        "metwork_plugin/link".to_owned(),
        "metwork_plugin/long link".to_owned(),
        "metwork_plugin/config.ini".to_owned(),
        "metwork_plugin/.layerapi2_dependencies".to_owned(),
        "metwork_plugin/.plugin_format_version".to_owned(),
        "metwork_plugin/it's \"quoted\" \u{e9}.txt".to_owned(),
        "metwork_plugin/bin/run me".to_owned(),
        format!("metwork_plugin/{}", long.strip_prefix("hello/").unwrap()),
    ];
    assert_eq!(members(&sandbox.work().join(NAME)), expected);

    let out = sandbox.work().join("out");
    fs::create_dir(&out).unwrap();
    Done::of(Command::new("tar").args(["--zstd", "-xf"]).arg(sandbox.work().join(NAME)).arg("-C").arg(&out))
        .succeeded();
    let home = out.join("metwork_plugin");
    assert_eq!(fs::read_to_string(home.join("bin/run me")).unwrap(), "#!/bin/sh\n");
    assert_eq!(fs::metadata(home.join("bin/run me")).unwrap().mode() & 0o777, 0o755);
    assert_eq!(fs::metadata(home.join("config.ini")).unwrap().mode() & 0o777, 0o644);
    assert_eq!(fs::read_link(home.join("link")).unwrap(), Path::new("bin/run me"));
    assert_eq!(fs::read_link(home.join("long link")).unwrap(), PathBuf::from("x".repeat(150)));
    assert_eq!(
        fs::metadata(home.join("config.ini")).unwrap().mtime(),
        fs::metadata(plugin.join("config.ini")).unwrap().mtime()
    );
}

#[test]
fn the_same_tree_yields_the_same_bytes() {
    let sandbox = Sandbox::new();
    let fill = |name: &str, order: &[&str], executable: u32, plain: u32, age: u64| {
        let dir = sandbox.work().join(name).join("hello");
        fs::create_dir_all(&dir).unwrap();
        for file in order {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let content = match *file {
                ".layerapi2_label" => "plugin_hello@mfserv\n",
                "config.ini" => crate::support::CONFIG,
                ".plugin_format_version" => "1.0.0\n",
                name => name,
            };
            fs::write(&path, content).unwrap();
            let mode = if file.starts_with("bin/") { executable } else { plain };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            File::options().read(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        symlink("lib/a.py", dir.join("link")).unwrap();
        let out = sandbox.work().join(name);
        let mut command = sandbox.mwp(["pack", "-q", "-C"]);
        command.arg(&dir).arg("--output").arg(&out).env("SOURCE_DATE_EPOCH", "1700000000");
        command.env("MWP_CACHE_DIR", out.join("cache"));
        Done::of(&mut command).succeeded();
        fs::read(out.join(NAME)).unwrap()
    };
    let mut files = vec![
        ".layerapi2_label",
        "config.ini",
        ".plugin_format_version",
        "bin/run",
        "lib/a.py",
        "lib/b.py",
        "z",
        "A",
    ];
    let one = fill("one", &files, 0o750, 0o640, 5000);
    files.reverse();
    let two = fill("two", &files, 0o775, 0o664, 10);
    assert!(one == two, "the files differ");
    let info = sandbox.ok(["info", &format!("one/{NAME}")]);
    let info = info.prints("Build Date: 2023-11-14T22:13:20Z").prints("Build Host: reproducible-");

    // An edit that keeps the size must not keep the hash that provisioning compares.
    let hash = sandbox.ok(["hash", &format!("one/{NAME}")]).stdout;
    fs::write(sandbox.work().join("two/hello/z"), "y").unwrap();
    let mut command = sandbox.mwp(["pack", "-q", "-C", "two/hello", "--output", "two"]);
    Done::of(command.env("SOURCE_DATE_EPOCH", "1700000000")).succeeded();
    assert_ne!(sandbox.ok(["hash", &format!("two/{NAME}")]).stdout, hash);
    drop(info);
}

#[test]
fn frames_of_an_earlier_run_are_reused_and_damage_is_a_miss() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    for n in 0..40 {
        sandbox.write(&format!("hello/data/{n:02}"), noise(n, 200_000));
    }
    sandbox.write("hello/large", noise(99, 13_000_000));
    let pack = || -> serde_json::Value {
        let mut command = sandbox.mwp(["pack", "--json", "-C", "hello"]);
        let done = Done::of(command.env("SOURCE_DATE_EPOCH", "1700000000")).succeeded();
        serde_json::from_str::<serde_json::Value>(&done.stdout).unwrap()[0].clone()
    };
    let first = pack();
    let frames = first["frames"].as_u64().unwrap();
    assert!(frames >= 5, "{first}");
    assert_eq!(first["frames_reused"], 0);
    let bytes = fs::read(sandbox.work().join(NAME)).unwrap();
    assert_eq!(pack()["frames_reused"].as_u64().unwrap(), frames);
    assert!(fs::read(sandbox.work().join(NAME)).unwrap() == bytes);

    sandbox.write("hello/data/20", "edited");
    let reused = pack()["frames_reused"].as_u64().unwrap();
    assert!((frames - 3..frames).contains(&reused), "{reused} of {frames}");

    let store = sandbox.path("home/.cache/mwp/frames-v1");
    for entry in tree(&store).iter().map(|entry| store.join(entry)).filter(|entry| entry.is_file()) {
        let half = fs::read(&entry).unwrap().len() / 2;
        File::options().write(true).open(&entry).unwrap().set_len(half as u64).unwrap();
    }
    let edited = fs::read(sandbox.work().join(NAME)).unwrap();
    assert_eq!(pack()["frames_reused"], 0);
    assert!(fs::read(sandbox.work().join(NAME)).unwrap() == edited);
    pack();
    assert_eq!(pack()["frames_reused"].as_u64().unwrap(), frames);

    // Found only when it is copied, after its record said that it fits.
    let entries = tree(&store).into_iter().map(|entry| store.join(entry));
    let frame = entries.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap();
    let mut content = fs::read(&frame).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&frame, content).unwrap();
    for _ in 0..2 {
        pack();
        assert!(fs::read(sandbox.work().join(NAME)).unwrap() == edited);
    }
    assert_eq!(pack()["frames_reused"].as_u64().unwrap(), frames);
}

#[test]
fn gzip_is_read_by_upstreams_reader() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    sandbox.write(&format!("hello/{}/{}", "\u{e9}".repeat(60), "f".repeat(100)), "long");
    sandbox.write("hello/large", vec![b'x'; 9_000_000]);
    symlink("config.ini", plugin.join("link")).unwrap();
    sandbox.ok(["pack", "--format", "gzip", "-C", "hello"]);
    let script = "
import gzip, json, sys, tarfile, zlib
data = open(sys.argv[1], 'rb').read()
one = zlib.decompressobj(31); one.decompress(data); assert one.eof and not one.unused_data, 'one ordinary stream'
tf = tarfile.open(name=sys.argv[1], mode='r')
assert tf.extractfile('metwork_plugin/.layerapi2_label').read() == b'plugin_hello@mfserv\\n'
metadata = json.load(tf.extractfile('metwork_plugin/.metadata.json'))
assert sorted(metadata) == sorted(['version', 'release', 'build_host', 'build_date', 'size', 'summary', 'license', 'packager', 'vendor', 'url'])
assert all(isinstance(value, str) for value in metadata.values())
assert metadata['packager'] == 'me@localhost', metadata
files = json.load(tf.extractfile('metwork_plugin/.files.json'))
shipped = [m for m in tf if not m.isdir()]
assert int(metadata['size']) == sum(m.size for m in shipped if m.isfile() and not m.name.endswith('.json'))
assert sorted(files) == sorted(m.name for m in shipped if not m.name.endswith('.json')), files
assert all((m.uid, m.gid, m.uname, m.gname) == (0, 0, '', '') for m in tf)
assert tf.getmember('metwork_plugin/link').linkname == 'config.ini'
print('ok')
";
    Done::of(Command::new("python3").args(["-c", script]).arg(sandbox.work().join(NAME)))
        .succeeded()
        .prints("ok");
    sandbox.ok(["info", "--files", NAME]).prints("Name: hello\n").prints("\n- metwork_plugin/config.ini\n");
}

#[test]
fn releaseignore_and_built_in_exclusions_keep_files_out() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    for path in [
        "local/bin/tool",
        "docs/a.txt",
        "docs/keep.txt",
        "a.log",
        ".git/HEAD",
        "lib/.git",
        ".mwp/state",
        "lib/__pycache__/m.pyc",
        "lib/m.py",
        "lib/m.pyc",
        "lib/sourceless.pyc",
        "old.plugin",
        "dump.tar.gz",
        "sub/dump.tar.gz",
        ".configuration_cache",
        "tmp_build/x",
        ".metadata.json",
        ".files.json",
        "python3_virtualenv_sources/requirements3.txt",
        "python3_virtualenv_sources/requirements3.txt.tmp",
        "python3_virtualenv_sources/tempolayer_1/x",
        "logs/x.log",
    ] {
        sandbox.write(&format!("hello/{path}"), "{}");
    }
    sandbox.write("hello/.releaseignore", "/local\ndocs/*\n!docs/keep.txt\n*.log\nconfig.ini\n");
    let done = sandbox.ok(["pack", "-C", "hello"]);
    done.says("warning: `.releaseignore` excludes `config.ini`")
        .says("hint: take it out of `.releaseignore`");
    let mut shipped = members(&sandbox.work().join(NAME)).split_off(5);
    shipped.sort();
    assert_eq!(
        shipped,
        [
            ".layerapi2_dependencies",
            ".plugin_format_version",
            ".releaseignore",
            "config.ini",
            "docs/",
            "docs/keep.txt",
            "lib/",
            "lib/m.py",
            "lib/sourceless.pyc",
            "logs/",
            "python3_virtualenv_sources/",
            "python3_virtualenv_sources/requirements3.txt",
            "sub/",
            "sub/dump.tar.gz",
        ]
        .map(|path| format!("metwork_plugin/{path}"))
    );
}

#[test]
fn a_bad_pattern_is_an_error_with_file_and_line() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    sandbox.write("hello/.releaseignore", "*.log\n\na[b\n");
    sandbox
        .fails(1, ["pack", "-C", "hello"])
        .says("error: hello/.releaseignore:3:1: found the pattern `a[b`");
    assert!(!sandbox.work().join(NAME).exists());
    fs::remove_file(sandbox.work().join("hello/.releaseignore")).unwrap();
    symlink("gone", sandbox.work().join("hello/.releaseignore")).unwrap();
    for command in ["check", "pack"] {
        sandbox
            .fails(1, [command, "-C", "hello"])
            .says(".releaseignore` is a link that leads nowhere")
            .says("hint: ");
    }
}

#[test]
fn secrets_are_told_and_not_kept_back() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    sandbox.write("hello/.env", "TOKEN=1\n");
    sandbox.write("hello/tls/server.key", "-----BEGIN EC PRIVATE KEY-----\n");
    sandbox.write("hello/node_modules/x/test.key", "-----BEGIN EC PRIVATE KEY-----\n");
    let done = sandbox.ok(["pack", "-C", "hello"]);
    let done = done
        .says("warning: `.env` is named like")
        .says("hint: if it is a secret, add `/.env` to `.releaseignore`");
    let done = done.says("warning: `tls/server.key` holds a private key");
    assert_eq!(done.stderr.matches("warning:").count(), 2, "{}", done.stderr);
}

#[test]
fn what_a_plugin_file_cannot_hold_is_refused_all_at_once() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    let left = tree(&sandbox.work());
    symlink("/etc/passwd", plugin.join("absolute")).unwrap();
    symlink("../../etc", plugin.join("outside")).unwrap();
    fs::create_dir_all(plugin.join("a/b")).unwrap();
    symlink("../..", plugin.join("a/b/top")).unwrap();
    symlink("a/b/top/../x", plugin.join("crooked")).unwrap();
    Done::of(Command::new("mkfifo").arg(plugin.join("pipe"))).succeeded();
    let _socket = std::os::unix::net::UnixListener::bind(plugin.join("socket")).unwrap();
    fs::write(plugin.join("new\nline\u{1b}[31m"), "").unwrap();
    fs::write(plugin.join(OsStr::from_bytes(b"latin-\xe9")), "").unwrap();
    symlink("turn", plugin.join("turn")).unwrap();
    let done = sandbox.fails(1, ["pack", "-C", "hello"]);
    for problem in [
        "error: `pipe`: found a named pipe; files, directories and links are allowed",
        "error: `socket`: found a socket; files, directories and links are allowed",
        "error: `new\\nline\\u{1b}[31m`: found a control character in the name",
        "error: `latin-\\xe9`: found a name that is not UTF-8",
        "error: `turn`: found a link to `turn`, which never ends: the links lead to each other",
    ] {
        assert!(done.stderr.contains(problem), "no {problem:?} in:\n{}", done.stderr);
    }
    assert_eq!(done.stderr.matches("error:").count(), 5);
    assert_eq!(done.stderr.matches("hint:").count(), 5);
    let added = tree(&sandbox.work()).len() - left.len();
    assert_eq!(added, 11, "nothing was left behind");
    // The same before anything is packed.
    let checked = sandbox.fails(1, ["check", "-C", "hello"]);
    assert_eq!(checked.stderr.matches("error:").count(), 5, "{}", checked.stderr);

    sandbox.write("hello/.releaseignore", "turn\npipe\nsocket\nnew*\nlatin*\n");
    sandbox.ok(["pack", "-C", "hello"]);
}

#[test]
fn a_bad_source_date_epoch_is_named() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    let mut command = sandbox.mwp(["pack", "-C", "hello"]);
    let done = Done::of(command.env("SOURCE_DATE_EPOCH", "yesterday")).exited(1);
    done.says("error: SOURCE_DATE_EPOCH is `yesterday`; seconds since 1970 are allowed")
        .says("hint: set it to");
}

#[test]
fn a_version_for_the_shell_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    sandbox.write("hello/config.ini", crate::support::CONFIG.replace("0.0.1", "1;touch pwned"));
    sandbox.fails(1, ["pack", "-C", "hello"]).says("_version: found `1;touch pwned`");
    assert!(!sandbox.work().join("pwned").exists());
}

#[test]
fn hard_links_become_files_of_their_own() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    sandbox.write("hello/one", "same");
    fs::hard_link(plugin.join("one"), plugin.join("two")).unwrap();
    sandbox.ok(["pack", "-C", "hello"]);
    let list = Done::of(Command::new("tar").arg("-tvf").arg(sandbox.work().join(NAME))).succeeded();
    assert_eq!(list.stdout.lines().filter(|line| line.starts_with('h')).count(), 0);
    assert_eq!(
        list.stdout.lines().filter(|line| line.contains(" 4 ") && line.starts_with("-rw-r--r-- 0/0")).count(),
        2
    );
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_an_error() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.plugin("hello");
    let growing = plugin.join("growing");
    fs::write(&growing, vec![b'x'; 12_000_000]).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().append(true).open(&growing).unwrap();
            let mut size = 12_000_000;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                size += 1;
                file.set_len(size).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let done = sandbox.fails(1, ["pack", "-C", "hello"]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        done.says("`hello/growing` changed while it was packed").says("hint: run the same command again");
    });
    assert!(!sandbox.work().join(NAME).exists());
}

#[test]
fn killed_at_any_instant_it_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    for n in 0..60 {
        sandbox.write(&format!("hello/data/{n:02}"), noise(n, 200_000));
    }
    for milliseconds in (2..200).step_by(20) {
        let out = sandbox.work().join(format!("out{milliseconds}"));
        let mut child = sandbox.mwp(["pack", "-q", "-C", "hello", "--output"]).arg(&out).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let finished = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        if !finished && out.exists() {
            // Killed just after the last step the file may be there, but then it is whole.
            for file in tree(&out) {
                assert_eq!(file, NAME);
                Done::of(Command::new("tar").arg("-tf").arg(out.join(file))).succeeded();
            }
        }
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    sandbox.write("hello/noise", noise(1, 3_000_000));
    let small = sandbox.work().join("small");
    fs::create_dir(&small).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&small).output();
    if !mount.as_ref().is_ok_and(|done| done.status.success()) {
        println!("skipped: mounting a small file system is refused here");
        return;
    }
    let done =
        Done::of(sandbox.mwp(["pack", "-C", "hello", "--output", "small"]).env("MWP_CACHE_DIR", &small));
    let left = tree(&small);
    Done::of(Command::new("umount").arg(&small)).succeeded();
    let done = done.exited(3);
    done.says("no space left on device").says("hint: free some space there");
    assert_eq!(
        left.iter().filter(|name| name.ends_with(".plugin") || name.contains("tmp")).count(),
        0,
        "{left:?}"
    );
}

#[test]
fn several_plugins_are_packed_at_once() {
    let sandbox = Sandbox::new();
    sandbox.plugin("hello");
    sandbox.plugin("other");
    let done = sandbox.ok(["pack", "-q", "-C", "hello", "-C", "other", "--output", "new/dir"]);
    assert_eq!(
        done.stdout,
        "new/dir/hello-0.0.1-1.metwork.mfserv.plugin\nnew/dir/other-0.0.1-1.metwork.mfserv.plugin\n"
    );
    assert_eq!(tree(&sandbox.work().join("new/dir")).len(), 2);
    assert_eq!(packed(&sandbox, &[]).len(), 8);
}
