//! Sites' own templates in cookiecutter's layout: the same tree as the real cookiecutter from PyPI makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Done, Sandbox, python_tool, tree};

const PLUGIN: &str = "templates/t/{{cookiecutter.name}}";

/// A template whose plugin is good, with these questions beside `name`.
fn template(sandbox: &Sandbox, questions: &str) {
    let rest = if questions.is_empty() { String::new() } else { format!(", {questions}") };
    sandbox.write("templates/t/cookiecutter.json", format!("{{\"name\": \"demo\"{rest}}}"));
    sandbox.plugin(PLUGIN);
    sandbox.write(&format!("{PLUGIN}/.layerapi2_label"), "plugin_{{cookiecutter.name}}@mfserv\n");
}

fn by_mwp(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    let all = ["bootstrap", "create", "--no-input", "--template", "templates/t"].iter();
    Done::of(&mut sandbox.mwp(all.chain(arguments).chain(&["demo"])))
}

/// The same by cookiecutter, in `reference/demo`.
fn by_cookiecutter(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    let program = python_tool("cookiecutter", "cookiecutter").join("cookiecutter");
    fs::create_dir_all(sandbox.path("work/reference")).unwrap();
    let mut command = sandbox.command(program.to_str().unwrap());
    command.args(["--no-input", "-o", "reference", "templates/t"]).args(arguments);
    Done::of(&mut command)
}

/// Each file with its content and whether it can be run, less what is ours.
fn content(dir: &Path) -> Vec<(String, String)> {
    let paths = tree(dir).into_iter().filter(|path| path != ".mwp-template.toml");
    let shown = |path: String| {
        let file = dir.join(&path);
        if file.is_dir() {
            return (path, "a directory".to_owned());
        }
        let mode = file.metadata().unwrap().permissions().mode() & 0o111;
        (path, format!("{} {}", mode != 0, String::from_utf8_lossy(&fs::read(&file).unwrap())))
    };
    paths.map(shown).collect()
}

#[track_caller]
fn same(sandbox: &Sandbox, arguments: &[&str]) {
    by_cookiecutter(sandbox, arguments).succeeded();
    let answers: Vec<String> = arguments.iter().map(|answer| format!("--set={answer}")).collect();
    by_mwp(sandbox, &answers.iter().map(String::as_str).collect::<Vec<_>>()).succeeded();
    let (ours, theirs) = (content(&sandbox.path("work/demo")), content(&sandbox.path("work/reference/demo")));
    for (our, their) in ours.iter().zip(&theirs) {
        assert_eq!(our, their);
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn variables_of_every_kind() {
    let sandbox = Sandbox::new();
    template(
        &sandbox,
        r#""full": "A Person <a@b>", "slug": "{{ cookiecutter.full|slugify }}", "port": 80, "ratio": 1.5,
           "kind": ["one", "two {{ cookiecutter.port }}"], "choice": ["x", "y"], "docs": true, "tests": false, "empty": "",
           "_private": "{{ raw }}", "__rendered": "{{ cookiecutter.slug }}!", "__list": ["{{ cookiecutter.port }}"],
           "deep": {"a": {"path": "{{ cookiecutter.kind }}"}, "{{ cookiecutter.slug }}": [1, "x"]},
           "__prompts__": {"full": "Who?", "kind": {"__prompt__": "Which?", "one": "One!"}}"#,
    );
    sandbox.write(
        &format!("{PLUGIN}/values.html"),
        "{{ cookiecutter.full }} {{ cookiecutter.slug }} {{ cookiecutter.port + '1' }} {{ cookiecutter.ratio }}\n\
         {{ cookiecutter.kind }} {{ cookiecutter.docs }} {{ cookiecutter.tests }} [{{ cookiecutter.empty }}]\n\
         {{ cookiecutter._private }} {{ cookiecutter.__rendered }} {{ cookiecutter.__list }}\n\
         {{ cookiecutter.deep }} {{ cookiecutter.deep|jsonify }} {{ cookiecutter.deep|jsonify(2) }}\n\
         {% for key, value in cookiecutter.deep.items() %}{{ key }}={{ value }};{% endfor %}\n\
         {{ cookiecutter.get('nothing', 'd') }} {{ _cookiecutter.slug }} {{ cookiecutter.choice }} {{ cookiecutter._template }} {{ cookiecutter._checkout }}\n\
         {% if cookiecutter.docs %}docs{% endif %}{% if not cookiecutter.tests %} no tests{% endif %}\n",
    );
    same(&sandbox, &["choice=y", "tests=yes", "full=Zoë O'Neill"]);
}

#[test]
fn files_paths_and_what_is_copied() {
    let sandbox = Sandbox::new();
    template(
        &sandbox,
        r#""part": "x y", "none": "", "_copy_without_render": ["*.raw", "static", "deep/a?c/*"]"#,
    );
    for (path, content) in [
        ("{{cookiecutter.part}}/{{cookiecutter.name}}.txt", "{{ cookiecutter.part }}\n"),
        ("{{cookiecutter.name}}.raw", "{{ not rendered }}"),
        ("static/{{cookiecutter.name}}/x", "{{ not rendered }}"),
        ("deep/abc/f", "{{ not rendered }}"),
        ("deep/abd/f", "{{ cookiecutter.part }}"),
        ("{% if cookiecutter.none %}left-out{% endif %}", "x"),
        ("empty", ""),
        ("rendered-empty", "{% if cookiecutter.none %}x{% endif %}"),
        ("windows", "a {{ cookiecutter.part }}\r\nb\r\n"),
        ("no-newline", "{{ cookiecutter.part }}"),
        (".hidden/x", "y"),
    ] {
        sandbox.write(&format!("{PLUGIN}/{path}"), content);
    }
    let binary: Vec<u8> = (0..=255).cycle().take(2000).chain(*b"{{ cookiecutter.part }}").collect();
    sandbox.write(&format!("{PLUGIN}/binary"), binary);
    sandbox.write_executable(&format!("{PLUGIN}/bin/run"), "#!/bin/sh\necho {{ cookiecutter.part }}\n");
    fs::create_dir_all(sandbox.work().join(PLUGIN).join("nothing/in it")).unwrap();
    same(&sandbox, &[]);
}

#[test]
fn includes_settings_and_line_ends() {
    let sandbox = Sandbox::new();
    template(
        &sandbox,
        r##""word": "w", "_new_lines": "\r\n", "_extensions": ["jinja2.ext.do", "jinja2.ext.loopcontrols"],
           "_jinja2_env_vars": {"lstrip_blocks": true, "trim_blocks": true, "comment_start_string": "<#", "comment_end_string": "#>"}"##,
    );
    sandbox.write("templates/t/templates/base.txt", "<{% block a %}base{% endblock %}>\n");
    sandbox.write("templates/t/templates/macros.txt", "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}");
    sandbox.write(&format!("{PLUGIN}/part.txt"), "part {{ cookiecutter.word }}\n");
    sandbox.write(
        &format!("{PLUGIN}/all.txt"),
        "{% extends 'base.txt' %}\n{% block a %}{{ super() }}{% include 'part.txt' %}{% endblock %}\n",
    );
    sandbox.write(
        &format!("{PLUGIN}/more.txt"),
        "{% from 'macros.txt' import twice %}\n<# gone #>\n  {% if true %}\n  {{ twice(cookiecutter.word) }}\n  {% endif %}\n\
         {% for i in range(9) %}{% if i == 2 %}{% continue %}{% elif i > 3 %}{% break %}{% endif %}{{ i }}{% endfor %}\n",
    );
    same(&sandbox, &[]);
}

#[test]
fn hooks_of_all_moments() {
    let sandbox = Sandbox::new();
    template(&sandbox, r#""word": "w", "changed": "no""#);
    sandbox.write_executable(
        "templates/t/hooks/pre_prompt.sh",
        "#!/bin/sh\nsed -i 's/\"no\"/\"yes\"/' cookiecutter.json\n",
    );
    sandbox.write_executable(
        "templates/t/hooks/pre_gen_project.sh",
        "#!/bin/sh\necho {{ cookiecutter.word }} >before; ls -A >>before\n",
    );
    sandbox.write(
        "templates/t/hooks/post_gen_project.py",
        "import os\nopen('after', 'w').write('{{ cookiecutter.changed }}')\nos.remove('unwanted')\n",
    );
    sandbox.write_executable("templates/t/hooks/post_gen_project.sh~", "#!/bin/sh\nexit 1\n");
    sandbox.write(&format!("{PLUGIN}/unwanted"), "x");
    sandbox.write(&format!("{PLUGIN}/changed"), "{{ cookiecutter.changed }}");
    same(&sandbox, &[]);
    assert_eq!(sandbox.read("demo/after"), "yes");
    assert!(
        sandbox.read("templates/t/cookiecutter.json").contains("\"no\""),
        "the template itself was changed"
    );
}

#[test]
fn one_of_several_templates() {
    for list in [
        r#""templates": {"a": {"path": "./a", "title": "A", "description": "the first"}, "b": {"path": "sub/b"}}"#,
        r#""template": ["First (./a)", "Second (sub/b)"]"#,
    ] {
        let sandbox = Sandbox::new();
        template(&sandbox, "");
        for place in ["a", "sub/b"] {
            let dir = sandbox.path("work/templates/t").join(place);
            fs::create_dir_all(dir.parent().unwrap()).unwrap();
            let mut copy = Command::new("cp");
            Done::of(copy.arg("-r").arg(sandbox.work().join("templates/t")).arg(sandbox.work().join("copy")))
                .succeeded();
            fs::rename(sandbox.work().join("copy"), &dir).unwrap();
            fs::write(dir.join("{{cookiecutter.name}}/which"), place).unwrap();
        }
        fs::remove_dir_all(sandbox.work().join(PLUGIN)).unwrap();
        sandbox.write("templates/t/cookiecutter.json", format!("{{{list}}}"));
        same(&sandbox, &[]);
        assert_eq!(sandbox.read("demo/which"), "a");
        fs::remove_dir_all(sandbox.work().join("demo")).unwrap();
        let second = if list.contains("Second") { "template=Second (sub/b)" } else { "template=b" };
        by_mwp(&sandbox, &["--set", second]).succeeded();
        assert_eq!(sandbox.read("demo/which"), "sub/b");
    }
}

#[test]
fn a_persons_defaults_and_an_earlier_run() {
    let sandbox = Sandbox::new();
    template(&sandbox, r#""full": "x", "kind": ["a", "b"], "docs": true, "deep": {"a": 1}, "other": "o""#);
    sandbox.write(
        &format!("{PLUGIN}/values"),
        "{{ cookiecutter.full }} {{ cookiecutter.kind }} {{ cookiecutter.docs }} {{ cookiecutter.deep|jsonify }} {{ cookiecutter.other }}",
    );
    fs::write(
        sandbox.path("home/.cookiecutterrc"),
        "default_context:\n  full: Me & Co\n  kind: b\n  docs: \"no\"\n  deep:\n    b: 2\n  unknown: x\n",
    )
    .unwrap();
    same(&sandbox, &["other=p"]);
    fs::remove_dir_all(sandbox.work().join("demo")).unwrap();
    fs::remove_file(sandbox.path("home/.cookiecutterrc")).unwrap();
    let replay = sandbox.path("home/.cookiecutter_replay/t.json");
    by_mwp(&sandbox, &["--replay-file", replay.to_str().unwrap()]).succeeded();
    assert_eq!(content(&sandbox.path("work/demo")), content(&sandbox.path("work/reference/demo")));
}

#[test]
fn time_and_chance_have_the_form_that_cookiecutter_gives_them() {
    let sandbox = Sandbox::new();
    template(&sandbox, "");
    sandbox.write(&format!("{PLUGIN}/secret"), "{{ random_ascii_string(30) }}");
    sandbox.write(&format!("{PLUGIN}/zone"), "{% now 'Europe/Berlin', '%z' %}{% now 'local', '%Y' %}");
    sandbox.write(
        &format!("{PLUGIN}/values"),
        "{% now 'utc', '%Y' %} {% now 'utc' - 'days=400,hours=1', '%Y' %} {{ uuid4()|length }} {{ uuid4()[14] }} {{ random_ascii_string(12)|length }}\n",
    );
    by_cookiecutter(&sandbox, &[]).succeeded();
    by_mwp(&sandbox, &[]).succeeded();
    for file in ["values", "zone"] {
        assert_eq!(sandbox.read(&format!("demo/{file}")), sandbox.read(&format!("reference/demo/{file}")));
    }
    assert_ne!(sandbox.read("demo/secret"), sandbox.read("reference/demo/secret"));
    assert_eq!(sandbox.read("demo/secret").len(), 30);
}

#[test]
fn what_mwp_does_not_have_is_refused_by_name() {
    let sandbox = Sandbox::new();
    template(&sandbox, r#""_extensions": ["local_extensions.Foo"]"#);
    by_mwp(&sandbox, &[]).exited(1).says("the Jinja2 extension `local_extensions.Foo`").says("hint: ");
    assert!(!sandbox.work().join("demo").exists());
}
