//! What happens in which state, as tables, and what never happens, over random worlds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A spec of a version: a worker that listens, or a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    version: u32,
    is_daemon: bool,
}

impl Terms for Work {
    fn overlaps(&self) -> bool {
        !self.is_daemon
    }

    fn serves_at_once(&self) -> bool {
        self.is_daemon
    }

    fn start_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn longest_wait(&self) -> Duration {
        Duration::from_secs(60)
    }
}

fn app(version: u32) -> Work {
    Work { version, is_daemon: false }
}

fn daemon(version: u32) -> Work {
    Work { version, is_daemon: true }
}

fn crash(reason: &str) -> End {
    End { reason: reason.to_owned(), is_from_outside: false }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A machine with what would carry its effects out.
struct World {
    machine: Machine<Work>,
    now: Instant,
    /// Those that run, with what they were told.
    alive: BTreeMap<ProcessId, Alive>,
    answers: BTreeMap<Ticket, Outcome>,
    tickets: Ticket,
    /// Where requests arrive.
    entered: Option<ProcessId>,
    /// `start 1`, `enter 1` …
    seen: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Alive {
    work: Work,
    leaves: bool,
    listens: bool,
    is_checked: bool,
}

impl World {
    fn new(work: Work) -> World {
        World {
            machine: Machine::new(work),
            now: Instant::now(),
            alive: BTreeMap::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            entered: None,
            seen: Vec::new(),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    /// The process that serves.
    fn serving(&self) -> Option<(ProcessId, Alive)> {
        let id = self.entered?;
        self.alive.get(&id).filter(|process| !process.leaves).map(|process| (id, *process))
    }

    fn feed(&mut self, event: Event<Work>) {
        let mut waiting = vec![event];
        while !waiting.is_empty() {
            for effect in self.machine.step(waiting.remove(0), self.now) {
                match effect {
                    Effect::Start(id, work) => {
                        self.seen.push(format!("start {id}"));
                        if work.is_daemon {
                            assert!(
                                self.alive.values().all(|other| !other.work.is_daemon),
                                "two daemons at once"
                            );
                        }
                        let process = Alive { work, leaves: false, listens: false, is_checked: false };
                        assert!(self.alive.insert(id, process).is_none(), "{id} is started twice");
                    }
                    Effect::Enter(id) => {
                        self.seen.push(format!("enter {id}"));
                        if let Some((other, _)) = self.serving() {
                            assert!(
                                !self.alive[&other].work.is_daemon,
                                "a daemon is not replaced at its side"
                            );
                        }
                        if self.alive.contains_key(&id) {
                            self.entered = Some(id);
                            waiting.push(Event::Entered(id, Some(seconds(3600))));
                        }
                    }
                    Effect::Check(id) => {
                        self.seen.push(format!("check {id}"));
                        self.alive.get_mut(&id).unwrap().is_checked = true;
                    }
                    Effect::Retire(id) => {
                        self.seen.push(format!("retire {id}"));
                        self.alive.get_mut(&id).unwrap().leaves = true;
                    }
                    Effect::Kill(id) => {
                        self.seen.push(format!("kill {id}"));
                        self.alive.get_mut(&id).unwrap().leaves = true;
                    }
                    Effect::Signal(id, _) => assert_eq!(self.serving().map(|(serving, _)| serving), Some(id)),
                    Effect::Answer(ticket, outcome) => {
                        assert!(self.answers.insert(ticket, outcome).is_none(), "{ticket} is answered twice");
                    }
                }
            }
        }
        let staying = self.alive.iter().filter(|(_, process)| !process.leaves);
        let staying: Vec<ProcessId> = staying.map(|(id, _)| *id).collect();
        assert!(staying.len() <= 3, "{staying:?}");
        assert_eq!(self.machine.serving().map(|(id, _)| id), self.serving().map(|(id, _)| id));
    }

    fn end(&mut self, id: ProcessId, end: End) {
        if self.alive.remove(&id).is_some() {
            self.feed(Event::Ended(id, end));
        }
    }

    fn listens(&mut self, id: ProcessId) {
        if let Some(process) = self.alive.get_mut(&id) {
            process.listens = true;
            self.feed(Event::Listens(id));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.feed(Event::Tick);
    }

    fn prepare(&mut self, work: Work) -> Ticket {
        let ticket = self.ticket();
        self.feed(Event::Prepare(work, ticket));
        ticket
    }

    fn commit(&mut self) -> Outcome {
        let ticket = self.ticket();
        self.feed(Event::Commit(ticket));
        self.answers.get(&ticket).cloned().expect("a commit is answered at once")
    }

    fn stop(&mut self) -> Ticket {
        let ticket = self.ticket();
        self.feed(Event::Stop(ticket));
        ticket
    }

    /// What has been seen since this was last asked.
    fn seen(&mut self) -> String {
        std::mem::take(&mut self.seen).join(", ")
    }

    fn version(&self) -> Option<u32> {
        self.serving().map(|(_, process)| process.work.version)
    }
}

/// An app of version 1 that serves as process 1.
fn serving_app() -> World {
    let mut world = World::new(app(1));
    world.feed(Event::Replace(app(1)));
    world.listens(1);
    assert_eq!(world.seen(), "start 1, enter 1");
    assert_eq!(world.machine.phase(), Phase::Running);
    world
}

fn serving_daemon() -> World {
    let mut world = World::new(daemon(1));
    world.feed(Event::Replace(daemon(1)));
    assert_eq!(world.seen(), "start 1, enter 1");
    world
}

#[test]
fn what_listens_is_replaced_at_its_side() {
    let mut world = serving_app();
    world.feed(Event::Replace(app(2)));
    assert_eq!((world.seen().as_str(), world.version()), ("start 2", Some(1)));
    world.listens(2);
    assert_eq!((world.seen().as_str(), world.version()), ("enter 2, retire 1", Some(2)));
    assert_eq!(
        (world.machine.restarts, world.machine.crashes, world.machine.phase()),
        (1, 0, Phase::Running)
    );
}

#[test]
fn a_daemon_ends_before_its_successor_starts() {
    let mut world = serving_daemon();
    world.feed(Event::Replace(daemon(2)));
    assert_eq!(world.seen(), "retire 1");
    assert_eq!(world.machine.phase(), Phase::Stopping);
    world.end(1, crash("exit code 0"));
    assert_eq!((world.seen().as_str(), world.version()), ("start 2, enter 2", Some(2)));
}

#[test]
fn a_successor_that_fails_leaves_the_old_one_in_service() {
    for how in ["ends", "does not listen", "cannot enter"] {
        let mut world = serving_app();
        world.feed(Event::Replace(app(2)));
        match how {
            "ends" => world.end(2, crash("exit code 3")),
            "does not listen" => world.pass(seconds(61)),
            _ => world.feed(Event::Refused(2, "no space".to_owned())),
        }
        assert_eq!(world.version(), Some(1), "{how}");
        assert!(world.machine.outdated, "{how}");
        let error = world.machine.last_error.clone().unwrap();
        assert!(error.starts_with("a new process could not take over, and the old one goes on: "), "{error}");
    }
}

#[test]
fn starts_that_fail_come_later_and_later_up_to_a_limit() {
    let mut world = World::new(app(1));
    world.feed(Event::Replace(app(1)));
    let mut waits = Vec::new();
    for id in 1..=14 {
        world.end(id, crash("exit code 1"));
        let wait = world.machine.deadline().unwrap() - world.now;
        waits.push(wait.as_millis());
        world.pass(wait);
    }
    let expected =
        [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000, 60_000, 60_000, 60_000];
    assert_eq!(waits, expected);
    // A long life makes up for it.
    world.listens(15);
    world.pass(seconds(11));
    world.end(15, crash("exit code 1"));
    assert_eq!(world.machine.shown(), Some(16), "it starts at once");
}

#[test]
fn a_kill_from_outside_is_no_failing_start() {
    let mut world = serving_app();
    for id in 1..30 {
        world.listens(id);
        world.end(id, End { reason: "ended by SIGKILL".to_owned(), is_from_outside: true });
        assert_eq!(world.machine.shown(), Some(id + 1), "it starts at once");
    }
}

#[test]
fn a_held_process_enters_service_upon_a_word() {
    let mut world = serving_app();
    let ticket = world.prepare(app(2));
    assert_eq!(world.seen(), "start 2");
    assert!(world.commit().is_err(), "it is not ready");
    world.listens(2);
    assert_eq!(world.seen(), "check 2");
    assert!(!world.answers.contains_key(&ticket));
    world.feed(Event::Checked(2, Ok(())));
    assert_eq!((world.answers[&ticket].clone(), world.version()), (Ok(()), Some(1)));
    assert_eq!(world.commit(), Ok(()));
    assert_eq!((world.seen().as_str(), world.version()), ("enter 2, retire 1", Some(2)));
    // What starts next is of the new version.
    world.end(2, crash("exit code 1"));
    world.pass(seconds(1));
    world.listens(3);
    assert_eq!(world.version(), Some(2));
}

#[test]
fn a_held_process_that_is_not_well_is_called_off() {
    for how in ["ends", "is not well", "does not listen", "is stopped"] {
        let mut world = serving_app();
        let ticket = world.prepare(app(2));
        match how {
            "ends" => world.end(2, crash("exit code 3")),
            "is not well" => {
                world.listens(2);
                world.feed(Event::Checked(2, Err("status 500".to_owned())));
            }
            "does not listen" => world.pass(seconds(61)),
            _ => world.feed(Event::Abort),
        }
        assert!(world.answers[&ticket].is_err(), "{how}");
        assert!(world.commit().is_err(), "{how}");
        assert_eq!((world.version(), world.machine.outdated), (Some(1), false), "{how}");
    }
}

#[test]
fn a_death_between_ready_and_the_word_is_told() {
    let mut world = serving_app();
    world.prepare(app(2));
    world.listens(2);
    world.feed(Event::Checked(2, Ok(())));
    world.end(2, crash("exit code 7"));
    assert_eq!(world.machine.is_ready(), Err("exit code 7".to_owned()));
    assert_eq!(world.commit(), Err("exit code 7".to_owned()));
    assert_eq!(world.version(), Some(1));
}

#[test]
fn the_old_versions_death_does_not_touch_the_new_one() {
    let mut world = serving_app();
    world.prepare(app(2));
    for id in [1, 3, 4] {
        world.listens(id);
        world.end(id, crash("exit code 1"));
        let wait = world.machine.deadline().unwrap() - world.now;
        world.pass(wait);
    }
    world.listens(2);
    world.feed(Event::Checked(2, Ok(())));
    assert_eq!(world.commit(), Ok(()));
    assert_eq!(world.version(), Some(2));
    // The old one that was on its way is not.
    assert!(world.alive.iter().all(|(id, process)| *id == 2 || process.leaves));
}

#[test]
fn a_daemons_new_version_is_tried_and_the_old_one_comes_back() {
    let mut world = serving_daemon();
    let ticket = world.prepare(daemon(2));
    assert_eq!(world.seen(), "retire 1");
    world.end(1, crash("exit code 0"));
    assert_eq!(world.seen(), "start 2");
    world.end(2, crash("exit code 9"));
    assert_eq!(world.answers[&ticket], Err("exit code 9".to_owned()));
    assert_eq!(world.seen(), "", "its home may still be that of the new version");
    world.feed(Event::Abort);
    assert_eq!((world.seen().as_str(), world.version()), ("start 3, enter 3", Some(1)));
    // One that lives takes over.
    let ticket = world.prepare(daemon(3));
    world.end(3, crash("exit code 0"));
    world.pass(seconds(1));
    assert_eq!(world.answers[&ticket], Ok(()));
    assert_eq!((world.commit(), world.version()), (Ok(()), Some(3)));
}

#[test]
fn what_was_stopped_stays_stopped_when_a_new_version_is_called_off() {
    for work in [app, daemon] {
        let mut world = World::new(work(1));
        world.prepare(work(2));
        world.feed(Event::Abort);
        world.end(1, crash("ended by SIGKILL"));
        world.pass(seconds(100));
        assert_eq!((world.machine.phase(), world.alive.len()), (Phase::Stopped, 0));
    }
}

#[test]
fn a_stop_is_answered_when_everything_has_ended() {
    let mut world = serving_app();
    world.feed(Event::Replace(app(2)));
    world.prepare(app(3));
    let ticket = world.stop();
    assert_eq!(world.machine.phase(), Phase::Stopping);
    for id in [3, 1, 2] {
        assert!(!world.answers.contains_key(&ticket), "{id} runs");
        world.end(id, crash("ended"));
    }
    assert_eq!((world.answers[&ticket].clone(), world.machine.phase()), (Ok(()), Phase::Stopped));
    world.pass(seconds(1000));
    assert!(world.alive.is_empty());
}

#[test]
fn what_is_unwell_or_too_old_is_replaced_at_its_side() {
    for is_old in [true, false] {
        let mut world = serving_app();
        if is_old {
            world.pass(seconds(3600));
        } else {
            world.feed(Event::Unwell(1, "no answer".to_owned()));
        }
        assert_eq!((world.seen().as_str(), world.version()), ("start 2", Some(1)));
        world.listens(2);
        assert_eq!(world.seen(), "enter 2, retire 1");
    }
}

#[test]
fn a_first_start_may_take_long_and_is_said_to() {
    let mut world = World::new(app(1));
    world.feed(Event::Replace(app(1)));
    world.pass(seconds(11));
    let error = world.machine.last_error.clone().unwrap();
    assert!(error.starts_with("it has not listened on its socket for 11"), "{error}");
    world.pass(seconds(1000));
    world.listens(1);
    assert_eq!(world.version(), Some(1));
}

/// Something that happens in a world.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Prepare,
    Commit,
    Abort,
    Replace,
    Stop,
    Unwell,
    /// To the process with this number of those that are alive.
    Listens(usize),
    Checked(usize, bool),
    Ends(usize, bool),
    Passes(u16),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        Just(Happening::Prepare),
        Just(Happening::Commit),
        Just(Happening::Abort),
        Just(Happening::Replace),
        Just(Happening::Stop),
        Just(Happening::Unwell),
        (0..4usize).prop_map(Happening::Listens),
        (0..4usize).prop_map(Happening::Listens),
        (0..4usize, any::<bool>()).prop_map(|(which, ok)| Happening::Checked(which, ok)),
        (0..4usize, any::<bool>()).prop_map(|(which, outside)| Happening::Ends(which, outside)),
        (0..4000u16).prop_map(Happening::Passes),
    ];
    prop::collection::vec(one, 0..40)
}

impl World {
    fn nth(&self, which: usize) -> Option<ProcessId> {
        self.alive.keys().nth(which).copied()
    }

    /// Lets it happen, and says whether it is a reason for a process in service to go without another in its place.
    fn happen(&mut self, happening: Happening, version: u32, is_daemon: bool) -> bool {
        let next = Work { version, is_daemon };
        match happening {
            Happening::Prepare => {
                self.prepare(next);
                return is_daemon;
            }
            Happening::Commit => {
                let held = self.machine.held.as_ref().map(|held| held.spec);
                if self.commit().is_ok() {
                    assert_eq!(
                        self.serving().map(|(_, process)| process.work),
                        held,
                        "a success that is none"
                    );
                }
            }
            Happening::Abort => self.feed(Event::Abort),
            Happening::Replace => {
                self.feed(Event::Replace(next));
                return is_daemon;
            }
            Happening::Stop => {
                self.stop();
                return true;
            }
            Happening::Unwell => {
                if let Some((id, _)) = self.serving() {
                    self.feed(Event::Unwell(id, "no answer".to_owned()));
                }
                return is_daemon;
            }
            Happening::Listens(which) => {
                if let Some(id) = self.nth(which).filter(|id| !self.alive[id].work.is_daemon) {
                    self.listens(id);
                }
            }
            Happening::Checked(which, ok) => {
                if let Some(id) = self.nth(which).filter(|id| self.alive[id].is_checked) {
                    let outcome = if ok { Ok(()) } else { Err("status 500".to_owned()) };
                    self.feed(Event::Checked(id, outcome));
                }
            }
            Happening::Ends(which, is_from_outside) => {
                if let Some(id) = self.nth(which) {
                    let was_serving = self.serving().is_some_and(|(serving, _)| serving == id);
                    self.end(id, End { reason: "ended".to_owned(), is_from_outside });
                    return was_serving;
                }
            }
            Happening::Passes(deciseconds) => {
                self.pass(Duration::from_millis(u64::from(deciseconds) * 100));
                return is_daemon;
            }
        }
        false
    }
}

/// `PROPTEST_CASES=100000` looks longer.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Never two in service (the world asserts it), never none where one was well, a success means that the new one
    /// serves; and if from some moment on all goes well, everything that was asked is answered and what should runs.
    #[test]
    fn whatever_happens_one_serves_and_what_is_told_is_true(is_daemon in any::<bool>(), happenings in happenings()) {
        let mut world = World::new(Work { version: 0, is_daemon });
        for (version, happening) in (1..).zip(happenings) {
            let was_served = world.serving().is_some();
            let may_go = world.happen(happening, version, is_daemon);
            prop_assert!(!was_served || may_go || world.serving().is_some(), "{:?} left nobody in service", happening);
        }
        world.feed(Event::Abort);
        let is_stopped = matches!(world.machine.life, Life::Stopped);
        for _ in 0..20 {
            for (id, process) in world.alive.clone() {
                if process.leaves {
                    world.end(id, End { reason: "ended".to_owned(), is_from_outside: false });
                } else if !process.listens && !is_daemon {
                    world.listens(id);
                }
            }
            if let Some(at) = world.machine.deadline() {
                let time = at.saturating_duration_since(world.now).min(seconds(120));
                world.pass(time);
            }
        }
        prop_assert_eq!(world.answers.len() as u64, world.tickets, "somebody waits for ever");
        prop_assert_eq!(world.serving().is_none(), is_stopped);
        if let Some((_, process)) = world.serving() {
            let is_told = world.machine.outdated;
            prop_assert!(is_told || process.work == *world.machine.spec(), "another spec serves than should");
        }
    }
}
