//! The words that people know from other tools, in a plugin's directory.

use std::fs;

use crate::support::wheel::wheel_with;
use crate::support::{Done, Sandbox};

/// A plugin that takes its packages from wheels of its own.
fn packaged(sandbox: &Sandbox) {
    sandbox.python_plugin("shop", "--no-index\n--find-links ./vendor\n# the framework\nalpha<2  # for now\n");
    let vendor = sandbox.work().join("shop/python3_virtualenv_sources/vendor");
    wheel_with(&vendor, "alpha", "1.0", "WHO = 'alpha'", &["Requires-Dist: beta>=1"], &[]);
    wheel_with(&vendor, "alpha", "2.0", "WHO = 'alpha 2'", &["Requires-Dist: beta>=1"], &[]);
    wheel_with(&vendor, "beta", "1.0", "WHO = 'beta'", &[], &[]);
    wheel_with(&vendor, "gamma", "1.0", "WHO = 'gamma'", &["Requires-Dist: beta"], &[]);
}

fn requirements(sandbox: &Sandbox) -> String {
    sandbox.read("shop/python3_virtualenv_sources/requirements-to-freeze.txt")
}

fn at_shop(sandbox: &Sandbox, words: &[&str]) -> Done {
    let mut command = sandbox.mwp(words);
    Done::of(command.current_dir(sandbox.work().join("shop")))
}

#[test]
fn what_is_added_is_locked_and_there_and_what_is_removed_goes() {
    let sandbox = Sandbox::new();
    packaged(&sandbox);
    at_shop(&sandbox, &["add", "gamma>=1"]).succeeded();
    assert!(requirements(&sandbox).ends_with("# the framework\nalpha<2  # for now\ngamma>=1\n"));
    at_shop(&sandbox, &["run", "--", "python3", "-c", "import gamma; print(gamma.WHO)"])
        .succeeded()
        .prints("gamma");
    at_shop(&sandbox, &["add", "alpha"]).succeeded();
    assert!(requirements(&sandbox).contains("\nalpha # for now\n"), "{}", requirements(&sandbox));
    at_shop(&sandbox, &["remove", "Gamma"]).succeeded();
    assert!(!requirements(&sandbox).contains("gamma"));
    at_shop(&sandbox, &["run", "--", "python3", "-c", "import gamma"]).exited(1);
}

#[test]
fn what_cannot_be_had_changes_nothing() {
    let sandbox = Sandbox::new();
    packaged(&sandbox);
    at_shop(&sandbox, &["build", "-q"]).succeeded();
    let before = (requirements(&sandbox), sandbox.read("shop/python3_virtualenv_sources/requirements3.txt"));
    at_shop(&sandbox, &["add", "omega"]).exited(1).says("omega");
    at_shop(&sandbox, &["add", "a b"]).exited(2).says("found `a b`").says("hint: ");
    at_shop(&sandbox, &["remove", "alpa"]).exited(2).says("did you mean `alpha`?");
    let after = (requirements(&sandbox), sandbox.read("shop/python3_virtualenv_sources/requirements3.txt"));
    assert_eq!(after, before);
    sandbox.plugin("bare");
    sandbox.fails(2, ["add", "-C", "bare", "alpha"]).says("--python");
    sandbox.fails(3, ["add", "-C", "bare", "--offline", "--python", "omega"]).says("omega");
    assert!(!sandbox.work().join("bare/python3_virtualenv_sources").exists());
}

#[test]
fn the_next_build_goes_on_where_adding_or_removing_was_killed() {
    let sandbox = Sandbox::new();
    packaged(&sandbox);
    at_shop(&sandbox, &["build", "-q"]).succeeded();
    for (verb, is_wanted) in [("add", true), ("remove", false)] {
        let mut child = sandbox.mwp([verb, "gamma", "-C", "shop"]).spawn().unwrap();
        while requirements(&sandbox).contains("gamma") != is_wanted && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(requirements(&sandbox).contains("gamma"), is_wanted);
        at_shop(&sandbox, &["build", "-q"]).succeeded();
        let lock = sandbox.read("shop/python3_virtualenv_sources/requirements3.txt");
        assert_eq!(lock.contains("gamma"), is_wanted, "{lock}");
        at_shop(&sandbox, &["lock", "--check"]).succeeded();
        let imported = at_shop(&sandbox, &["run", "python3", "-c", "import gamma"]);
        assert_eq!(imported.code == Some(0), is_wanted, "{imported:?}");
        at_shop(&sandbox, &["build"]).succeeded().says("up to date");
    }
}

#[test]
fn a_tree_goes_down_to_what_is_required_or_up_to_who_requires_it() {
    let sandbox = Sandbox::new();
    packaged(&sandbox);
    at_shop(&sandbox, &["tree"]).exited(1).says("no packages yet");
    at_shop(&sandbox, &["build", "-q"]).succeeded();
    at_shop(&sandbox, &["tree"]).succeeded().prints("alpha 1.0\n└── beta 1.0 (asked for >=1)");
    at_shop(&sandbox, &["tree", "--invert", "beta"])
        .succeeded()
        .prints("beta 1.0\n└── alpha 1.0 (asks for >=1)");
    at_shop(&sandbox, &["tree", "--invert", "bet"]).exited(2).says("did you mean `beta`?");
    let json: serde_json::Value =
        serde_json::from_str(&at_shop(&sandbox, &["tree", "--json"]).stdout).unwrap();
    assert_eq!(json[0]["requires"]["beta"], ">=1");
}

#[test]
fn outdated_tells_what_an_upgrade_would_change_and_changes_nothing() {
    let sandbox = Sandbox::new();
    packaged(&sandbox);
    at_shop(&sandbox, &["build", "-q"]).succeeded();
    at_shop(&sandbox, &["outdated"]).succeeded().prints("as new as the requirements allow");
    let text = requirements(&sandbox).replace("alpha<2", "alpha");
    sandbox.write("shop/python3_virtualenv_sources/requirements-to-freeze.txt", text);
    let lock = sandbox.read("shop/python3_virtualenv_sources/requirements3.txt");
    at_shop(&sandbox, &["outdated"]).succeeded().prints("alpha 1.0 → 2.0");
    assert_eq!(sandbox.read("shop/python3_virtualenv_sources/requirements3.txt"), lock);
}

#[test]
fn outdated_names_the_plugins_files_and_a_log_that_is_there() {
    let sandbox = Sandbox::new();
    packaged(&sandbox);
    at_shop(&sandbox, &["lock", "-q"]).succeeded();
    let text = requirements(&sandbox) + "delta\n";
    sandbox.write("shop/python3_virtualenv_sources/requirements-to-freeze.txt", text);
    let done = at_shop(&sandbox, &["outdated", "--json"]).exited(1);
    let failure: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let log = failure["log"].as_str().unwrap();
    assert!(fs::read_to_string(log).unwrap().contains("delta"), "{failure}");
    let done = done.says(&format!("the output is kept in `{log}`"));
    done.says("error: pip cannot resolve `python3_virtualenv_sources/requirements-to-freeze.txt`: ");
    // What is kept goes with the next one.
    at_shop(&sandbox, &["outdated"]).exited(1);
    assert!(!std::path::Path::new(log).exists());
}

#[test]
fn tests_are_those_that_the_plugin_names_or_those_that_are_usual() {
    let sandbox = Sandbox::new();
    sandbox.plugin("shop");
    at_shop(&sandbox, &["test"]).exited(1).says("nothing to test it with").says("[tasks.test]");
    sandbox.write("shop/tests/run.sh", "echo ran in $(basename $PWD) $1; exit 7\n");
    at_shop(&sandbox, &["test", "--", "fast"]).exited(7).prints("ran in shop fast");
    sandbox.write("shop/mwp.toml", "[tasks.test]\ncommand = [\"echo\", \"named\"]\ntargets = [\"test\"]\n");
    at_shop(&sandbox, &["test"]).succeeded().prints("named");
    at_shop(&sandbox, &["build"]).succeeded().never_says("named");
}

#[test]
fn a_directory_becomes_a_plugin_and_keeps_what_it_has() {
    let sandbox = Sandbox::new();
    sandbox.write("shop/config.ini", "[general]\n");
    sandbox.write("shop/mine.py", "print(1)\n");
    at_shop(&sandbox, &["init", "--template", "static"]).succeeded().says("`config.ini` stays as it is");
    assert_eq!(sandbox.read("shop/config.ini"), "[general]\n");
    assert_eq!(sandbox.read("shop/.layerapi2_label").trim(), "plugin_shop@mfserv");
    at_shop(&sandbox, &["init"]).exited(1).says("is a plugin already");
    fs::create_dir_all(sandbox.work().join("my shop")).unwrap();
    let mut command = sandbox.mwp(["init"]);
    Done::of(command.current_dir(sandbox.work().join("my shop"))).exited(1).says("--name");
    sandbox.ok(["new", "other", "--template", "static", "--no-input"]);
    sandbox.ok(["check", "other"]);
}

#[test]
fn an_edit_is_built_while_one_watches() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("shop");
    let mut watching = sandbox.mwp(["watch", "shop"]).spawn().unwrap();
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !is_so() {
            assert!(begun.elapsed().as_secs() < 120, "{what}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    until("the first build", &|| sandbox.runs() == 1);
    // Until somebody waits for edits.
    std::thread::sleep(std::time::Duration::from_secs(1));
    sandbox.write("shop/in/a.txt", "edited\n");
    let is_built =
        || sandbox.work().join("shop/out/a.txt").exists() && sandbox.read("shop/out/a.txt") == "edited\n";
    until("the second build", &is_built);
    let pid = rustix::process::Pid::from_child(&watching);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(130));
}

#[test]
fn a_command_line_that_is_wrong_has_one_error_one_hint_and_code_2() {
    let sandbox = Sandbox::new();
    sandbox.plugin("shop");
    for (words, error, hint) in [
        (&["relase"][..], "there is no command `relase`", "did you mean `mwp release`?"),
        (&["update"], "there is no command `update`", "it is called `mwp lock --upgrade` here"),
        (&["check", "--jsno"], "unexpected argument `--jsno`", "did you mean `--json`?"),
        (&["pack", "--format", "zip"], "invalid value `zip`", "hint: "),
        (&["build", "--jobs", "x"], "invalid value `x`", "hint: "),
        (&["run"], "COMMAND", "usage: mwp run"),
        (&["help", "recipe"], "no command or topic `recipe`", "mwp help recipes"),
    ] {
        let done = sandbox.fails(2, words.iter().copied()).says(error).says(hint);
        assert_eq!(done.stderr.lines().count(), 2, "{done:?}");
    }
}

#[test]
fn options_stand_before_the_command_and_directories_without_an_option() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("shop");
    sandbox.ok(["-q", "build", "shop"]);
    assert_eq!(sandbox.runs(), 1);
    sandbox.ok(["-C", "shop", "check"]);
    sandbox.fails(1, ["install", "shop"]).says("it is a plugin's directory").says("`mwp release shop`");
    sandbox.ok(["clean", "shop"]);
    assert!(!sandbox.work().join("shop/out").exists());
    sandbox.ok(["release", "shop", "--output", "."]);
    assert!(sandbox.work().join("shop/out").exists());
}

#[test]
fn options_that_say_how_much_is_told_are_of_all_commands_before_and_behind() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("shop");
    for words in [
        &["-q", "list"][..],
        &["list", "-q"],
        &["-v", "list"],
        &["-q", "cache", "info"],
        &["cache", "info", "-q"],
        &["-q", "-Cshop", "build"],
        &["--directory=shop", "-q", "build"],
        &["-q", "size", "shop"],
        &["-q", "build", "-q", "-C", "shop"],
        &["-qv", "check", "shop"],
        &["--json", "list", "--json"],
        &["--json=document", "check", "shop", "-v"],
    ] {
        sandbox.ok(words.iter().copied());
    }
    assert_eq!(sandbox.ok(["--json", "list", "--json"]).stdout, "[]\n");
    let made = sandbox.ok(["-q", "new", "other", "--no-input"]);
    assert_eq!(made.stderr, "");
    sandbox.ok(["run", "-q", "-C", "shop", "printf", "%s", "-q"]).prints("-q");
    for (words, error, hint) in [
        (&["-C", "shop", "list"][..], "unexpected argument `-C`", "as `mwp build` does"),
        (&["-C", "shop", "env"], "unexpected argument `-C`", "name the directory without it: mwp env"),
        (&["--offline", "build"], "found `--offline` before `build`", "`mwp build --offline`"),
        (&["-j", "2", "build"], "found `--jobs` before `build`", "`mwp build --jobs`"),
    ] {
        let done = sandbox.fails(2, words.iter().copied()).says(error).says(hint);
        assert_eq!(done.stderr.lines().count(), 2, "{done:?}");
    }
}

#[test]
fn help_version_completions_and_man_are_there() {
    let sandbox = Sandbox::new();
    sandbox.ok(["help"]).prints("Usage: mwp");
    assert_eq!(sandbox.ok(["--help"]).stdout, sandbox.ok(["help"]).stdout);
    sandbox.ok(["help", "build"]).prints("--dry-run");
    sandbox.ok(["help", "exit-codes"]).prints("| 2 |");
    sandbox.ok(["--version"]).prints("mwp 0.");
    for shell in ["bash", "zsh", "fish"] {
        sandbox.ok(["completions", shell]).prints("MWP_COMPLETE");
    }
    sandbox.ok(["man", "pages"]);
    assert!(sandbox.read("pages/mwp-release.1").contains(".TH mwp-release"));
    let mut command = sandbox.mwp(["--", "mwp", "new", "--template", "python3_f"]);
    command.env("MWP_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "3");
    Done::of(&mut command).succeeded().prints("python3_flask");
}

#[test]
fn a_repository_that_is_out_of_reach_is_no_mistake_of_the_requirement() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("shop", "-e git+https://127.0.0.1:9/x/y.git#egg=y\n");
    let done = sandbox.fails(3, ["build", "-C", "shop"]);
    done.says("unable to access").says("hint: check the network, the proxy");
}

#[test]
fn what_the_command_line_names_and_is_not_there_is_its_fault_told_before_anything_is_done() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("shop");
    sandbox.ok(["pack", "shop"]);
    const FILE: &str = "shop-0.0.1-1.metwork.mfserv.plugin";
    for (words, error, hint) in [
        (&["build", "shop", "-C", "nosuch"][..], "cannot enter `nosuch`", "name the directory of a plugin"),
        (&["graph", "-C", "nosuch"], "cannot enter `nosuch`", "name the directory of a plugin"),
        (&["explain", "-C", "shop", "cpoy"], "there is no task `cpoy`", "did you mean `copy`?"),
        (&["install", "nosuch.plugin"], "`nosuch.plugin` does not exist", "give the path"),
        (&["install", "--new-name", "../x", FILE], "the plugin name `../x` holds `.`", "`x` would do"),
        (&["release", "shop", "-o", "shop/config.ini"], "`shop/config.ini` is a file", "leave out the name"),
        (
            &["release", "shop", "-o", "shop/config.ini/x"],
            "`shop/config.ini` is a file",
            "leave out the name",
        ),
        (&["new", "my shop"], "the plugin name `my shop` holds ` `", "`my_shop` would do"),
        (&["new", "--template", "/nosuch", "x"], "`/nosuch` is no template", "`mwp bootstrap list`"),
        (&["new", "--template", "statik", "x"], "there is no template `statik`", "did you mean `static`?"),
        (&["list", "--plugins-base-dir", "/nosuch"], "`/nosuch` is no directory", "name the directory"),
    ] {
        let done = sandbox.fails(2, words.iter().copied()).says(error).says(hint);
        assert_eq!(done.stderr.matches("hint: ").count(), 1, "{done:?}");
    }
    assert_eq!(sandbox.runs(), 0, "something was built");
}

#[test]
fn words_of_other_tools_and_groups_lead_to_what_is_here() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("shop");
    let hint = |words: &[&str], hint: &str| {
        sandbox.fails(2, words).says(&format!("hint: {hint}"));
    };
    hint(&["build", "--frozen", "shop"], "it is called `--locked` here");
    hint(&["cache", "clean"], "there are `mwp cache info`, `mwp cache prune`");
    hint(&["cache"], "there are `mwp cache info`, `mwp cache prune`");
    hint(&["-v", "buld"], "did you mean `mwp build`?");
    let failed = sandbox.fails(2, ["--json", "buld"]).stdout;
    let failed: serde_json::Value = serde_json::from_str(&failed).unwrap();
    assert_eq!(failed["hint"], "did you mean `mwp build`?");
}

#[test]
fn json_says_what_became_of_it() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("shop");
    let json = |words: &[&str], code: i32| -> serde_json::Value {
        serde_json::from_str(&Done::of(&mut sandbox.mwp(words)).exited(code).stdout).unwrap()
    };
    let failed = json(&["--json", "run", "-C", "shop", "--", "no-such-program"], 127);
    assert!(failed["error"].as_str().unwrap().contains("no-such-program"), "{failed}");
    assert_eq!(json(&["--json", "down"], 0), serde_json::json!({"down": []}));
}

#[test]
fn a_plugin_that_was_never_built_is_packed_with_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("shop", "six\n");
    sandbox.ok(["pack", "-C", "shop"]).says("packed without its wheels").says("hint: `mwp release` builds");
    sandbox.task_plugin("tasks");
    let quiet = sandbox.ok(["release", "-q", "-C", "tasks"]);
    assert_eq!(quiet.stderr, "", "{quiet:?}");
}

#[test]
fn a_limit_that_there_is_not_is_a_slip_of_the_command_line_and_nothing_is_done() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    for command in ["pack", "release"] {
        sandbox
            .fails(2, [command, "-C", "p", "--limit", "file=5"])
            .says("found the limit `file=5`; `NAME=NUMBER` is allowed, where NAME is `members`");
    }
    assert_eq!(sandbox.runs(), 0);
    sandbox.fails(2, ["install", "--limit", "many", "x.plugin"]).says("found the limit `many`");
}

#[test]
fn the_help_of_commands_without_events_tells_of_none() {
    let sandbox = Sandbox::new();
    for (command, has_events) in [
        (&["build"][..], true),
        (&["release"], true),
        (&["watch"], true),
        (&["lock"], true),
        (&["check"], false),
        (&["cache", "info"], false),
        (&["status"], false),
    ] {
        let help = sandbox.ok(command.iter().chain(&["--help"])).stdout;
        assert_eq!(help.contains("events"), has_events, "{help}");
        assert!(help.contains("--json"), "{help}");
        assert!(!help.contains("<>"), "{help}");
    }
}

#[test]
fn of_quiet_and_verbose_the_last_counts() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.ok(["build", "-v", "-q", "-C", "p"]).stderr, "");
    sandbox.ok(["-q", "build", "-v", "-C", "p"]).says("check: up to date");
    sandbox.ok(["build", "--help"]).prints("the last counts");
}
