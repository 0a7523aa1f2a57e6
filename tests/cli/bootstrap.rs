//! `mwp bootstrap`: templates listed, plugins made from them, and nothing left of what failed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::support::{Done, Sandbox, tree};

/// Scripts use these names.
const TEMPLATES: [(&str, &[&str]); 3] = [
    (
        "mfserv",
        &[
            "default",
            "node",
            "node_noweb",
            "openresty",
            "php",
            "python3_aiohttp",
            "python3_django",
            "python3_flask",
            "python3_noweb",
            "python3_raw_asgi",
            "python3_raw_wsgi",
            "python3_tornado",
            "static",
        ],
    ),
    (
        "mfdata",
        &[
            "amqplistener",
            "archive",
            "copy",
            "default",
            "delete",
            "fork",
            "ftpsend",
            "guess_file_type",
            "httpsend",
            "listener",
            "move",
            "mqttlistener",
            "python3",
            "sftpsend",
            "switch",
            "unbzip2",
            "ungzip",
        ],
    ),
    ("mfbase", &["default"]),
];

#[track_caller]
fn create(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    let all = ["bootstrap", "create", "--no-input"].iter().chain(arguments);
    Done::of(&mut sandbox.mwp(all))
}

/// A template of the site's own at `work/templates/mine`, with a shared directory beside it.
fn site_template(sandbox: &Sandbox) {
    let plugin = "templates/mine/{{cookiecutter.name}}";
    sandbox.write(
        "templates/mine/cookiecutter.json",
        r#"{"name": "x", "version": "1.2.3", "colour": "re{{ 'd' }}"}"#,
    );
    sandbox.write("templates/_common/label", "plugin_{{cookiecutter.name}}@mfserv\n");
    sandbox.write("templates/_common/format", "{{cookiecutter.MFMODULE_VERSION}}\n");
    sandbox.write(
        "templates/_common/config.ini",
        "[general]\n_version={{cookiecutter.version}}\n_summary={% block summary %}none{% endblock %}\n\
         _license=x\n_url=x\n_maintainer=x\n_vendor={{ vendor|default('nobody', true) }}\n",
    );
    sandbox.write(
        &format!("{plugin}/config.ini"),
        "{% extends \"_common/config.ini\" %}\n{% set vendor = \"us\" %}\n\
         {% block summary %}{{cookiecutter.colour}} {{ cookiecutter.name.replace('-', '_') }}{% endblock %}\n",
    );
    sandbox.write(&format!("{plugin}/{{{{cookiecutter.colour}}}}/data.bin"), b"\xff{{ not rendered }}");
    for (link, target) in [(".layerapi2_label", "label"), (".plugin_format_version", "format")] {
        let link = sandbox.work().join(plugin).join(link);
        symlink(format!("../../_common/{target}"), link).unwrap();
    }
}

#[test]
fn the_templates_of_each_module_are_listed_by_name() {
    let sandbox = Sandbox::new();
    let commands = sandbox.path("commands");
    sandbox.ok(["shims", commands.to_str().unwrap()]);
    for (module, names) in TEMPLATES {
        let list = ["bootstrap", "list", "--module", module];
        let mut known = sandbox.command(commands.join("bootstrap_plugin.py").to_str().unwrap());
        known.arg("list").env("MFMODULE", module.to_uppercase());
        for done in [sandbox.ok(list), Done::of(&mut known).succeeded()] {
            let lines = done.stdout.lines().map(|line| line.split_once(' ').unwrap());
            let (listed, said): (Vec<_>, Vec<_>) = lines.unzip();
            assert_eq!(listed, names);
            assert!(said.iter().all(|description| !description.trim().is_empty()), "{}", done.stdout);
        }
    }
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.ok(["bootstrap", "list", "--json"]).stdout).unwrap();
    assert_eq!(json[0]["name"], "default");
    let none = sandbox.ok(["bootstrap", "list", "--module", "mfbus"]);
    assert_eq!(none.stdout, "");
}

#[test]
fn every_template_makes_a_plugin_that_passes_the_check_whatever_its_name() {
    let long = "x".repeat(100);
    for name in ["foo-bar", "_Under-1", "0", &long] {
        let sandbox = Sandbox::new();
        for (module, template) in
            TEMPLATES.iter().flat_map(|(module, names)| names.iter().map(move |it| (module, it)))
        {
            create(&sandbox, &["--module", module, "--template", template, name]).succeeded();
            let done = sandbox.ok(["check", "-C", name]);
            // A long name makes long paths of sockets, which depend on the machine.
            let is_long = name == long.as_str() && done.stderr.starts_with("warning: the path of the socket");
            assert!(is_long || done.stderr.is_empty(), "{template}: {}", done.stderr);
            fs::remove_dir_all(sandbox.work().join(name)).unwrap();
        }
    }
}

#[test]
fn every_template_explains_itself_and_is_written_for_its_module() {
    let sandbox = Sandbox::new();
    for (module, names) in TEMPLATES {
        for name in names {
            let dir = format!("{module}/{name}");
            fs::create_dir_all(sandbox.work().join(module)).unwrap();
            let mut create = sandbox.mwp(["bootstrap", "create", "--no-input", "--module", module]);
            create.args(["--template", name, name]).current_dir(sandbox.work().join(module));
            Done::of(&mut create).succeeded();
            let readme = sandbox.read(&format!("{dir}/README.md"));
            let lines = readme.lines().count();
            assert!((35..80).contains(&lines), "{dir} has a README of {lines} lines");
            for said in ["## Every day", "## Settings", "`mwp release`", &format!("| start {module} with")] {
                assert!(readme.contains(said), "{dir}: no {said:?} in:\n{readme}");
            }
            assert_eq!(sandbox.read(&format!("{dir}/.layerapi2_label")), format!("plugin_{name}@{module}\n"));
            for file in tree(&sandbox.work().join(&dir)) {
                let Ok(text) = fs::read_to_string(sandbox.work().join(&dir).join(&file)) else { continue };
                assert!(!text.contains("cookiecutter"), "{dir}/{file}");
                assert!(!text.contains("\n\n\n\n") && !text.ends_with("\n\n\n"), "{dir}/{file}: {text:?}");
            }
        }
    }
}

#[test]
fn the_default_plugin_has_what_the_guide_says() {
    let sandbox = Sandbox::new();
    create(&sandbox, &["foo"]).succeeded().prints("created `foo` from the template `default`");
    assert_eq!(
        tree(&sandbox.work().join("foo")),
        [
            ".autorestart_excludes",
            ".gitignore",
            ".layerapi2_dependencies",
            ".layerapi2_label",
            ".mwp-template.toml",
            ".plugin_format_version",
            ".releaseignore",
            "Makefile",
            "README.md",
            "config.ini",
            "crontab",
            "main",
            "main/__init__.py",
            "main/static",
            "main/static/robots.txt",
            "main/templates",
            "main/templates/hello.html",
            "main/test_wsgi.py",
            "main/wsgi.py",
            "python3_virtualenv_sources",
            "python3_virtualenv_sources/allow_binary_packages",
            "python3_virtualenv_sources/override",
            "python3_virtualenv_sources/requirements-to-freeze.txt",
        ]
    );
    assert_eq!(sandbox.read("foo/.layerapi2_label"), "plugin_foo@mfserv\n");
    assert_eq!(sandbox.read("foo/.plugin_format_version"), "1.0.0\n");
    assert!(sandbox.read("foo/Makefile").contains("\ninclude $(MFEXT_HOME)/share/plugin.mk\n"));
    assert!(sandbox.read("foo/main/templates/hello.html").contains("{{ plugin }}"));
    let config = sandbox.read("foo/config.ini");
    for text in [
        "_version=0.0.1\n",
        "_release=1\n",
        "{app_name}.wsgi:app\n",
        "numprocesses={{MFHARDWARE_NUMBER_OF_CPU_CORES_MULTIPLIED_BY_2}}\n",
        "# [extra_daemon_foo]\n",
        "[custom]\n",
        "smart_stop_signal=15\n",
        "MFSERV_CURRENT_PLUGIN_CUSTOM_FOO_BAR",
    ] {
        assert!(config.contains(text), "no {text:?} in:\n{config}");
    }
    assert!(sandbox.read("foo/crontab").lines().all(|line| line.starts_with('#') || line.is_empty()));
    assert!(sandbox.read("foo/crontab").contains("{{MFSERV_HOME}}/bin/cronwrap.sh"));
}

#[test]
fn the_locks_are_not_ignored() {
    let sandbox = Sandbox::new();
    create(&sandbox, &["foo"]).succeeded();
    let ignored = |path: &str| {
        let git = |arguments: &[&str]| {
            Command::new("git")
                .args(arguments)
                .current_dir(sandbox.work().join("foo"))
                .output()
                .unwrap()
                .status
        };
        git(&["init", "--quiet"]);
        git(&["check-ignore", "--quiet", path]).success()
    };
    for path in [
        "local/bin/python",
        "node_modules/x",
        ".mwp/state",
        "a.plugin",
        "python3_virtualenv_sources/src/x.whl",
    ] {
        assert!(ignored(path), "{path}");
    }
    for path in ["python3_virtualenv_sources/requirements3.txt", "package-lock.json", "main/wsgi.py", "src/x"]
    {
        assert!(!ignored(path), "{path}");
    }
}

#[test]
fn an_existing_directory_is_refused_and_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("foo/mine", "kept");
    create(&sandbox, &["foo"]).exited(1).says("error: `foo` exists already");
    symlink("nowhere", sandbox.work().join("broken")).unwrap();
    create(&sandbox, &["broken"]).exited(1).says("error: `broken` exists already");
    assert_eq!(tree(&sandbox.work()), ["broken", "foo", "foo/mine"]);
}

#[test]
fn a_bad_name_or_template_is_refused_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    create(&sandbox, &["plugin_x"])
        .exited(2)
        .says("the plugin name `plugin_x` starts with a reserved prefix");
    create(&sandbox, &["../x"]).exited(2).says("the plugin name `../x` holds `.`");
    create(&sandbox, &["--template", "python3_flsk", "x"])
        .exited(2)
        .says("hint: did you mean `python3_flask`?");
    create(&sandbox, &["--template", "_common", "x"])
        .exited(2)
        .says("there is no template `_common` for mfserv");
    create(&sandbox, &["--template", "./nowhere", "x"])
        .exited(2)
        .says("is no template: it has no `cookiecutter.json`");
    create(&sandbox, &["--module", "mfbus", "x"]).exited(2).says("there is no template `default` for mfbus");
    create(&sandbox, &[]).exited(2);
    assert!(tree(&sandbox.work()).is_empty());
}

#[test]
fn answers_that_would_break_the_configuration_are_refused() {
    let sandbox = Sandbox::new();
    for (answer, says) in [
        ("one_line_summary=a\n[evil]", "one_line_summary: found `a\\n[evil]`; one line"),
        ("url={{ 7*7 }}", "url: found `{{ 7*7 }}`; text without Jinja2"),
        ("version=1;touch x", "version: found `1;touch x`; lower-case letters"),
        ("license=Mine", "license: found `Mine`; Proprietary, BSD, MIT, GPL, Specific are allowed"),
        ("vendor=", "vendor: found ``; some text is required"),
    ] {
        create(&sandbox, &["--set", answer, "foo"]).exited(1).says(says);
    }
    create(&sandbox, &["--set", "vendr=x", "foo"]).exited(2).says("hint: did you mean `vendor`?");
    assert!(tree(&sandbox.work()).is_empty());
    let summary = r#"one_line_summary=it's "quoted" \ # % $x = é"#;
    for (template, name) in [("default", "a"), ("node", "b")] {
        create(&sandbox, &["--template", template, "--set", summary, "--set", "license=MIT", name])
            .succeeded();
        sandbox.ok(["check", "-v", "-C", name]).prints(r#"_summary = it's "quoted" \ # % $x = é "#);
    }
    let package: serde_json::Value = serde_json::from_str(&sandbox.read("b/package.json")).unwrap();
    assert_eq!(package["description"], r#"it's "quoted" \ # % $x = é"#);
}

#[test]
fn a_person_is_asked_on_a_terminal() {
    let sandbox = Sandbox::new();
    let typed = "1 0\n2.0\n\nmy summary\n3\n\n\n\n";
    let mut command = sandbox.on_terminal(0, ("", typed), &["bootstrap", "create", "foo"]);
    let done = Done::of(&mut command).succeeded();
    let done = done.prints("version [0.0.1]: ").prints("version: found `1 0`").prints("  3. MIT");
    done.prints("vendor [Vendor]: ").prints("created `foo`");
    let config = sandbox.read("foo/config.ini");
    for text in ["_version=2.0\n", "_release=1\n", "_summary=my summary\n", "_license=MIT\n"] {
        assert!(config.contains(text), "no {text:?}");
    }
}

#[test]
fn a_site_keeps_its_own_templates_in_cookiecutters_layout() {
    let sandbox = Sandbox::new();
    site_template(&sandbox);
    create(&sandbox, &["--template", "templates/mine", "foo-bar"]).succeeded();
    sandbox.ok(["check", "-v", "-C", "foo-bar"]).prints("_summary = red foo_bar ").prints("_vendor = us ");
    assert_eq!(fs::read(sandbox.work().join("foo-bar/red/data.bin")).unwrap(), b"\xff{{ not rendered }}");
    assert!(!sandbox.work().join("foo-bar/.layerapi2_label").is_symlink());
    let directory = sandbox.path("work/templates");
    let mut list = sandbox.mwp(["bootstrap", "list"]);
    Done::of(list.env("MWP_TEMPLATES_DIR", &directory)).succeeded().prints("mine\n").prints("static");
    let etc = sandbox.path("etc/metwork.config.d/mfserv");
    fs::create_dir_all(&etc).unwrap();
    symlink(&directory, etc.join("templates")).unwrap();
    create(&sandbox, &["--template", "mine", "--set", "colour=blue", "bar"]).succeeded();
    assert!(sandbox.read("bar/config.ini").contains("_summary=blue bar\n"));
}

#[test]
fn hooks_run_in_the_new_directory() {
    let sandbox = Sandbox::new();
    site_template(&sandbox);
    sandbox.write(
        "templates/mine/hooks/pre_gen_project.sh",
        "ls -A >before\necho {{cookiecutter.name}} >>before\n",
    );
    sandbox.write(
        "templates/mine/hooks/post_gen_project.py",
        "from cookiecutter_hooks import post_gen_project\npost_gen_project()\nopen('after', 'w').write('x')\nprint('said')\n",
    );
    let plugin = "templates/mine/{{cookiecutter.name}}";
    for (file, content) in [
        ("unwanted", "x"),
        ("unwanted.delete", "{% if true %}yes{% endif %}"),
        ("kept", "x"),
        ("kept.delete", ""),
        ("old", "x"),
        ("old.rename", "new\n"),
        ("empty", "{% if false %}x{% endif %}"),
        ("dir/empty", ""),
    ] {
        sandbox.write(&format!("{plugin}/{file}"), content);
    }
    let done = create(&sandbox, &["--template", "templates/mine", "foo"]).succeeded().says("said");
    assert_eq!(done.stdout, "created `foo` from the template `mine`\n");
    assert_eq!(sandbox.read("foo/before"), "before\nfoo\n");
    let files = tree(&sandbox.work().join("foo"));
    for present in ["after", "kept", "new"] {
        assert!(files.iter().any(|file| file == present), "no {present} in {files:?}");
    }
    for absent in ["unwanted", "unwanted.delete", "kept.delete", "old", "old.rename", "empty", "dir"] {
        assert!(!files.iter().any(|file| file == absent), "{absent} in {files:?}");
    }
}

#[test]
fn a_template_that_fails_leaves_nothing() {
    let plugin = "templates/mine/{{cookiecutter.name}}";
    for (file, content, says) in [
        (
            "templates/mine/hooks/pre_gen_project.sh",
            "exit 3\n",
            "`hooks/pre_gen_project.sh` failed (exit status: 3)",
        ),
        (
            "templates/mine/hooks/post_gen_project.py",
            "import nothing_like_it\n",
            "`hooks/post_gen_project.py` failed",
        ),
        (&format!("{plugin}/bad"), "a\n{{ cookiecutter.absent }}\n", "the template's bad:2: "),
        (&format!("{plugin}/bad"), "{% if %}", "the template's bad:1: "),
        (
            &format!("{plugin}/config.ini"),
            "[general]\n_version=1\n",
            "error: foo/config.ini:1:1: [general] `_license` is missing",
        ),
        (
            "templates/mine/cookiecutter.json",
            r#"{"version": "1", "colour": ".."}"#,
            "makes a file `../data.bin`",
        ),
        ("templates/mine/cookiecutter.json", "{", "`mine/cookiecutter.json` is no list of questions"),
        ("templates/mine/cookiecutter.json", r#"{"_bases": ["mine"]}"#, "builds upon itself: mine"),
    ] {
        let sandbox = Sandbox::new();
        site_template(&sandbox);
        sandbox.write(file, content);
        create(&sandbox, &["--template", "templates/mine", "foo"]).exited(1).says(says);
        let top: Vec<_> = tree(&sandbox.work()).into_iter().filter(|path| !path.contains('/')).collect();
        assert_eq!(top, ["templates"], "{file}");
    }
}

#[test]
fn executables_of_a_template_stay_executable() {
    let sandbox = Sandbox::new();
    site_template(&sandbox);
    sandbox.write_executable("templates/mine/{{cookiecutter.name}}/bin/run", "#!/bin/sh\n");
    create(&sandbox, &["--template", "templates/mine", "foo"]).succeeded();
    let mode = |path: &str| fs::metadata(sandbox.work().join(path)).unwrap().permissions().mode() & 0o111;
    assert_eq!((mode("foo/bin/run") != 0, mode("foo/config.ini")), (true, 0));
}

#[test]
fn the_release_can_be_made_at_once_and_be_all_that_is_kept() {
    let sandbox = Sandbox::new();
    create(&sandbox, &["--template", "static", "--make", "foo"]).succeeded();
    assert!(tree(&sandbox.work().join("foo")).contains(&"foo-0.0.1-1.metwork.mfserv.plugin".to_owned()));
    create(&sandbox, &["--template", "static", "--make", "--delete", "bar"]).succeeded();
    let top = tree(&sandbox.work());
    assert!(
        top.contains(&"bar-0.0.1-1.metwork.mfserv.plugin".to_owned()) && !top.contains(&"bar".to_owned()),
        "{top:?}"
    );
}
