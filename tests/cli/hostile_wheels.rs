//! Wheels from anywhere: what one brings stays in its virtualenv, is as large as the limits allow, and never takes the
//! place of what the environment runs by. The interpreter that links lead to is a stand-in in the sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::tar::Tar;
use crate::support::unpacking::{gzip, within_memory};
use crate::support::wheel::{wheel, wheel_with, zip};
use crate::support::{CONFIG, Done, Sandbox, tree};

const SRC: &str = "metwork_plugin/python3_virtualenv_sources/src";

/// A sandbox whose `python3` says that it is `work/host/python3`, a file that is watched.
struct Host {
    sandbox: Sandbox,
    python: PathBuf,
    before: String,
}

impl Host {
    fn new() -> Host {
        let sandbox = Sandbox::new();
        let python = sandbox.work().join("host/python3");
        let before = format!(
            "#!/bin/sh\n/usr/bin/env -i PATH=/usr/bin:/bin:/usr/local/bin python3 \"$@\" |\n\
             sed 's#\"executable\": \"[^\"]*\"#\"executable\": \"{}\"#'\n",
            python.display()
        );
        sandbox.write_executable("host/python3", &before);
        Host { sandbox, python, before }
    }

    fn mwp<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.sandbox.mwp(arguments);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.python.parent().unwrap().display()));
        command
    }

    /// A `.plugin` file that nobody checked, with these wheels.
    fn file(&self, wheels: &[PathBuf]) -> PathBuf {
        let mut lock = String::new();
        let mut tar = Tar::plugin()
            .file("metwork_plugin/config.ini", CONFIG)
            .file("metwork_plugin/.layerapi2_dependencies", "python3@mfext\n")
            .file("metwork_plugin/.plugin_format_version", "1.0.0\n");
        for wheel in wheels {
            let name = wheel.file_name().unwrap().to_str().unwrap();
            let mut parts = name.split('-');
            lock.push_str(&format!("{}=={}\n", parts.next().unwrap(), parts.next().unwrap()));
            tar = tar.file(format!("{SRC}/{name}"), fs::read(wheel).unwrap());
        }
        let tar = tar.file("metwork_plugin/python3_virtualenv_sources/requirements3.txt", lock);
        self.sandbox.write("hello.plugin", gzip(&tar.end()))
    }

    /// A plugin directory with these wheels, as a build leaves it.
    fn directory(&self, wheels: &[PathBuf], lock: &str) {
        self.sandbox.plugin("p");
        self.sandbox.write("p/python3_virtualenv_sources/requirements3.txt", lock);
        let src = self.sandbox.work().join("p/python3_virtualenv_sources/src");
        fs::create_dir_all(&src).unwrap();
        for wheel in wheels {
            fs::copy(wheel, src.join(wheel.file_name().unwrap())).unwrap();
        }
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(fs::read_to_string(&self.python).unwrap(), self.before);
        let base = self.sandbox.base();
        if base.exists() {
            assert_eq!(tree(&base), [".mwp", ".mwp/lock"]);
        }
    }
}

fn bringing(dir: &Path, member: &str, content: &[u8]) -> PathBuf {
    wheel_with(dir, "foo", "1.0", "foo", &[], &[(member, content)])
}

#[test]
fn a_wheel_never_brings_what_belongs_to_the_environment() {
    let evil = b"#!/bin/sh\necho evil\n";
    let cases: &[(&str, &[u8], &str)] = &[
        ("foo-1.0.data/scripts/python3", evil, "bin/python3"),
        ("foo-1.0.data/scripts/Python3", evil, "bin/Python3"),
        ("foo-1.0.data/data/bin/python3.11", evil, "bin/python3.11"),
        ("foo-1.0.data/data/./bin//python", evil, "bin/python"),
        ("foo-1.0.data/data/bin/python3/x", evil, "bin/python3/x"),
        ("foo-1.0.data/data/bin", evil, "bin"),
        ("foo-1.0.data/data/pyvenv.cfg", evil, "pyvenv.cfg"),
        ("foo-1.0.data/scripts/activate", evil, "bin/activate"),
        ("foo-1.0.data/scripts/Activate.ps1", evil, "bin/Activate.ps1"),
        ("foo-1.0.dist-info/entry_points.txt", b"[console_scripts]\npython = foo:main\n", "bin/python"),
        ("foo-1.0.dist-info/entry_points.txt", b"[gui_scripts]\npython3.12 = foo:main\n", "bin/python3.12"),
    ];
    for (member, content, target) in cases {
        let host = Host::new();
        let wheel = bringing(&host.sandbox.work().join("w"), member, content);
        let said = format!("`{target}`, which belongs to the environment itself");
        host.file(std::slice::from_ref(&wheel));
        let install = Done::of(&mut host.mwp(["install", "hello.plugin"]));
        install.exited(1).says("foo-1.0-py3-none-any.whl").says(&said).says("hint: ");
        host.is_untouched();
        host.directory(&[wheel], "foo==1.0\n");
        Done::of(&mut host.mwp(["pack", "-C", "p"])).exited(1).says("foo-1.0-py3-none-any.whl").says(&said);
        host.is_untouched();
    }
}

#[test]
fn programs_whose_names_are_merely_similar_are_installed() {
    let host = Host::new();
    let points: &[u8] = b"[console_scripts]\nactivate-global-python-argcomplete = foo:x\npip = foo:x\n";
    let dir = host.sandbox.work().join("w");
    let files = [
        ("foo-1.0.dist-info/entry_points.txt", points),
        ("foo-1.0.data/scripts/python-argcomplete-check", b"#!python\n"),
    ];
    host.file(&[wheel_with(&dir, "foo", "1.0", "foo", &[], &files)]);
    Done::of(&mut host.mwp(["install", "hello.plugin"])).succeeded();
    let bin = host.sandbox.base().join("hello/local/bin");
    let programs = tree(&bin);
    for program in ["activate-global-python-argcomplete", "pip", "pip3", "python-argcomplete-check"] {
        assert!(programs.contains(&program.to_owned()), "{programs:?}");
    }
    assert!(fs::read_to_string(bin.join("pip")).unwrap().contains("from foo import x"));
    assert_eq!(fs::read_link(bin.join("python3")).unwrap(), host.python);
    assert_eq!(fs::read_to_string(&host.python).unwrap(), host.before);
}

#[test]
fn of_two_wheels_with_the_same_file_the_later_in_the_lock_has_it() {
    for (lock, winner) in [("aaa==1.0\nbbb==1.0\n", "bbb"), ("bbb==1.0\naaa==1.0\n", "aaa")] {
        for _ in 0..3 {
            let host = Host::new();
            let dir = host.sandbox.work().join("w");
            let wheels = ["aaa", "bbb"].map(|name| {
                let files = [("tests/__init__.py", name.as_bytes()), ("tests/same.py", b"same")];
                wheel_with(&dir, name, "1.0", name, &[], &files)
            });
            host.directory(&wheels, lock);
            let said = format!(
                "site-packages/tests/__init__.py` is in both {}-1.0-py3-none-any.whl and {winner}-1.0-py3-none-any.whl",
                if winner == "aaa" { "bbb" } else { "aaa" }
            );
            let pack = Done::of(&mut host.mwp(["pack", "-C", "p"])).succeeded();
            pack.says(&said).never_says("more is in both").never_says("same.py");
            Done::of(&mut host.mwp(["install", "p-0.0.1-1.metwork.mfserv.plugin"])).succeeded();
            let local = host.sandbox.base().join("p/local");
            let tests = tree(&local).into_iter().find(|path| path.ends_with("tests/__init__.py")).unwrap();
            assert_eq!(fs::read_to_string(local.join(&tests)).unwrap(), winner);
            let site_packages = local.join(Path::new(&tests).parent().unwrap().parent().unwrap());
            let record = |name: &str| {
                fs::read_to_string(site_packages.join(format!("{name}-1.0.dist-info/RECORD"))).unwrap()
            };
            let lists = ["aaa", "bbb"].map(|name| record(name).contains("tests/__init__.py"));
            assert_eq!(lists, [winner == "aaa", winner == "bbb"]);
        }
    }
}

#[test]
fn a_file_of_one_wheel_is_no_directory_of_another() {
    let host = Host::new();
    let dir = host.sandbox.work().join("w");
    let one = wheel_with(&dir, "aaa", "1.0", "a", &[], &[("tests", b"file")]);
    let other = wheel_with(&dir, "bbb", "1.0", "b", &[], &[("tests/x.py", b"x")]);
    host.file(&[one, other]);
    let install = Done::of(&mut host.mwp(["install", "hello.plugin"])).exited(1);
    install.says("site-packages/tests` is a file of aaa-1.0-py3-none-any.whl and a directory of bbb-1.0-");
    host.is_untouched();
}

#[test]
fn wheels_count_against_the_limits() {
    let zeros = |dir: &Path, size: usize| {
        let path = dir.join("foo-1.0-py3-none-any.whl");
        let part = vec![0; 64 << 20];
        let parts = (0..size.div_ceil(part.len())).map(|number| (format!("zeros{number}"), part.as_slice()));
        zip(&path, parts.chain([("foo-1.0.dist-info/METADATA".to_owned(), &[][..])]));
        path
    };
    let refused = |wheels: &[PathBuf], host: &Host, limits: &str, said: &str| {
        host.file(wheels);
        let mut install = host.mwp(["install", "hello.plugin"]);
        let install = within_memory(|| Done::of(install.env("MWP_LIMITS", limits))).exited(1);
        install.says("foo-1.0-py3-none-any.whl").says(said).says("hint: ");
        host.is_untouched();
    };
    let host = Host::new();
    let dir = host.sandbox.work();
    refused(
        &[zeros(&dir, 256 << 20)],
        &host,
        "",
        "it unpacks to more than 134.2 MB, which is out of proportion",
    );
    let small = bringing(&dir.join("w"), "foo/data", &[7; 50_000]);
    refused(std::slice::from_ref(&small), &host, "bytes=45k", "more than ");
    refused(std::slice::from_ref(&small), &host, "wheels=3", "it has more than 3 files");
    refused(std::slice::from_ref(&small), &host, "members=12", "with it, the wheels have more than");
    let other = wheel(&dir.join("w"), "aaa", "1.0", "a", &[]);
    refused(&[other, small], &host, "wheels=6", "with it, the wheels have more than 6 files");
    let points = (0..5000).map(|number| format!("x{number} = foo:x\n")).collect::<String>();
    let points = format!("[console_scripts]\n{points}");
    let many = bringing(&dir.join("w"), "foo-1.0.dist-info/entry_points.txt", points.as_bytes());
    refused(&[many], &host, "wheels=4000", "it has more than 4000 files");
}

#[test]
fn a_wheel_of_very_many_files_is_refused_by_default() {
    let host = Host::new();
    let path = host.sandbox.work().join("foo-1.0-py3-none-any.whl");
    zip(&path, (0..200_001).map(|number| (number.to_string(), "")));
    host.file(&[path]);
    let install = Done::of(&mut host.mwp(["install", "hello.plugin"])).exited(1);
    install.says("foo-1.0-py3-none-any.whl` is refused: it has more than 200000 files");
    host.is_untouched();
}

#[test]
fn a_member_is_as_long_as_it_says() {
    for claimed in [3_u32, 30] {
        let host = Host::new();
        let path = bringing(&host.sandbox.work().join("w"), "foo/data", b"0123456789");
        // The size, as the list at the end has it.
        let mut wheel = fs::read(&path).unwrap();
        let name = wheel.windows(8).rposition(|window| window == b"foo/data").unwrap();
        wheel[name - 22..name - 18].copy_from_slice(&claimed.to_le_bytes());
        fs::write(&path, wheel).unwrap();
        host.file(&[path]);
        Done::of(&mut host.mwp(["install", "hello.plugin"])).exited(1).says(
            "`hello.plugin:metwork_plugin/python3_virtualenv_sources/src/foo-1.0-py3-none-any.whl` is not a sound wheel",
        );
        host.is_untouched();
    }
}

#[test]
fn links_are_judged_where_they_finally_stand() {
    let deep = (0..20).map(|level| format!("d{level}")).collect::<Vec<_>>().join("/");
    let way_out = format!("{}etc/passwd", "../".repeat(20));
    let host = Host::new();
    let wheel = wheel(&host.sandbox.work().join("w"), "foo", "1.0", "foo", &[]);
    let install = |local: &dyn Fn(Tar) -> Tar| {
        let tar = Tar::plugin()
            .file("metwork_plugin/config.ini", CONFIG)
            .file("metwork_plugin/.plugin_format_version", "1.0.0\n")
            .file(format!("{SRC}/foo-1.0-py3-none-any.whl"), fs::read(&wheel).unwrap())
            .file("metwork_plugin/python3_virtualenv_sources/requirements3.txt", "foo==1.0\n");
        host.sandbox.write("hello.plugin", gzip(&local(tar).end()));
        Done::of(&mut host.mwp(["install", "hello.plugin"]))
    };
    // Twenty directories deep, the link stays inside; beside the virtualenv it would not.
    let out = format!("metwork_plugin/{deep}/out");
    let done = install(&|tar| tar.link(&out, &way_out).link("metwork_plugin/local", &deep));
    done.exited(1).says("`local` of the plugin is a link, and its virtualenv goes there");
    host.is_untouched();
    // A directory there that is a link is put beside the virtualenv as the link that it was judged as.
    let target = format!("../{deep}");
    install(&|tar| tar.link(&out, &way_out).link("metwork_plugin/local/share", &target)).succeeded();
    let share = host.sandbox.base().join("hello/local/share");
    assert_eq!(fs::read_link(&share).unwrap(), Path::new(&target));
    assert!(!share.join("out").exists());
}

#[test]
fn wheels_that_do_not_fit_on_the_disk_are_refused_before_they_are_unpacked() {
    let host = Host::new();
    // Two of 6 MB, where 8 MB are free.
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(300_000).collect();
    let large = [noise, vec![0; 6_000_000]].concat();
    let wheels = ["one", "two"].map(|name| {
        wheel_with(&host.sandbox.path("wheels"), name, "1.0", "", &[], &[(&format!("{name}.bin"), &large)])
    });
    let file = host.file(&wheels);
    let base = host.sandbox.path("base");
    fs::create_dir(&base).unwrap();
    let Some(_mount) = host.sandbox.mount("tmpfs", "size=8m,mode=755", base.clone()) else { return };
    let arguments = ["install", "--plugins-base-dir", base.to_str().unwrap(), file.to_str().unwrap()];
    let done = Done::of(&mut host.mwp(arguments)).exited(3);
    done.says("the wheels unpack to 12.6 MB, and only ").says("hint: free some space");
    assert_eq!(tree(&base), [".mwp", ".mwp/lock"]);
}
