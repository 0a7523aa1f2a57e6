//! What the templates make is released, installed without a network and run for real, and passes the test that it brings
//! along.

use std::process::Command;

use crate::support::running::Up;
use crate::support::{Done, Sandbox, path_with_uv};

/// Tests of these names, in parallel: one template each, and how what it makes shows that it works.
macro_rules! templates {
    ($($test:ident: $template:literal, $effect:expr;)*) => {
        $(#[test]
        fn $test() {
            works($template, &$effect);
        })*
    };
}

/// How a plugin `hello` of mfserv shows that it works.
enum Effect {
    /// nginx answers at the path with a text like this.
    Answer(&'static [(&'static str, &'static str)]),
    /// The log of its daemon begins so.
    Log(&'static str),
}
use Effect::{Answer, Log};

const GREETING: Effect = Answer(&[("/hello/", "Hello World from hello"), ("/hello/main/a/b", "Hello World")]);

templates! {
    aiohttp_answers: "python3_aiohttp", GREETING;
    django_answers_and_its_static_files_are_collected: "python3_django", Answer(&[
        ("/hello/", "<link rel=\"stylesheet\" href=\"/hello/main/static/hello/style.css\">"),
        ("/hello/main/", "Hello World!"),
        ("/hello/main/static/hello/style.css", "font-family"),
    ]);
    flask_says_what_scripts_look_for: "python3_flask", Answer(&[
        ("/hello/", "Hello World !"),
        ("/hello/main/static/robots.txt", "User-agent"),
    ]);
    a_bare_wsgi_application_answers: "python3_raw_wsgi", GREETING;
    a_bare_asgi_application_answers: "python3_raw_asgi", GREETING;
    tornado_answers: "python3_tornado", GREETING;
    express_answers: "node", GREETING;
    php_answers: "php", Answer(&[("/hello/", "<h1>Hello World from hello!</h1>"), ("/hello/index.php", "Hello World")]);
    lua_answers: "openresty", Answer(&[
        ("/hello/", "Hello World from hello, for the 1. time!"),
        ("/hello/a", "Hello World from hello, for the 2. time!"),
    ]);
    static_files_are_served: "static", Answer(&[("/hello/", "Hello World!"), ("/hello/main/style.css", "font-family")]);
    a_daemon_in_python_works: "python3_noweb", Log("Hello World from hello, round 1");
    a_daemon_in_node_works: "node_noweb", Log("Hello World from hello, round 1");
}

fn works(template: &str, effect: &Effect) {
    let sandbox = Sandbox::new();
    create(&sandbox, "mfserv", template, "hello");
    install_without_network(&sandbox, "hello", "mfserv");
    let up = sandbox.up();
    match effect {
        Answer(answers) => {
            for (path, text) in *answers {
                answers_at(&up, path, text);
            }
        }
        Log(line) => up.until("its daemon works", || up.log("extra_hello_main.log").starts_with(line)),
    }
    passes_its_own_test(&sandbox, "hello");
    sandbox.ok(["status"]);
    assert_eq!(sandbox.ok(["check", "-C", "hello"]).stderr, "");
}

#[track_caller]
fn answers_at(up: &Up, path: &str, text: &str) {
    // On a busy machine a worker may take longer to start than `up` waits for it. Each request counts.
    let mut answer = None;
    up.until(path, || {
        answer = up.get(path);
        answer.as_ref().is_some_and(|(status, _)| *status != 503)
    });
    let (status, body) = answer.unwrap();
    let logs = || ["app_hello_main.log", "nginx_error.log"].map(|name| up.log(name)).concat();
    assert!(status == 200 && body.contains(text), "{path}: {status} {body}\n{}", logs());
}

pub fn create(sandbox: &Sandbox, module: &str, template: &str, name: &str) {
    let create = ["bootstrap", "create", "--no-input", "--module", module, "--template", template, name];
    sandbox.ok(create);
}

pub fn install_without_network(sandbox: &Sandbox, name: &str, module: &str) {
    let mut release = sandbox.mwp(["release", "-q", "-C", name]);
    Done::of(release.env("PATH", path_with_uv())).succeeded();
    let files = std::fs::read_dir(sandbox.work()).unwrap().map(|entry| entry.unwrap().path());
    let start = format!("{name}-");
    let is_release = |path: &std::path::PathBuf| {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        file.starts_with(&start) && file.ends_with(&format!(".metwork.{module}.plugin"))
    };
    let file = files.into_iter().find(is_release).unwrap();
    let mwp = sandbox.mwp(["install", file.to_str().unwrap()]);
    let mut unshare = Command::new("unshare");
    unshare.args(["-r", "-n"]).arg(mwp.get_program()).args(mwp.get_args()).current_dir(sandbox.work());
    unshare.envs(mwp.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Done::of(&mut unshare).succeeded();
}

/// Runs the command that the README of the plugin names for it.
#[track_caller]
fn passes_its_own_test(sandbox: &Sandbox, name: &str) {
    let readme = sandbox.read(&format!("{name}/README.md"));
    let command = readme.lines().find_map(|line| line.strip_prefix("mwp exec "));
    let command = command.unwrap_or_else(|| panic!("no test in:\n{readme}"));
    let done = sandbox.ok(std::iter::once("exec").chain(command.split_whitespace()));
    let said = format!("{}{}", done.stdout, done.stderr);
    let passed = said.contains("OK") || said.contains("# pass 1") || said.contains("pass 1\n");
    assert!(passed && !said.contains("Ran 0 tests"), "{said}");
}

/// The run time of steps is mfdata's: here each is released and installed.
fn is_shipped(module: &str, templates: &[&str]) {
    let sandbox = Sandbox::new();
    for template in templates {
        let name = format!("my_{template}");
        create(&sandbox, module, template, &name);
        assert_eq!(sandbox.ok(["check", "-C", &name]).stderr, "");
        install_without_network(&sandbox, &name, module);
        sandbox.ok(["verify", &name]);
        if sandbox.read(&format!("{name}/README.md")).contains("## Its test") {
            passes_its_own_test(&sandbox, &name);
        }
    }
}

#[test]
fn steps_without_packages_are_shipped() {
    let bare = [
        "archive", "copy", "default", "delete", "fork", "listener", "move", "python3", "switch", "unbzip2",
        "ungzip",
    ];
    is_shipped("mfdata", &bare);
}

#[test]
fn steps_that_send_are_shipped_and_pass_their_own_test() {
    let senders = ["ftpsend", "httpsend", "sftpsend"];
    is_shipped("mfdata", &senders);
}

#[test]
fn steps_with_packages_are_shipped() {
    is_shipped("mfdata", &["amqplistener", "guess_file_type", "mqttlistener"]);
}

#[test]
fn a_plugin_of_mfbase_is_shipped_and_knows_the_settings_of_its_storage() {
    let sandbox = Sandbox::new();
    create(&sandbox, "mfbase", "default", "hello");
    let config = sandbox.read("hello/config.ini");
    for line in [
        "_use_postgresql=0",
        "_use_storage=0",
        "storage_access_allows=all",
        "storage_satisfy=any",
        "storage_autoindex_format=html",
    ] {
        assert!(config.lines().any(|it| it == line), "no {line} in {config}");
    }
    install_without_network(&sandbox, "hello", "mfbase");
    passes_its_own_test(&sandbox, "hello");
    sandbox.write("hello/config.ini", config.replace("storage_satisfy=any", "storage_satisfy=some"));
    sandbox.fails(1, ["check", "-C", "hello"]).says("[general] storage_satisfy: found `some`; `any`, `all`");
}

#[test]
fn the_steps_of_mfdata_have_the_options_that_administrators_override() {
    let sandbox = Sandbox::new();
    for (template, command, options) in [
        ("python3", "{{MFDATA_CURRENT_PLUGIN_DIR}}/main.py {STANDARD_STEP_ARGUMENTS}", ""),
        ("copy", "copy_step --dest-dirs={CUSTOM_DEST_DIRS} {STANDARD_STEP_ARGUMENTS}", "dest_dirs=FIXME"),
        ("delete", "delete_step {STANDARD_STEP_ARGUMENTS}", ""),
        (
            "archive",
            "archive_step --dest-dir={CUSTOM_DEST_DIR} --dest-basename={CUSTOM_DEST_BASENAME} \
             --force-chmod={CUSTOM_FORCE_CHMOD} --keep-tags-suffix={CUSTOM_KEEP_TAGS_SUFFIX} {STANDARD_STEP_ARGUMENTS}",
            "dest_dir={{MFMODULE_RUNTIME_HOME}}/var/archive dest_basename=%Y%m%d/{ORIGINAL_UID} force_chmod= \
             keep_tags_suffix=.tags lifetime=5",
        ),
        (
            "fork",
            "fork_step --command-template={CUSTOM_COMMAND_TEMPLATE} \
             --command-returning-path={CUSTOM_COMMAND_RETURNING_PATH} --dest-dir={CUSTOM_DEST_DIR} {STANDARD_STEP_ARGUMENTS}",
            "command_template=FIXME command_returning_path=1 dest_dir=guess_file_type/main",
        ),
        (
            "move",
            "move_step --dest-dir={CUSTOM_DEST_DIR} --dest-basename={CUSTOM_DEST_BASENAME} \
             --force-chmod={CUSTOM_FORCE_CHMOD} --drop-tags={CUSTOM_DROP_TAGS} {STANDARD_STEP_ARGUMENTS}",
            "dest_dir=FIXME dest_basename={ORIGINAL_BASENAME} force_chmod= drop_tags=AUTO",
        ),
        (
            "ungzip",
            "ungzip_step --dest-dir={CUSTOM_DEST_DIR} {STANDARD_STEP_ARGUMENTS}",
            "dest_dir=guess_file_type/main",
        ),
        (
            "httpsend",
            "{{MFDATA_CURRENT_PLUGIN_DIR}}/main.py {STANDARD_STEP_ARGUMENTS}",
            "http_method=POST http_url=FIXME http_timeout=60 http_ok_status_codes=200,201 retry_total=10 \
             retry_min_wait=1 retry_max_wait=120 retry_backoff=4",
        ),
        (
            "sftpsend",
            "{{MFDATA_CURRENT_PLUGIN_DIR}}/main.py {STANDARD_STEP_ARGUMENTS}",
            "sftp_hostname=FIXME sftp_key_algorithm=rsa sftp_key_disabled_algorithms= sftp_session_lifetime=10",
        ),
        ("mqttlistener", "mqtt_listener.py --step-name=main", "mqtt_topic=# mqtt_qos=0 mqtt_client_id="),
        ("amqplistener", "amqp_listener.py --step-name=main", "amqp_queue_name=bar amqp_auto_ack=1"),
        ("listener", "listener.py", "numprocesses=1"),
    ] {
        create(&sandbox, "mfdata", template, template);
        let config = sandbox.read(&format!("{template}/config.ini"));
        let lines: Vec<&str> = config.lines().collect();
        assert!(lines.contains(&format!("_cmd_and_args={command}").as_str()), "{template}: {config}");
        for option in options.split_whitespace() {
            assert!(lines.contains(&option), "{template}: no {option} in {config}");
        }
        assert!(lines.contains(&"_version={{MFMODULE_VERSION}}"));
        assert_eq!(lines.contains(&"[custom]"), template != "delete");
    }
    let rule = "[switch_rules:fnmatch:latest.guess_file_type.main.system_magic]\n\
                gzip compressed data* = {{MFDATA_CURRENT_PLUGIN_NAME}}/main\n";
    assert!(sandbox.read("ungzip/config.ini").contains(rule));
}
