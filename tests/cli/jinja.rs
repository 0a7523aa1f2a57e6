//! Jinja2 as Python's: each expression is rendered by `mwp` and by the real one from PyPI.

use std::process::Command;

use crate::support::{Done, Sandbox, python_tool};

/// One expression a line; `¶` stands for the end of a line in it.
const EXPRESSIONS: &str = include_str!("jinja_expressions.txt");

/// Renders each line alone, strictly, as cookiecutter has it, and prints the results as JSON.
const PYTHON: &str = "
import json, sys
from jinja2 import Environment, StrictUndefined
engine = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
print(json.dumps([engine.from_string(text).render() for text in json.load(sys.stdin)]))
";

/// By the real Jinja2, which cookiecutter brings along.
fn by_python(sandbox: &Sandbox, texts: &[String]) -> Vec<String> {
    let python = python_tool("cookiecutter", "cookiecutter").join("python");
    let input = sandbox.write("texts.json", serde_json::to_string(texts).unwrap());
    let mut command = Command::new(python);
    command.args(["-c", PYTHON]).stdin(std::fs::File::open(input).unwrap());
    serde_json::from_str(&Done::of(&mut command).succeeded().stdout).unwrap()
}

#[test]
fn expressions_mean_what_they_mean_to_python() {
    let sandbox = Sandbox::new();
    let lines = EXPRESSIONS.lines().filter(|line| !line.is_empty() && !line.starts_with("##"));
    let texts: Vec<String> = lines.map(|line| line.replace('¶', "\n")).collect();
    let expected = by_python(&sandbox, &texts);
    sandbox.plugin("templates/all/{{cookiecutter.name}}");
    sandbox.write("templates/all/cookiecutter.json", "{}");
    let root = "templates/all/{{cookiecutter.name}}";
    sandbox.write(&format!("{root}/.layerapi2_label"), "plugin_{{cookiecutter.name}}@mfserv\n");
    for (number, text) in texts.iter().enumerate() {
        // Neither the end of the line nor an empty file is what is tested.
        sandbox.write(&format!("{root}/e/{number}"), format!("<{text}>"));
    }
    sandbox.ok(["bootstrap", "create", "--no-input", "--template", "templates/all", "x"]);
    let differing: Vec<_> = (0..texts.len())
        .filter_map(|number| {
            let found = sandbox.read(&format!("x/e/{number}"));
            let wanted = format!("<{}>", expected[number]);
            (found != wanted).then(|| format!("{}\n  mwp    {found:?}\n  python {wanted:?}", texts[number]))
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn values_and_crontabs_include_files_of_the_plugin_and_none_outside() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("outside", "secret");
    sandbox.write("p/parts/name", "{{ '%s-%02d' % ('from a file', 7) }}");
    let config = sandbox.read("p/config.ini");
    let with = |value: &str| format!("{config}[custom]\nx={value}\n");
    sandbox.write("p/config.ini", with("{% include 'parts/name' %}"));
    sandbox.write("p/crontab", "{% include 'parts/jobs' %}\n");
    sandbox.write("p/parts/jobs", "* * * * * true\n");
    sandbox.ok(["check", "-v", "-C", "p"]).prints("x = from a file-07");
    for outside in ["../outside", "/etc/passwd"] {
        sandbox.write("p/config.ini", with(&format!("{{% include '{outside}' %}}")));
        sandbox.fails(1, ["check", "-C", "p"]).says("is outside the plugin");
    }
    sandbox.write("p/config.ini", &config);
    sandbox.write("p/crontab", "{% include '../outside' %}\n");
    sandbox.fails(1, ["check", "-C", "p"]).says("is outside the plugin");
}
