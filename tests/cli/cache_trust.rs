//! The cache: what others can write to is not used, what is damaged or exchanged is a miss, and a cache that cannot be
//! used slows a build and never fails it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::{Done, Sandbox};

impl Sandbox {
    fn entries(&self, bucket: &str) -> Vec<PathBuf> {
        let bucket = self.path("home/.cache/mwp").join(bucket);
        let files = crate::support::tree(&bucket).into_iter().map(|path| bucket.join(path));
        files.filter(|path| path.is_file()).collect()
    }

    /// Cleans the plugin `p` and builds it again; returns its output.
    fn again(&self) -> String {
        self.ok(["clean", "-C", "p"]);
        self.ok(["build", "-C", "p"]);
        self.read("p/out/a.txt")
    }
}

#[test]
fn an_entry_in_the_place_of_another_is_a_miss() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    let first = sandbox.entries("tasks-v2");
    sandbox.write("p/in/a.txt", "other\n");
    sandbox.ok(["build", "-C", "p"]);
    let second: Vec<PathBuf> =
        sandbox.entries("tasks-v2").into_iter().filter(|path| !first.contains(path)).collect();
    assert_eq!((first.len(), second.len(), sandbox.runs()), (1, 1, 2));
    assert_eq!((sandbox.again().as_str(), sandbox.runs()), ("other\n", 2));
    fs::copy(&first[0], &second[0]).unwrap();
    assert_eq!((sandbox.again().as_str(), sandbox.runs()), ("other\n", 3));
}

/// An entry as it is written, with other members.
fn craft(entry: &Path, members: impl FnOnce(&mut tar::Builder<Vec<u8>>)) {
    use sha2::Digest;
    let mut tar = tar::Builder::new(Vec::new());
    members(&mut tar);
    let rest = zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap();
    let old = fs::read(entry).unwrap();
    let head = 12 + 32;
    let digest = sha2::Sha256::digest(&rest).to_vec();
    fs::write(entry, [&old[..head], &digest, &rest].concat()).unwrap();
}

fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    header
}

#[test]
fn an_entry_is_never_written_through_a_link_and_one_that_cannot_be_restored_is_a_miss() {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    type Members = fn(&mut tar::Builder<Vec<u8>>, &str);
    let cases: [Members; 5] = [
        |tar, outside| {
            tar.append_link(&mut header(Symlink, 0), "out", outside).unwrap();
            tar.append_data(&mut header(Regular, 4), "out/a.txt", &b"evil"[..]).unwrap();
        },
        |tar, outside| {
            let inside = format!("{outside}/a.txt");
            tar.append_data(&mut header(Directory, 0), "out", &b""[..]).unwrap();
            tar.append_link(&mut header(Symlink, 0), "out/a.txt", inside).unwrap();
            tar.append_data(&mut header(Regular, 4), "out/a.txt", &b"evil"[..]).unwrap();
        },
        |tar, outside| {
            tar.append_link(&mut header(Symlink, 0), "out", outside).unwrap();
            tar.append_data(&mut header(Directory, 0), "out", &b""[..]).unwrap();
        },
        |tar, outside| {
            tar.append_link(&mut header(Link, 0), "out", format!("{outside}/a.txt")).unwrap();
        },
        |tar, _| {
            tar.append_data(&mut header(Regular, 4), "out", &b"evil"[..]).unwrap();
            tar.append_data(&mut header(Regular, 4), "out/a.txt", &b"evil"[..]).unwrap();
        },
    ];
    for members in cases {
        let sandbox = Sandbox::new();
        sandbox.task_plugin("p");
        let victim = sandbox.write("outside/a.txt", "precious");
        fs::set_permissions(victim.parent().unwrap(), fs::Permissions::from_mode(0o751)).unwrap();
        sandbox.ok(["build", "-C", "p"]);
        let outside = victim.parent().unwrap().to_str().unwrap().to_owned();
        craft(&sandbox.entries("tasks-v2")[0], |tar| members(tar, &outside));
        assert_eq!((sandbox.again().as_str(), sandbox.runs()), ("a\n", 2));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(victim.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o751);
        // What was made takes the place of the bad entry.
        assert_eq!((sandbox.again().as_str(), sandbox.runs()), ("a\n", 2));
    }
}

#[test]
fn a_cache_that_others_can_write_to_is_not_used_and_told_once() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["release", "-C", "p"]);
    let cache = sandbox.path("home/.cache/mwp");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o1777)).unwrap();
    // Who says which `python3` it is says what runs.
    fs::write(cache.join("tools-v2"), "").unwrap();
    sandbox.ok(["clean", "-C", "p"]);
    let done = sandbox.ok(["release", "-C", "p"]);
    let said = format!(
        "the cache `{}` is not used: it is not this user's own, or others can write",
        cache.display()
    );
    assert_eq!(done.stderr.matches(&said).count(), 1, "{}", done.stderr);
    assert_eq!(sandbox.runs(), 2);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.ok(["clean", "-C", "p"]);
    sandbox.ok(["release", "-C", "p"]).never_says("is not used");
    assert_eq!(sandbox.runs(), 2);
}

#[test]
fn what_others_can_write_does_not_say_which_python_is_run() {
    let sandbox = Sandbox::new();
    let vendor = sandbox.python_plugin("p", "--no-index\n--find-links vendor\nalpha\n");
    let vendor = vendor.join("python3_virtualenv_sources/vendor");
    crate::support::wheel::wheel(&vendor, "alpha", "1.0", "a", &[]);
    sandbox.ok(["build", "-C", "p"]);
    let real = fs::read_link(sandbox.work().join("p/local/bin/python3")).unwrap();
    let evil = sandbox.write_executable("evil/python3", "#!/bin/sh\necho evil >> ../evil.log\n");
    let cache = sandbox.path("home/.cache/mwp");
    let answers = cache.join("tools-v2");
    let known = String::from_utf8(fs::read(&answers).unwrap()[4..].to_vec()).unwrap();
    let planted = known.replace(
        &format!(r#"\"executable\": \"{}\""#, real.display()),
        &format!(r#"\"executable\": \"{}\""#, evil.display()),
    );
    assert!(planted.contains("evil/python3"), "{planted}");
    let planted = [&crc32fast::hash(planted.as_bytes()).to_le_bytes()[..], planted.as_bytes()].concat();
    for (path, mode) in [(&cache, 0o777), (&answers, 0o666)] {
        let before = path.metadata().unwrap().permissions();
        fs::write(&answers, &planted).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        sandbox.ok(["build", "--force", "-C", "p"]);
        assert_eq!(fs::read_link(sandbox.work().join("p/local/bin/python3")).unwrap(), real);
        assert!(!sandbox.work().join("evil.log").exists());
        fs::set_permissions(path, before).unwrap();
    }
}

#[test]
fn what_tools_are_said_to_be_is_a_miss_where_it_is_damaged() {
    let sandbox = Sandbox::new();
    let vendor = sandbox.python_plugin("p", "--no-index\n--find-links vendor\nalpha\n");
    let vendor = vendor.join("python3_virtualenv_sources/vendor");
    crate::support::wheel::wheel(&vendor, "alpha", "1.0", "a", &[]);
    sandbox.ok(["build", "-C", "p"]);
    let answers = sandbox.path("home/.cache/mwp/tools-v2");
    let whole = fs::read(&answers).unwrap();
    for tenth in 0..10 {
        let mut damaged = whole.clone();
        damaged[whole.len() * tenth / 10] ^= 1;
        fs::write(&answers, damaged).unwrap();
        sandbox.ok(["build", "--force", "-C", "p"]);
        assert_eq!(fs::read(&answers).unwrap().len(), whole.len(), "{tenth}");
    }
}

#[test]
fn a_cache_that_cannot_be_used_fails_nothing_and_is_told_once() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write(
        "p/mwp.toml",
        sandbox.read("p/mwp.toml")
            + "[tasks.other]\ninputs = [\"in/**\"]\noutputs = [\"other\"]\ncommand = [\"sh\", \"-c\", \"cat in/* > other\"]\n",
    );
    let file = sandbox.write("a-file", "");
    let dangling = sandbox.work().join("dangling");
    symlink("/proc/nowhere", &dangling).unwrap();
    for cache in [file, dangling, PathBuf::from("/proc/nowhere"), PathBuf::from("/dev/full/x")] {
        for arguments in [&["build", "--force", "-C", "p"][..], &["release", "-C", "p"]] {
            let done = Done::of(sandbox.mwp(arguments).env("MWP_CACHE_DIR", &cache)).succeeded();
            let warnings = done.stderr.matches("warning: ").count();
            assert!(warnings <= 1, "{}", done.stderr);
            if arguments[0] == "build" {
                done.says("warning: ").says(cache.to_str().unwrap());
            }
        }
    }
}

#[test]
fn links_modes_empty_directories_and_odd_names_come_back_as_they_were() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    let script = "mkdir -p out/empty out/private out/deep/er && chmod 700 out/private && cp in/* out/ && \
                  ln -s ../a.txt out/deep/link && ln -s nowhere out/deep/er/dangling && chmod 640 out/b.txt && \
                  touch \"out/$(printf 'odd\\377\\nname')\" && chmod 500 out/deep/er && \
                  touch out/suid out/sgid && chmod 4755 out/suid && chmod 2755 out/sgid && mkdir out/shared && \
                  chmod 1777 out/shared && mkdir out/group && chmod 2775 out/group && echo ran >> ../ran.log";
    sandbox.write("p/make.sh", script);
    sandbox.write(
        "p/mwp.toml",
        "[tasks.copy]\ninputs = [\"in/**\"]\noutputs = [\"out\"]\ncommand = [\"sh\", \"make.sh\"]\n",
    );
    let listing = || {
        let mut find = std::process::Command::new("find");
        find.args(["p/out", "-printf", "%p %y %m %l\\n"]).current_dir(sandbox.work());
        let mut lines: Vec<String> =
            Done::of(&mut find).succeeded().stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    sandbox.ok(["build", "-C", "p"]);
    let before = listing();
    assert!(before.len() > 10, "{before:?}");
    assert_eq!((sandbox.again().as_str(), sandbox.runs()), ("a\n", 1));
    assert_eq!(listing(), before);
}

#[test]
fn a_full_cache_slows_a_build_and_never_fails_it() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    // What does not compress.
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(300_000).collect();
    sandbox.write("p/in/a.txt", noise);
    let cache = sandbox.path("cache");
    fs::create_dir(&cache).unwrap();
    let Some(_mounted) = sandbox.mount("tmpfs", "size=64k,mode=755", cache.clone()) else { return };
    for arguments in [
        &["build", "-C", "p"][..],
        &["build", "--force", "-C", "p"],
        &["clean", "-C", "p"],
        &["release", "-C", "p"],
        &["cache", "info"],
        &["cache", "prune", "--all"],
    ] {
        Done::of(sandbox.mwp(arguments).env("MWP_CACHE_DIR", &cache)).succeeded();
    }
    assert_eq!(sandbox.runs(), 3);
    sandbox.ok(["install", "p-0.0.1-1.metwork.mfserv.plugin"]);
}

#[test]
fn a_cache_that_nobody_may_look_into_slows_a_build_and_never_fails_it() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    let cache = sandbox.path("cache");
    fs::create_dir(&cache).unwrap();
    let run = |arguments: &[&str]| {
        Done::of(sandbox.as_ordinary_user(arguments).env("MWP_CACHE_DIR", &cache)).succeeded()
    };
    run(&["build", "-C", "p"]);
    for mode in [0o000, 0o500, 0o300] {
        fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).unwrap();
        for arguments in
            [&["build", "--force", "-C", "p"][..], &["clean", "-C", "p"], &["release", "-C", "p"]]
        {
            run(arguments);
        }
    }
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
}
