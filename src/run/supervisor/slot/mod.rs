//! One worker of a service, over all the processes that it will ever be.
//!
//! `machine` decides, without doing anything; this carries its decisions out, and tells it what happens. Each process
//! has a `keeper`, a task that sees it to its end by the terms that it was started with. A worker that listens is put
//! into service by renaming its socket to the name that nginx knows; connections to its predecessor are waited for
//! before that is stopped.

mod keeper;
mod machine;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Notify, oneshot};

use self::keeper::Keeper;
pub(super) use self::machine::Outcome;
pub(super) use self::machine::ProcessId;
use self::machine::{Effect, End, Event, Machine, Phase, Terms, Ticket};
use super::logs::{Logs, SharedOutput};
use super::own_log::OwnLog;
use super::process::{Process, Start};
use crate::fs;
use crate::process::cgroup::Groups;
use crate::run::status::{State, WorkerStatus};
use crate::run::{Readiness, Service};
use crate::site::Environment;

/// A service, with what its processes are started with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProcessSpec {
    pub(super) service: Service,
    pub(super) environment: Environment,
    pub(super) start_timeout: Duration,
    pub(super) longest_wait: Duration,
}

impl Terms for Rc<ProcessSpec> {
    fn overlaps(&self) -> bool {
        self.service.readiness == Readiness::Socket
    }

    fn serves_at_once(&self) -> bool {
        self.service.readiness == Readiness::AtOnce
    }

    fn start_timeout(&self) -> Duration {
        self.start_timeout
    }

    fn longest_wait(&self) -> Duration {
        self.longest_wait
    }
}

/// What slots share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) var: PathBuf,
    pub(super) log: PathBuf,
    pub(super) logs: Logs,
    pub(super) own_log: OwnLog,
    generation: Cell<u64>,
    open_files: Option<u64>,
    /// Control groups, where this machine lets us have some.
    pub(super) groups: Option<Groups>,
}

impl Context {
    pub(super) fn new(
        var: PathBuf,
        log: PathBuf,
        logs: Logs,
        own_log: OwnLog,
        groups: Option<Groups>,
    ) -> Context {
        let open_files = raise_open_files();
        Context { var, log, logs, own_log, generation: Cell::new(0), open_files, groups }
    }

    /// Tells all processes apart that this supervisor ever starts.
    fn next_generation(&self) -> u64 {
        let next = self.generation.get() + 1;
        self.generation.set(next);
        next
    }
}

/// As many descriptors as the machine allows: each worker takes some. Returns the limit from before, which is theirs.
fn raise_open_files() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // Where it cannot be raised, whoever finds none left says so.
    setrlimit(Resource::Nofile, raised).ok().and(before.current)
}

/// A worker.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) worker: u32,
    around: Rc<Context>,
    machine: RefCell<Machine<Rc<ProcessSpec>>>,
    processes: RefCell<BTreeMap<ProcessId, Running>>,
    /// What has happened and is still to be told to the machine.
    events: RefCell<VecDeque<Event<Rc<ProcessSpec>>>>,
    is_busy: Cell<bool>,
    waiting: RefCell<BTreeMap<Ticket, oneshot::Sender<Outcome>>>,
    last_ticket: Cell<Ticket>,
    /// The machine waits for another moment now.
    moved: Rc<Notify>,
    reported: RefCell<(State, Option<String>)>,
}

/// A process of the slot, as long as it is there.
#[derive(Debug)]
struct Running {
    keeper: Keeper,
    spec: Rc<ProcessSpec>,
    pid: u32,
    started: Instant,
    started_at: SystemTime,
    last_output: SharedOutput,
    /// Where it listens until it enters service.
    bound: Option<PathBuf>,
}

impl Slot {
    /// Waits for orders.
    pub(super) fn new(worker: u32, spec: Rc<ProcessSpec>, around: &Rc<Context>) -> Rc<Slot> {
        let slot = Rc::new(Slot {
            worker,
            around: Rc::clone(around),
            machine: RefCell::new(Machine::new(spec)),
            processes: RefCell::default(),
            events: RefCell::default(),
            is_busy: Cell::new(false),
            waiting: RefCell::default(),
            last_ticket: Cell::new(0),
            moved: Rc::new(Notify::new()),
            reported: RefCell::new((State::Stopped, None)),
        });
        tokio::task::spawn_local(keep_time(Rc::downgrade(&slot), Rc::clone(&slot.moved)));
        slot
    }

    /// Starts a process of the spec beside what runs; returns when it is ready to enter service, or why it is not.
    pub(super) async fn prepare(self: &Rc<Self>, spec: Rc<ProcessSpec>) -> Outcome {
        let (ticket, outcome) = self.ticket();
        self.feed(Event::Prepare(spec, ticket));
        outcome.await.unwrap_or_else(|_| Err("it was stopped".to_owned()))
    }

    /// Whether what was prepared still is.
    pub(super) fn is_ready(&self) -> Outcome {
        self.machine.borrow().is_ready()
    }

    /// What was prepared enters service; what was there leaves.
    pub(super) fn commit(self: &Rc<Self>) -> Outcome {
        let (ticket, mut outcome) = self.ticket();
        self.feed(Event::Commit(ticket));
        outcome.try_recv().unwrap_or_else(|_| Err("it did not enter service".to_owned()))
    }

    /// Ends what was prepared.
    pub(super) fn abort(self: &Rc<Self>) {
        self.feed(Event::Abort);
    }

    /// Whether what was prepared has the place of what ran.
    pub(super) fn is_displaced(&self) -> bool {
        self.machine.borrow().is_displaced()
    }

    /// Starts, or replaces what runs as soon as its successor listens.
    pub(super) fn replace(self: &Rc<Self>, spec: Rc<ProcessSpec>) {
        self.feed(Event::Replace(spec));
    }

    /// Returns when everything has ended.
    pub(super) async fn stop(self: &Rc<Self>) {
        let (ticket, done) = self.ticket();
        self.feed(Event::Stop(ticket));
        let _ = done.await;
    }

    /// Returns when whatever was replaced has ended.
    pub(super) async fn drained(&self) {
        while self.processes.borrow().values().any(|process| process.keeper.is_leaving()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A signal to the process in service, for programs that reload by one.
    pub(super) fn signal(self: &Rc<Self>, signal: i32) {
        self.feed(Event::Signal(signal));
    }

    /// What is in service does not do its work: another is to take its place.
    pub(super) fn is_unwell(self: &Rc<Self>, reason: String) {
        let serving = self.machine.borrow().serving().map(|(id, _)| id);
        if let Some(id) = serving {
            self.feed(Event::Unwell(id, reason));
        }
    }

    /// The spec of the process that is in service.
    pub(super) fn serving(&self) -> Option<Rc<ProcessSpec>> {
        self.machine.borrow().serving().map(|(_, spec)| Rc::clone(spec))
    }

    /// Which process is in service.
    pub(super) fn serving_process(&self) -> Option<ProcessId> {
        self.machine.borrow().serving().map(|(id, _)| id)
    }

    fn ticket(&self) -> (Ticket, oneshot::Receiver<Outcome>) {
        let ticket = self.last_ticket.get() + 1;
        self.last_ticket.set(ticket);
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(ticket, sender);
        (ticket, receiver)
    }

    /// Tells the machine, and does what follows; what that brings about is told in its turn.
    fn feed(self: &Rc<Self>, event: Event<Rc<ProcessSpec>>) {
        self.events.borrow_mut().push_back(event);
        if self.is_busy.replace(true) {
            return;
        }
        loop {
            let Some(event) = self.events.borrow_mut().pop_front() else { break };
            let effects = self.machine.borrow_mut().step(event, Instant::now());
            for effect in effects {
                self.carry_out(effect);
            }
        }
        self.is_busy.set(false);
        self.moved.notify_one();
        self.report();
    }

    fn carry_out(self: &Rc<Self>, effect: Effect<Rc<ProcessSpec>>) {
        match effect {
            Effect::Start(id, spec) => self.start(id, spec),
            Effect::Check(id) => {
                let processes = self.processes.borrow();
                if let Some(Running { spec, bound: Some(bound), .. }) = processes.get(&id) {
                    keeper::check(Rc::downgrade(self), id, Rc::clone(spec), bound.clone());
                }
            }
            Effect::Enter(id) => self.enter(id),
            Effect::Retire(id) => self.tell(id, Keeper::retire),
            Effect::Kill(id) => self.tell(id, Keeper::kill),
            Effect::Signal(id, signal) => self.tell(id, |keeper| keeper.signal(signal)),
            Effect::Answer(ticket, outcome) => {
                if let Some(waiting) = self.waiting.borrow_mut().remove(&ticket) {
                    let _ = waiting.send(outcome);
                }
            }
        }
    }

    fn tell(&self, id: ProcessId, what: impl FnOnce(&Keeper)) {
        if let Some(process) = self.processes.borrow().get(&id) {
            what(&process.keeper);
        }
    }

    fn start(self: &Rc<Self>, id: ProcessId, spec: Rc<ProcessSpec>) {
        let start = Start {
            service: &spec.service,
            environment: &spec.environment,
            worker: self.worker,
            generation: self.around.next_generation(),
            var: &self.around.var,
            log: &self.around.log,
            open_files: self.around.open_files,
            groups: self.around.groups.as_ref(),
        };
        match Process::start(&start, &self.around.logs) {
            Ok(process) => {
                let running = Running {
                    pid: process.pid,
                    started: process.started,
                    started_at: process.started_at,
                    last_output: Arc::clone(&process.last_output),
                    bound: process.bound.clone(),
                    keeper: Keeper::start(Rc::downgrade(self), id, Rc::clone(&spec), process),
                    spec,
                };
                self.processes.borrow_mut().insert(id, running);
            }
            Err(reason) => {
                self.events.borrow_mut().push_back(Event::Ended(id, End { reason, is_from_outside: false }));
            }
        }
    }

    fn enter(&self, id: ProcessId) {
        let processes = self.processes.borrow();
        let Some(process) = processes.get(&id) else { return };
        let service = &process.spec.service;
        let moved = match &process.bound {
            Some(bound) => put_in_service(bound, &service.socket(self.worker, &self.around.var)),
            None => Ok(()),
        };
        let event = match moved {
            Ok(()) => {
                // Workers that started together do not end together.
                let lifetime = service.max_age.map(|age| age + age.mul_f64(fastrand::f64()));
                Event::Entered(id, lifetime)
            }
            Err(error) => Event::Refused(id, error.to_string()),
        };
        self.events.borrow_mut().push_back(event);
    }

    fn ended(self: &Rc<Self>, id: ProcessId, end: End) {
        self.processes.borrow_mut().remove(&id);
        self.feed(Event::Ended(id, end));
    }

    /// What the socket of the process that the status shows was bound to.
    pub(super) fn bound(&self) -> Option<PathBuf> {
        let id = self.machine.borrow().shown()?;
        self.processes.borrow().get(&id)?.bound.clone()
    }

    pub(super) fn status(&self) -> WorkerStatus {
        let machine = self.machine.borrow();
        let processes = self.processes.borrow();
        let shown = machine.shown().and_then(|id| Some((id, processes.get(&id)?)));
        let last_output =
            shown.map(|(_, process)| process.last_output.lock().unwrap_or_else(PoisonError::into_inner));
        let leaving = processes.iter().filter(|(_, process)| process.keeper.is_leaving());
        WorkerStatus {
            state: match machine.phase() {
                Phase::Stopped => State::Stopped,
                Phase::Starting => State::Starting,
                Phase::Running => State::Running,
                Phase::Waiting => State::Waiting,
                Phase::Stopping => State::Stopping,
            },
            pid: shown.map(|(_, process)| process.pid),
            restarts: machine.restarts,
            crashes: machine.crashes,
            since: shown.map(|(_, process)| process.started_at),
            uptime: shown.map(|(_, process)| process.started.elapsed().as_secs()),
            last_error: machine.last_error.clone(),
            outdated: machine.outdated,
            log_error: last_output.and_then(|last_output| last_output.log_error.clone()),
            draining: leaving.map(|(_, process)| process.pid).collect(),
            ..WorkerStatus::new(self.worker)
        }
    }

    /// Notes what has changed.
    fn report(&self) {
        let status = self.status();
        let now = (status.state, status.last_error);
        let before = self.reported.replace(now.clone());
        if now == before {
            return;
        }
        let pid = status.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
        let error = now.1.filter(|error| before.1.as_ref() != Some(error));
        let error = error.map_or_else(String::new, |error| format!(": {error}"));
        let id = self.machine.borrow().spec().service.id.clone();
        self.around.own_log.note(&format!("{id} {}: {}{pid}{error}", self.worker, now.0.word()));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Whoever keeps its time ends with it.
        self.moved.notify_one();
    }
}

/// Gives the socket the name that nginx knows. It keeps its own as well: servers remove the name that they made when
/// they end, and complain where that is gone.
fn put_in_service(bound: &Path, socket: &Path) -> crate::error::Result<()> {
    let mut beside = bound.to_owned().into_os_string();
    beside.push("+");
    let beside = PathBuf::from(beside);
    match fs::link(bound, &beside) {
        Ok(()) => fs::rename(&beside, socket),
        // A file system without a second name for a socket.
        Err(_) => fs::rename(bound, socket),
    }
}

/// Tells the slot's machine when the moment has come that it waits for.
async fn keep_time(slot: Weak<Slot>, moved: Rc<Notify>) {
    // The slot is not held while this sleeps: nobody else may need it any more.
    while let Some(at) = slot.upgrade().map(|slot| slot.machine.borrow().deadline()) {
        tokio::select! {
            () = sleep_until(at) => {
                if let Some(slot) = slot.upgrade() {
                    slot.feed(Event::Tick);
                }
            }
            () = moved.notified() => {}
        }
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
