//! A plugin's own tasks: `mwp.toml` and the rules of its Makefile.

use std::fs;

use crate::support::{Done, Sandbox};

#[test]
fn the_example_of_the_help_works_as_written() {
    let help = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/help/recipes.md")).unwrap();
    let (_, rest) = help.split_once("```toml\n# mwp.toml").expect("the topic shows an mwp.toml");
    let (example, _) = rest.split_once("```").unwrap();
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/mwp.toml", format!("#{example}"));
    sandbox.write("p/assets/site.css.in", "body { color: @colour@ }\n");
    sandbox.ok(["build", "-C", "p"]).says("stylesheet: done");
    assert_eq!(sandbox.read("p/static/site.css"), "body { color: teal }\n");
    sandbox.ok(["build", "-C", "p"]).says("up to date");
    sandbox.ok(["graph", "-C", "p"]).prints("stylesheet");
}

#[test]
fn a_cycle_is_shown_as_a_path() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let task = |name: &str, other: &str| {
        format!("[tasks.{name}]\nalways = true\ncommand = [\"true\"]\ndependencies = [\"{other}\"]\n")
    };
    sandbox.write("p/mwp.toml", task("a", "b") + &task("b", "c") + &task("c", "a"));
    sandbox
        .fails(1, ["build", "-C", "p"])
        .says("the tasks wait for each other: a → b → c → a")
        .says("hint: ");
}

#[test]
fn an_unknown_dependency_gets_a_suggestion() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write(
        "p/mwp.toml",
        sandbox.read("p/mwp.toml")
            + "[tasks.next]\nalways = true\ncommand = [\"true\"]\ndependencies = [\"coppy\"]\n",
    );
    sandbox.fails(1, ["build", "-C", "p"]).says("found `coppy`").says("did you mean `copy`?");
}

#[test]
fn a_bad_recipe_names_file_line_and_key() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/mwp.toml", "[tasks.a]\ncommand = [\"true\"]\ninput = [\"x\"]\n");
    sandbox.fails(1, ["build", "-C", "p"]).says("mwp.toml:3: unknown field `input`, expected one of ");
}

#[test]
fn two_tasks_cannot_make_the_same_output() {
    let sandbox = Sandbox::new();
    sandbox.task_plugin("p");
    sandbox.write(
        "p/mwp.toml",
        sandbox.read("p/mwp.toml")
            + "[tasks.b]\ninputs = [\"in\"]\noutputs = [\"out\"]\ncommand = [\"true\"]\n",
    );
    sandbox.fails(1, ["build", "-C", "p"]).says("`outputs` found `out`, which task `b` makes too");
}

#[test]
fn a_built_in_task_can_be_switched_off_and_replaced() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six\n");
    sandbox.write(
        "p/mwp.toml",
        "disable = [\"virtualenv\", \"wheels\"]\n[tasks.freeze]\nalways = true\ncommand = [\"true\"]\n",
    );
    let tasks = sandbox.ok(["graph", "--json", "-C", "p"]).stdout;
    let tasks: serde_json::Value = serde_json::from_str(&tasks).unwrap();
    let names: Vec<_> = tasks.as_array().unwrap().iter().map(|task| task["task"].as_str().unwrap()).collect();
    assert_eq!(names, ["check", "freeze"]);
    sandbox.ok(["build", "-C", "p"]);
}

#[test]
fn the_rules_of_a_makefile_run_each_time_and_see_metwork() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/Makefile",
        "include $(MFEXT_HOME)/share/plugin.mk\nprecustom::\n\techo first $(NAME) >> log\ncustom::\n\techo then $(NAME) >> log\ncustom::\n\tmkdir -p local/bin && echo tool > local/bin/tool\n",
    );
    sandbox.ok(["build", "-C", "p"]);
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/log"), "first p\nthen p\n".repeat(2));
    assert_eq!(sandbox.read("p/local/bin/tool"), "tool\n");
}

#[test]
fn a_failing_rule_fails_the_build_and_shows_its_output() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/Makefile",
        "include $(MFEXT_HOME)/share/plugin.mk\ncustom::\n\t@echo what went wrong; exit 3\n",
    );
    sandbox
        .fails(1, ["release", "-C", "p"])
        .says("what went wrong")
        .says("the output is kept in `p/.mwp/log/custom.log`")
        .says("task `custom`: `make` failed: exit code 2");
    assert!(sandbox.read("p/.mwp/log/custom.log").contains("what went wrong"));
}

#[test]
fn graphs_come_as_text_dot_and_mermaid() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six\n");
    sandbox
        .ok(["graph", "-C", "p"])
        .prints("virtualenv  Install the wheels into local/                    ← wheels");
    sandbox.ok(["graph", "--format", "dot", "-C", "p"]).prints("\"freeze\" -> \"wheels\";");
    sandbox.ok(["graph", "--format", "mermaid", "-C", "p"]).prints("graph LR");
}

#[test]
fn a_missing_tool_says_how_to_get_it() {
    let sandbox = Sandbox::new();
    sandbox.python_plugin("p", "six\n");
    let mut mwp = sandbox.mwp(["build", "-C", "p"]);
    Done::of(mwp.env("PATH", "/nowhere"))
        .exited(3)
        .says("there is no `python3` on PATH")
        .says("apt install python3");
    sandbox.plugin("n");
    sandbox.write("n/package.json", "{}");
    let mut mwp = sandbox.mwp(["build", "-C", "n"]);
    Done::of(mwp.env("PATH", "/nowhere"))
        .exited(3)
        .says("there is no `npm` on PATH")
        .says("apt install nodejs npm");
}

#[test]
fn a_task_goes_after_the_one_that_makes_its_inputs() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/mwp.toml",
        "[tasks.a_reader]\ninputs = [\"gen/*.txt\"]\noutputs = [\"used\"]\ncommand = [\"sh\", \"-c\", \"cat gen/*.txt > used\"]\n\
         [tasks.maker]\ninputs = [\"source\"]\noutputs = [\"gen\"]\ncommand = [\"sh\", \"-c\", \"sleep 0.3; mkdir -p gen; cp source gen/x.txt\"]\n",
    );
    for content in ["one\n", "two\n"] {
        sandbox.write("p/source", content);
        sandbox.ok(["build", "-C", "p"]);
        assert_eq!(sandbox.read("p/used"), content);
    }
}

#[test]
fn a_rule_that_builds_its_own_plugin_is_refused_and_does_not_hang() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let mwp = env!("CARGO_BIN_EXE_mwp");
    sandbox.write("p/Makefile", format!("include $(MFEXT_HOME)/share/plugin.mk\ncustom::\n\t{mwp} build\n"));
    sandbox.fails(1, ["build", "-C", "p"]).says("this runs in one of its tasks");
}

#[test]
fn rules_of_an_included_makefile_run_too() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/Makefile", "include $(MFEXT_HOME)/share/plugin.mk\ninclude rules.mk\n");
    sandbox.write("p/rules.mk", "custom::\n\techo ran > ran\n");
    sandbox.ok(["build", "-C", "p"]);
    assert_eq!(sandbox.read("p/ran"), "ran\n");
}

#[test]
fn a_build_tells_every_mistake_of_the_recipe_at_once() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write(
        "p/mwp.toml",
        "[task.a]\ncommand = [\"x\"]\n\n[tasks.b]\ncomand = [\"x\"]\n\n\
         [tasks.c]\ncommand = [\"x\"]\nalways = true\nafter = [\"nothing\"]\n",
    );
    for command in ["build", "explain", "graph", "check"] {
        sandbox
            .fails(1, [command, "-C", "p"])
            .says("error: p/mwp.toml:1: unknown field `task`")
            .says("hint: did you mean `tasks`?")
            .says("error: p/mwp.toml:5: unknown field `comand`")
            .says("hint: did you mean `command`?")
            .says("error: p/mwp.toml:7: [tasks.c] `after` found `nothing`");
    }
}
