//! Standard output of every command with `--json`: one document that fits its schema in `docs/schemas/`, whatever
//! becomes of the command.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{CONFIG, Done, Sandbox, python_tool};

/// Validates documents against schemas: pairs of names, one pair per line of standard input.
const VALIDATOR: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
bad = []
for line in sys.stdin:
    schema, document = line.rstrip("\n").split("\t")
    schema = json.load(open(schema))
    Draft202012Validator.check_schema(schema)
    document = json.loads(document)
    for error in Draft202012Validator(schema).iter_errors(document):
        bad.append(f"{schema['title']}: {error.message}: {[e.message for e in error.context]}")
sys.exit("\n".join(bad) or 0)
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the schemas, in order.
fn schemas() -> Vec<String> {
    let files = fs::read_dir(root().join("docs/schemas")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.map(|name| name.strip_suffix(".json").unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Documents, with the schemas that they have to fit.
#[derive(Default)]
struct Documents(Vec<(String, Value)>);

impl Documents {
    fn check(&self) {
        let schemas = root().join("docs/schemas");
        let lines = self.0.iter().map(|(schema, document)| {
            format!("{}\t{document}\n", schemas.join(format!("{schema}.json")).display())
        });
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("documents");
        fs::write(&input, lines.collect::<String>()).unwrap();
        let mut python = Command::new(python_tool("jsonschema", "jsonschema").join("python3"));
        python.args(["-c", VALIDATOR]).stdin(fs::File::open(&input).unwrap());
        Done::of(&mut python).succeeded();
    }

    #[track_caller]
    fn of_table(&mut self, sandbox: &Sandbox, table: &[Row]) {
        for (schema, code, words) in table {
            self.of(sandbox, schema, *code, words);
        }
    }

    /// Runs the command with `--json`, and keeps what it printed.
    #[track_caller]
    fn of(&mut self, sandbox: &Sandbox, schema: &str, code: i32, words: &str) -> Value {
        let words: Vec<&str> = words.split(' ').collect();
        // What is behind `--` is another command's.
        let at = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        let words = [&words[..at], &["--json"], &words[at..]].concat();
        let done = Done::of(&mut sandbox.mwp(&words)).exited(code);
        let document: Value = serde_json::from_str(&done.stdout)
            .unwrap_or_else(|error| panic!("{words:?}: {error}\n{}\n{}", done.stdout, done.stderr));
        self.0.push((schema.to_owned(), document.clone()));
        document
    }
}

/// A plugin whose build fails.
fn failing_plugin(sandbox: &Sandbox, name: &str) {
    sandbox.plugin(name);
    sandbox.write(
        &format!("{name}/mwp.toml"),
        "[tasks.broken]\nalways = true\ncommand = [\"sh\", \"-c\", \"echo so; exit 3\"]\n",
    );
}

/// A schema, the exit code, and the command line of which it describes the document.
type Row = (&'static str, i32, &'static str);

/// Of the plugins `good` and `bad`, of `py` with a requirement of PyPI, and of `old` from before 1.0.
const BUILDING: &[Row] = &[
    ("build", 0, "build good"),
    ("build", 1, "build bad"),
    ("build", 1, "build good bad"),
    ("build", 2, "build --no-such-option"),
    ("build", 0, "build --dry-run good"),
    ("check", 0, "check good"),
    ("check", 1, "check nosuch"),
    ("explain", 0, "explain -C good"),
    ("explain", 2, "explain -C nosuch"),
    ("graph", 0, "graph -C good"),
    ("graph", 2, "graph -C nosuch"),
    ("lock", 0, "lock good"),
    ("lock", 2, "lock nosuch"),
    ("release", 0, "release good"),
    ("release", 1, "release bad"),
    ("release", 2, "release good -o good/config.ini"),
    ("pack", 0, "pack good"),
    ("pack", 2, "pack nosuch"),
    ("hash", 0, "hash good-0.0.1-1.metwork.mfserv.plugin"),
    ("hash", 1, "hash nosuch"),
    ("info", 0, "info good-0.0.1-1.metwork.mfserv.plugin"),
    ("info", 1, "info nosuch"),
    ("size", 0, "size good"),
    ("size", 2, "size ./nosuch"),
    ("diff", 0, "diff good good"),
    ("diff", 0, "diff good bad"),
    ("diff", 2, "diff good"),
    ("clean", 0, "clean good"),
    ("clean", 2, "clean nosuch"),
    ("superclean", 0, "superclean good"),
    ("superclean", 2, "superclean nosuch"),
    ("cache-info", 0, "cache info"),
    ("cache-info", 2, "cache info x"),
    ("cache-prune", 0, "cache prune"),
    ("cache-prune", 2, "cache prune x"),
    ("run", 1, "run -C bad -- true"),
    ("test", 1, "test -C good"),
    ("add", 0, "add -C py colorama"),
    ("add", 2, "add -C good x"),
    ("tree", 0, "tree -C py"),
    ("tree", 1, "tree -C good"),
    ("outdated", 0, "outdated -C py"),
    ("outdated", 2, "outdated -C nosuch"),
    ("remove", 0, "remove -C py colorama"),
    ("remove", 2, "remove -C good x"),
    ("migrate", 0, "migrate good"),
    ("migrate", 2, "migrate nosuch"),
    ("migrate", 0, "migrate --dry-run old"),
    ("migrate", 2, "migrate old"),
    ("migrate", 0, "migrate --yes old"),
];

/// Of the template `template`.
const MAKING: &[Row] = &[
    ("bootstrap-list", 0, "bootstrap list"),
    ("bootstrap-list", 1, "bootstrap list --module Ü"),
    ("new", 0, "new --no-input shop"),
    ("new", 1, "new --no-input shop"),
    ("bootstrap-create", 0, "bootstrap create --no-input --template ./template made"),
    ("bootstrap-create", 2, "bootstrap create --no-input --template /nosuch x"),
    ("bootstrap-update", 0, "bootstrap update -C shop --force"),
    ("bootstrap-update", 1, "bootstrap update -C empty"),
    ("init", 0, "init empty"),
    ("init", 2, "init nosuch"),
];

/// The same when the template and the plugin changed the same line.
const CONFLICT: &[Row] = &[
    ("bootstrap-update", 0, "bootstrap update -C made --dry-run"),
    ("bootstrap-update", 1, "bootstrap update -C made"),
];

/// Of the file of the plugin `d`, which has a daemon.
const INSTALLING: &[Row] = &[
    ("install", 0, "install d-0.0.1-1.metwork.mfserv.plugin"),
    ("install", 1, "install d-0.0.1-1.metwork.mfserv.plugin"),
    ("install", 2, "install d-0.0.1-1.metwork.mfserv.plugin nosuch.plugin"),
    ("list", 0, "list"),
    ("list", 2, "list --plugins-base-dir /nosuch"),
    ("verify", 0, "verify"),
    ("verify", 1, "verify nosuch"),
    ("info", 0, "info d"),
    ("hash", 0, "hash d"),
    ("env", 0, "env d"),
    ("env", 1, "env nosuch"),
    ("exec", 1, "exec nosuch -- true"),
    ("repackage", 0, "repackage --force d"),
    ("repackage", 1, "repackage nosuch"),
    ("provision", 0, "provision --module mfserv"),
    ("provision", 1, "provision --module Ü"),
    ("cron-show", 0, "cron show"),
    ("cron-show", 1, "cron show nosuch"),
    ("cron-sync", 0, "cron sync"),
    ("cron-sync", 2, "cron sync x"),
    ("systemd", 0, "systemd --module mfserv -o units"),
    ("systemd", 0, "systemd --module mfserv -o units --supervisor"),
    ("systemd", 2, "systemd --module mfnone"),
    ("circus", 0, "circus --module mfserv"),
    ("circus", 2, "circus --module mfnone"),
    ("down", 0, "down"),
    ("down", 2, "down x"),
    ("status", 1, "status"),
    ("reload", 1, "reload"),
    ("restart", 1, "restart d"),
    ("stop", 1, "stop d"),
    ("up", 2, "up --detach --module mfserve"),
    ("up", 2, "up"),
    ("logs", 1, "logs nosuch"),
    ("doctor", 0, "doctor"),
    ("doctor", 2, "doctor x"),
];

/// The same of a module that is up.
const RUNNING: &[Row] = &[
    ("up", 0, "up --detach --module mfserv"),
    ("status", 0, "status"),
    ("reload", 0, "reload"),
    ("restart", 0, "restart d"),
    ("hotswap", 0, "hotswap d-0.0.1-1.metwork.mfserv.plugin"),
    ("hotswap", 2, "hotswap nosuch.plugin"),
    ("logs", 0, "logs supervisor"),
    ("stop", 0, "stop d"),
    ("down", 0, "down"),
];

/// The same when it is down again; `step` is a plugin of mfdata.
const LEAVING: &[Row] = &[
    ("uninstall", 0, "uninstall d"),
    ("uninstall", 1, "uninstall d"),
    ("develop", 0, "develop -C d"),
    ("develop", 2, "develop -C nosuch"),
    ("develop", 0, "develop -C step"),
    ("inject", 0, "inject --plugin step step/config.ini"),
    ("inject", 1, "inject --plugin nosuch step/config.ini"),
];

const TABLES: [&[Row]; 6] = [BUILDING, MAKING, CONFLICT, INSTALLING, RUNNING, LEAVING];

#[test]
fn whatever_builds_and_ships_prints_a_document_of_its_schema() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    sandbox.task_plugin("good");
    failing_plugin(&sandbox, "bad");
    sandbox.python_plugin("py", "six\n");
    sandbox.ok(["build", "-q", "-C", "py"]);
    sandbox.write("old/config.ini", CONFIG.replace('_', ""));
    sandbox.write("old/.layerapi2_label", "plugin_old@mfserv\n");
    all.of_table(&sandbox, BUILDING);
    all.check();
}

#[test]
fn whatever_templates_make_prints_a_document_of_its_schema() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    fs::create_dir(sandbox.work().join("empty")).unwrap();
    let inside = "template/{{cookiecutter.name}}";
    sandbox.plugin(inside);
    sandbox.write(&format!("{inside}/.layerapi2_label"), "plugin_{{cookiecutter.name}}@mfserv\n");
    sandbox.write(&format!("{inside}/line"), "one\n");
    sandbox.write("template/cookiecutter.json", "{}");
    all.of_table(&sandbox, MAKING);
    sandbox.write(&format!("{inside}/line"), "two\n");
    sandbox.write("made/line", "three\n");
    all.of_table(&sandbox, CONFLICT);
    all.check();
}

#[test]
fn whatever_installs_and_runs_prints_a_document_of_its_schema() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    sandbox.daemon_plugin("d", "exec sleep 1000\n");
    sandbox.packed("d");
    all.of_table(&sandbox, INSTALLING);
    sandbox.configure_module("[nginx]\nflag=0\n");
    let up = crate::support::running::Up { sandbox: &sandbox, port: 0 };
    all.of_table(&sandbox, RUNNING);
    drop(up);
    sandbox.plugin("step");
    sandbox.write("step/.layerapi2_label", "plugin_step@mfdata\n");
    sandbox.write("step/config.ini", format!("{CONFIG}[step_main]\n_cmd_and_args=sleep 1000\n"));
    all.of_table(&sandbox, LEAVING);
    all.check();
}

/// What these print in the end is another program's.
const PRINT_WHAT_THEY_RUN: [&str; 3] = ["run", "test", "exec"];

#[test]
fn each_schema_is_tried_with_what_succeeds_and_with_what_fails() {
    let rows = || TABLES.into_iter().flatten();
    for schema in schemas().iter().filter(|schema| *schema != "events") {
        let is_tried = |is_wanted: &dyn Fn(i32) -> bool| {
            rows().any(|(other, code, _)| other == schema && is_wanted(*code))
        };
        assert!(is_tried(&|code| code != 0), "no row where `{schema}` fails");
        let has_result = !PRINT_WHAT_THEY_RUN.contains(&schema.as_str());
        assert!(!has_result || is_tried(&|code| code == 0), "no row where `{schema}` succeeds");
    }
}

#[test]
fn each_command_with_json_has_a_schema_and_each_schema_a_command() {
    let sandbox = Sandbox::new();
    sandbox.ok(["man", "man"]);
    let pages = fs::read_dir(sandbox.work().join("man")).unwrap().map(|page| page.unwrap().file_name());
    let pages: Vec<String> = pages.map(|page| page.into_string().unwrap()).collect();
    let commands: Vec<&str> =
        pages.iter().filter_map(|page| page.strip_prefix("mwp-")?.strip_suffix(".1")).collect();
    let is_group = |name: &str| commands.iter().any(|other| other.starts_with(&format!("{name}-")));
    // The topic says which commands have none.
    let topic = fs::read_to_string(root().join("docs/help/json.md")).unwrap();
    let (without, _) = topic.split_once(". Standard output").unwrap();
    let without: Vec<&str> = without.split('`').skip(1).step_by(2).collect();
    let mut expected: Vec<String> = commands
        .iter()
        .filter(|name| !is_group(name) && !without.contains(name))
        .map(|name| if *name == "watch" { "events".to_owned() } else { (*name).to_owned() })
        .collect();
    expected.sort();
    assert_eq!(schemas(), expected);
}

#[test]
fn a_failed_build_names_its_task_and_the_log() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    sandbox.task_plugin("good");
    failing_plugin(&sandbox, "bad");
    let failed = all.of(&sandbox, "build", 1, "build bad");
    assert_eq!((&failed["task"], &failed["fault"]), (&json!("broken"), &json!("input")));
    assert!(sandbox.read(failed["log"].as_str().unwrap()).ends_with("so\n"));
    // Of several, each has an entry.
    let several = all.of(&sandbox, "build", 1, "build good bad");
    assert_eq!(several[0]["plugin"], "good");
    assert_eq!((&several[1]["directory"], &several[1]["task"]), (&json!("bad"), &json!("broken")));
}

#[test]
fn events_of_a_build_come_a_line_each_and_the_last_is_the_result() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    sandbox.task_plugin("good");
    failing_plugin(&sandbox, "bad");
    let mut events = |code, words: &[&str]| {
        let done = Done::of(&mut sandbox.mwp(words)).exited(code);
        let lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        all.0.extend(lines.iter().map(|line| ("events".to_owned(), line.clone())));
        lines
    };
    let named = |lines: &[Value], name: &str| lines.iter().any(|line| line["event"] == name);
    let good = events(0, &["build", "--json=events", "good"]);
    assert!(named(&good, "started") && named(&good, "finished") && named(&good, "built"), "{good:?}");
    assert_eq!(good.last().unwrap()["ok"], true);
    let bad = events(1, &["--json=events", "build", "bad"]);
    assert!(bad.iter().any(|line| line["event"] == "output" && line["line"] == "so"), "{bad:?}");
    assert_eq!(bad.last().unwrap()["task"], "broken");
    let refused = events(2, &["check", "--json=events", "good"]);
    assert_eq!(refused.last().unwrap()["fault"], "usage");
    all.check();
}

#[test]
fn a_bad_number_in_a_variable_is_an_error() {
    let sandbox = Sandbox::new();
    for name in ["MWP_CACHE_SIZE", "MWP_LOCK_TIMEOUT"] {
        let mut command = sandbox.mwp(["cache", "info", "--json"]);
        let done = Done::of(command.env(name, "abc")).exited(1).says(&format!("{name} is `abc`"));
        let failure: Value = serde_json::from_str(&done.stdout).unwrap();
        assert!(failure["hint"].as_str().unwrap().contains("unset it"), "{failure}");
    }
}

#[test]
fn github_shows_mistakes_at_their_lines() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    sandbox.write("p/config.ini", CONFIG.replace("_version=0.0.1", "_versoin=0.0.1\n_version=a%b"));
    let run = |words: &[&str]| {
        let mut command = sandbox.mwp(words);
        Done::of(command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", sandbox.work())).exited(1)
    };
    for words in [["check", "p"], ["build", "p"]] {
        let done = run(&words);
        let line = done.stdout.lines().find(|line| line.starts_with("::error file=p/config.ini,line="));
        let line = line.unwrap_or_else(|| panic!("{words:?}: {}\n{}", done.stdout, done.stderr));
        let (place, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
        assert!(place.contains(",col="), "{line}");
        assert!(!message.replace("%25", "").replace("%0A", "").contains('%'), "{line}");
    }
    assert!(!run(&["check", "--json", "p"]).stdout.contains("::error"));
}

#[test]
fn gitlab_gets_a_report_of_code_quality() {
    let sandbox = Sandbox::new();
    sandbox.plugin("p");
    let report = |config: &str| -> Vec<Value> {
        sandbox.write("p/config.ini", config);
        let mut command = sandbox.mwp(["check", "-C", "p", "--code-quality", "quality.json"]);
        Done::of(command.env("CI_PROJECT_DIR", sandbox.work()));
        serde_json::from_str(&sandbox.read("quality.json")).unwrap()
    };
    assert!(report(CONFIG).is_empty());
    let bad = CONFIG.replace("_version=0.0.1", "_version=a b");
    let first = report(&bad);
    let finding = &first[0];
    assert_eq!(finding["location"]["path"], "p/config.ini");
    assert!(finding["location"]["lines"]["begin"].as_u64().unwrap() > 1, "{finding}");
    assert_eq!(finding["severity"], "major");
    assert!(finding["description"].is_string() && finding["check_name"].is_string());
    // It is the same finding when the lines above it change.
    let moved = report(&format!("# a comment\n{bad}"));
    assert_eq!(moved[0]["fingerprint"], finding["fingerprint"]);
    assert_ne!(moved[0]["location"], finding["location"]);
}
