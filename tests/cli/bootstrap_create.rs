//! `mwp bootstrap create`: defaults from where a person has them, the name asked for, and what fails leaves nothing.

use std::fs;
use std::process::Command;

use crate::support::{Done, Sandbox, tree};

#[track_caller]
fn create(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    let all = ["bootstrap", "create", "--no-input"].iter().chain(arguments);
    Done::of(&mut sandbox.mwp(all))
}

/// `mwp bootstrap …` on a terminal, where a person types this.
fn on_terminal(sandbox: &Sandbox, typed: &str, arguments: &[&str]) -> Done {
    Done::of(&mut sandbox.on_terminal(0, ("", typed), &[&["bootstrap"], arguments].concat()))
}

fn git_identity(sandbox: &Sandbox) {
    fs::write(sandbox.path("home/.gitconfig"), "[user]\n\tname = Ada L.\n\temail = ada@example.org\n")
        .unwrap();
}

#[test]
fn the_maintainer_is_whom_git_knows() {
    let sandbox = Sandbox::new();
    git_identity(&sandbox);
    create(&sandbox, &["a"]).succeeded();
    assert!(sandbox.read("a/config.ini").contains("_maintainer=Ada L. <ada@example.org>\n"));
    create(&sandbox, &["--set", "maintainer=Me", "b"]).succeeded();
    assert!(sandbox.read("b/config.ini").contains("_maintainer=Me\n"));
}

#[test]
fn the_maintainer_of_a_sites_own_template_stays() {
    let sandbox = Sandbox::new();
    git_identity(&sandbox);
    sandbox.plugin("templates/t/{{cookiecutter.name}}");
    sandbox.write("templates/t/cookiecutter.json", r#"{"maintainer": "The Team <team@site>"}"#);
    sandbox
        .write("templates/t/{{cookiecutter.name}}/.layerapi2_label", "plugin_{{cookiecutter.name}}@mfserv\n");
    sandbox.write("templates/t/{{cookiecutter.name}}/who.html", "{{ cookiecutter.maintainer }}");
    create(&sandbox, &["--template", "templates/t", "a"]).succeeded();
    assert_eq!(sandbox.read("a/who.html"), "The Team <team@site>");
}

#[test]
fn the_name_is_asked_for_on_a_terminal_until_it_is_one() {
    let sandbox = Sandbox::new();
    git_identity(&sandbox);
    // A bad name, the name, all defaults but a license that is none at first.
    let done = on_terminal(&sandbox, "a b\nshop\n\n\n\nMine\n2\n\n\n\n", &["create"]).succeeded();
    done.prints("the plugin's name [work]: ")
        .prints("the plugin name `a b` holds ` `")
        .prints("license: found `Mine`");
    let config = sandbox.read("shop/config.ini");
    assert!(
        config.contains("_license=BSD\n") && config.contains("_maintainer=Ada L. <ada@example.org>\n"),
        "{config}"
    );
    create(&sandbox, &[]).exited(2).says("error: the plugin's name is missing").says("hint: ");
}

#[test]
fn prompts_are_the_templates_own_words() {
    let sandbox = Sandbox::new();
    sandbox.plugin("t/{{cookiecutter.name}}");
    sandbox.write(
        "t/cookiecutter.json",
        r#"{"docs": true, "kind": ["a", "b"], "__prompts__": {"docs": "With documentation?", "kind": {"__prompt__": "Which kind?", "b": "the second"}}}"#,
    );
    sandbox.write("t/{{cookiecutter.name}}/.layerapi2_label", "plugin_{{cookiecutter.name}}@mfserv\n");
    sandbox.write("t/{{cookiecutter.name}}/v", "{{ cookiecutter.docs }} {{ cookiecutter.kind }}");
    let done = on_terminal(&sandbox, "perhaps\nno\n2\n", &["create", "--template", "./t", "x"]).succeeded();
    done.prints("With documentation? [yes]: ")
        .prints("docs: found `perhaps`; yes or no is allowed")
        .prints("2. the second");
    assert_eq!(sandbox.read("x/v"), "False b");
}

#[test]
fn what_a_template_does_wrong_is_named_and_leaves_nothing() {
    let plugin = "t/{{cookiecutter.name}}";
    for (file, content, says) in [
        (
            format!("{plugin}/{{{{cookiecutter.up}}}}/x"),
            "x",
            "makes a file `../x`; a path inside the plugin is allowed",
        ),
        (format!("{plugin}/x"), "{{ nothing }}", "the template's x:1: "),
        (format!("{plugin}/x"), "{% include '../../secret' %}", "non-existing template '../../secret'"),
        (
            "t/hooks/post_gen_project.sh".to_owned(),
            "echo x >left; exit 3",
            "`hooks/post_gen_project.sh` failed",
        ),
        ("t/hooks/pre_prompt.sh".to_owned(), "exit 3", "`hooks/pre_prompt.sh` failed"),
        (
            "t/cookiecutter.json".to_owned(),
            r#"{"templates": {"a": {"path": "../../x"}}}"#,
            "names a template at `../../x`",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.plugin(plugin);
        sandbox.write("secret", "x");
        sandbox.write("t/cookiecutter.json", r#"{"up": ".."}"#);
        sandbox.write(&format!("{plugin}/.layerapi2_label"), "plugin_{{cookiecutter.name}}@mfserv\n");
        sandbox.write(&file, content);
        let done = create(&sandbox, &["--template", "./t", "x"]).exited(1).says(says);
        assert!(done.stderr.contains("hint: ") || file.ends_with("json"), "{}", done.stderr);
        let top: Vec<_> = tree(&sandbox.work()).into_iter().filter(|path| !path.contains('/')).collect();
        assert_eq!(top, ["secret", "t"], "{file}");
    }
}

#[test]
fn the_record_of_the_making_is_not_released() {
    let sandbox = Sandbox::new();
    create(&sandbox, &["--template", "static", "foo"]).succeeded();
    assert!(sandbox.read("foo/.mwp-template.toml").contains("template = \"static\""));
    sandbox.ok(["release", "-C", "foo"]);
    let mut list = Command::new("tar");
    list.args(["--zstd", "-tf", "foo-0.0.1-1.metwork.mfserv.plugin"]).current_dir(sandbox.work());
    let done = Done::of(&mut list).succeeded();
    assert!(done.stdout.contains("config.ini") && !done.stdout.contains(".mwp-template"), "{}", done.stdout);
}
