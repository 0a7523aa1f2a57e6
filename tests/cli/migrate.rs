//! `mwp migrate`: plugins from before 1.0, as they looked, become current ones that are built, installed and run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Sandbox, tree};

const GENERAL: &str = "[general]\nversion=1.0\nsummary=s\nlicense=BSD\nurl=u\nmaintainer=m\nvendor=v\n";

/// A plugin of old with this configuration below `[general]`, in `work/{name}`.
fn old_plugin(sandbox: &Sandbox, name: &str, sections: &str) -> PathBuf {
    sandbox.write(&format!("{name}/config.ini"), format!("{GENERAL}name={name}\n\n{sections}"));
    sandbox.work().join(name)
}

/// What the configuration of `name` says after its migration.
#[track_caller]
fn migrated(sandbox: &Sandbox, name: &str) -> String {
    sandbox.ok(["migrate", "--yes", name]);
    sandbox.ok(["check", "-C", name]);
    sandbox.read(&format!("{name}/config.ini"))
}

#[track_caller]
fn has(config: &str, lines: &[&str]) {
    for line in lines {
        assert!(config.lines().any(|found| found == *line), "no {line:?} in:\n{config}");
    }
}

#[track_caller]
fn has_no_key(config: &str, keys: &[&str]) {
    for key in keys {
        assert!(!config.lines().any(|line| line.starts_with(&format!("{key}="))), "{key} in:\n{config}");
    }
}

#[test]
fn an_old_web_plugin_with_a_rule_a_job_and_a_daemon_is_released_and_runs() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "weather/config.ini",
        "; of old\n[general]\nname=weather\nversion: 1.2\nsummary=s\nlicense=BSD\nurl=u\nvendor=v\n\
         packager=A <a@b>\nredis_service=0\n\n\
         # the app\n[app_main]\ntype=gunicorn3_sync\nmain_arg=main.wsgi:app\nworkers=1\nproxy_timeout=30\n\
         prefix_based_routing=true\n\n[extra_daemon_tick]\ncmd_and_args=sh {{MFSERV_CURRENT_PLUGIN_DIR}}/tick.sh\n\
         numprocesses=1\n",
    );
    sandbox.write("weather/main/__init__.py", "");
    sandbox.write(
        "weather/main/wsgi.py",
        "import os\nhome = os.environ['MODULE_RUNTIME_HOME']\n\
         def app(environ, start):\n    start('200 OK', [])\n    return [b'Hello World !']\n",
    );
    sandbox.write("weather/tick.sh", "echo tick\nexec sleep 1000\n");
    sandbox.write(
        "weather/Makefile",
        "include $(MFCOM_HOME)/share/plugin.mk\n\ncustom::\n\techo made >made.txt\n",
    );
    sandbox.write(
        "weather/crontab",
        "==== BASE ====\n1 2 * * * layer_wrapper --layers=plugin_weather@mfserv -- echo $MODULE_HOME\n",
    );
    sandbox
        .write("weather/.layerapi2_dependencies", "python3@mfserv\nroot@mfcom\npython3_scientific@mfserv\n");

    let before = tree(&sandbox.work().join("weather"));
    sandbox.fails(2, ["migrate", "weather"]).says("there is no terminal").says("--yes");
    let shown = sandbox.ok(["migrate", "--dry-run", "weather"]);
    for line in
        ["-include $(MFCOM_HOME)/share/plugin.mk", "+include $(MFEXT_HOME)/share/plugin.mk", "--- /dev/null"]
    {
        assert!(shown.stdout.lines().any(|found| found == line), "{shown:?}");
    }
    shown.says("main/wsgi.py:2: `MODULE_RUNTIME_HOME` is `MFMODULE_RUNTIME_HOME` today");
    assert_eq!(tree(&sandbox.work().join("weather")), before);

    sandbox.ok(["migrate", "--yes", "--code", "weather"]);
    let config = sandbox.read("weather/config.ini");
    has(
        &config,
        &[
            "# of old",
            "_version=1.2",
            "_maintainer=A <a@b>",
            "# the app",
            "numprocesses=1",
            "timeout=30",
            "_virtualdomain_based_routing=true",
        ],
    );
    has_no_key(&config, &["name", "packager", "type", "main_arg", "workers", "redis_service"]);
    assert_eq!(sandbox.read("weather/crontab"), "1 2 * * * plugin_wrapper weather -- echo $MFMODULE_HOME\n");
    assert_eq!(
        sandbox.read("weather/.layerapi2_dependencies"),
        "python3@mfext\nroot@mfserv\n-python3_scientific@mfext\n"
    );
    sandbox.ok(["migrate", "weather"]).says("needs no migration");

    sandbox.ok(["release", "-q", "-C", "weather"]);
    let file = "weather-1.2-1.metwork.mfserv.plugin";
    sandbox.ok(["install", file]);
    assert_eq!(fs::read_to_string(sandbox.base().join("weather/made.txt")).unwrap(), "made\n");
    let up = sandbox.up();
    up.until_running("weather", "main");
    up.until("it answers", || {
        up.get("/weather/").is_some_and(|(code, text)| code == 200 && text.contains("Hello World !"))
    });
    up.until("the daemon runs", || up.log("extra_weather_tick.log").contains("tick"));
}

#[test]
fn every_type_of_app_is_a_command() {
    let sandbox = Sandbox::new();
    old_plugin(
        &sandbox,
        "p",
        "[app_sync]\ntype=python3_sync\nmain_arg=a.b:c\n\n\
         [app_async]\ntype=gunicorn3_asyncio\ngunicorn_arg=a.b:c\n\n\
         [app_aio]\ntype=aiohttp\nmain_arg=aio/main.py\n\n\
         [app_js]\ntype=node\nnode_arg=server.js\nnode_extra_opts=--trace-warnings\n\n\
         [app_files]\ntype=static\n\n[app_none]\ntype=\n",
    );
    for dir in ["aio", "js"] {
        sandbox.write(&format!("p/{dir}/main.py"), "");
    }
    sandbox.write("p/js/server.js", "");
    let config = migrated(&sandbox, "p");
    has(
        &config,
        &[
            "_cmd_and_args=bjoern_wrapper.py {debug_extra_options} --timeout={timeout} a.b:c \"{unix_socket_path}\"",
            "_cmd_and_args=gunicorn --worker-class=aiohttp.GunicornWebWorker --bind=unix:{unix_socket_path} a.b:c",
            "_cmd_and_args=python {plugin_dir}/aio/main.py \"{unix_socket_path}\" {timeout}",
            "_cmd_and_args=node --trace-warnings {plugin_dir}/{app_name}/server.js \"{unix_socket_path}\" {timeout}",
            "_cmd_and_args=null",
            "_static_url_prefix=",
        ],
    );
    assert!(!config.contains("[app_none]"), "{config}");
    let requirements = sandbox.read("p/python3_virtualenv_sources/requirements-to-freeze.txt");
    assert_eq!(requirements, "gunicorn\n");
}

#[test]
fn a_step_gets_its_arguments_from_keys_of_today() {
    let sandbox = Sandbox::new();
    old_plugin(
        &sandbox,
        "p",
        "[step_main]\ncmd={{MFDATA_CURRENT_PLUGIN_DIR}}/main.py\n\
         args=--config-file={{MFDATA_CURRENT_CONFIG_INI_PATH}} --fast {{MFDATA_CURRENT_STEP_QUEUE}}\n\
         arg_redis-unix-socket-path={{MODULE_RUNTIME_HOME}}/var/redis.socket\narg_failure-policy=move\n\
         arg_failure-policy-move-dest-dir=/tmp/x\narg_dest-dir=/data\narg_reinject-total=3\n\
         graceful_timeout=30\nlistened_directories=a;b\nmax_age_variance=3\nswitch_logical_condition=True\n\n\
         [step_other]\ncmd=x\nargs=\nswitch_logical_condition=x['latest.switch.main.system_magic'].startswith(b'GRIB')\n\
         switch_use_hardlink=1\n\n\
         [step_hard]\ncmd=x\nargs=\nswitch_logical_condition=len(x['a']) > 3\n",
    );
    sandbox
        .ok(["migrate", "--yes", "p"])
        .says("the condition `len(x['a']) > 3` has to become a function, named in `[switch_rules:python]`");
    assert_eq!(sandbox.read("p/.layerapi2_label"), "plugin_p@mfdata\n");
    let config = sandbox.read("p/config.ini");
    has(
        &config,
        &[
            "_cmd_and_args={{MFDATA_CURRENT_PLUGIN_DIR}}/main.py --fast --dest-dir={CUSTOM_DEST_DIR} {STANDARD_STEP_ARGUMENTS}",
            "failure_policy=move",
            "failure_policy_move_dest_dir=/tmp/x",
            "retry_total=3",
            "timeout=30",
            "watched_directories=a,b",
            "numprocesses=1",
            "max_age=310",
            "dest_dir=/data",
            "[switch_rules:alwaystrue]",
            "*=main",
            "[switch_rules:fnmatch:latest.guess_file_type.main.system_magic]",
            "GRIB*=other*",
        ],
    );
    has_no_key(&config, &["cmd", "args", "graceful_timeout", "listened_directories", "max_age_variance"]);
    assert!(!config.contains("redis.socket"), "{config}");
    sandbox.ok(["check", "-C", "p"]);
}

#[test]
fn what_is_missing_is_filled_in_and_told_and_what_nobody_knows_is_custom() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "p/config.ini",
        "[general]\nversion=1.0\nsummary=\nlicense=MIT\nvendor=v\nname=other\n\n\
         [app_main]\ntype=static\ncolour=red\n[app_two]\ntype=static\ncolour=blue\n",
    );
    sandbox
        .ok(["migrate", "--yes", "--set", "maintainer=Me <a@b>", "p"])
        .says("[general] `_summary` was empty: it is `other` now")
        .says("[app_main] `colour` is no key of a section")
        .says("`MFSERV_CURRENT_PLUGIN_CUSTOM_TWO_COLOUR`");
    let config = sandbox.read("p/config.ini");
    has(&config, &["_maintainer=Me <a@b>", "colour=red", "two_colour=blue", "[custom]"]);
    assert_eq!(sandbox.read("p/.layerapi2_label"), "plugin_other@mfserv\n");
    sandbox.ok(["check", "-C", "p"]);
}

#[test]
fn python_2_is_an_error_that_names_it_and_is_taken_for_python_3_on_request() {
    let sandbox = Sandbox::new();
    let dir = old_plugin(&sandbox, "p", "[app_main]\ntype=gunicorn2_sync\nmain_arg=a:b\n");
    sandbox.write("p/python2_virtualenv_sources/requirements-to-freeze.txt", "flask\n");
    sandbox.write("p/python2_virtualenv_sources/requirements2.txt", "flask==0.1\n");
    sandbox.write("p/python2_virtualenv_sources/src/x.whl", "");
    sandbox.write("p/.layerapi2_dependencies", "python2@mfserv\n");
    let before = tree(&dir);
    sandbox
        .fails(1, ["migrate", "--yes", "p"])
        .says("config.ini:11: [app_main] type: found `gunicorn2_sync`; there is no Python 2 any more")
        .says("python2_virtualenv_sources: there is no Python 2 any more")
        .says(".layerapi2_dependencies:1: found `python2@mfserv`")
        .says("--from-python2");
    assert_eq!(tree(&dir), before);
    sandbox.ok(["migrate", "--yes", "--from-python2", "p"]);
    assert_eq!(sandbox.read("p/python3_virtualenv_sources/requirements-to-freeze.txt"), "flask\n");
    assert_eq!(sandbox.read("p/.layerapi2_dependencies"), "python3@mfext\n");
    for gone in [
        "python2_virtualenv_sources",
        "python3_virtualenv_sources/src",
        "python3_virtualenv_sources/requirements2.txt",
    ] {
        assert!(!dir.join(gone).exists(), "{gone}");
    }
    sandbox.ok(["check", "-C", "p"]);
}

#[test]
fn a_migration_that_was_interrupted_goes_on() {
    let sandbox = Sandbox::new();
    let dir = old_plugin(&sandbox, "p", "[app_main]\ntype=static\n");
    sandbox.write(".release", "");
    sandbox.write("p/.release_ignore", "*.tmp\n");
    let twin = sandbox.work().join("twin");
    Command::new("cp").args(["-a".as_ref(), dir.as_os_str(), twin.as_os_str()]).status().unwrap();
    sandbox.ok(["migrate", "--yes", "p"]);
    // As if it had been killed before its last steps.
    for half in [&[".plugin_format_version"][..], &[".plugin_format_version", ".layerapi2_label", "Makefile"]]
    {
        let done = tree(&dir);
        for name in half {
            fs::remove_file(dir.join(name)).unwrap();
        }
        sandbox.ok(["migrate", "--yes", "p"]);
        assert_eq!(tree(&dir), done);
    }
    assert_eq!(sandbox.read("p/.releaseignore"), "*.tmp\n");
}

#[test]
fn nothing_is_migrated_that_is_no_plugin_or_a_current_one() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work().join("empty")).unwrap();
    sandbox
        .fails(1, ["migrate", "empty"])
        .says("`empty` is no plugin: it has no `config.ini`")
        .says("hint: ");
    sandbox.plugin("current");
    let before = tree(&sandbox.work().join("current"));
    sandbox.ok(["migrate", "current"]).says("`current` needs no migration");
    assert_eq!(tree(&sandbox.work().join("current")), before);
    sandbox.write("odd/config.ini", "[general]\nversion=1\n[custom]\na=b\n");
    sandbox.fails(1, ["migrate", "--yes", "odd"]).says("nothing in it says which module").says("--module");
}

#[test]
fn an_old_plugin_is_told_of_the_names_of_today() {
    let sandbox = Sandbox::new();
    old_plugin(&sandbox, "p", "[app_main]\ntype=static\nworkers=2\ncmd=x\n");
    let done = sandbox.fails(1, ["check", "-C", "p"]);
    let done = done
        .says("`mwp migrate` shows what has to change")
        .says("it is `numprocesses` today")
        .says("it is `_cmd_and_args` today");
    assert!(
        !format!("{done:?}").contains("[app_main] workers: unknown key\nhint: keys of your own"),
        "{done:?}"
    );
}

#[test]
fn a_worker_that_misses_a_module_names_the_requirement() {
    let sandbox = Sandbox::new();
    sandbox.daemon_plugin("d", "exec python3 -c 'import mflog_of_nobody'\n");
    sandbox.ok(["install", sandbox.packed("d").to_str().unwrap()]);
    let up = sandbox.up_without_nginx();
    // It is started again and again: now and then it runs.
    up.until("the requirement is named", || {
        let told = sandbox.mwp(["status"]).output().unwrap().stderr;
        String::from_utf8_lossy(&told).contains("add `mflog_of_nobody` to python3_virtualenv_sources")
    });
}

#[test]
fn code_that_python_3_does_not_read_is_told() {
    let sandbox = Sandbox::new();
    old_plugin(&sandbox, "p", "[app_main]\ntype=python3_sync\nmain_arg=main.wsgi:app\n");
    sandbox.write("p/main/wsgi.py", "import urllib2\nimport os\n");
    sandbox.write("p/main/old.py", "x = 1\nprint \"x\"\n");
    sandbox
        .ok(["migrate", "--yes", "p"])
        .says("main/wsgi.py:1: no Python 3: there is no module `urllib2` in Python 3")
        .says("main/old.py:2: no Python 3: ");
}

#[test]
fn nothing_is_written_over_what_was_edited_meanwhile_and_odd_files_are_told() {
    let sandbox = Sandbox::new();
    let dir = old_plugin(&sandbox, "p", "[app_main]\ncolour=%(x)s\n");
    // Both names of a key: neither is lost.
    sandbox.write(
        "two/config.ini",
        format!("\u{feff}{GENERAL}\n[app_main]\ntype=static\ntimeout=30\nproxy_timeout=60\n"),
    );
    let config = migrated(&sandbox, "two");
    has(&config, &["timeout=30", "proxy_timeout=60", "_version=1.0"]);
    sandbox.write("p/.layerapi2_label", "plugin_p\n");
    let before = tree(&dir);
    for option in ["--yes", "--dry-run"] {
        sandbox.fails(1, ["migrate", option, "p"]).says("label");
    }
    assert_eq!(tree(&dir), before);
    fs::remove_file(dir.join(".layerapi2_label")).unwrap();
    sandbox
        .ok(["migrate", "--yes", "p"])
        .says("[app_main] has no `type`: nothing runs")
        .says("`%(…)s` means nothing any more");
    sandbox.fails(2, ["migrate", "nowhere"]).says("cannot enter `nowhere`");
}

#[test]
fn two_at_once_take_turns() {
    let sandbox = Sandbox::new();
    let dir = old_plugin(&sandbox, "p", "[app_main]\ntype=static\n");
    sandbox.write("p/.release_ignore", "*.tmp\n");
    let run = || sandbox.mwp(["migrate", "--yes", "p"]).spawn().unwrap();
    let both = [run(), run()];
    for mut child in both {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(dir.join(".releaseignore")).unwrap(), "*.tmp\n");
    sandbox.ok(["check", "-C", "p"]);
}
