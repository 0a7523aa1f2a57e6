//! What happens to one file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::world::World;
use crate::support::Done;

const STEP: &str = "AcquisitionStep";

/// The body of a step whose `process` is this.
fn process(body: &str) -> String {
    format!("    def process(self, xaf):\n        {body}")
}

/// What `process` returns, as the content of a file, and whether that is good.
const ANSWERS: [(&str, bool); 6] =
    [("True", true), ("1", true), ("'yes'", true), ("None", false), ("False", false), ("1 / 0", false)];

#[test]
fn truthiness_and_the_failure_policy_decide_about_the_file() {
    let policies: [(&str, &[&str]); 4] = [
        ("trash/p.main", &[]),
        ("nowhere", &["--failure-policy=delete"]),
        ("step.q.main", &["--failure-policy=move", "--failure-policy-move-dest-dir=q/main"]),
        ("bad", &["--failure-policy=move", "--failure-policy-move-dest-dir=BAD"]),
    ];
    for (place, options) in policies {
        let world = World::new();
        world.step(STEP, &process("return eval(open(xaf.filepath).read())"));
        let bad = world.input("bad");
        let options: Vec<String> =
            options.iter().map(|it| it.replace("BAD", bad.to_str().unwrap())).collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        for (number, (answer, _)) in ANSWERS.iter().enumerate() {
            world.deliver(format!("{number}.txt"), answer);
        }
        let log = world.process(&[&["./main.py"], &*options].concat(), ANSWERS.len());
        let (tags, files): (Vec<_>, Vec<_>) =
            world.files(place).into_iter().partition(|(name, _)| name.ends_with(".tags"));
        let mut kept: Vec<&str> = files.iter().map(|(_, content)| content.as_str()).collect();
        kept.sort_unstable();
        assert_eq!(log.matches("Bad processing status for file: ").count(), 3, "{log}");
        assert_eq!(kept, if place == "nowhere" { vec![] } else { vec!["1 / 0", "False", "None"] }, "{log}");
        if place == "step.q.main" {
            let path = world.input(place).join(&files[0].0);
            let read = ["get_tag", path.to_str().unwrap(), "first.core.original_dirname"];
            assert_eq!(Done::of(&mut world.command(&read)).stdout, "step.p.main\n");
            assert_eq!(tags, []);
            continue;
        }
        assert_eq!(tags.len(), kept.len());
        assert!(tags.iter().all(|(_, tags)| tags.contains("first.core.original_basename = ")), "{tags:?}");
        world.nothing_is_left();
    }
}

#[test]
fn a_wrong_failure_policy_ends_the_step_at_once() {
    let world = World::new();
    world.step(STEP, &process("return True"));
    for (options, said) in [
        (&["--failure-policy=burn"][..], "failure_policy: found `burn`; keep, delete, move are allowed"),
        (&["--failure-policy=move"], "failure_policy_move_dest_dir is required"),
        (&["--failure-policy=move", "--failure-policy-move-dest-dir=a"], "found the destination `a`"),
        (&["--step-name=a.b"], "found the step name `a.b`"),
    ] {
        let words: Vec<&str> = ["./main.py", "step.p.main"].iter().chain(options).copied().collect();
        let done = Done::of(&mut world.command(&words)).exited(2);
        assert!(done.stderr.contains(said) && done.stderr.contains("exiting..."), "{done:?}");
    }
}

#[test]
fn a_step_finds_the_file_under_its_uid_with_the_tags_of_its_origin() {
    let world = World::new();
    world.step(
        STEP,
        "    def process(self, xaf):\n        xaf.dump_tags_on_logger(self._get_logger(), 'INFO')\n        \
         self.info('at %s of %s', xaf.filepath, self.get_original_uid(xaf))\n        \
         self.set_tag(xaf, 'colour', 'red')\n        return self.move_to_plugin_step(xaf, 'q', 'main')",
    );
    world.inbox("q", "main");
    let log = world.run(&[], &["a b.txt"]);
    let at = log.lines().find_map(|line| line.split_once(") at ")).unwrap().1;
    let (path, uid) = at.split_once(" of ").unwrap();
    assert_eq!(path, world.input("tmp/p.main").join(uid).to_str().unwrap());
    assert!(uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit()), "{uid}");
    let tags = world.tags_of_only("step.q.main");
    for tag in [
        "first.core.original_basename = a b.txt",
        "first.core.original_dirname = step.p.main",
        "latest.core.step_counter = 0",
        "0.p.main.enter_step = ",
        "0.p.main.colour = red",
        "latest.p.main.colour = red",
    ] {
        assert!(tags.contains(tag), "no {tag} in {tags}");
    }
    assert!(!tags.contains("latest.p.main.enter_step"), "{tags}");
    let number = |key: &str| world.redis(["GET", key]);
    assert_eq!(number("counter.p.main"), "1");
    assert!(world.redis(["KEYS", "trace@*"]).contains("~p/main~q/main"));
    assert!(world.redis(["KEYS", "trace@*"]).contains("~<step.p.main/~p/main"));
    assert_eq!(world.contents("step.q.main"), ["a b.txt"]);
    assert!(log.contains("Start the processing of ") && log.contains("End of the "), "{log}");
}

#[test]
fn a_file_that_process_moves_or_deletes_is_no_concern_of_the_step() {
    for body in [
        "xaf.rename(self.get_tmp_filepath('mine')); return True",
        "os.unlink(xaf.filepath); return True",
        "os.unlink(xaf.filepath); return False",
        "xaf.delete(); return False",
    ] {
        let world = World::new();
        world.step(STEP, &process(body));
        let log = world.run(&[], &["a"]);
        let is_moved = body.contains("rename");
        assert_eq!(world.contents("tmp/p.main").len(), usize::from(is_moved), "{body}: {log}");
        assert!(!log.contains("Traceback"), "{body}: {log}");
        if !is_moved {
            world.nothing_is_left();
        }
    }
}

#[test]
fn events_for_files_that_are_gone_and_messages_that_are_none_do_nothing() {
    let world = World::new();
    world.step(STEP, &process("return True"));
    let path = world.deliver("twice", "");
    world.announce("step.p.main", &path);
    world.announce("step.p.main", &world.input("step.p.main/never"));
    world.announce("step.p.main", &world.input("step.p.main"));
    world.redis(["LPUSH", "step.p.main", "nonsense"]);
    world.redis(["LPUSH", "step.p.main", "[1]"]);
    world.redis(["LPUSH", "step.p.main", "{}"]);
    world.deliver("last", "");
    let log = world.process(&["./main.py"], 2);
    assert_eq!(log.matches("Start the processing of ").count(), 2, "{log}");
    assert_eq!(log.matches("an event of the observer is expected").count(), 3, "{log}");
    assert_eq!(world.redis(["GET", "counter.p.main"]), "2");
    world.nothing_is_left();
}

#[test]
fn names_of_any_bytes_and_sizes_of_any_number_pass() {
    let world = World::new();
    world.step(STEP, &process("return self.move_to_plugin_step(xaf, 'q', 'main')"));
    world.inbox("q", "main");
    let names: [&[u8]; 4] = [b"caf\xe9", b"100%d 'x' $HOME", b".hidden", "\u{fc}".as_bytes()];
    for name in names {
        world.deliver(OsStr::from_bytes(name), name);
    }
    let huge = world.deliver("huge", "");
    fs::File::options().write(true).open(&huge).unwrap().set_len(1 << 30).unwrap();
    world.deliver("empty", "");
    let log = world.process(&["./main.py"], names.len() + 2);
    let sizes: Vec<u64> = fs::read_dir(world.input("step.q.main"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), names.len() + 2, "{log}");
    assert!(sizes.contains(&(1 << 30)) && sizes.contains(&0));
    let names = world.redis(["EVAL", "local all = '' for _, key in ipairs(redis.call('KEYS', 'xattr_*')) do all = all .. redis.call('HGET', key, 'first.core.original_basename') .. ';' end return all", "0"]);
    assert!(names.contains("100%d 'x' $HOME;") && names.contains(".hidden;"), "{names}");
}

#[test]
fn a_watched_directory_may_be_on_another_file_system() {
    let world = World::new();
    let Ok(other) = tempfile::Builder::new().prefix("mwp-test-").tempdir_in("/dev/shm") else { return };
    world.step(STEP, &process("return self.move_to_plugin_step(xaf, 'q', 'main')"));
    world.inbox("q", "main");
    let path = other.path().join("a.txt");
    fs::write(&path, "content").unwrap();
    Done::of(&mut world.command(&["set_tag", path.to_str().unwrap(), "colour", "red"])).succeeded();
    world.announce("step.p.main", &path);
    let log = world.process(&["./main.py"], 1);
    assert!(!log.contains("Traceback"), "{log}");
    let tags = world.tags_of_only("step.q.main");
    assert!(
        tags.contains("colour = red\n") && tags.contains("first.core.original_basename = a.txt\n"),
        "{tags}"
    );
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    assert_eq!(world.files("tmp/p.main"), []);
}

#[test]
fn a_file_that_went_through_too_many_steps_is_left_alone() {
    let world = World::new();
    world.step(STEP, &format!("    step_limit = 3\n{}", process("return True")));
    let path = world.deliver("a", "");
    let set = ["set_tag", path.to_str().unwrap(), "latest.core.step_counter", "3"];
    Done::of(&mut world.command(&set)).succeeded();
    let mut running = world.start(&["./main.py"]);
    running.until("it is refused", |log| log.contains("went through more than 3 steps and is left alone"));
    let log = running.stop();
    assert!(!log.contains("Start the processing"), "{log}");
    assert_eq!(world.files("tmp/p.main").len(), 1);
}

#[test]
fn debug_mode_processes_a_copy_and_keeps_the_original() {
    let world = World::new();
    world.step(
        STEP,
        "    def ping(self):\n        self.info('ping')\n    def process(self, xaf):\n        \
         self.debug('original %s', self.get_original_basename(xaf))\n        return True",
    );
    let path = world.sandbox.write("a.txt", "content");
    let done = Done::of(&mut world.command(&["./main.py", path.to_str().unwrap()])).succeeded();
    assert!(done.stdout.contains("[DEBUG] (mfdata.p.main#"), "{done:?}");
    assert!(done.stdout.contains("original a.txt"), "{done:?}");
    assert_eq!(done.stdout.matches(") ping\n").count(), 1, "{done:?}");
    assert_eq!(world.sandbox.read("a.txt"), "content");
    world.nothing_is_left();
    let done = Done::of(&mut world.command(&["./main.py", "/nowhere"])).exited(2);
    assert!(done.stderr.contains("/nowhere is no file"), "{done:?}");
}
