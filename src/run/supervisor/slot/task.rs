//! A slot at work: what it does upon orders, upon what its processes do, and as time goes by.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Ended, Job, Order, Outcome, Process, SharedSaid, Start, Surroundings, health};
use crate::fs;
use crate::process::facts::children_of;
use crate::run::Kind;
use crate::run::status::{State, WorkerStatus};
use crate::text;

/// What becomes of a candidate that is ready.
#[derive(Debug)]
enum OnReady {
    Serve,
    Hold(Option<oneshot::Sender<Outcome>>),
}

#[derive(Debug)]
struct Candidate {
    process: Process,
    job: Rc<Job>,
    on_ready: OnReady,
    listens: bool,
    next_look: Instant,
    give_up: Option<Instant>,
}

#[derive(Debug)]
enum Event {
    /// A process that was stopped is gone.
    Left,
    Checked(u64, Outcome),
}

/// A process that lived as long did not fail at its start.
const STABLE: Duration = Duration::from_secs(10);
/// A candidate that is to replace a process has so long to listen.
const PATIENCE: Duration = Duration::from_secs(60);
/// As long, where somebody waits for it.
const PREPARING: Duration = Duration::from_secs(30);
/// Between two starts that failed, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A first start that has not listened for so long is said to be slow.
const SLOW: Duration = Duration::from_secs(10);

/// A slot at work.
pub(super) struct Running {
    worker: u32,
    job: Rc<Job>,
    around: Rc<Surroundings>,
    status: Rc<RefCell<WorkerStatus>>,
    said: Rc<RefCell<Option<SharedSaid>>>,
    events: UnboundedSender<Event>,
    happened: Option<UnboundedReceiver<Event>>,
    generation: u64,
    serving: Option<Process>,
    candidate: Option<Candidate>,
    /// What a daemon is to be once its predecessor has ended, where that is still to be decided.
    successor: Option<Rc<Job>>,
    /// When to start, where nothing is in service.
    start_at: Option<Instant>,
    /// When the process in service is too old.
    replace_at: Option<Instant>,
    failures: u32,
    /// Processes on their way out.
    leaving: usize,
    on_left: Vec<oneshot::Sender<()>>,
    reported: (State, Option<String>),
}

impl Running {
    /// Nothing is started before an order says so.
    pub(super) fn new(
        worker: u32,
        job: Rc<Job>,
        around: Rc<Surroundings>,
        status: Rc<RefCell<WorkerStatus>>,
        said: Rc<RefCell<Option<SharedSaid>>>,
    ) -> Running {
        let (events, happened) = unbounded_channel();
        Running {
            worker,
            job,
            around,
            status,
            said,
            events,
            happened: Some(happened),
            generation: 0,
            serving: None,
            candidate: None,
            successor: None,
            start_at: None,
            replace_at: None,
            failures: 0,
            leaving: 0,
            on_left: Vec::new(),
            reported: (State::Stopped, None),
        }
    }

    /// Until its orders end.
    pub(super) async fn run(mut self, mut inbox: UnboundedReceiver<Order>) {
        let Some(mut happened) = self.happened.take() else { return };
        loop {
            self.publish();
            let look = self.candidate.as_ref().filter(|candidate| !candidate.listens);
            let look = look.map(|candidate| candidate.next_look);
            // A daemon starts when its predecessor is gone.
            let start = self.start_at.filter(|_| self.leaving == 0 || self.job.service.listens());
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                Some(event) = happened.recv() => self.on_event(event),
                how = ended(self.serving.as_mut()) => self.on_end(how).await,
                how = ended(self.candidate.as_mut().map(|candidate| &mut candidate.process)) => {
                    if let Some(candidate) = &self.candidate {
                        let reason = candidate.process.last_words(how).await;
                        self.on_candidate_end(&reason);
                    }
                }
                () = at(start) => self.start(),
                () = at(self.replace_at) => self.on_age(),
                () = at(look) => self.look().await,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Prepare(job, reply) => self.prepare(job, reply),
            Order::Commit(reply) => self.commit(reply),
            Order::Abort => self.abort(),
            Order::Replace(job) => self.replace(job),
            Order::Stop(reply) => {
                self.abort();
                (self.start_at, self.replace_at, self.failures) = (None, None, 0);
                self.status.borrow_mut().stopped = true;
                if let Some(old) = self.serving.take() {
                    self.retire(old);
                }
                self.when_left(reply);
            }
            Order::Signal(signal) => {
                if let Some(process) = &self.serving {
                    process.signal(signal);
                }
            }
        }
    }

    fn prepare(&mut self, job: Rc<Job>, reply: oneshot::Sender<Outcome>) {
        self.abort();
        if job.service.listens() {
            let held = OnReady::Hold(Some(reply));
            self.start_candidate(job, held, Some(PREPARING));
        } else {
            // It starts when its predecessor has ended.
            self.successor = Some(job);
            let _ = reply.send(Ok(()));
        }
    }

    fn commit(&mut self, reply: oneshot::Sender<()>) {
        self.status.borrow_mut().stopped = false;
        match self.candidate.take() {
            Some(candidate) => self.serve(candidate),
            None => {
                if let Some(job) = self.successor.take() {
                    self.job = job;
                    self.start_again();
                }
            }
        }
        self.when_left(reply);
    }

    fn abort(&mut self) {
        self.successor = None;
        if let Some(candidate) = self.candidate.take() {
            if let OnReady::Hold(Some(reply)) = candidate.on_ready {
                let _ = reply.send(Err("it was called off".to_owned()));
            }
            candidate.process.kill();
            self.retire(candidate.process);
        }
    }

    fn replace(&mut self, job: Rc<Job>) {
        self.status.borrow_mut().stopped = false;
        self.abort();
        let listens = job.service.listens();
        self.failures = 0;
        if listens && self.serving.is_some() {
            self.start_candidate(job, OnReady::Serve, Some(PATIENCE));
        } else {
            self.job = job;
            self.start_again();
        }
    }

    /// Ends what is in service and starts anew.
    fn start_again(&mut self) {
        if let Some(old) = self.serving.take() {
            self.retire(old);
        }
        self.replace_at = None;
        self.start_at = Some(Instant::now());
    }

    fn start(&mut self) {
        self.start_at = None;
        self.start_candidate(Rc::clone(&self.job), OnReady::Serve, None);
    }

    fn start_candidate(&mut self, job: Rc<Job>, on_ready: OnReady, patience: Option<Duration>) {
        self.generation += 1;
        let around = Rc::clone(&self.around);
        let start = Start {
            service: &job.service,
            environment: &job.environment,
            worker: self.worker,
            generation: self.generation,
            var: &around.var,
            log: &around.log,
        };
        let listens = !job.service.listens() && job.service.id.kind != Kind::Module;
        match Process::start(&start, &around.logs) {
            Ok(process) => {
                let now = Instant::now();
                let give_up = patience.map(|patience| now + patience);
                let candidate = Candidate { process, job, on_ready, listens, next_look: now, give_up };
                if listens { self.serve(candidate) } else { self.candidate = Some(candidate) }
            }
            Err(reason) => self.on_failed_start(on_ready, &reason),
        }
    }

    /// Looks whether the candidate listens by now.
    async fn look(&mut self) {
        let Some(candidate) = &mut self.candidate else { return };
        candidate.listens = match &candidate.process.bound {
            Some(bound) => accepts(bound).await,
            // nginx has workers once it listens.
            None => !children_of(candidate.process.pid).is_empty(),
        };
        if candidate.listens {
            return self.on_listening();
        }
        let now = Instant::now();
        let age = candidate.process.started.elapsed();
        // Often at first, then less so: a start that takes a minute need not be seen to the millisecond.
        candidate.next_look = now + (age / 20).clamp(Duration::from_millis(5), Duration::from_millis(250));
        let waited = text::duration(age);
        if candidate.give_up.is_some_and(|limit| now >= limit) {
            let reason = format!("it did not listen on its socket within {waited}");
            candidate.process.kill();
            self.on_candidate_end(&reason);
        } else if age > SLOW && self.serving.is_none() {
            self.status.borrow_mut().last_error =
                Some(format!("it has not listened on its socket for {waited}"));
        }
    }

    fn on_listening(&mut self) {
        let Some(candidate) = self.candidate.take() else { return };
        if matches!(candidate.on_ready, OnReady::Serve) {
            return self.serve(candidate);
        }
        let test = candidate.job.service.health.clone();
        let (bound, events, generation) =
            (candidate.process.bound.clone().unwrap_or_default(), self.events.clone(), self.generation);
        let path = format!("/{}/{}/", candidate.job.service.id.plugin, candidate.job.service.id.name);
        let speaks_http = candidate.job.service.speaks_http;
        tokio::task::spawn_local(async move {
            let outcome =
                if speaks_http { health::check(&bound, test.as_ref(), &path).await } else { Ok(()) };
            let _ = events.send(Event::Checked(generation, outcome));
        });
        self.candidate = Some(candidate);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Left => {
                self.leaving -= 1;
                if self.leaving == 0 {
                    for waiting in self.on_left.drain(..) {
                        let _ = waiting.send(());
                    }
                }
            }
            Event::Checked(generation, outcome) if generation == self.generation => {
                let Some(candidate) = &mut self.candidate else { return };
                match outcome {
                    Ok(()) => {
                        if let OnReady::Hold(reply) = &mut candidate.on_ready
                            && let Some(reply) = reply.take()
                        {
                            let _ = reply.send(Ok(()));
                        }
                    }
                    Err(reason) => {
                        candidate.process.kill();
                        self.on_candidate_end(&reason);
                    }
                }
            }
            Event::Checked(..) => {}
        }
    }

    /// Puts a candidate into service in place of what is there.
    fn serve(&mut self, candidate: Candidate) {
        let Candidate { process, job, .. } = candidate;
        if let Some(bound) = &process.bound {
            let socket = job.service.socket(self.worker, &self.around.var);
            if let Err(error) = fs::rename(bound, &socket) {
                process.kill();
                self.retire(process);
                return self.on_failed_start(OnReady::Serve, &error.to_string());
            }
        }
        let max_age = job.service.max_age;
        self.job = job;
        {
            let mut status = self.status.borrow_mut();
            status.pid = Some(process.pid);
            status.outdated = false;
            status.since = Some(process.started_at);
        }
        self.replace_at = max_age.map(|age| Instant::now() + age + age.mul_f64(fastrand::f64()));
        if let Some(old) = self.serving.replace(process) {
            self.status.borrow_mut().restarts += 1;
            self.status.borrow_mut().last_error = None;
            self.retire(old);
        }
    }

    /// The process in service ended by itself.
    async fn on_end(&mut self, how: Ended) {
        let Some(process) = self.serving.take() else { return };
        let reason = process.last_words(how).await;
        let age = process.started.elapsed();
        self.replace_at = None;
        {
            let mut status = self.status.borrow_mut();
            status.restarts += 1;
            status.last_error = Some(reason);
        }
        if self.candidate.as_ref().is_some_and(|candidate| matches!(candidate.on_ready, OnReady::Serve)) {
            return;
        }
        self.start_after(age);
    }

    /// The next start: soon after a long life, later and later after short ones.
    fn start_after(&mut self, age: Duration) {
        self.failures = if age >= STABLE { 0 } else { self.failures + 1 };
        let doubled = Duration::from_millis(100) * 2u32.saturating_pow(self.failures.min(16));
        let wait = if self.failures == 0 { Duration::ZERO } else { doubled.min(LONGEST_WAIT) };
        self.start_at = Some(Instant::now() + wait);
    }

    fn on_candidate_end(&mut self, reason: &str) {
        let Some(candidate) = self.candidate.take() else { return };
        let age = candidate.process.started.elapsed();
        self.retire(candidate.process);
        self.candidate_failed(candidate.on_ready, reason, age);
    }

    fn on_failed_start(&mut self, on_ready: OnReady, reason: &str) {
        self.candidate_failed(on_ready, reason, Duration::ZERO);
    }

    fn candidate_failed(&mut self, on_ready: OnReady, reason: &str, age: Duration) {
        match on_ready {
            OnReady::Hold(Some(reply)) => {
                let _ = reply.send(Err(reason.to_owned()));
            }
            OnReady::Hold(None) => {}
            OnReady::Serve if self.serving.is_some() => {
                self.status.borrow_mut().outdated = true;
                self.status.borrow_mut().last_error =
                    Some(format!("a new process could not take over, and the old one goes on: {reason}"));
                if let Some(age) = self.job.service.max_age {
                    self.replace_at = Some(Instant::now() + age);
                }
            }
            OnReady::Serve => {
                let mut status = self.status.borrow_mut();
                status.last_error = Some(reason.to_owned());
                status.restarts += 1;
                drop(status);
                self.start_after(age);
            }
        }
    }

    fn on_age(&mut self) {
        self.replace_at = None;
        let job = Rc::clone(&self.job);
        if self.candidate.is_none() {
            self.replace(job);
        }
    }

    fn retire(&mut self, process: Process) {
        self.leaving += 1;
        let (stop, events) = (self.job.service.stop, self.events.clone());
        tokio::task::spawn_local(async move {
            process.retire(stop).await;
            let _ = events.send(Event::Left);
        });
    }

    fn when_left(&mut self, reply: oneshot::Sender<()>) {
        if self.leaving == 0 {
            let _ = reply.send(());
        } else {
            self.on_left.push(reply);
        }
    }

    fn publish(&mut self) {
        let mut status = self.status.borrow_mut();
        status.state = match (&self.serving, &self.candidate) {
            (Some(_), _) => State::Running,
            (None, Some(_)) => State::Starting,
            (None, None) if self.leaving > 0 => State::Stopping,
            (None, None) if self.start_at.is_some_and(|at| at <= Instant::now()) => State::Starting,
            (None, None) if status.stopped => State::Stopped,
            (None, None) => State::Waiting,
        };
        let shown = self.serving.as_ref().or(self.candidate.as_ref().map(|candidate| &candidate.process));
        status.pid = shown.map(|process| process.pid);
        status.since = shown.map(|process| process.started_at);
        status.started = shown.map(|process| process.started);
        *self.said.borrow_mut() = shown.map(|process| Arc::clone(&process.said));
        let now = (status.state, status.last_error.clone());
        if now == self.reported {
            return;
        }
        let pid = status.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
        let error = now.1.as_ref().filter(|error| self.reported.1.as_ref() != Some(error));
        let error = error.map_or_else(String::new, |error| format!(": {error}"));
        drop(status);
        self.around.journal.note(&format!(
            "{} {}: {}{pid}{error}",
            self.job.service.id,
            self.worker,
            now.0.word()
        ));
        self.reported = now;
    }
}

/// Whether somebody listens there.
async fn accepts(socket: &Path) -> bool {
    let connecting = tokio::time::timeout(Duration::from_secs(1), UnixStream::connect(socket));
    socket.exists() && connecting.await.is_ok_and(|stream| stream.is_ok())
}

/// Never, where there is no process.
async fn ended(process: Option<&mut Process>) -> Ended {
    match process {
        Some(process) => process.ended().await,
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
