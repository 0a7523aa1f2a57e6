//! The examples of CI in `docs/ci.md`: their syntax, by the schemas of those who run them, and what their steps run.

use std::fs;
use std::process::Command;

use serde_yaml_ng::Value;

use crate::support::{Done, Sandbox, python_tool};

/// The example that begins with this comment.
fn example(file: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ci.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```yaml\n# {file}\n")).expect("the page shows it");
    rest.split_once("```").unwrap().0.to_owned()
}

/// A plugin with a lock, in git, with `mwp` on PATH.
fn repository(sandbox: &Sandbox) {
    sandbox.python_plugin("foo", "six");
    sandbox.ok(["build", "-q", "-C", "foo"]);
    sandbox.ok(["clean", "-q", "-C", "foo"]);
    let mwp = env!("CARGO_BIN_EXE_mwp");
    sandbox.write_executable("bin/mwp", &format!("#!/bin/sh\nexec {mwp} \"$@\"\n"));
    let script = "cd foo && printf '/local/\n/.mwp/\n/dist/\n' >.gitignore && git init -q && git add -A && \
                  git -c user.name=a -c user.email=a@b commit -qm one";
    Done::of(&mut shell(sandbox, script)).succeeded();
}

fn shell(sandbox: &Sandbox, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(sandbox.work());
    command.envs(sandbox.mwp([""; 0]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = sandbox.search_path().into_string().unwrap();
    command.env("PATH", format!("{}:{path}", sandbox.work().join("bin").display()));
    command
}

/// Runs the steps as they stand, with these variables, and sees what they make.
fn run(sandbox: &Sandbox, steps: &[String], variables: &[(&str, String)]) {
    for step in steps {
        let mut command = shell(sandbox, step);
        command.current_dir(sandbox.work().join("foo"));
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Done::of(&mut command).succeeded();
    }
    let made: Vec<_> = fs::read_dir(sandbox.work().join("foo/dist")).unwrap().collect();
    assert_eq!(made.len(), 1, "{made:?}");
    let file = made[0].as_ref().unwrap().path();
    sandbox.ok(["install", file.to_str().unwrap()]);
    let files = fs::read_to_string(sandbox.base().join("foo/.files.json")).unwrap();
    assert!(!files.contains("/.mwp/") && !files.contains("cargo"), "{files}");
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_example_for_github_actions_builds_and_releases() {
    let sandbox = Sandbox::new();
    repository(&sandbox);
    let workflow: Value = serde_yaml_ng::from_str(&example(".github/workflows/plugin.yml")).unwrap();
    let steps = workflow["jobs"]["plugin"]["steps"].as_sequence().unwrap();
    let named = |name: &str| {
        let step = steps.iter().find(|step| step["name"] == name).expect(name);
        step["run"].as_str().unwrap().replace("${{ vars.MWP_REPOSITORY }}", "nowhere")
    };
    run(&sandbox, &["Install mwp", "Build", "Release"].map(named), &[]);
    // What it keeps is where the cache is.
    let kept =
        steps.iter().find(|step| step["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/cache")));
    assert!(kept.unwrap()["with"]["path"].as_str().unwrap().lines().any(|line| line == "~/.cache/mwp"));
}

#[test]
fn the_example_for_gitlab_builds_and_releases() {
    let sandbox = Sandbox::new();
    repository(&sandbox);
    let pipeline: Value = serde_yaml_ng::from_str(&example(".gitlab-ci.yml")).unwrap();
    let plugin = &pipeline["plugin"];
    let before: Vec<String> =
        texts(&plugin["before_script"]).into_iter().filter(|line| !line.contains("apt-get")).collect();
    let steps = [before.join("\n"), texts(&plugin["script"]).join("\n")].join("\n");
    let directory = sandbox.work().join("foo").display().to_string();
    let variables: Vec<(String, String)> = pipeline["variables"]
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().unwrap().replace("$CI_PROJECT_DIR", &directory);
            (name.as_str().unwrap().to_owned(), value)
        })
        .collect();
    let variables: Vec<(&str, String)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    run(&sandbox, &[steps], &variables);
    assert!(sandbox.work().join("foo/.mwp/cache").is_dir());
}

/// `check-jsonschema` of PyPI brings the schemas of both.
#[test]
fn both_examples_are_what_their_schemas_allow() {
    let sandbox = Sandbox::new();
    for (file, schema) in
        [(".github/workflows/plugin.yml", "vendor.github-workflows"), (".gitlab-ci.yml", "vendor.gitlab-ci")]
    {
        sandbox.write(file, example(file));
        let bin = python_tool("check-jsonschema", "check-jsonschema");
        let mut check = Command::new(bin.join("check-jsonschema"));
        check.args(["--builtin-schema", schema, file]).current_dir(sandbox.work());
        Done::of(&mut check).succeeded();
    }
}
