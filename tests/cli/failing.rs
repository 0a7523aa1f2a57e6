//! What fails for a moment does no lasting harm, and what kills leave goes with the next command. `faults` looks for
//! more of it; what it found is here.

use std::fs;

use crate::support::failing::Failed;
use crate::support::wheel::wheel;
use crate::support::{Done, Sandbox, tree};

const FILE: &str = "p-0.0.1-1.metwork.mfserv.plugin";

/// A sandbox with the release of a plugin with a virtualenv.
fn released() -> Sandbox {
    let sandbox = Sandbox::new();
    let dir = sandbox.python_plugin("p", "--no-index\n--find-links vendor\nalpha\n");
    wheel(&dir.join("python3_virtualenv_sources/vendor"), "alpha", "1.0", "a", &[]);
    sandbox.ok(["release", "-q", "-C", "p"]);
    sandbox
}

/// The names of everything that is not whole, below the home and the directory for work.
fn left(sandbox: &Sandbox) -> Vec<String> {
    let all = ["home", "work"].into_iter().flat_map(|part| tree(&sandbox.path(part)));
    all.filter(|name| name.contains(".mwp-tmp-") || name.contains("stage-")).collect()
}

#[test]
fn where_no_more_threads_can_be_started_nothing_panics() {
    let sandbox = released();
    for arguments in [
        &["install", "--force", FILE][..],
        &["verify", "p"],
        &["build", "--force", "-C", "p", "-C", "q"],
        &["release", "-C", "p"],
        &["repackage", "--force", "--output", "out", "p"],
    ] {
        sandbox.plugin("q");
        sandbox.ok(["install", "--force", FILE]);
        // So many can be.
        for number in 0..6 {
            let option = format!("inject=clone3:error=EAGAIN:when={}+", number + 1);
            let Some(Failed { done, hits, .. }) = sandbox.traced(&option, arguments) else { return };
            let Done { code, stderr, .. } = &done;
            let what = format!("{arguments:?} with {number} threads: {code:?}: {stderr}");
            match code {
                Some(0) => assert!(!stderr.contains("error:"), "{what}"),
                Some(3) => assert!(stderr.contains("error: cannot start a thread for"), "{what}"),
                _ => panic!("{what}"),
            }
            assert!(!stderr.contains("panicked") && !stderr.contains("fault in mwp"), "{what}");
            if hits.is_empty() {
                break;
            }
        }
    }
    sandbox.ok(["verify", "p"]);
}

#[test]
fn tasks_run_one_after_the_other_where_they_cannot_have_threads() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    // One listens to signals, one waits for the program; then there is none for a second task.
    for number in 1..6 {
        let option = format!("inject=clone3:error=EAGAIN:when={number}");
        let Some(Failed { done, .. }) = sandbox.traced(&option, &["build", "--force", "-C", "p"]) else {
            return;
        };
        assert!(matches!(done.code, Some(0 | 3)) && !done.stderr.contains("panicked"), "{}", done.stderr);
        if done.code == Some(0) {
            assert_eq!(sandbox.read("p/out/a.txt"), "a\n", "{number}");
        }
    }
    assert!(sandbox.runs() > 1, "no build went on without a thread");
}

#[test]
fn an_old_tree_that_could_not_be_removed_for_a_moment_goes_with_the_next_change() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let set_aside = || tree(&sandbox.base().join(".mwp")).iter().any(|name| name.starts_with("set-aside-"));
    let mut found = 0;
    for number in 1..60 {
        let option = format!("inject=unlinkat:error=EIO:when={number}");
        let Some(Failed { hits, .. }) = sandbox.traced(&option, &["install", "--force", FILE]) else {
            return;
        };
        if hits.is_empty() {
            break;
        }
        if set_aside() {
            found += 1;
            sandbox.ok(["install", "--force", FILE]).never_says("warning");
            assert!(!set_aside(), "{number}");
        }
    }
    assert!(found > 0, "nothing was ever set aside");
}

#[test]
fn what_fails_for_a_moment_does_not_keep_an_update_from_being_undone() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    sandbox.write("p/config.ini", sandbox.read("p/config.ini").replace("_version=0.0.1", "_version=0.0.2"));
    sandbox.write_executable("p/postinstall", "#!/bin/sh\nkill -9 $PPID\n");
    sandbox.ok(["release", "-q", "-C", "p"]);
    for call in ["renameat2", "rename", "unlink", "openat2"] {
        let update = ["install", "--force", "p-0.0.2-1.metwork.mfserv.plugin"];
        assert_eq!(Done::of(&mut sandbox.mwp(update)).code, None, "it was to be killed");
        let option = format!("inject={call}:error=EIO:when=1");
        if sandbox.traced(&option, &["list"]).is_none() {
            return;
        }
        sandbox.ok(["list"]).prints("0.0.1").never_says("warning");
        sandbox.ok(["verify", "p"]);
    }
}

#[test]
fn what_cannot_be_looked_at_is_not_taken_for_absent() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    for (call, error) in [("statx", "EIO"), ("openat", "EMFILE")] {
        for number in 1..200 {
            sandbox.write("p/in/a.txt", format!("{call} {error} {number}"));
            let option = format!("inject={call}:error={error}:when={number}");
            let Some(Failed { done, hits, .. }) = sandbox.traced(&option, &["build", "-C", "p"]) else {
                return;
            };
            if done.code != Some(0) {
                sandbox.ok(["build", "-C", "p"]);
            }
            let (made, wanted) = (sandbox.read("p/out/a.txt"), sandbox.read("p/in/a.txt"));
            assert_eq!(made, wanted, "{number}: {:?} {}", done.code, done.stderr);
            if hits.is_empty() {
                break;
            }
        }
    }
}

#[test]
fn half_written_files_of_a_killed_command_go_with_the_next_one() {
    let sandbox = released();
    sandbox.ok(["install", FILE]);
    let runtime = sandbox.path("home/.local/share/mwp/mfserv");
    for dir in [runtime.join("config/plugins"), runtime.join("var")] {
        fs::write(dir.join(".mwp-tmp-half"), "half").unwrap();
    }
    sandbox.ok(["install", "--force", FILE]);
    assert_eq!(left(&sandbox), [""; 0]);

    fs::write(sandbox.base().join("p/.mwp-tmp-half"), "half").unwrap();
    sandbox.ok(["verify", "--repair", "p"]);
    sandbox.ok(["verify", "p"]);

    sandbox.write("p/.mwp/.mwp-tmp-half", "half");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(left(&sandbox), [""; 0]);

    let cache = sandbox.path("home/.cache/mwp");
    let entry =
        tree(&cache).into_iter().find(|name| name.starts_with("tasks-v2/") && name.len() > 12).unwrap();
    fs::write(cache.join(entry).with_file_name(".mwp-tmp-half"), "half").unwrap();
    sandbox.ok(["cache", "prune"]);
    assert_eq!(left(&sandbox), [""; 0]);
}

#[test]
fn what_a_killed_creation_left_goes_with_the_next_one() {
    let sandbox = Sandbox::new();
    sandbox.write("stage-of-mine/kept", "");
    let create = ["bootstrap", "create", "--no-input", "--template", "static"];
    let arguments = |name| [&create[..], &[name]].concat();
    let mut killed = 0;
    for number in 1..30 {
        let option = format!("inject=mkdir:signal=KILL:when={number}");
        let Some(done) = sandbox.traced(&option, &arguments("p")) else { return };
        if !done.killed {
            break;
        }
        killed += 1;
        assert!(!sandbox.work().join("p").exists(), "half a plugin");
    }
    assert!(killed > 2, "{killed} kills");
    assert!(!left(&sandbox).is_empty(), "no kill left anything");
    sandbox.ok(arguments("q"));
    assert_eq!(left(&sandbox), ["stage-of-mine", "stage-of-mine/kept"]);
}

#[test]
fn a_template_is_not_blamed_for_what_the_machine_cannot_read() {
    let sandbox = Sandbox::new();
    let mut blamed = 0;
    for number in 1..200 {
        let option = format!("inject=openat:error=EMFILE:when={number}");
        let create = ["bootstrap", "create", "--no-input", "--template", "static", "p"];
        let Some(Failed { done, hits, .. }) = sandbox.traced(&option, &create) else { return };
        let is_loading = done.stderr.contains("shared libraries");
        match done.code {
            _ if is_loading => {}
            Some(0) => fs::remove_dir_all(sandbox.work().join("p")).unwrap(),
            code => {
                assert_eq!(code, Some(3), "{number}: {}", done.stderr);
                assert_eq!(done.stderr.matches("error:").count(), 1, "{number}: {}", done.stderr);
                blamed += 1;
            }
        }
        if hits.is_empty() {
            break;
        }
    }
    assert!(blamed > 0);
}
