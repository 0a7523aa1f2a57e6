//! The commands that faults are injected into: what each starts from, and what it may leave.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::wheel::wheel;
use crate::support::{Done, Sandbox};

/// How things stand after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Old,
    New,
    /// Half done, as the command may be: the next one goes on.
    Between,
}

pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) arguments: &'static [&'static str],
    pub(super) prepare: fn(&Sandbox),
    /// How things stand, or what is wrong with them.
    pub(super) state: fn(&Sandbox) -> Result<State, String>,
    /// What comes next, without a fault, and ends in the new state, whatever was before.
    pub(super) next: fn(State) -> &'static [&'static [&'static str]],
    /// Whether a failure may leave some of it, or all, done: the next command goes on from there.
    pub(super) goes_on: bool,
    /// How much of it to do, against the others.
    pub(super) weight: usize,
}

const ONE: &str = "p-0.0.1-1.metwork.mfserv.plugin";
const TWO: &str = "two/p-0.0.2-1.metwork.mfserv.plugin";

const CREATE: &[&str] = &["bootstrap", "create", "--no-input", "--template", "static", "fresh"];
const CREATE_ANOTHER: &[&str] = &["bootstrap", "create", "--no-input", "--template", "static", "another"];

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "install",
        arguments: &["install", ONE],
        prepare: released,
        state: |sandbox| installed(sandbox, None, Some("one")),
        next: |state| match state {
            State::New => &[&["uninstall", "p"], &["install", ONE]],
            _ => &[&["install", ONE]],
        },
        goes_on: false,
        weight: 6,
    },
    Scenario {
        name: "update",
        arguments: &["install", "--force", TWO],
        prepare: in_service,
        state: |sandbox| installed(sandbox, Some("one"), Some("two")),
        next: |_| &[&["install", "--force", TWO]],
        goes_on: false,
        weight: 6,
    },
    Scenario {
        name: "share",
        arguments: &["install", "--force", TWO],
        prepare: in_service_with_packages,
        state: |sandbox| installed(sandbox, Some("one"), Some("two")),
        next: |_| &[&["install", "--force", TWO]],
        goes_on: false,
        weight: 6,
    },
    Scenario {
        name: "recover",
        arguments: &["list"],
        prepare: half_updated,
        state: |sandbox| installed(sandbox, None, Some("one")),
        next: |_| &[&["install", "--force", TWO]],
        goes_on: true,
        weight: 4,
    },
    Scenario {
        name: "repair",
        arguments: &["verify", "--repair", "p"],
        prepare: damaged,
        state: |sandbox| match sandbox.base().join("p/local/bin/python3").exists() {
            true => Ok(State::New),
            false => Ok(State::Between),
        },
        next: |_| &[&["verify", "--repair", "p"]],
        goes_on: true,
        weight: 3,
    },
    Scenario {
        name: "uninstall",
        arguments: &["uninstall", "p"],
        prepare: in_service,
        state: |sandbox| installed(sandbox, Some("one"), None),
        next: |state| match state {
            State::New => &[&["install", ONE], &["uninstall", "p"]],
            _ => &[&["uninstall", "p"]],
        },
        goes_on: false,
        weight: 5,
    },
    Scenario {
        name: "develop",
        arguments: &["develop", "-C", "p"],
        prepare: built,
        state: |sandbox| installed(sandbox, None, Some("link")),
        next: |state| match state {
            State::New => &[&["uninstall", "p"], &["develop", "-C", "p"]],
            _ => &[&["develop", "-C", "p"]],
        },
        goes_on: false,
        weight: 3,
    },
    Scenario {
        name: "repackage",
        arguments: &["repackage", "--output", "out", "p"],
        prepare: in_service,
        state: |sandbox| archive(sandbox, "out"),
        next: |_| &[&["repackage", "--force", "--output", "out", "p"]],
        goes_on: false,
        weight: 5,
    },
    Scenario {
        name: "build",
        arguments: &["build", "-C", "p"],
        prepare: |sandbox| {
            tasks(sandbox);
            python(sandbox);
        },
        state: |sandbox| Ok(if is_complete(sandbox) { State::New } else { State::Between }),
        next: |_| &[&["build", "-C", "p"]],
        goes_on: true,
        weight: 4,
    },
    Scenario {
        name: "restore",
        arguments: &["build", "-C", "p"],
        prepare: |sandbox| {
            built(sandbox);
            sandbox.ok(["clean", "-C", "p"]);
        },
        state: |sandbox| Ok(if is_complete(sandbox) { State::New } else { State::Between }),
        next: |_| &[&["build", "-C", "p"]],
        goes_on: true,
        weight: 5,
    },
    Scenario {
        name: "release",
        arguments: &["release", "-C", "p", "--output", "out"],
        prepare: built,
        state: |sandbox| archive(sandbox, "out"),
        next: |_| &[&["release", "-C", "p", "--output", "out"]],
        goes_on: false,
        weight: 5,
    },
    Scenario {
        name: "clean",
        arguments: &["clean", "-C", "p"],
        prepare: built,
        state: |sandbox| {
            let is_gone = !sandbox.work().join("p/local").exists();
            Ok(if is_gone { State::New } else { State::Between })
        },
        next: |_| &[&["clean", "-C", "p"], &["build", "-C", "p"]],
        goes_on: true,
        weight: 3,
    },
    Scenario {
        name: "create",
        arguments: CREATE,
        prepare: |_| {},
        state: |sandbox| match sandbox.work().join("fresh").exists() {
            true => quiet(sandbox, &["check", "-C", "fresh"]).map(|()| State::New),
            false => Ok(State::Old),
        },
        next: |state| match state {
            State::New => &[CREATE_ANOTHER],
            _ => &[CREATE, CREATE_ANOTHER],
        },
        goes_on: false,
        weight: 2,
    },
];

/// A plugin with a task of its own.
fn tasks(sandbox: &Sandbox) {
    sandbox.task_plugin("p");
    sandbox.write("p/mwp.toml", sandbox.read("p/mwp.toml").replace(" && echo ran >> ../ran.log", ""));
    sandbox.write("p/what", "one");
    for number in 0..6 {
        sandbox.write(&format!("p/data/below/{number}"), format!("{number}").repeat(3000));
    }
    std::os::unix::fs::symlink("below/1", sandbox.work().join("p/data/link")).unwrap();
}

/// A requirement, from a wheel on the disk.
fn python(sandbox: &Sandbox) {
    sandbox.python_plugin("p", "--no-index\n--find-links vendor\nalpha\n");
    wheel(&sandbox.work().join("p/python3_virtualenv_sources/vendor"), "alpha", "1.0", "me", &[]);
}

fn built(sandbox: &Sandbox) {
    tasks(sandbox);
    python(sandbox);
    sandbox.ok(["build", "-C", "p"]);
}

/// Two releases of a plugin with a wheel and a `postinstall`.
fn released(sandbox: &Sandbox) {
    tasks(sandbox);
    python(sandbox);
    sandbox.write_executable("p/postinstall", "#!/bin/sh\necho done > made\n");
    sandbox.write("p/crontab", "0 0 * * * true\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.write("p/what", "two");
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("_version=0.0.1", "_version=0.0.2"));
    sandbox.ok(["release", "-q", "-C", "p", "--output", "two"]);
    fs::remove_dir_all(sandbox.work().join("p")).unwrap();
}

fn in_service(sandbox: &Sandbox) {
    released(sandbox);
    sandbox.ok(["install", ONE]);
}

/// Without a `postinstall`, so that an update shares files of its packages.
fn in_service_with_packages(sandbox: &Sandbox) {
    tasks(sandbox);
    sandbox.write("p/made", "as if");
    for number in 0..20 {
        sandbox
            .write(&format!("p/node_modules/{}/{number}.js", number / 5), format!("{number}").repeat(3000));
    }
    sandbox.write("p/node_modules/large.js", "large".repeat(100_000));
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox.write("p/what", "two");
    sandbox.write("p/node_modules/0/1.js", "changed");
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("_version=0.0.1", "_version=0.0.2"));
    sandbox.ok(["release", "-q", "-C", "p", "--output", "two"]);
    fs::remove_dir_all(sandbox.work().join("p")).unwrap();
    sandbox.ok(["install", ONE]);
}

/// With an update that was killed after the new version was in its place.
fn half_updated(sandbox: &Sandbox) {
    released(sandbox);
    fs::rename(sandbox.work().join(TWO), sandbox.work().join("whole")).unwrap();
    tasks(sandbox);
    python(sandbox);
    sandbox.write("p/what", "two");
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("_version=0.0.1", "_version=0.0.2"));
    sandbox.write_executable("p/postinstall", "#!/bin/sh\nkill -9 $PPID\n");
    sandbox.ok(["release", "-q", "-C", "p", "--output", "two"]);
    sandbox.ok(["install", ONE]);
    let done = Done::of(&mut sandbox.mwp(["install", "--force", TWO]));
    assert_eq!(done.code, None, "{}", done.stderr);
    fs::rename(sandbox.work().join("whole"), sandbox.work().join(TWO)).unwrap();
}

/// With a virtualenv that lacks what it needs.
fn damaged(sandbox: &Sandbox) {
    in_service(sandbox);
    fs::remove_file(sandbox.base().join("p/local/bin/python3")).unwrap();
}

/// Which of two states the base is in: `what` the plugin holds, `link` for a development directory.
fn installed(sandbox: &Sandbox, old: Option<&str>, new: Option<&str>) -> Result<State, String> {
    let home = sandbox.base().join("p");
    let found = if home.is_symlink() {
        Some("link".to_owned())
    } else if home.exists() {
        quiet(sandbox, &["verify", "p"])?;
        let what = fs::read_to_string(home.join("what")).map_err(|error| error.to_string())?;
        let config = fs::read_to_string(home.join("config.ini")).map_err(|error| error.to_string())?;
        let is_one = config.contains("_version=0.0.1");
        if is_one != (what == "one") {
            return Err(format!("a mixture: `{what}` in {config}"));
        }
        if !home.join("made").exists() {
            return Err("`postinstall` did not run".to_owned());
        }
        Some(what)
    } else {
        None
    };
    match found.as_deref() {
        found if found == new => Ok(State::New),
        found if found == old => Ok(State::Old),
        found => Err(format!("neither old nor new: {found:?}")),
    }
}

/// Whether everything that the build makes is there.
fn is_complete(sandbox: &Sandbox) -> bool {
    let has = |name: &str, content: &str| {
        fs::read_to_string(sandbox.work().join("p").join(name)).is_ok_and(|found| found == content)
    };
    let import = ["-c", "import alpha; assert alpha.WHO == 'me'"];
    has("out/a.txt", "a\n")
        && has("out/b.txt", "b\n")
        && Command::new(sandbox.work().join("p/local/bin/python3"))
            .args(import)
            .output()
            .is_ok_and(|it| it.status.success())
}

/// Whether a whole `.plugin` file is in `dir`, and nothing else.
fn archive(sandbox: &Sandbox, dir: &str) -> Result<State, String> {
    let dir = sandbox.work().join(dir);
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(State::Old) };
    let names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let plugins: Vec<&Path> = names.iter().map(|path| &**path).filter(|path| path.ends_with(ONE)).collect();
    let [file] = plugins.as_slice() else { return Ok(State::Old) };
    let file = file.to_string_lossy();
    let probe = sandbox.path("probe");
    for arguments in [&["install", &*file][..], &["verify", "p"], &["uninstall", "p"]] {
        is_quiet(sandbox.mwp(arguments).env("HOME", &probe))?;
    }
    fs::remove_dir_all(probe).map_err(|error| error.to_string())?;
    Ok(State::New)
}

/// Runs without a fault, and with nothing to complain about.
pub(super) fn quiet(sandbox: &Sandbox, arguments: &[&str]) -> Result<(), String> {
    is_quiet(&mut sandbox.mwp(arguments))
}

fn is_quiet(command: &mut Command) -> Result<(), String> {
    let done = Done::of(command.env("MWP_LOCK_TIMEOUT", "10"));
    match done.code {
        Some(0) if !done.stderr.contains("warning:") => Ok(()),
        code => {
            let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_string_lossy).collect();
            Err(format!("then `mwp {}`: {code:?}: {}{}", arguments.join(" "), done.stdout, done.stderr))
        }
    }
}
