//! `share/plugin.mk`, which every plugin's Makefile includes, with GNU make.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Done, Sandbox};

/// A stand-in for `mwp` that writes down its arguments and takes its time to clean.
const STAND_IN: &str = "#!/bin/sh
echo \"$*\" >>\"$LOG\"
case $1 in
    clean) sleep 0.3; echo cleaned >>\"$LOG\" ;;
    fail) exit 1 ;;
esac
case $* in *'--print version') echo 1.2.3 ;; *'--print release') echo 4 ;; esac
";

fn shims() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("templates/shims")
}

/// A plugin `foo` whose Makefile is the include and these lines.
fn with_makefile(more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("foo");
    sandbox.write("foo/Makefile", format!("include $(MFEXT_HOME)/share/plugin.mk\n{more}"));
    sandbox.write_executable("bin/mwp", STAND_IN);
    sandbox
}

fn make(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new("make");
    let path = format!("{}:{}", sandbox.work().join("bin").display(), std::env::var("PATH").unwrap());
    command.args(arguments).current_dir(sandbox.work().join("foo")).env("PATH", path);
    command
        .env("LOG", sandbox.work().join("log"))
        .env("MFEXT_HOME", shims())
        .env("HOME", sandbox.path("home"));
    for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MWP", "MWP_MAKE_HOOK", "VERSION", "NAME"] {
        command.env_remove(variable);
    }
    command
}

/// Runs make and returns its standard output and what `mwp` was called with.
#[track_caller]
fn made(sandbox: &Sandbox, arguments: &[&str]) -> (String, Vec<String>) {
    sandbox.write("log", "");
    let done = Done::of(&mut make(sandbox, arguments)).succeeded();
    (done.stdout, sandbox.read("log").lines().map(str::to_owned).collect())
}

#[test]
fn every_target_is_done_by_mwp() {
    let sandbox = with_makefile("");
    for (target, calls) in [
        (vec![], vec!["build"]),
        (vec!["all"], vec!["build"]),
        (vec!["develop"], vec!["develop"]),
        (vec!["release"], vec!["release"]),
        (vec!["check"], vec!["check"]),
        (vec!["clean"], vec!["clean", "cleaned"]),
        (vec!["superclean"], vec!["clean", "cleaned", "superclean"]),
        (vec!["precustom", "custom"], vec![]),
    ] {
        assert_eq!(made(&sandbox, &target).1, calls, "{target:?}");
    }
}

#[test]
fn older_places_of_the_file_are_known() {
    let sandbox = Sandbox::new();
    sandbox.plugin("foo");
    sandbox.write_executable("bin/mwp", STAND_IN);
    for include in ["$(MFEXT_HOME)/opt/misc/share/plugin.mk", "$(MFCOM_HOME)/share/plugin.mk"] {
        sandbox.write("foo/Makefile", format!("include {include}\n"));
        Done::of(make(&sandbox, &[]).env("MFCOM_HOME", shims())).succeeded();
    }
    assert_eq!(sandbox.read("log"), "build\nbuild\n");
}

#[test]
fn clean_and_release_run_in_order_with_many_jobs() {
    let sandbox = with_makefile("clean::\n\t@sleep 0.2; echo mine >>$(LOG)\n");
    assert_eq!(made(&sandbox, &["-j8", "clean", "release"]).1, ["clean", "cleaned", "mine", "release"]);
    assert_eq!(
        made(&sandbox, &["-j8", "clean", "check", "all"]).1,
        ["clean", "cleaned", "mine", "check", "build"]
    );
}

#[test]
fn rules_of_the_plugin_are_added_to_ours() {
    let sandbox = with_makefile(
        "MESSAGE = set later\nprecustom::\n\t@echo pre\ncustom:: made\n\t@echo one $(MESSAGE)\ncustom::\n\t@echo two\n\
         made:\n\t@echo made\nall: extra\n\t@echo own recipe\nextra:\n\t@echo extra\ndeploy: release\n\t@echo deployed\n",
    );
    assert_eq!(
        made(&sandbox, &["precustom", "custom"]),
        ("pre\nmade\none set later\ntwo\n".to_owned(), vec![])
    );
    assert_eq!(made(&sandbox, &[]), ("extra\nown recipe\n".to_owned(), vec!["build".to_owned()]));
    assert_eq!(made(&sandbox, &["deploy"]), ("deployed\n".to_owned(), vec!["release".to_owned()]));
}

#[test]
fn a_hook_does_not_call_mwp_again() {
    let sandbox = with_makefile("custom:: all check\n\t@echo custom\n");
    sandbox.write("log", "");
    let done = Done::of(make(&sandbox, &["custom"]).env("MWP_MAKE_HOOK", "1")).succeeded();
    assert_eq!((done.stdout.as_str(), sandbox.read("log").as_str()), ("custom\n", ""));
}

#[test]
fn variables_are_found_out_when_used_and_once() {
    let sandbox = with_makefile("show:\n\t@echo '$(NAME) $(VERSION) $(VERSION) $(RELEASE) $(LAYERS)'\n");
    sandbox.write("foo/.layerapi2_dependencies", "# comment\npython3@mfext\n\nroot@mfserv\n");
    let (stdout, calls) = made(&sandbox, &["show"]);
    assert_eq!(stdout, "foo 1.2.3 1.2.3 4 python3@mfext,root@mfserv\n");
    assert_eq!(calls, ["check --print version", "check --print release"]);
    assert_eq!(made(&sandbox, &["precustom"]).1, Vec::<String>::new());
}

#[test]
fn a_dry_run_shows_the_command_and_runs_nothing() {
    let sandbox = with_makefile("");
    let (stdout, calls) = made(&sandbox, &["-n", "release"]);
    assert_eq!((stdout.as_str(), calls), ("mwp release\n", vec![]));
    let failed = Done::of(&mut make(&sandbox, &["-q", "release"])).exited(1);
    assert_eq!((failed.stdout.as_str(), sandbox.read("log").as_str()), ("", ""));
}

#[test]
fn job_slots_and_variables_reach_the_hooks() {
    let sandbox = with_makefile("custom::\n\t@echo '$(GIVEN)'\n");
    sandbox.write_executable(
        "bin/mwp",
        "#!/bin/sh\nexec env MWP_MAKE_HOOK=1 make --no-print-directory custom\n",
    );
    let done = Done::of(&mut make(&sandbox, &["-j2", "GIVEN=a b", "all"])).succeeded();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("a b\n", ""));
}

#[test]
fn a_failure_of_mwp_is_a_failure_of_make() {
    let sandbox = with_makefile("MWP = mwp fail\nall:\n\t@echo not reached\n");
    let done = Done::of(&mut make(&sandbox, &[])).exited(2);
    assert_eq!(done.stdout, "");
}

#[test]
fn the_real_mwp_answers() {
    let sandbox = with_makefile("show:\n\t@echo '$(VERSION)-$(RELEASE)'\n");
    let mwp = format!("MWP={}", env!("CARGO_BIN_EXE_mwp"));
    Done::of(&mut make(&sandbox, &[&mwp, "check"])).succeeded().prints("plugin_foo@mfserv 0.0.1-1 is good");
    Done::of(&mut make(&sandbox, &[&mwp, "show"])).succeeded().prints("0.0.1-1\n");
    sandbox.write("foo/config.ini", "[general]\n");
    Done::of(&mut make(&sandbox, &[&mwp, "check"])).exited(2).says("`_version` is missing");
}

#[test]
fn the_real_build_runs_the_rules_of_the_makefile_once() {
    let sandbox = with_makefile(
        "precustom::\n\t@echo pre >>order; echo seen\ncustom:: $(NAME).txt\n\t@echo custom >>order\n\
         custom::\n\t@echo more >>order\nfoo.txt:\n\t@echo $(NAME) $(VERSION) >$@\n",
    );
    let mwp = format!("MWP={}", env!("CARGO_BIN_EXE_mwp"));
    sandbox.write_executable("bin/mwp", &format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_mwp")));
    let done = Done::of(&mut make(&sandbox, &["-j4", &mwp])).succeeded();
    // What the rules print is for the person at the terminal.
    assert!(done.stdout.lines().any(|line| line == "seen"), "{done:?}");
    assert_eq!(sandbox.read("foo/order"), "pre\ncustom\nmore\n");
    assert_eq!(sandbox.read("foo/foo.txt"), "foo 0.0.1\n");
    // Without make around it, mwp brings the file to include itself.
    sandbox.write("foo/order", "");
    assert_eq!(sandbox.ok(["build", "-C", "foo"]).stdout, "");
    assert_eq!(sandbox.read("foo/order"), "pre\ncustom\nmore\n");
}
