//! The templates that need no server: where a file goes, by the command in their `config.ini`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::{plugin_of, until_processed, worker};
use crate::steps::world::World;
use crate::support::Done;

/// A template, what is set in it, and what its step makes of a file `a.txt` that holds `content`.
struct Case {
    template: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// The plugins that files may be sent to; each has an inbox `main`.
    neighbours: &'static [&'static str],
    /// What its log says.
    says: &'static str,
    /// The inboxes in which a file is then, and what it holds.
    goes_to: &'static [(&'static str, &'static str)],
}

/// A script that upstream's tests have, too: it reads its standard input to the end.
const FORK: &str = "cat >$TMPDIR/rest; tr a-z A-Z <{PATH} >$TMPDIR/made.txt; echo FILEPATH: $TMPDIR/made.txt";

const CASES: [Case; 8] = [
    Case { template: "python3", settings: &[], neighbours: &[], says: "process for file ", goes_to: &[] },
    Case { template: "default", settings: &[("debug", "1")], neighbours: &[], says: "[DEBUG]", goes_to: &[] },
    Case { template: "delete", settings: &[], neighbours: &[], says: "", goes_to: &[] },
    Case {
        template: "copy",
        settings: &[("dest_dirs", "q/main,r/main*")],
        neighbours: &["q", "r"],
        says: "",
        goes_to: &[("step.q.main", "content"), ("step.r.main", "content")],
    },
    Case {
        template: "move",
        settings: &[("dest_dir", "q/main")],
        neighbours: &["q"],
        says: "moved into ",
        goes_to: &[("step.q.main", "content")],
    },
    Case {
        template: "fork",
        settings: &[("command_template", FORK), ("dest_dir", "q/main")],
        neighbours: &["q"],
        says: "",
        goes_to: &[("step.q.main", "CONTENT")],
    },
    Case {
        template: "fork",
        settings: &[("command_template", "{{MFDATA_CURRENT_PLUGIN_DIR}}/no_such_script {PATH}")],
        neighbours: &["guess_file_type"],
        says: "no_such_script",
        goes_to: &[],
    },
    Case {
        template: "ungzip",
        settings: &[],
        neighbours: &["guess_file_type"],
        says: "cannot be uncompressed",
        goes_to: &[("trash/p.main", "content")],
    },
];

#[test]
fn files_go_where_the_configuration_of_the_template_says() {
    for Case { template, settings, neighbours, says, goes_to } in CASES {
        let world = plugin_of(template, settings);
        for neighbour in neighbours {
            world.inbox(neighbour, "main");
        }
        let log = run_on(&world, "a.txt", b"content");
        assert!(log.contains(says), "{template}: no `{says}` in\n{log}");
        let expected = goes_to.iter().map(|(dir, content)| ((*dir).to_owned(), (*content).to_owned()));
        let found = files_below(&world.input(""));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{template}: {log}");
        for (dir, _) in goes_to.iter().filter(|(dir, _)| dir.starts_with("step.")) {
            let tags = world.tags_of_only(dir);
            assert!(tags.contains("first.core.original_basename = a.txt\n"), "{template}: {tags}");
        }
    }
}

/// The step processes one file, and ends.
fn run_on(world: &World, name: &str, content: &[u8]) -> String {
    let mut step = worker(world, "step_main");
    world.deliver(name, content);
    until_processed(&mut step, 1);
    step.stop()
}

/// Directories, relative, and contents of all files below; what is told of a file beside it is left out.
fn files_below(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let paths = crate::support::tree(dir).into_iter().map(PathBuf::from);
    for path in
        paths.filter(|path| dir.join(path).is_file() && path.extension().is_none_or(|it| it != "tags"))
    {
        let content = String::from_utf8(fs::read(dir.join(&path)).unwrap()).unwrap();
        found.push((path.parent().unwrap().to_string_lossy().into_owned(), content));
    }
    found
}

fn compressed(program: &str) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"content").unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn what_was_compressed_goes_back_to_be_looked_at_again() {
    for (template, program) in [("ungzip", "gzip"), ("unbzip2", "bzip2")] {
        let world = plugin_of(template, &[]);
        world.inbox("guess_file_type", "main");
        let log = run_on(&world, "a.txt", &compressed(program));
        assert_eq!(
            files_below(&world.input("")),
            [("step.guess_file_type.main".to_owned(), "content".to_owned())],
            "{log}"
        );
        let tags = world.tags_of_only("step.guess_file_type.main");
        assert!(tags.contains("first.core.original_basename = a.txt\n"), "{tags}");
    }
}

#[test]
fn move_leaves_nothing_but_the_file_with_its_name_and_mode() {
    let settings = [("dest_dir", "{{MFMODULE_RUNTIME_HOME}}/var/moved"), ("force_chmod", "0777")];
    let world = plugin_of("move", &settings);
    run_on(&world, "a.txt", b"content");
    let moved = world.home("var/moved");
    assert_eq!(crate::support::tree(&moved), ["a.txt"]);
    assert_eq!(fs::read(moved.join("a.txt")).unwrap(), b"content");
    assert_eq!(moved.join("a.txt").metadata().unwrap().permissions().mode() & 0o7777, 0o777);
    world.nothing_is_left();
}

#[test]
fn archive_has_a_directory_per_day_and_its_jobs_remove_what_is_old() {
    let world = plugin_of("archive", &[("lifetime", "2")]);
    run_on(&world, "old.txt", b"old");
    run_on(&world, "new.txt", b"new");
    world.nothing_is_left();
    let archive = world.home("var/archive");
    let found = crate::support::tree(&archive);
    // The day, two files and what is known of each.
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found[0].len() == 8 && found[0].bytes().all(|byte| byte.is_ascii_digit()), "{found:?}");
    for pair in found[1..].chunks(2) {
        assert_eq!(pair[1], format!("{}.tags", pair[0]));
        let content = fs::read_to_string(archive.join(&pair[0])).unwrap();
        let tags = fs::read_to_string(archive.join(&pair[1])).unwrap();
        assert!(tags.contains(&format!("first.core.original_basename = {content}.txt\n")), "{tags}");
    }

    let crontab = world.sandbox.crontab();
    let jobs: Vec<&str> =
        crontab.lines().filter_map(|line| line.split_once(" * * * ").map(|(_, job)| job)).collect();
    assert_eq!(jobs.len(), 2, "{crontab}");
    let run = || {
        for job in &jobs {
            Done::of(world.sandbox.command("sh").args(["-c", job])).succeeded();
        }
    };
    let age = |path: &str, days: u32| {
        let then = SystemTime::now() - Duration::from_secs(86_400) * days;
        fs::File::open(archive.join(path)).unwrap().set_modified(then).unwrap();
    };
    age(&found[1], 3);
    age(&found[3], 1);
    run();
    assert_eq!(crate::support::tree(&archive), [0, 2, 3, 4].map(|index: usize| found[index].clone()));
    for path in &found[2..] {
        age(path, 3);
    }
    run();
    assert_eq!(crate::support::tree(&archive), [""; 0]);
}

#[test]
fn an_archive_for_ever_has_no_jobs() {
    let world = plugin_of("archive", &[("lifetime", "-1")]);
    assert!(!world.sandbox.crontab().contains("find"), "{}", world.sandbox.crontab());
}

#[test]
fn guess_file_type_tells_what_a_file_is_and_hands_it_on() {
    let world = plugin_of("guess_file_type", &[("ascii_header_max_length", "8")]);
    world.inbox("switch", "main");
    let log = run_on(&world, "a.gz", &compressed("gzip"));
    let tags = world.tags_of_only("step.switch.main");
    assert!(tags.contains("latest.p.main.system_magic = gzip compressed data"), "{tags}\n{log}");
    // Of what is no text, nothing of this is known.
    assert!(tags.contains("0.p.main.ascii_header = \n"), "{tags}");
    assert!(tags.contains(&format!("latest.p.main.size = {}\n", compressed("gzip").len())), "{tags}");

    for (name, content, magic, header) in [
        (
            "a.png",
            &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x02\x08\x02\0\0\0"[..],
            "PNG image data, 1 x 2",
            "PNG",
        ),
        ("empty", b"", "empty", ""),
        ("a.txt", b"hello world", "ASCII text", "hello wo"),
    ] {
        let dir = world.input("step.switch.main");
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        let log = run_on(&world, name, content);
        let tags = world.tags_of_only("step.switch.main");
        assert!(tags.contains(&format!("latest.p.main.system_magic = {magic}")), "{tags}\n{log}");
        assert!(tags.contains(&format!("latest.p.main.ascii_header = {header}\n")), "{tags}");
        assert!(tags.contains(&format!("first.core.original_basename = {name}\n")), "{tags}");
    }
}

#[test]
fn guess_file_type_knows_the_kinds_of_the_site() {
    let world = World::new();
    let magic = world.sandbox.write("magic", "0 string MINE a file of ours\n");
    let settings = [("magic_custom_file", magic.to_str().unwrap()), ("magic_use_custom_only", "1")];
    super::add_plugin(&world, "p", "guess_file_type", &settings);
    world.inbox("switch", "main");
    let log = run_on(&world, "a", b"MINE!");
    let tags = world.tags_of_only("step.switch.main");
    assert!(tags.contains("latest.p.main.custom_magic = a file of ours\n"), "{tags}\n{log}");
    assert!(!tags.contains("system_magic"), "{tags}");
}

#[test]
fn switch_goes_by_the_rules_that_mfdata_collects_and_by_its_policy() {
    let world = World::new();
    let config = world.home("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.ini"), "[internal_plugins]\nswitch_no_match_policy=keep\n").unwrap();
    super::add_plugin(&world, "p", "switch", &[]);
    world.inbox("q", "main");
    let rules = world.home("tmp/config_auto/plugin_p_rules.ini");
    fs::create_dir_all(rules.parent().unwrap()).unwrap();
    let rule = "[switch_rules_q:fnmatch:first.core.original_basename]\n*.txt = q/main\n";
    fs::write(&rules, rule).unwrap();
    run_on(&world, "a.txt", b"a");
    assert_eq!(world.contents("step.q.main"), ["a"]);
    run_on(&world, "b.bin", b"b");
    assert_eq!(world.contents("step.q.main"), ["a"]);
    let kept = world.contents("trash/p.nomatch");
    assert!(kept.contains(&"b".to_owned()) && kept.len() == 2, "{kept:?}");
}
