//! `mwp check` beyond the configuration: what `build`, `release`, `install` and `up` would refuse, and what is hardly
//! meant. One test per rule.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{CONFIG, Done, Sandbox};

/// A sandbox with a plugin `foo` of this module whose configuration is `[general]` and these lines.
fn with_config(module: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("foo");
    sandbox.write("foo/.layerapi2_label", format!("plugin_foo@{module}\n"));
    sandbox.write("foo/config.ini", format!("{CONFIG}{more}"));
    sandbox
}

/// What `check` says in the plugin's directory, with the exit code.
fn check(sandbox: &Sandbox) -> Done {
    Done::of(sandbox.mwp(["check"]).current_dir(sandbox.path("work/foo")))
}

/// The values that count, by `check -v`.
fn values(sandbox: &Sandbox, configuration: &str) -> String {
    let mut command = sandbox.mwp(["check", "-v", "-C", "foo"]);
    Done::of(command.env("MFCONFIG", configuration)).succeeded().stdout
}

#[test]
fn everything_is_named_at_once_with_file_line_and_column() {
    let sandbox = with_config(
        "mfserv",
        "[app_nodir]\n_cmd_and_args = sleep \"1000\nmax_age={{NO_SUCH}}\ndebug=maybe\n\
         [app_main]\n_cmd_and_args=sleep {plugn_dir}\nnumprocesses=1\n[extra_daemon_x]\n",
    );
    sandbox.write("foo/main/app.py", "");
    sandbox.write("foo/crontab", "# jobs\n99 * * * * foo\n");
    sandbox.write("foo/python3_virtualenv_sources/requirements-to-freeze.txt", "# wanted\n;;\n-r more.txt\n");
    sandbox.write("foo/python3_virtualenv_sources/more.txt", "==3\n");
    let task = |name: &str, after: &str| {
        format!("[tasks.{name}]\ncommand = [\"true\"]\nalways = true\nafter = [\"{after}\"]\n")
    };
    let tasks = [task("a", "b"), task("b", "a"), "[tasks.c]\ncommand = []\nalways = true\n".to_owned()];
    sandbox.write("foo/mwp.toml", tasks.concat());
    let done = check(&sandbox).exited(1);
    for line in [
        "warning: config.ini:9:1: [app_nodir] the plugin has no directory `nodir` for this app",
        "error: config.ini:10:17: [app_nodir] _cmd_and_args: found `sleep \"1000`; quotes go in pairs",
        "warning: config.ini:11:9: [app_nodir] max_age: `NO_SUCH` is no variable of this machine, and the value counts as 0",
        "warning: config.ini:12:7: [app_nodir] debug: `maybe` is no boolean and is taken as false; `1` or `0` is meant",
        "error: config.ini:14:21: [app_main] _cmd_and_args: found `{plugn_dir}`, which is no placeholder and would be \
         handed over as it stands",
        "hint: did you mean `{plugin_dir}`?",
        "warning: config.ini:16:1: [extra_daemon_x] there is no `_cmd_and_args`: nothing runs",
        "error: crontab:2: found the minute `99`; 0-59, `*`, ranges `A-B`, steps `*/N` and lists with `,` are allowed",
        "error: python3_virtualenv_sources/requirements-to-freeze.txt:2: found `;;`, which is no requirement; a name, a URL \
         and a path are allowed",
        "error: python3_virtualenv_sources/more.txt:1: found `==3`, which is no requirement; a name, a URL and a path are \
         allowed",
        "error: mwp.toml:1: the tasks wait for each other: a → b → a",
        "error: mwp.toml:9: [tasks.c] `command` is empty; a program and its arguments are allowed",
    ] {
        assert!(done.stderr.lines().any(|found| found == line), "no line {line:?} in:\n{}", done.stderr);
    }
    assert_eq!(done.stderr.matches("error:").count(), 7, "{}", done.stderr);
    // A mistake in the configuration hides nothing of the rest.
    sandbox.write("foo/config.ini", format!("{CONFIG}[app_main]\n_cmd_and_args=sleep '1\nnonsense=1\n"));
    let done = check(&sandbox).exited(1).says("[app_main] nonsense: unknown key").says("quotes go in pairs");
    done.says("crontab:2: found the minute `99`").says("found `;;`");
}

#[test]
fn json_has_file_line_and_column_of_every_part() {
    let sandbox = with_config("mfserv", "[app_main]\n_cmd_and_args=sleep 'x\n");
    sandbox.write("foo/crontab", "99 * * * * foo\n");
    let done = sandbox.fails(1, ["check", "-C", "foo", "--json"]);
    let reports: Value = serde_json::from_str(&done.stdout).unwrap();
    let problems = reports[0]["problems"].as_array().unwrap();
    let places: Vec<String> = problems
        .iter()
        .map(|problem| format!("{} {} {}", problem["file"], problem["line"], problem["column"]))
        .collect();
    assert_eq!(places, ["\"foo/config.ini\" 10 15", "\"foo/crontab\" 1 null"]);
}

#[test]
fn the_build_takes_what_upstream_took() {
    let sandbox = with_config(
        "mfserv",
        "[app_nodir]\n_cmd_and_args=sleep {plugn_dir} 'x\nmax_age={{NO_SUCH}}\ndebug=maybe\nnumprocesses=many\n",
    );
    sandbox.write("foo/crontab", "99 * * * * foo\n");
    sandbox.ok(["build", "-C", "foo"]);
    sandbox.ok(["release", "-C", "foo"]);
}

#[test]
fn a_missing_program_and_a_daemon_that_never_runs_are_warnings() {
    let sandbox = with_config(
        "mfserv",
        "[extra_daemon_a]\n_cmd_and_args=no-such-program --x\nnumprocesses=1\n\
         [extra_daemon_b]\n_cmd_and_args={plugin_dir}/bin/run\nnumprocesses=1\n\
         [extra_daemon_c]\n_cmd_and_args=sleep 1\nnumprocesses=0\n\
         [extra_daemon_d]\n_cmd_and_args=signal_wrapper.py sleep 1\nnumprocesses=1\n",
    );
    let done = check(&sandbox).succeeded();
    let done = done.says(
        "warning: config.ini:10:15: [extra_daemon_a] _cmd_and_args: the program `no-such-program` is not on this machine",
    );
    let done = done.says("config.ini:13:15: [extra_daemon_b] _cmd_and_args: the program `");
    let done = done.says("warning: config.ini:17:14: [extra_daemon_c] numprocesses: `numprocesses` is 0");
    let done = done.never_says("extra_daemon_d");
    assert_eq!(done.stdout, "`foo`: plugin_foo@mfserv 0.0.1-1 is good, with 3 warnings\n");
    sandbox.write("foo/bin/run", "#!/bin/sh\n");
    let script = sandbox.path("work/foo/bin/run");
    fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
    check(&sandbox).succeeded().never_says("extra_daemon_b");
}

#[test]
fn checking_writes_nothing() {
    let sandbox =
        with_config("mfserv", "[app_main]\n_cmd_and_args=sleep 1\n_extra_nginx_conf_filename=x.conf\n");
    sandbox.write("foo/x.conf", "gzip on;\n");
    sandbox.write("foo/crontab", "@daily true\n");
    let before = crate::support::tree(&sandbox.path("."));
    check(&sandbox).succeeded();
    assert_eq!(crate::support::tree(&sandbox.path(".")), before);
}

#[test]
fn fragments_of_nginx_are_read_by_their_own_parser() {
    let sandbox = with_config(
        "mfserv",
        "[app_main]\n_extra_nginx_conf_filename=a.conf\n[app_other]\n_extra_nginx_conf_filename=b.conf\n",
    );
    sandbox.write("foo/main/x", "");
    sandbox.write("foo/other/x", "");
    sandbox.write("foo/common.conf", "add_header X {{ MFSERV_CURRENT_PLUGIN_NAME.upper() }};\n");
    sandbox.write("foo/a.conf", "gzip on;\n}\n");
    sandbox.write("foo/b.conf", "{% include \"common.conf\" %}\nroot {{ NO_SUCH }};\n");
    let done = check(&sandbox).exited(1).says("a.conf:2: `}` closes a block that is not begun here");
    done.says("b.conf:2: ");
    sandbox.write("foo/a.conf", "gzip on;\n");
    sandbox.write("foo/b.conf", "{% include \"common.conf\" %}\n");
    check(&sandbox).succeeded();
    sandbox.write("secret.conf", "root /;\n");
    sandbox.write("foo/b.conf", "{% include \"../secret.conf\" %}\n");
    check(&sandbox).exited(1).says("b.conf:1: ").says("outside the plugin");
}

#[test]
fn a_key_has_a_variant_only_where_it_ends_with_a_bracket() {
    let sandbox = with_config(
        "mfdata",
        "[switch_rules:fnmatch:x]\nW_FR[0-9]*.grib = a/b\nW_[AB] = c/d\n[custom]\nfoo=0\nfoo[dev]y=1\nfoo[bar=1\n\
         bar=0\nbar[DEV]=1\n",
    );
    let values = values(&sandbox, "dev");
    for line in
        ["W_FR[0-9]*.grib = a/b ", "W_[AB] = c/d ", "foo = 0 ", "foo[dev]y = 1 ", "foo[bar = 1 ", "bar = 1 "]
    {
        assert!(values.lines().any(|found| found.starts_with(line)), "no {line:?} in:\n{values}");
    }
    check(&sandbox).succeeded().never_says("variant");
}

#[test]
fn a_label_that_the_makefile_makes_is_no_mistake_while_it_is_not_there() {
    let sandbox = with_config("mfserv", "");
    sandbox.write("foo/Makefile", "include $(MFEXT_HOME)/share/plugin.mk\nprecustom:: .layerapi2_label\n");
    fs::remove_file(sandbox.path("work/foo/.layerapi2_label")).unwrap();
    let done = check(&sandbox).succeeded();
    done.says("warning: `.layerapi2_label` is not there yet: `precustom` of the Makefile may make it");
    sandbox.write("foo/config.ini", format!("{CONFIG}[app_main]\nnonsense=1\n"));
    check(&sandbox).exited(1).says("config.ini:10:1: [app_main] nonsense: unknown key");
    fs::remove_file(sandbox.path("work/foo/Makefile")).unwrap();
    check(&sandbox).exited(1).says("it has no `.layerapi2_label`");
}

#[test]
fn an_empty_release_is_1() {
    let sandbox = with_config("mfserv", "");
    sandbox.write("foo/config.ini", CONFIG.replace("_release=1", "_release="));
    assert_eq!(sandbox.ok(["check", "-C", "foo", "--print", "release"]).stdout, "1\n");
}

#[test]
fn templates_are_those_of_pythons_jinja2() {
    let sandbox = with_config(
        "mfserv",
        "[custom]\na={{ X.split('.')[0] }}\nb={{ X.upper() }}\nc={{ EMPTY|int }}\nd={{ '%03d'|format(7) }}\n\
         e={{ (L|from_json)[1] }}\nf={{ 'x.grib'|fnmatch('*.grib') }}\ng={{ 'echo from the shell'|shell }}\n\
         h={{ 'X'|getenv }}\n",
    );
    let mut command = sandbox.mwp(["check", "-v", "-C", "foo"]);
    command.env("X", "node1.example").env("EMPTY", "").env("L", "[1, 22]");
    // A command in a value runs where the machine says so, whatever the plugin says.
    sandbox.write("foo/.layerapi2_extra_env", "MWP_ALLOW_SHELL=1\n");
    Done::of(&mut command)
        .exited(1)
        .says("`shell` would run `echo from the shell`")
        .says("MWP_ALLOW_SHELL=1");
    let done = Done::of(command.env("MWP_ALLOW_SHELL", "1")).succeeded();
    done.prints("a = node1 ")
        .prints("b = NODE1.EXAMPLE ")
        .prints("c = 0 ")
        .prints("d = 007 ")
        .prints("e = 22 ")
        .prints("f = True ")
        .prints("g = from the shell ")
        .prints("h = node1.example ");
}

#[test]
fn debug_forces_one_process_where_there_are_some_and_for_mfservs_apps_alone() {
    let sections = "[app_none]\n_cmd_and_args=x\nnumprocesses=0\ndebug=1\nmax_age=5\n\
                    [app_some]\n_cmd_and_args=x\nnumprocesses=4\ndebug=1\nmax_age=5\n\
                    [extra_daemon_d]\n_cmd_and_args=x\nnumprocesses=3\ndebug=1\nmax_age=5\n";
    let numbers = |module: &str| {
        let values = values(&with_config(module, sections), "GENERIC");
        let wanted =
            values.lines().filter(|line| line.starts_with("numprocesses") || line.starts_with("max_age"));
        let number = |line: &str| line.split_whitespace().nth(2).unwrap_or_default().to_owned();
        wanted.map(number).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(numbers("mfserv"), "0 0 1 0 3 5");
    assert_eq!(numbers("mfbase"), "0 5 4 5 3 5");
}

#[test]
fn variables_of_the_machine_are_there_without_metwork() {
    let names = [
        "MFHARDWARE_NUMBER_OF_CPU_CORES",
        "MFHARDWARE_NUMBER_OF_CPU_CORES_PLUS_1",
        "MFHARDWARE_NUMBER_OF_CPU_CORES_MULTIPLIED_BY_2",
        "MFHARDWARE_NUMBER_OF_CPU_CORES_DIVIDED_BY_2",
        "MFHARDWARE_NUMBER_OF_PHYSICAL_PROCESSORS",
        "MFHARDWARE_PHYSICAL_MEMORY",
        "MFHOSTNAME",
        "MFHOSTNAME_FULL",
    ];
    let keys: String = names.iter().map(|name| format!("{name}=<{{{{{name}}}}}>\n")).collect();
    let sandbox = with_config("mfserv", &format!("[custom]\n{keys}domain=<{{{{ MFDOMAIN is defined }}}}>\n"));
    let found = values(&sandbox, "GENERIC");
    assert!(!found.contains("<>") && found.contains("domain = <True>"), "{found}");
    let mut command = sandbox.mwp(["check", "-v", "-C", "foo"]);
    Done::of(command.env("MFHARDWARE_PHYSICAL_MEMORY", "17"))
        .succeeded()
        .prints("MFHARDWARE_PHYSICAL_MEMORY = <17>");
    // The plugin's code sees them, too.
    sandbox.ok(["release", "-C", "foo"]);
    sandbox.ok(["install", "foo-0.0.1-1.metwork.mfserv.plugin"]);
    let script = "test -n \"$MFHARDWARE_NUMBER_OF_PHYSICAL_PROCESSORS\" && test -n \"$MFHOSTNAME\"";
    sandbox.ok(["exec", "foo", "--", "sh", "-c", script]);
}

#[test]
fn the_keys_of_mfbase_are_known() {
    let sandbox = with_config("mfbase", "");
    let keys = "_use_postgresql=1\n_use_storage=1\nstorage_access_allows=10.0.0.0/8\nstorage_auth_passwd_filename=p\n\
                storage_satisfy=all\nstorage_forbidden_dav_methods=DELETE\nstorage_dav_access=user:rw\n\
                storage_autoindex_format=json\n";
    sandbox.write("foo/config.ini", format!("{CONFIG}{keys}"));
    let done = check(&sandbox).succeeded();
    assert_eq!(done.stderr, "");
    sandbox.write("foo/config.ini", format!("{CONFIG}storage_satisfy=some\n"));
    check(&sandbox)
        .exited(1)
        .says("config.ini:9:17: [general] storage_satisfy: found `some`; `any`, `all` are allowed");
}

#[test]
fn a_retry_delay_that_is_no_number_is_refused() {
    let sandbox =
        with_config("mfdata", "[step_main]\n_cmd_and_args=true\nnumprocesses=1\nretry_min_wait=ten\n");
    check(&sandbox)
        .exited(1)
        .says("config.ini:12:16: [step_main] retry_min_wait: found `ten`; a number is allowed");
}

#[test]
fn a_fragment_that_answers_for_other_plugins_is_found_unless_the_operator_allows_it() {
    let sandbox = with_config("mfserv", "[app_main]\n_cmd_and_args=sleep 1\n");
    let config = sandbox.read("foo/config.ini");
    let general = "[general]\n_extra_nginx_server_conf_filename=server.conf\n";
    sandbox.write("foo/config.ini", config.replacen("[general]\n", general, 1));
    sandbox.write("foo/server.conf", "# keep out\ndeny all;\n");
    let done = check(&sandbox).exited(1).says("server.conf:2: `deny` is for every request there");
    done.says("fragments_allowed=foo");
    sandbox.write("../etc/metwork.config.d/mfserv/config.ini", "[nginx]\nfragments_allowed=foo\n");
    check(&sandbox).succeeded();
}

#[test]
fn what_the_build_would_miss_is_named() {
    let sandbox = with_config("mfserv", "");
    let task = "[tasks.a]\ncommand = [\"nosuchprogram\"]\ninputs = [\"src/*.c\", \"!src/x.c\"]\noutputs = [\"made\"]\n";
    let next = "[tasks.b]\ncommand = [\"true\"]\ninputs = [\"made\"]\noutputs = [\"more\"]\n";
    sandbox.write("foo/mwp.toml", format!("{task}{next}"));
    check(&sandbox)
        .exited(1)
        .says("error: mwp.toml:1: task `a` needs `src/*.c`, and nothing there matches")
        .says("warning: mwp.toml:1: task `a` needs `nosuchprogram`, which is not on this machine's PATH")
        .never_says("task `b`");
    sandbox.write("foo/src/a.c", "");
    check(&sandbox).succeeded().prints("with 1 warning");
}

#[test]
fn what_package_managers_and_pip_could_not_read_is_named() {
    for (file, content, expected) in [
        ("package.json", "{", "package.json:1:1: found no valid JSON"),
        ("package.json", "{\"workspaces\": [\"[\"]}", "`workspaces`: bad glob"),
        ("python3_virtualenv_sources/pylock.toml", "no [", "pylock.toml"),
    ] {
        let sandbox = with_config("mfserv", "");
        sandbox.write("foo/python3_virtualenv_sources/requirements-to-freeze.txt", "six\n");
        sandbox.write(&format!("foo/{file}"), content);
        check(&sandbox).exited(1).says(expected);
    }
}

#[test]
fn all_that_is_wrong_with_requirements_is_named_where_an_included_file_is_missing_too() {
    let sandbox = with_config("mfserv", "");
    let wanted = "six\n;;\n-r nothere.txt\n./lib/nope\nflask>>3\n";
    sandbox.write("foo/python3_virtualenv_sources/requirements-to-freeze.txt", wanted);
    let done = check(&sandbox).exited(1);
    assert_eq!(done.stderr.matches("error:").count(), 3, "{}", done.stderr);
    let done = done.says("freeze.txt:2: found `;;`").says("nothere.txt` is not there");
    done.says("freeze.txt:5: found `flask>>3`");
    sandbox.write("foo/python3_virtualenv_sources/requirements-to-freeze.txt", "six\n./lib/nope\n;;\n");
    check(&sandbox)
        .exited(1)
        .says("freeze.txt:2: `./lib/nope` is not there")
        .says("freeze.txt:3: found `;;`");
}

#[test]
fn a_file_that_cannot_be_read_is_found_before_it_is_packed() {
    let sandbox = with_config("mfserv", "");
    let secret = sandbox.write("foo/main/secret", "x");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let mut check = sandbox.as_ordinary_user(&["check", "-C", "foo"]);
    Done::of(&mut check).exited(1).says("error: cannot read `foo/main/secret`: permission denied");
    sandbox.write("foo/.releaseignore", "main/secret\n");
    Done::of(&mut sandbox.as_ordinary_user(&["check", "-C", "foo"])).succeeded();
}
