//! Where files go: the steps that come ready-made.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::world::World;
use crate::support::Done;

fn with_inboxes(steps: &[&str]) -> World {
    let world = World::new();
    world.plugin("p", &[]);
    for step in steps {
        let (plugin, step) = step.split_once('/').unwrap();
        world.inbox(plugin, step);
    }
    world
}

fn gzip(text: &str) -> Vec<u8> {
    let script = format!("import gzip, sys; sys.stdout.buffer.write(gzip.compress(b'{text}'))");
    std::process::Command::new("python3").args(["-c", &script]).output().unwrap().stdout
}

#[test]
fn what_must_be_set_is_said_at_the_start() {
    let world = with_inboxes(&[]);
    for (words, said) in [
        ("move_step --dest-dir=FIXME", "dest_dir: found the destination `FIXME`"),
        ("archive_step --dest-dir=a/b", "dest_dir: found `a/b`; an absolute path is required"),
        ("copy_step --dest-dirs=", "dest_dirs: found the destination ``"),
        ("copy_step --dest-dirs=a/b,/abs", "only PLUGIN/STEP is allowed"),
        ("ungzip_step", "dest_dir: found the destination `FIXME`"),
        (
            "fork_step --command-template=FIXME --command-returning-path=0",
            "a command with {PATH} is required",
        ),
        ("fork_step --command-template={PATH}", "command_returning_path is required"),
        ("fork_step --command-template={PATH} --command-returning-path=1", "dest_dir is required"),
        ("move_step --dest-dir=a/b --force-chmod=9", "force_chmod: found `9`; an octal number"),
        ("move_step --dest-dir=a/b --drop-tag=2", "drop_tags: found `2`"),
        ("switch_step --no-match-policy=x", "no_match_policy: found `x`; delete, keep are allowed"),
    ] {
        let words: Vec<&str> = words.split(' ').chain(["step.p.main"]).collect();
        let done = Done::of(&mut world.command(&words)).exited(2);
        assert!(done.stderr.contains(said), "{words:?}: {done:?}");
    }
}

#[test]
fn a_copy_is_linked_where_that_is_allowed_and_the_last_is_moved_where_it_can() {
    // Inodes that are the same have the same letter.
    for (targets, expected) in [
        ("a/s", "x"),
        ("a/s,b/s,c/s", "xyz"),
        ("a/s*,b/s*,c/s*", "xxx"),
        ("a/s*,b/s", "xy"),
        ("a/s,b/s*", "xy"),
        ("a/s*,b/s,c/s*", "xyx"),
    ] {
        let world = with_inboxes(&["a/s", "b/s", "c/s"]);
        world.deliver("a.txt", "content");
        world.process(&["copy_step", &format!("--dest-dirs={targets}")], 1);
        let mut inodes = Vec::new();
        let letters: String = ["a", "b", "c"][..expected.len()]
            .iter()
            .map(|plugin| {
                let dir = world.input(&format!("step.{plugin}.s"));
                let path = fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
                let inode = path.metadata().unwrap().ino();
                let known = inodes.iter().position(|it| *it == inode).unwrap_or(inodes.len());
                inodes.push(inode);
                let letter = inodes.iter().position(|it| *it == inode).unwrap().min(known);
                let distinct = inodes[..letter].iter().collect::<std::collections::BTreeSet<_>>().len();
                char::from(b'x' + u8::try_from(distinct).unwrap())
            })
            .collect();
        assert_eq!(letters, expected, "{targets}");
        assert!(world.tags_of_only("step.a.s").contains("first.core.original_basename = a.txt\n"));
        assert_eq!(world.files("tmp/p.main"), []);
        assert_eq!(
            world.redis(["EVAL", "return #redis.call('KEYS', 'xattr_*')", "0"]),
            expected.len().to_string()
        );
    }
}

#[test]
fn the_first_copy_that_fails_makes_the_file_bad() {
    let world = with_inboxes(&["a/s", "c/s"]);
    world.deliver("a.txt", "content");
    let log = world.process(&["copy_step", "--dest-dirs=a/s,b/s,c/s"], 1);
    assert!(log.contains("cannot go to b/s: there is no "), "{log}");
    let counts = ["step.a.s", "step.c.s", "trash/p.main"].map(|dir| world.files(dir).len());
    assert_eq!(counts, [1, 0, 2], "{log}");
}

#[test]
fn move_fills_in_names_and_drops_tags_outside() {
    let world = with_inboxes(&[]);
    let target = world.sandbox.path("target");
    let dir = format!("--dest-dir={}", target.display());
    for (options, name, mode) in [
        (
            &["--dest-basename={ORIGINAL_BASENAME}", "--drop-tag=AUTO", "--force-chmod=0777"][..],
            "100%d.txt",
            0o777,
        ),
        (&["--dest-basename=%%-{ORIGINAL_DIRNAME}-{STEP_COUNTER}"], "%-step.p.main-0", 0o640),
    ] {
        let path = world.inbox("p", "main").join("100%d.txt");
        fs::write(&path, "content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        world.announce("step.p.main", &path);
        let log = world.process(&[&["move_step", &dir], options].concat(), 1);
        assert!(log.contains(&format!("moved into {}", target.join(name).display())), "{log}");
        assert_eq!(fs::read(target.join(name)).unwrap(), b"content");
        assert_eq!(target.join(name).metadata().unwrap().mode() & 0o777, mode);
        world.nothing_is_left();
    }
    world.deliver("c", "");
    world.process(&["move_step", "--dest-dir=q/main"], 1);
    assert!(world.tags_of_only("step.q.main").contains("first.core.original_basename = c\n"));
}

#[test]
fn archive_makes_directories_and_puts_the_tags_beside_the_file() {
    let world = with_inboxes(&[]);
    let target = world.sandbox.path("archive");
    world.deliver("a.txt", "content");
    let dir = format!("--dest-dir={}", target.display());
    world.process(&["archive_step", &dir, "--dest-basename=day/%Y/{ORIGINAL_BASENAME}"], 1);
    let year = fs::read_dir(target.join("day")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read(year.join("a.txt")).unwrap(), b"content");
    let tags = fs::read_to_string(year.join("a.txt.tags")).unwrap();
    assert!(tags.contains("first.core.original_basename = a.txt\n"), "{tags}");
    world.nothing_is_left();
}

#[test]
fn ungzip_hands_on_what_was_compressed_and_fails_on_what_was_not() {
    let world = with_inboxes(&["q/main"]);
    let good = gzip("content");
    world.deliver("a.gz", &good);
    world.deliver("cut.gz", &good[..good.len() - 3]);
    world.deliver("text", "text");
    world.deliver("empty", "");
    let log = world.process(&["ungzip_step", "--dest-dir=q/main"], 4);
    assert_eq!(world.contents("step.q.main"), ["", "content"], "{log}");
    assert_eq!(log.matches("cannot be uncompressed").count(), 2, "{log}");
    assert_eq!(world.files("trash/p.main").len(), 4);
    assert_eq!(world.files("tmp/p.main"), []);
}

#[test]
fn fork_hands_on_the_files_that_its_command_names() {
    let many = "sed s/content/changed/ {PATH} >$TMPDIR/made; cp $TMPDIR/made $TMPDIR/other; \
                echo \"  FILEPATH: $TMPDIR/made\"; echo FILEPATH:$TMPDIR/other; echo other output";
    for (template, returning, expected, warning) in [
        (many, "1", &["changed", "changed"][..], ""),
        (many, "0", &[], ""),
        ("echo FILEPATH: {PATH}", "1", &["content"], ""),
        ("cat; [[ -e {PATH} ]] && echo FILEPATH: {PATH}", "1", &["content"], ""),
        ("echo FILEPATH: {PATH}; exit 3", "1", &[], "the command ended with 3"),
        ("echo FILEPATH: {PATH}; echo FILEPATH: relative", "1", &[], "the command named `relative`"),
        ("echo FILEPATH: {PATH}; echo FILEPATH: /nowhere", "1", &[], "the command named `/nowhere`"),
        ("test -x {{MFDATA_CURRENT_PLUGIN_DIR}}/config.ini && echo FILEPATH: {PATH}", "1", &["content"], ""),
    ] {
        let world = with_inboxes(&["q/main"]);
        world.deliver("a.txt", "content");
        let template_option = format!("--command-template={template}");
        let returning = format!("--command-returning-path={returning}");
        let log = world.process(&["fork_step", &template_option, &returning, "--dest-dir=q/main"], 1);
        assert_eq!(world.contents("step.q.main"), expected, "{template}: {log}");
        assert!(log.contains(warning) && !log.contains("Bad processing"), "{template}: {log}");
        assert_eq!(world.files("tmp/p.main"), [], "{template}");
        if expected.len() == 1 {
            assert!(world.tags_of_only("step.q.main").contains("first.core.original_basename = a.txt\n"));
        }
    }
}

#[test]
fn a_file_whose_command_was_killed_is_kept() {
    let world = with_inboxes(&[]);
    world.deliver("a.txt", "content");
    let command = "--command-template=kill -TERM $$; : {PATH}";
    let log = world.process(&["fork_step", command, "--command-returning-path=0"], 1);
    assert!(log.contains("the command was killed (-15)"), "{log}");
    assert_eq!(world.files("trash/p.main").len(), 2, "{log}");
}

#[test]
fn delete_deletes() {
    let world = with_inboxes(&[]);
    world.deliver("a.txt", "content");
    let log = world.process(&["delete_step"], 1);
    assert!(!log.contains("Bad"), "{log}");
    assert_eq!(world.files("trash/p.main"), []);
    world.nothing_is_left();
}

/// Runs the switch with these rules on a file with the tags `size=10` and `magic=PNG image`; where it went, and the log.
fn switched(rules: &str, options: &[&str]) -> (World, String, String) {
    let world = with_inboxes(&["a/s", "b/s", "c/s", "p/own"]);
    world.plugin(
        "p",
        &[("rules.ini", rules), ("mine.py", "def big(xaf):\n    return int(xaf.tags['size']) > 5\n")],
    );
    let path = world.inbox("p", "main").join("a.txt");
    fs::write(&path, "content").unwrap();
    for (name, value) in [("size", "10"), ("magic", "PNG image")] {
        Done::of(&mut world.command(&["set_tag", path.to_str().unwrap(), name, value])).succeeded();
    }
    world.announce("step.p.main", &path);
    let file = world.home("var/plugins/p/rules.ini");
    let rules = format!("--rules-file={}", file.display());
    let log = world.process(&[&["switch_step", &rules], options].concat(), 1);
    let dirs = ["a.s", "b.s", "c.s", "p.own"];
    let went = dirs.iter().filter(|dir| !world.files(&format!("step.{dir}")).is_empty());
    let went = went.copied().collect::<Vec<_>>().join(" ");
    (world, went, log)
}

#[test]
fn rules_of_all_plugins_add_up_and_a_bad_one_takes_only_its_plugin_along() {
    let always = |targets: &str| format!("[switch_rules_p:alwaystrue]\nx = {targets}\n");
    for (rules, expected, said) in [
        (
            "[switch_rules_p:fnmatch:magic]\nPNG* = own, b/s\n".to_owned(),
            "b.s p.own",
            "2 actions matched for file=",
        ),
        ("[switch_rules_p:python]\nmine.big = a/s\n".to_owned(), "a.s", "1 actions matched for file="),
        (always("a/s") + "[switch_rules_q:regx:magic]\nP = b/s\n", "a.s", "found the type `regx`"),
        (always("a/s, gone/s"), "a.s", "should go to gone/s, which is not installed"),
        (always("gone/s"), "", "Bad processing"),
    ] {
        let (_world, went, log) = switched(&rules, &[]);
        assert_eq!(went, expected, "{rules}: {log}");
        assert!(log.contains(said), "{rules}: {log}");
    }
}

#[test]
fn targets_share_the_file_where_all_rules_allow_it() {
    let rule = |owner: &str, targets: &str| format!("[switch_rules_{owner}:alwaystrue]\nx = {targets}\n");
    let two = rule("p", "a/s*, b/s*");
    for (rules, shares) in [(two.clone(), true), (two + &rule("q", "a/s"), false)] {
        let (world, went, _) = switched(&rules, &[]);
        assert_eq!(went, "a.s b.s");
        let inode = |dir: &str| {
            let path = world.input(dir).join(&world.files(dir)[0].0);
            path.metadata().unwrap().ino()
        };
        assert_eq!(inode("step.a.s") == inode("step.b.s"), shares, "{rules}");
    }
}

#[test]
fn a_file_that_no_rule_wants_is_deleted_or_kept() {
    let (world, _, log) = switched("", &[]);
    assert!(!log.contains("Bad"), "{log}");
    world.nothing_is_left();
    let (world, _, _) = switched("", &["--no-match-policy=keep"]);
    let files = world.files("trash/p.nomatch");
    assert!(files[0].1 == "content" && files[1].0 == format!("{}.tags", files[0].0), "{files:?}");
    world.nothing_is_left();
}

#[test]
fn a_switch_ends_when_its_rules_change() {
    let world = with_inboxes(&[]);
    let rules = world.home("var/plugins/p/rules.ini");
    let mut running = world.start(&["switch_step", &format!("--rules-file={}", rules.display())]);
    running.until("it runs", |log| log.contains("started"));
    fs::write(&rules, "[switch_rules_p:alwaystrue]\nx = a/s\n").unwrap();
    let log = running.ended();
    assert!(log.contains("0 rules in") && log.contains("has changed"), "{log}");
}
