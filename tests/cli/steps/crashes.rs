//! Processes that end while they work, and a redis that does.

use rustix::process::Signal;

use super::world::World;
use crate::support::Done;

const WAITS: &str = "    def process(self, xaf):\n        self.info('at work')\n        \
                     time.sleep(3600 if os.path.exists('/WAIT') else 0)\n        return True";

fn waiting(world: &World) -> std::path::PathBuf {
    let flag = world.sandbox.path("wait");
    std::fs::write(&flag, "").unwrap();
    world.step("AcquisitionStep", &WAITS.replace("/WAIT", flag.to_str().unwrap()));
    flag
}

#[test]
fn a_file_is_processed_by_the_next_process_when_one_is_killed() {
    let world = World::new();
    let flag = waiting(&world);
    world.deliver("a.txt", "content");
    let mut first = world.start(&["./main.py"]);
    first.until("it has the file", |log| log.contains("at work"));
    // One that comes while the first lives leaves it alone.
    let mut second = world.start(&["./main.py"]);
    second.until("it looks", |log| log.contains("started"));
    world.deliver("b.txt", "content");
    second.until("it has the other file", |log| log.contains("at work"));
    assert!(!second.log().contains("died over it"), "{}", second.log());
    first.kill();
    second.kill();
    std::fs::remove_file(flag).unwrap();
    let mut third = world.start(&["./main.py"]);
    third.until("both are processed", |log| log.matches("processing after").count() == 2);
    let log = third.stop();
    for name in ["a.txt", "b.txt"] {
        let path = world.input("step.p.main").join(name);
        assert!(log.contains(&format!("End of the {} processing", path.display())), "{log}");
    }
    assert_eq!(world.contents("trash/p.main"), [""; 0]);
    world.nothing_is_left();
}

#[test]
fn a_file_that_kills_its_process_again_and_again_goes_to_the_trash() {
    let world = World::new();
    world.step(
        "AcquisitionStep",
        "    def process(self, xaf):\n        if 'bad' in self.get_original_basename(xaf):\n            \
         os.kill(os.getpid(), signal.SIGKILL)\n        return True",
    );
    world.deliver("bad.txt", "poison");
    for round in 1..=3 {
        let mut running = world.start(&["./main.py"]);
        let status = running.child.wait().unwrap();
        assert!(!status.success(), "{}", running.log());
        assert_eq!(running.log().contains("a process died over it"), round > 1, "{}", running.log());
    }
    world.deliver("good.txt", "");
    let log = world.process(&["./main.py"], 1);
    assert!(log.contains("3 processes died over it: it is put into the trash"), "{log}");
    let files = world.files("trash/p.main");
    assert!(files.iter().any(|(_, content)| content == "poison"), "{files:?}");
    let tags = &files.iter().find(|(name, _)| name.ends_with(".tags")).unwrap().1;
    assert!(tags.contains("first.core.original_basename = bad.txt\n"), "{tags}");
    // It was never through with the step.
    assert!(!tags.contains("1.p.main.enter_step"), "{tags}");
    world.nothing_is_left();
}

#[test]
fn the_files_of_a_batch_are_found_again() {
    let world = World::new();
    world.step(
        "AcquisitionBatchStep",
        "    batch_process_max_size = 3\n    def batch_process(self, xafs):\n        \
         self.info('batch of %i', len(xafs))\n        if len(xafs) > 1:\n            \
         os.kill(os.getpid(), signal.SIGKILL)\n        return True",
    );
    for name in ["a", "b", "c"] {
        world.deliver(name, name);
    }
    let mut running = world.start(&["./main.py"]);
    running.child.wait().unwrap();
    let log = world.process(&["./main.py"], 3);
    assert_eq!(log.matches("batch of 1").count(), 3, "{log}");
    world.nothing_is_left();
}

#[test]
fn no_file_is_lost_or_doubled_however_often_processes_are_killed() {
    const FILES: usize = 60;
    let world = World::new();
    world.step(
        "AcquisitionStep",
        "    crash_limit = 1000\n    def process(self, xaf):\n        time.sleep(0.005)\n        \
         return self.move_to_plugin_step(xaf, 'q', 'main')",
    );
    world.inbox("q", "main");
    for number in 0..FILES {
        world.deliver(number.to_string(), number.to_string());
    }
    let all_are_through = || world.files("step.q.main").len() == FILES;
    let mut round = 0;
    while !all_are_through() {
        round += 1;
        // As the observer does after a while: a process may die with an event in its hands.
        for (name, _) in world.files("step.p.main") {
            world.announce("step.p.main", &world.input("step.p.main").join(name));
        }
        let mut workers = [world.start(&["./main.py"]), world.start(&["./main.py"])];
        for running in &mut workers {
            running.until("it works", |log| log.contains("Start the processing") || all_are_through());
        }
        // At another place in the code each time.
        std::thread::sleep(std::time::Duration::from_millis(round * 17 % 60));
        workers.into_iter().for_each(|running| drop(running.kill()));
    }
    // What died after its last file was through has nothing left to find.
    let mut last = world.start(&["./main.py"]);
    last.until("it looks", |log| log.contains("started"));
    last.stop();
    let mut contents: Vec<usize> =
        world.contents("step.q.main").iter().map(|content| content.parse().unwrap()).collect();
    contents.sort_unstable();
    assert_eq!(contents, (0..FILES).collect::<Vec<_>>());
    assert_eq!(world.files("tmp/p.main"), []);
    let script = "import os, sys; from xattrfile import XattrFile\n\
                  for file in os.scandir(sys.argv[1]):\n    tags = XattrFile(file.path).tags\n    \
                  assert tags['first.core.original_basename'] == open(file.path, 'rb').read(), tags\n    \
                  assert tags['latest.core.step_counter'] == b'0', tags";
    let inbox = world.input("step.q.main");
    Done::of(&mut world.command(&["python3", "-c", script, inbox.to_str().unwrap()])).succeeded();
}

#[test]
fn sigterm_lets_the_current_file_be_finished() {
    let world = World::new();
    world.step(
        "AcquisitionStep",
        "    def process(self, xaf):\n        self.info('at work')\n        time.sleep(1)\n        return True\n    \
         def destroy(self):\n        self.info('destroyed')",
    );
    world.deliver("a", "");
    world.deliver("b", "");
    let mut running = world.start(&["./main.py"]);
    running.until("it is at work", |log| log.contains("at work"));
    running.signal(Signal::TERM);
    let log = running.ended();
    let ends = log.find("processing after").unwrap();
    assert!(log.find(") destroyed").unwrap() > ends, "{log}");
    assert_eq!(log.matches("at work").count(), 1, "{log}");
    assert_eq!(world.contents("step.p.main"), [""]);
    world.nothing_is_left();
}

#[test]
fn a_step_waits_for_a_redis_that_is_away_and_goes_on() {
    let world = World::new();
    let flag = world.sandbox.path("wait");
    let body = "    def process(self, xaf):\n        self.info('at work')\n        \
                while os.path.exists('/WAIT'):\n            time.sleep(0.05)\n        \
                self.set_tag(xaf, 'a', 'b')\n        return self.move_to_plugin_step(xaf, 'q', 'main')";
    world.step("AcquisitionStep", &body.replace("/WAIT", flag.to_str().unwrap()));
    world.inbox("q", "main");
    world.stop_redis();
    let mut running = world.start(&["./main.py"]);
    running.until("it waits for the queue", |log| log.contains("will try again"));
    world.start_redis();
    std::fs::write(&flag, "").unwrap();
    world.deliver("a", "");
    running.until("it has the file", |log| log.contains("at work"));
    world.stop_redis();
    std::fs::remove_file(&flag).unwrap();
    running.until("it waits for the tags", |log| log.contains("waiting for redis"));
    world.start_redis();
    running.until("it is processed", |log| log.contains("processing after"));
    world.deliver("b", "");
    running.until("another, too", |log| log.matches("processing after").count() == 2);
    let log = running.stop();
    assert!(!log.contains("Bad processing") && !log.contains("Traceback"), "{log}");
    assert_eq!(world.files("step.q.main").len(), 2);
}
