//! `mwp check`: one test per rule.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::support::{CONFIG, Done, Sandbox};

/// A sandbox with a good plugin `foo` whose configuration is `[general]` and these lines.
fn with_config(more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("foo");
    sandbox.write("foo/config.ini", format!("{CONFIG}{more}"));
    sandbox
}

/// Fails in the plugin's directory; each text is one line of standard error.
#[track_caller]
fn refused(sandbox: &Sandbox, lines: &[&str]) {
    let done = Done::of(sandbox.mwp(["check"]).current_dir(sandbox.path("work/foo"))).exited(1);
    for line in lines {
        assert!(done.stderr.lines().any(|found| found == *line), "no line {line:?} in:\n{}", done.stderr);
    }
    assert_eq!(done.stdout, "");
}

#[test]
fn a_good_plugin_is_said_to_be_good_in_one_line() {
    let sandbox = with_config("[app_main]\n_cmd_and_args=true\nnumprocesses=1\n");
    sandbox.write("foo/main/app.py", "");
    let done = sandbox.ok(["check", "-C", "foo"]);
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str()),
        ("`foo`: plugin_foo@mfserv 0.0.1-1 is good\n", "")
    );
    let done = sandbox.ok(["check", "-C", "foo", "--quiet"]);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

#[test]
fn a_directory_that_is_no_plugin_is_refused_once() {
    let sandbox = Sandbox::new();
    let done =
        sandbox.fails(1, ["check"]).says("error: `work` is not a plugin: it has no `.layerapi2_label`");
    assert_eq!(done.stderr.matches("error:").count(), 1);
    sandbox.fails(1, ["check", "-C", "nowhere"]).says("`nowhere` is not a plugin");
}

#[test]
fn a_bad_label_names_the_wrong_half() {
    for (label, wrong) in [
        ("foo@mfserv", "does not start with `plugin_`"),
        ("plugin_foo", "has no `@MODULE`"),
        ("plugin_base@mfserv", "is reserved"),
        ("plugin_a b@mfserv", "holds ` `"),
        ("plugin_foo@MF SERV", "the module `MF SERV` is not a module's name"),
        ("plugin_foo\n@mfserv", "holds `\\n`"),
        ("plugin_../../x@mfserv", "holds `.`"),
        ("", "has no `@MODULE`"),
    ] {
        let sandbox = with_config("");
        sandbox.write("foo/.layerapi2_label", label);
        sandbox.fails(1, ["check", "-C", "foo"]).says("error: `foo/.layerapi2_label`: ").says(wrong);
    }
}

#[test]
fn a_label_that_is_not_utf8_is_refused() {
    let sandbox = with_config("");
    sandbox.write("foo/.layerapi2_label", b"plugin_f\xff@mfserv\n");
    sandbox.fails(1, ["check", "-C", "foo"]).says("`foo/.layerapi2_label` is not UTF-8 text");
}

#[test]
fn a_legacy_plugin_is_named_as_such() {
    let sandbox = with_config("");
    fs::remove_file(sandbox.path("work/foo/.plugin_format_version")).unwrap();
    sandbox.write("foo/config.ini", "[general]\nversion=1.2.3\nsummary=x\n[step.main]\nworkers=1\n");
    let done = sandbox.fails(1, ["check", "-C", "foo"]);
    // What it has to look like today would take a page; what its keys are called today is told.
    let errors: Vec<_> = done.stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert_eq!(errors[0], "error: `foo` is a legacy plugin (before 1.0): it has no `.plugin_format_version`");
    assert!(!done.stderr.contains("[custom]"), "{}", done.stderr);
    done.says("did you mean `_version`?");
}

#[test]
fn a_missing_configuration_is_refused() {
    let sandbox = with_config("");
    fs::remove_file(sandbox.path("work/foo/config.ini")).unwrap();
    refused(&sandbox, &["error: `config.ini`: the plugin has no configuration file"]);
}

#[test]
fn a_malformed_line_is_refused_with_its_number() {
    let sandbox = with_config("[custom]\nfoo: bar\n=x\n");
    refused(
        &sandbox,
        &[
            "error: config.ini:10:1: [custom] found `foo: bar`; `key = value` is allowed",
            "error: config.ini:11:1: [custom] found `=` without a key before it; `key = value` is allowed",
        ],
    );
    sandbox.write("foo/config.ini", format!("\u{feff}{CONFIG}"));
    refused(&sandbox, &["hint: save the file without a byte order mark"]);
}

#[test]
fn a_configuration_that_is_not_utf8_is_refused_with_its_line() {
    let sandbox = with_config("");
    sandbox.write("foo/config.ini", b"[general]\n_version=0.0.1\n_vendor=caf\xe9\n");
    refused(&sandbox, &["error: config.ini:3: found bytes that are not UTF-8; UTF-8 text is allowed"]);
}

#[test]
fn an_unknown_section_is_refused_with_a_suggestion() {
    let sandbox = with_config("[ap_main]\n_cmd_and_args=true\n[nothing_like_it]\n");
    refused(
        &sandbox,
        &[
            "error: config.ini:9:1: [ap_main] unknown section",
            "hint: did you mean `app_main`?",
            "error: config.ini:11:1: [nothing_like_it] unknown section",
        ],
    );
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    let sandbox = with_config("[app_main]\n_cmd_and_args=true\nnumproceses=2\ncmd_and_args=x\n");
    refused(
        &sandbox,
        &[
            "error: config.ini:11:1: [app_main] numproceses: unknown key",
            "hint: did you mean `numprocesses`?",
            "error: config.ini:12:1: [app_main] cmd_and_args: unknown key",
            "hint: did you mean `_cmd_and_args`?",
        ],
    );
}

#[test]
fn a_section_that_starts_with_an_underscore_is_ignored() {
    with_config("[_notes]\nanything=goes\n").ok(["check", "-C", "foo"]);
}

#[test]
fn duplicate_keys_and_sections_are_refused_with_both_lines() {
    let sandbox = with_config("[app_main]\ndebug=0\ndebug=1\n[app_main]\n");
    refused(
        &sandbox,
        &[
            "error: config.ini:11:1: [app_main] debug: duplicate key; the first is in line 10",
            "error: config.ini:12:1: [app_main] duplicate section; the first is in line 9",
        ],
    );
}

#[test]
fn the_metadata_is_required_and_not_empty() {
    let sandbox = with_config("");
    sandbox
        .write("foo/config.ini", "[general]\n_version=0.0.1\n_summary=\n_license=x\n_url=x\n_maintainer=x\n");
    refused(
        &sandbox,
        &[
            "error: config.ini:1:1: [general] `_vendor` is missing",
            "error: config.ini:3:1: [general] _summary: found nothing; some text is required",
        ],
    );
    sandbox.write("foo/config.ini", "[custom]\n_a=1\n");
    refused(&sandbox, &["error: `config.ini`: the section `[general]` is missing"]);
}

#[test]
fn shell_characters_in_version_and_release_are_refused() {
    for bad in [
        "1;touch x",
        "$(touch x)",
        "`touch x`",
        "1 2",
        "a/b",
        "..",
        "-rf",
        "1\n  2",
        "{{ '1;x' }}",
        "A",
        "1'",
    ] {
        for key in ["_version", "_release"] {
            let sandbox = with_config("");
            let lines: Vec<_> = CONFIG.lines().filter(|line| !line.starts_with(key)).collect();
            sandbox.write("foo/config.ini", format!("{}\n{key}={bad}\n", lines.join("\n")));
            let done = sandbox.fails(1, ["check", "-C", "foo"]);
            done.says(&format!("error: foo/config.ini:8:10: [general] {key}: found `"));
        }
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let sandbox = with_config("[app_main]\nnumproceses=1\nprefix_based_routing_extra_routes=/a/\n[what]\n");
    sandbox.write("foo/.layerapi2_label", "plugin_base@mfserv\n");
    sandbox.write("foo/.plugin_format_version", "0.9.9\n");
    let done = sandbox.fails(1, ["check", "-C", "foo"]);
    assert_eq!(done.stderr.matches("error:").count(), 5, "{}", done.stderr);
    let done = done.says("`foo/.layerapi2_label`: the plugin name `base` is reserved");
    let done = done.says("`foo` is a legacy plugin: its format version is `0.9.9`");
    let done = done.says("foo/config.ini:10:1: ").says("foo/config.ini:11:35: ");
    done.says("foo/config.ini:12:1: [what] unknown section");
}

#[test]
fn a_bad_override_is_reported_by_its_own_path() {
    let sandbox = with_config("[app_main]\nnumprocesses=1\n");
    let run = |sandbox: &Sandbox| {
        let mut command = sandbox.mwp(["check", "-C", "foo"]);
        Done::of(command.env("MFMODULE_RUNTIME_HOME", sandbox.path("run")))
    };
    let (etc, home) = ("etc/metwork.config.d/mfserv/plugins/foo.ini", "run/config/plugins/foo.ini");
    let write = |relative: &str, text: &str| {
        let path = sandbox.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let shown = |relative: &str| format!("{}", sandbox.path(relative).display());
    write(home, "[app_main]\nnumproceses=3\n");
    write(etc, "[app_main]\n_cmd_and_args=false\n[general]\n_version=2\n[app_main\n");
    let done = run(&sandbox).exited(1);
    let done = done.says(&format!("error: {}:2:1: [app_main] numproceses: unknown key", shown(home)));
    let done = done
        .says(&format!("error: {}:2:1: [app_main] _cmd_and_args: a key that starts with `_`", shown(etc)));
    let done = done.says(&format!("error: {}:3:1: [general] this section belongs to the plugin", shown(etc)));
    done.says(&format!("error: {}:5:1: [general] found `[app_main`", shown(etc)));
    write(home, "[app_main]\nnumprocesses=3\n[app_gone]\nnumprocesses=1\n");
    write(etc, "[custom]\nsite=x\n");
    run(&sandbox).succeeded().says("[app_gone] the plugin has no such section: the override is ignored");
}

#[test]
fn the_last_override_wins() {
    let sandbox = with_config("[app_main]\nnumprocesses=1\nmax_age=1\ntimeout=7\n[custom]\na[DEV]=1\n");
    for (path, text) in [
        ("run/config/plugins/foo.ini", "[app_main]\nnumprocesses=2\nmax_age=2\n[custom]\na=2\n"),
        ("etc/metwork.config.d/mfserv/plugins/foo.ini", "[app_main]\nmax_age=3\n[custom]\nb=3\n"),
    ] {
        let path = sandbox.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut command = sandbox.mwp(["check", "-v", "-C", "foo"]);
    command.env("MFMODULE_RUNTIME_HOME", sandbox.path("run")).env("MFCONFIG", "DEV");
    let done = Done::of(&mut command).succeeded();
    let done = done.prints("numprocesses = 2 ").prints("max_age = 3 ").prints("b = 3 ").prints("a = 1 ");
    done.prints("graceful_timeout = 20 ")
        .says("has no effect: `foo/config.ini` says `a[DEV]` for this machine");
}

#[test]
fn the_variant_for_this_machine_counts() {
    let variants = "[app_main]\ndebug=0\nnumprocesses=4\ntimeout=1\ntimeout[DEV]=2\ntimeout[DEV_JOHN]=3\n";
    let sandbox = with_config(&format!("{variants}_gateway_interface_mode[QA]=bad\n"));
    let timeout = |configuration: &str| {
        let mut command = sandbox.mwp(["check", "-v", "-C", "foo"]);
        Done::of(command.env("MFCONFIG", configuration))
    };
    timeout("FOO").succeeded().prints("timeout = 1 ");
    timeout("DEV_KATE").succeeded().prints("timeout = 2 ");
    timeout("dev_john_monday").succeeded().prints("timeout = 3 ");
    timeout("QA_5")
        .exited(1)
        .says("[app_main] _gateway_interface_mode[QA]: found `bad`; `proxy`, `fastcgi` are allowed");
    fs::write(sandbox.path("etc/metwork.config"), "# comment\nDEV\n").unwrap();
    sandbox.ok(["check", "-v", "-C", "foo"]).prints("timeout = 2 ");
}

#[test]
fn values_are_templates_over_the_environment() {
    let sandbox = with_config(
        "[app_main]\nnumprocesses={{MY_NUMBER}}\n[custom]\nname={{MFSERV_CURRENT_PLUGIN_NAME}}\n",
    );
    let mut command = sandbox.mwp(["check", "-v", "-C", "foo"]);
    Done::of(command.env("MY_NUMBER", "7")).succeeded().prints("numprocesses = 7 ").prints("name = foo ");
    let sandbox = with_config("[custom]\na={{ x\n");
    refused_with(
        &sandbox,
        "error: foo/config.ini:10:3: [custom] a: found `{{ x`, which is no Jinja2 template: ",
    );
}

#[track_caller]
fn refused_with(sandbox: &Sandbox, text: &str) {
    sandbox.fails(1, ["check", "-C", "foo"]).says(text);
}

#[test]
fn an_integer_that_does_not_parse_is_a_warning() {
    let sandbox = with_config("[app_main]\nnumprocesses=many\n");
    sandbox.write("foo/main/app.py", "");
    let done = sandbox.ok(["check", "-C", "foo", "-q"]);
    assert_eq!(
        done.stderr,
        "warning: foo/config.ini:10:14: [app_main] numprocesses: `many` is no integer and counts as 0\n"
    );
}

#[test]
fn an_indented_key_is_a_warning() {
    let sandbox = with_config("[app_main]\n_cmd_and_args=true\n  numprocesses=2\n");
    sandbox.ok(["check", "-C", "foo"]).says(
        "foo/config.ini:11:3: [app_main] numprocesses: this line is indented and so continues the value of `_cmd_and_args`",
    );
}

#[test]
fn a_named_file_must_exist_in_the_plugin() {
    let sandbox = with_config("[app_main]\n_extra_nginx_conf_filename=nginx.conf\n");
    refused_with(
        &sandbox,
        "[app_main] _extra_nginx_conf_filename: found `nginx.conf`; a file that exists in the plugin",
    );
    sandbox.write("foo/nginx.conf", "");
    sandbox.ok(["check", "-C", "foo"]);
}

#[test]
fn the_rules_of_mfdata_steps_are_kept() {
    let sandbox = with_config(
        "[step_main]\nfailure_policy=move\nretry_min_wait=20\nretry_max_wait=5\n\
         [step_other]\nfailure_policy=drop\n[switch_rules:equal:x]\nanything=1\n",
    );
    sandbox.write("foo/.layerapi2_label", "plugin_foo@mfdata\n");
    refused(
        &sandbox,
        &[
            "error: config.ini:10:16: [step_main] failure_policy: found `move` without `failure_policy_move_dest_dir`; \
             a directory to move to is required",
            "error: config.ini:12:16: [step_main] retry_max_wait: `retry_max_wait` is 5.0; at least `retry_min_wait`, \
             20.0, is allowed",
            "error: config.ini:14:16: [step_other] failure_policy: found `drop`; `keep`, `delete`, `move` are allowed",
        ],
    );
}

#[test]
fn the_keys_of_another_module_are_unknown() {
    let sandbox = with_config("[step_main]\n");
    refused(&sandbox, &["error: config.ini:9:1: [step_main] unknown section"]);
    sandbox.write("foo/.layerapi2_label", "plugin_foo@mfbase\n");
    sandbox.write("foo/config.ini", format!("{CONFIG}[app_main]\ntimeout=1\n"));
    refused(&sandbox, &["error: config.ini:10:1: [app_main] timeout: unknown key"]);
}

#[test]
fn a_name_that_would_leave_the_directory_of_sockets_is_refused() {
    for name in ["app_../x", "app_", "app_a b", "extra_daemon_..", "app_a/b", "app_$(x)"] {
        let sandbox = with_config(&format!("[{name}]\n"));
        refused_with(&sandbox, &format!("[{name}] the name after the `_` becomes part of file names"));
    }
}

#[test]
fn a_directory_with_a_newline_or_bytes_that_are_no_utf8_is_escaped() {
    let sandbox = Sandbox::new();
    let bad = sandbox.work().join(OsStr::from_bytes(b"a\n\xff\x1b[31m"));
    fs::create_dir(&bad).unwrap();
    let done = Done::of(sandbox.mwp(["check", "-C"]).arg(bad.file_name().unwrap())).exited(1);
    let done = done.says("error: `a\\n\\xff\\u{1b}[31m` is not a plugin");
    assert!(!done.stderr.contains('\u{1b}'));
    fs::rename(sandbox.plugin("foo"), bad.join("foo")).unwrap();
    sandbox.ok([OsStr::new("check"), OsStr::new("-C"), bad.join("foo").as_os_str()]).prints("is good");
}

#[test]
fn several_plugins_are_checked_in_one_run() {
    let sandbox = with_config("");
    sandbox.plugin("bar");
    sandbox.write("bar/config.ini", "[general]\n");
    let done = sandbox.fails(1, ["check", "-C", "foo", "-C", "bar", "-C", "none"]);
    done.prints("`foo`: ")
        .says("bar/config.ini:1:1: [general] `_version` is missing")
        .says("`none` is not a plugin");
}

#[test]
fn json_names_place_and_finding() {
    let sandbox = with_config("[app_main]\nnumproceses=1\nmax_age=x\n");
    let done = sandbox.fails(1, ["check", "-C", "foo", "--json"]);
    let reports: Value = serde_json::from_str(&done.stdout).unwrap();
    let report = &reports[0];
    assert_eq!((&report["directory"], &report["ok"]), (&Value::from("foo"), &Value::from(false)));
    assert_eq!(report["label"], "plugin_foo@mfserv");
    let problem = &report["problems"][0];
    for (field, value) in [
        ("file", Value::from("foo/config.ini")),
        ("line", Value::from(10)),
        ("section", Value::from("app_main")),
        ("key", Value::from("numproceses")),
        ("found", Value::from("numproceses")),
        ("suggestion", Value::from("numprocesses")),
        ("message", Value::from("foo/config.ini:10:1: [app_main] numproceses: unknown key")),
        ("hint", Value::from("did you mean `numprocesses`?")),
        ("allowed", Value::Null),
    ] {
        assert_eq!(problem[field], value, "{field}");
    }
    let warnings = report["warnings"].as_array().unwrap();
    let odd = warnings.iter().find(|warning| warning["key"] == "max_age").unwrap();
    assert_eq!((&odd["line"], &odd["column"]), (&Value::from(11), &Value::from(9)));
    let good = with_config("").ok(["check", "-C", "foo", "--json"]);
    let reports: Value = serde_json::from_str(&good.stdout).unwrap();
    assert_eq!((&reports[0]["ok"], &reports[0]["version"]), (&Value::from(true), &Value::from("0.0.1")));
}
