//! `mwp bootstrap update`: the template's later changes come in, the plugin's own stay.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Done, Sandbox, tree};

const PLUGIN: &str = "t/{{cookiecutter.name}}";
const LINES: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";

/// A template at `work/t`, and the plugin `work/x` made from it.
fn made(sandbox: &Sandbox) {
    sandbox.plugin(PLUGIN);
    sandbox.write("t/cookiecutter.json", r#"{"word": "w", "docs": true, "deep": {"a": 1}}"#);
    sandbox.write(&format!("{PLUGIN}/.layerapi2_label"), "plugin_{{cookiecutter.name}}@mfserv\n");
    for (path, content) in [
        ("lines", LINES),
        ("answer", "{{ cookiecutter.word }}\n"),
        ("secret", "{{ random_ascii_string(20) }} {% now 'utc', '%f' %}\n"),
        (
            "place",
            "{{ cookiecutter._template }} {{ cookiecutter._output_dir }} {{ cookiecutter._repo_dir }}\n",
        ),
        ("unwanted", "x\n"),
        ("old/name", LINES),
        ("gone/file", "x\n"),
        ("binary", "\0a"),
        ("run", "echo\n"),
    ] {
        sandbox.write(&format!("{PLUGIN}/{path}"), content);
    }
    sandbox.ok(["bootstrap", "create", "--no-input", "--template", "./t", "--set", "word=mine", "x"]);
}

#[track_caller]
fn update(sandbox: &Sandbox, arguments: &[&str]) -> Done {
    Done::of(&mut sandbox.mwp(["bootstrap", "update", "-C", "x"].iter().chain(arguments)))
}

#[test]
fn nothing_changes_where_the_template_did_not() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    let record = sandbox.read("x/.mwp-template.toml");
    update(&sandbox, &[]).succeeded().prints("up to date with its template");
    assert_eq!(sandbox.read("x/.mwp-template.toml"), record);
    sandbox.ok(["check", "-C", "x"]);
}

#[test]
fn changes_of_both_sides_come_together() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    let secret = sandbox.read("x/secret");
    sandbox.write("x/lines", LINES.replace("one", "ONE"));
    sandbox.write("x/old/name", LINES.replace("six", "SIX"));
    sandbox.write("x/own", "mine\n");
    let private = sandbox.work().join("x/lines");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(sandbox.work().join("x/unwanted")).unwrap();
    sandbox.write(&format!("{PLUGIN}/lines"), LINES.replace("six", "{{ cookiecutter.word }}"));
    sandbox.write(&format!("{PLUGIN}/unwanted"), "changed\n");
    sandbox.write(&format!("{PLUGIN}/new/file"), "new {{ cookiecutter.fresh }}\n");
    sandbox.write("t/cookiecutter.json", r#"{"word": "w", "fresh": "f", "deep": {"a": 1}}"#);
    fs::rename(sandbox.work().join(PLUGIN).join("old/name"), sandbox.work().join(PLUGIN).join("renamed"))
        .unwrap();
    sandbox.write(&format!("{PLUGIN}/renamed"), LINES.replace("one", "1"));
    fs::remove_dir_all(sandbox.work().join(PLUGIN).join("gone")).unwrap();
    let run = sandbox.work().join(PLUGIN).join("run");
    fs::set_permissions(run, fs::Permissions::from_mode(0o755)).unwrap();
    update(&sandbox, &[])
        .succeeded()
        .prints("added          new/file")
        .prints("changed        lines")
        .prints("removed        gone/file")
        .prints("stays removed  unwanted");
    assert_eq!(sandbox.read("x/lines"), LINES.replace("one", "ONE").replace("six", "mine"));
    assert_eq!(sandbox.read("x/renamed"), LINES.replace("one", "1").replace("six", "SIX"));
    assert_eq!((sandbox.read("x/new/file"), sandbox.read("x/own")), ("new f\n".into(), "mine\n".into()));
    assert_eq!((sandbox.read("x/secret"), sandbox.read("x/answer")), (secret, "mine\n".into()));
    let files = tree(&sandbox.work().join("x"));
    for absent in ["unwanted", "gone", "old", ".mwp/update"] {
        assert!(!files.iter().any(|path| path == absent), "{absent} in {files:?}");
    }
    let mode = fs::metadata(sandbox.work().join("x/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
    assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o600);
    update(&sandbox, &[]).succeeded().prints("up to date");
    sandbox.ok(["check", "-C", "x"]);
}

#[test]
fn conflicts_are_marked_told_and_met_once() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    sandbox.write("x/lines", LINES.replace("two", "mine"));
    sandbox.write("x/binary", "\0mine");
    sandbox.write("x/gone/file", "mine\n");
    fs::remove_file(sandbox.work().join("x/run")).unwrap();
    symlink("lines", sandbox.work().join("x/run")).unwrap();
    sandbox.write(&format!("{PLUGIN}/lines"), LINES.replace("two", "theirs"));
    sandbox.write(&format!("{PLUGIN}/binary"), "\0theirs");
    sandbox.write(&format!("{PLUGIN}/run"), "theirs");
    fs::remove_dir_all(sandbox.work().join(PLUGIN).join("gone")).unwrap();
    update(&sandbox, &[])
        .exited(1)
        .says("error: `x/lines`: both changed the same lines")
        .says("error: `x/binary`: both changed it, and it is no text")
        .says("error: `x/gone/file`: the template has it no more")
        .says("error: `x/run`: it is no file")
        .says("hint: ");
    let merged = "one\n<<<<<<< ours\nmine\n=======\ntheirs\n>>>>>>> theirs\nthree\nfour\nfive\nsix\n";
    assert_eq!(sandbox.read("x/lines"), merged);
    assert_eq!((sandbox.read("x/binary"), sandbox.read("x/gone/file")), ("\0mine".into(), "mine\n".into()));
    update(&sandbox, &["--force"]).exited(1).says("`x/lines` has conflicts that nobody has resolved");
    assert_eq!(sandbox.read("x/lines"), merged);
    sandbox.write("x/lines", LINES.replace("two", "both"));
    update(&sandbox, &[]).succeeded().prints("up to date");
}

#[test]
fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    sandbox.write(&format!("{PLUGIN}/lines"), LINES.replace("six", "6"));
    sandbox.write(&format!("{PLUGIN}/new"), "new\n");
    fs::remove_dir_all(sandbox.work().join(PLUGIN).join("gone")).unwrap();
    let record = sandbox.read("x/.mwp-template.toml");
    let before = tree(&sandbox.work().join("x"));
    update(&sandbox, &["--dry-run"])
        .succeeded()
        .prints("--- a/lines\n+++ b/lines\n")
        .prints("-six\n+6")
        .prints("--- /dev/null\n+++ b/new\n")
        .prints("+++ /dev/null");
    let after = tree(&sandbox.work().join("x"));
    assert_eq!((sandbox.read("x/lines").as_str(), sandbox.read("x/.mwp-template.toml")), (LINES, record));
    assert_eq!(after, before);
}

#[test]
fn another_answer_is_a_change_too_and_the_template_may_have_moved() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    fs::rename(sandbox.work().join("t"), sandbox.work().join("moved")).unwrap();
    update(&sandbox, &[]).exited(1).says("hint: `--template` takes the place");
    update(&sandbox, &["--template", "./moved", "--set", "word=other"])
        .succeeded()
        .prints("changed        answer");
    assert_eq!(sandbox.read("x/answer"), "other\n");
    update(&sandbox, &["--set", "wrod=other"]).exited(2).says("hint: did you mean `word`?");
}

#[test]
fn what_is_not_committed_has_to_be_allowed() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    let git = |arguments: &[&str]| {
        let mut command = sandbox.command("git");
        command.args(["-c", "user.name=x", "-c", "user.email=x@x"]).args(arguments);
        Done::of(command.current_dir(sandbox.work().join("x"))).succeeded();
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "x"]);
    sandbox.write(&format!("{PLUGIN}/lines"), "changed\n");
    sandbox.write("x/answer", "edited\n");
    update(&sandbox, &[]).exited(1).says("error: not committed: answer").says("`--force`");
    assert_eq!(sandbox.read("x/lines"), LINES);
    update(&sandbox, &["--yes"]).succeeded();
    assert_eq!((sandbox.read("x/lines"), sandbox.read("x/answer")), ("changed\n".into(), "edited\n".into()));
}

#[test]
fn an_update_that_was_killed_is_ended_first() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    sandbox.write("x/.mwp/update/0", "from the update\n");
    sandbox.write(
        "x/.mwp/update/plan.json",
        r#"[{"path": "unwanted", "file": null}, {"path": "lines", "file": "0"}]"#,
    );
    update(&sandbox, &["--dry-run"]).exited(1).says("was interrupted");
    update(&sandbox, &[]).succeeded().says("ended an update that was interrupted");
    assert_eq!(sandbox.read("x/lines"), "from the update\n");
    assert!(!sandbox.work().join("x/unwanted").exists() && !sandbox.work().join("x/.mwp/update").exists());
}

#[test]
fn killed_at_any_rename_the_next_update_ends_it() {
    let sandbox = Sandbox::new();
    made(&sandbox);
    for file in ["lines", "answer", "new/file"] {
        sandbox.write(&format!("{PLUGIN}/{file}"), "changed\n");
    }
    fs::remove_file(sandbox.work().join(PLUGIN).join("gone/file")).unwrap();
    let saved = sandbox.work().join("saved");
    fs::rename(sandbox.work().join("x"), &saved).unwrap();
    let mut kills = 0;
    loop {
        let _ = fs::remove_dir_all(sandbox.work().join("x"));
        Done::of(sandbox.command("cp").arg("-a").arg(&saved).arg("x")).succeeded();
        let mwp = sandbox.mwp::<&str>([]);
        let mut strace = sandbox.command("strace");
        let inject = format!("--inject=rename,renameat,renameat2:signal=KILL:when={}", kills + 1);
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2", &inject]);
        let done = Done::of(strace.arg(mwp.get_program()).args(["bootstrap", "update", "-C", "x"]));
        if done.code == Some(0) {
            break;
        }
        kills += 1;
        update(&sandbox, &[]).succeeded();
        assert_eq!(
            (sandbox.read("x/lines"), sandbox.read("x/new/file")),
            ("changed\n".into(), "changed\n".into())
        );
        assert_eq!(sandbox.read("x/answer"), "changed\n");
        let left = tree(&sandbox.work().join("x"));
        assert!(!left.iter().any(|path| path == ".mwp" || path == "gone"), "{left:?}");
    }
    assert!(kills >= 4, "{kills}");
}

#[test]
fn a_plugin_from_elsewhere_or_with_a_damaged_record_is_told_so() {
    let sandbox = Sandbox::new();
    sandbox.plugin("x");
    update(&sandbox, &[]).exited(1).says("there is no `x/.mwp-template.toml`").says("hint: ");
    made_over(&sandbox);
    let record = sandbox.read("x/.mwp-template.toml");
    for bad in [
        record.replace("format = 1", "format = 9"),
        record.replace("base = ", "base = \"!\"\nother = "),
        "<<<<".into(),
    ] {
        sandbox.write("x/.mwp-template.toml", bad);
        update(&sandbox, &[]).exited(1).says("x/.mwp-template.toml`: ").says("hint: ");
    }
}

fn made_over(sandbox: &Sandbox) {
    fs::remove_dir_all(sandbox.work().join("x")).unwrap();
    made(sandbox);
}

#[test]
fn the_binarys_own_templates_can_be_brought_up_to_date() {
    let sandbox = Sandbox::new();
    sandbox.ok(["bootstrap", "create", "--no-input", "x"]);
    update(&sandbox, &[]).succeeded().prints("up to date");
    update(&sandbox, &["--set", "one_line_summary=better"]).succeeded();
    assert!(sandbox.read("x/config.ini").contains("_summary=better\n"));
    sandbox.ok(["check", "-C", "x"]);
}
