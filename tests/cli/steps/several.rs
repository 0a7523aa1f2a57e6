//! Steps with several files in hand: batches, transformations, retries; and workers side by side.

use super::world::World;

#[test]
fn a_batch_runs_when_it_is_full_or_old_and_answers_for_each_file() {
    for (answer, bad) in [
        ("True", 0),
        ("False", 3),
        ("None", 3),
        ("[open(xaf.filepath).read() != 'b' for xaf in xafs]", 1),
        ("[True]", 3),
        ("1 / 0", 3),
    ] {
        let world = World::new();
        world.step(
            "AcquisitionBatchStep",
            &format!(
                "    batch_process_max_size = 2\n    batch_process_max_wait = 0.5\n    \
                 def batch_process(self, xafs):\n        self.info('batch of %i', len(xafs))\n        return {answer}\n    \
                 def after(self, status):\n        self.info('after %s', status)"
            ),
        );
        for name in ["a", "b", "c"] {
            world.deliver(name, name);
        }
        let mut running = world.start(&["./main.py"]);
        running.until("all is processed", |log| log.matches(") after ").count() == 3);
        let log = running.stop();
        assert!(log.contains("batch of 2") && log.contains("batch of 1"), "{log}");
        let bad = if answer == "[True]" { 2 } else { bad };
        let trash = world.files("trash/p.main");
        let kept = trash.iter().filter(|(name, _)| !name.ends_with(".tags")).count();
        assert_eq!(kept, bad, "{answer}: {log}");
        world.nothing_is_left();
    }
}

#[test]
fn a_batch_that_is_not_full_runs_at_the_end() {
    let world = World::new();
    world.step("AcquisitionBatchStep", "    def batch_process(self, xafs):\n        return True");
    world.deliver("a", "a");
    let mut running = world.start(&["./main.py"]);
    running.until("it has the file", |log| log.contains("Start the processing of "));
    let log = running.stop();
    assert!(log.contains("processing after"), "{log}");
    world.nothing_is_left();
}

#[test]
fn transform_hands_on_whatever_it_returns() {
    let make = "\n        path = self.get_tmp_filepath()\n        open(path, 'w').write('made')\n        ";
    for (body, expected) in [
        ("return None", Ok(vec![])),
        ("return path", Ok(vec!["made"])),
        ("return XattrFile(path)", Ok(vec!["made"])),
        ("return xaf", Ok(vec!["content"])),
        ("return xaf.filepath", Ok(vec!["content"])),
        ("return [path, [xaf], iter(())]", Ok(vec!["content", "made"])),
        ("return (x for x in (path, None))", Ok(vec!["made"])),
        ("return 5", Err(())),
        ("return True", Err(())),
        ("return '/nowhere'", Err(())),
        ("raise ValueError('no')", Err(())),
    ] {
        let world = World::new();
        world.step(
            "AcquisitionTransformStep",
            &format!("    dest_dir_default = 'q/main'\n    def transform(self, xaf):{make}{body}"),
        );
        world.inbox("q", "main");
        let log = {
            world.deliver("a.txt", "content");
            world.process(&["./main.py"], 1)
        };
        match expected {
            Ok(expected) => {
                assert!(!log.contains("Bad"), "{body}: {log}");
                assert_eq!(world.contents("step.q.main"), expected, "{body}: {log}");
                if expected.len() == 1 {
                    let tags = world.tags_of_only("step.q.main");
                    assert!(tags.contains("first.core.original_basename = a.txt\n"), "{tags}");
                }
            }
            Err(()) => assert!(log.contains("Bad processing"), "{body}: {log}"),
        }
    }
}

#[test]
fn a_file_is_given_back_so_many_times_and_then_given_up() {
    let world = World::new();
    world.step("AcquisitionStep", "    def process(self, xaf):\n        return False");
    world.inbox("p", "main_reinject");
    let policy = ["./main.py", "--failure-policy=move", "--failure-policy-move-dest-dir=p/main_reinject"];
    let mut step = world.start(&policy);
    let command = ["reinject_step", "--dest-dir=p/main", "--retry-min-wait=0", "--retry-total=2"];
    let mut reinject = world.start_as("main_reinject", &command);
    world.deliver("a.txt", "content");
    for round in 1..=3 {
        step.until("it fails", |log| log.matches("Bad processing").count() == round);
        world.until("it is in the other inbox", |world| !world.files("step.p.main_reinject").is_empty());
        let path = world.input("step.p.main_reinject").join(&world.files("step.p.main_reinject")[0].0);
        // More than once, as the observer may.
        world.announce("step.p.main_reinject", &path);
        world.announce("step.p.main_reinject", &path);
        if round < 3 {
            reinject.until("it is given back", |log| log.contains(&format!("attempt {round} of ")));
            world.until("it is in the inbox", |world| !world.files("step.p.main").is_empty());
            let path = world.input("step.p.main").join(&world.files("step.p.main")[0].0);
            world.announce("step.p.main", &path);
        }
    }
    reinject.until("it is given up", |log| log.contains("max retry attempt for "));
    let (step, reinject) = (step.stop(), reinject.stop());
    assert_eq!(step.matches("Start the processing").count(), 3, "{step}");
    assert_eq!(reinject.matches("max retry attempt for ").count(), 1, "{reinject}");
    let files = world.files("trash/p.main_reinject");
    assert_eq!(files[0].1, "content");
    for tag in [
        "latest.p.main_reinject.attempt = 2",
        "latest.core.step_counter = 5",
        "first.core.original_basename = a.txt",
    ] {
        assert!(files[1].1.contains(tag), "no {tag} in {files:?}");
    }
    world.nothing_is_left();
}

#[test]
fn waiting_files_outlive_the_process_that_holds_them() {
    let world = World::new();
    world.plugin("p", &[]);
    let path = world.deliver("a.txt", "content");
    let command = ["reinject_step", "--dest-dir=p/other", "--retry-min-wait=3600", "--retry-max-wait=3600"];
    for _ in 0..2 {
        let mut running = world.start(&command);
        running.until("it holds the file", |log| log.contains("Start the processing of "));
        running.stop();
        assert!(path.is_file());
    }
    let running = world.start(&["reinject_step", "--dest-dir=p/other", "--retry-total=0"]);
    world.until("it is deleted", |_| !path.exists());
    running.stop();
    world.nothing_is_left();
}

#[test]
fn workers_side_by_side_process_each_file_once_and_copies_do_not_collide() {
    let world = World::new();
    world.step(
        "AcquisitionStep",
        "    def process(self, xaf):\n        time.sleep(0.02)\n        \
         return self.move_to_plugin_step(xaf, 'q', 'main', keep_original_basename=None)",
    );
    world.inbox("q", "main");
    for number in 0..40 {
        let path = world.deliver(format!("{number}"), number.to_string());
        world.announce("step.p.main", &path);
    }
    let first = world.inbox("p", "main").join("0");
    let uid = "0123456789abcdef0123456789abcdef";
    let set = ["set_tag", first.to_str().unwrap(), "first.core.original_uid", uid];
    crate::support::Done::of(&mut world.command(&set)).succeeded();
    for number in 1..10 {
        let other = first.with_file_name(number.to_string());
        let set = ["set_tag", other.to_str().unwrap(), "first.core.original_uid", uid];
        crate::support::Done::of(&mut world.command(&set)).succeeded();
    }
    let workers: Vec<_> = (0..3).map(|_| world.start(&["./main.py"])).collect();
    world.until("all are through", |world| world.files("step.q.main").len() == 40);
    let logs: Vec<String> = workers.into_iter().map(super::world::Running::stop).collect();
    let starts: usize = logs.iter().map(|log| log.matches("Start the processing").count()).sum();
    assert_eq!(starts, 40);
    assert!(logs.iter().all(|log| !log.contains("Traceback") && !log.contains("Bad")), "{logs:?}");
    let mut contents: Vec<usize> =
        world.contents("step.q.main").iter().map(|content| content.parse().unwrap()).collect();
    contents.sort_unstable();
    assert_eq!(contents, (0..40).collect::<Vec<_>>());
    assert_eq!(world.files("tmp/p.main"), []);
}
