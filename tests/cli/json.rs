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

/// Documents, with the schemas that they have to fit.
#[derive(Default)]
struct Documents(Vec<(String, Value)>);

impl Documents {
    fn check(&self) {
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
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

#[test]
fn whatever_builds_and_ships_prints_a_document_of_its_schema() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    sandbox.task_plugin("good");
    failing_plugin(&sandbox, "bad");
    let table = [
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
        ("clean", 0, "clean good"),
        ("clean", 2, "clean nosuch"),
        ("superclean", 0, "superclean good"),
        ("superclean", 2, "superclean nosuch"),
        ("cache-info", 0, "cache info"),
        ("cache-info", 2, "cache info x"),
        ("cache-prune", 0, "cache prune"),
        ("cache-prune", 2, "cache prune x"),
        ("bootstrap-list", 0, "bootstrap list"),
        ("bootstrap-list", 1, "bootstrap list --module Ü"),
        ("new", 0, "new --no-input shop"),
        ("new", 1, "new --no-input shop"),
        ("bootstrap-create", 0, "bootstrap create --no-input other"),
        ("bootstrap-create", 2, "bootstrap create --no-input --template /nosuch x"),
        ("bootstrap-update", 0, "bootstrap update -C shop --force"),
        ("bootstrap-update", 1, "bootstrap update -C good"),
        ("migrate", 0, "migrate good"),
        ("migrate", 2, "migrate nosuch"),
        ("remove", 2, "remove -C good x"),
        ("add", 2, "add -C good x"),
        ("run", 1, "run -C bad -- true"),
        ("test", 1, "test -C good"),
    ];
    for (schema, code, words) in table {
        all.of(&sandbox, schema, code, words);
    }
    fs::create_dir(sandbox.work().join("empty")).unwrap();
    all.of(&sandbox, "init", 0, "init empty");
    all.of(&sandbox, "init", 2, "init nosuch");
    all.check();
}

#[test]
fn whatever_installs_and_runs_prints_a_document_of_its_schema() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    sandbox.daemon_plugin("d", "exec sleep 1000\n");
    let file = sandbox.packed("d");
    let file = file.display();
    for (schema, code, words) in [
        ("install", 0, format!("install {file}")),
        ("install", 1, format!("install {file}")),
        ("install", 2, format!("install {file} nosuch.plugin")),
        ("list", 0, "list".into()),
        ("list", 2, "list --plugins-base-dir /nosuch".into()),
        ("verify", 0, "verify".into()),
        ("verify", 1, "verify nosuch".into()),
        ("info", 0, "info d".into()),
        ("hash", 0, "hash d".into()),
        ("env", 0, "env d".into()),
        ("env", 1, "env nosuch".into()),
        ("exec", 1, "exec nosuch -- true".into()),
        ("repackage", 0, "repackage --force d".into()),
        ("repackage", 1, "repackage nosuch".into()),
        ("provision", 0, "provision --module mfserv".into()),
        ("provision", 1, "provision --module Ü".into()),
        ("cron-show", 0, "cron show".into()),
        ("cron-show", 1, "cron show nosuch".into()),
        ("cron-sync", 0, "cron sync".into()),
        ("cron-sync", 2, "cron sync x".into()),
        ("systemd", 0, "systemd --module mfserv -o units".into()),
        ("systemd", 2, "systemd --module mfnone".into()),
        ("circus", 0, "circus --module mfserv".into()),
        ("circus", 2, "circus --module mfnone".into()),
        ("inject", 1, "inject --plugin nosuch config.ini".into()),
        ("down", 0, "down".into()),
        ("down", 2, "down x".into()),
        ("status", 1, "status".into()),
        ("reload", 1, "reload".into()),
        ("restart", 1, "restart d".into()),
        ("stop", 1, "stop d".into()),
        ("up", 2, "up --detach --module mfserve".into()),
        ("up", 2, "up".into()),
        ("logs", 1, "logs nosuch".into()),
        ("doctor", 0, "doctor".into()),
        ("doctor", 2, "doctor x".into()),
    ] {
        all.of(&sandbox, schema, code, &words);
    }
    sandbox.configure_module("[nginx]\nflag=0\n");
    all.of(&sandbox, "up", 0, "up --detach --module mfserv");
    let up = crate::support::running::Up { sandbox: &sandbox, port: 0 };
    for (schema, code, words) in [
        ("status", 0, "status".into()),
        ("reload", 0, "reload".into()),
        ("restart", 0, "restart d".into()),
        ("hotswap", 0, format!("hotswap {file}")),
        ("hotswap", 2, "hotswap nosuch.plugin".into()),
        ("logs", 0, "logs supervisor".into()),
        ("stop", 0, "stop d".into()),
        ("down", 0, "down".into()),
    ] {
        all.of(&sandbox, schema, code, &words);
    }
    drop(up);
    all.of(&sandbox, "uninstall", 0, "uninstall d");
    all.of(&sandbox, "uninstall", 1, "uninstall d");
    all.of(&sandbox, "develop", 0, "develop -C d");
    all.of(&sandbox, "develop", 2, "develop -C nosuch");
    all.check();
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

#[test]
fn whatever_looks_into_plugins_prints_a_document_of_its_schema() {
    let sandbox = Sandbox::new();
    let mut all = Documents::default();
    sandbox.plugin("one");
    sandbox.task_plugin("other");
    for (schema, code, words) in [
        ("size", 0, "size one"),
        ("size", 2, "size ./nosuch"),
        ("diff", 0, "diff one one"),
        ("diff", 0, "diff one other"),
        ("diff", 2, "diff one"),
    ] {
        all.of(&sandbox, schema, code, words);
    }
    all.check();
}
