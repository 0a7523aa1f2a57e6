//! One worker of a service, over all the processes that it will ever be.
//!
//! A slot has at most one process in service and at most one candidate that is to take its place:
//!
//! ```text
//! start ─► candidate ─(listens)─► in service ─► replaced by the next candidate, or stopped: drained, then ended
//!              │                      └─(ends by itself)─► waits, longer each time, and starts again
//!              └─(ends, or does not listen in time)─► what is in service stays
//! ```
//!
//! A worker that listens is replaced by renaming the candidate's socket over the one that nginx knows; connections to
//! the old process are waited for before it is stopped. One that does not listen – a daemon – ends before its
//! successor starts, since two at once might do the work twice.

mod task;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::PoisonError;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::health;
use super::journal::Journal;
use super::logs::{Logs, SharedSaid};
use super::process::{Ended, Process, Start};
use crate::run::Service;
use crate::run::status::WorkerStatus;
use crate::site::Environment;

/// A service with the environment of its processes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub(super) service: Service,
    pub(super) environment: Environment,
}

/// What slots share.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) var: PathBuf,
    pub(super) log: PathBuf,
    pub(super) logs: Logs,
    pub(super) journal: Journal,
}

/// How a candidate came out.
pub(super) type Outcome = Result<(), String>;

#[derive(Debug)]
pub(super) enum Order {
    /// Start a candidate and say when it is ready and well; it waits for `Commit` or `Abort`.
    Prepare(Rc<Job>, oneshot::Sender<Outcome>),
    /// Say when what was in service has ended.
    Commit(oneshot::Sender<()>),
    Abort,
    /// Start a candidate that takes over when it is ready.
    Replace(Rc<Job>),
    Stop(oneshot::Sender<()>),
    /// A signal to the process in service, for programs that reload by one.
    Signal(i32),
}

/// The slot's owner has this end.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) worker: u32,
    orders: UnboundedSender<Order>,
    status: Rc<RefCell<WorkerStatus>>,
    /// What the process that the status shows says.
    said: Rc<RefCell<Option<SharedSaid>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Slot {
    /// Waits for orders.
    pub(super) fn new(worker: u32, job: Rc<Job>, around: &Rc<Surroundings>) -> Slot {
        let (orders, inbox) = unbounded_channel();
        let status = Rc::new(RefCell::new(WorkerStatus::new(worker)));
        let said = Rc::default();
        let running =
            task::Running::new(worker, job, Rc::clone(around), Rc::clone(&status), Rc::clone(&said));
        let task = tokio::task::spawn_local(running.run(inbox));
        Slot { worker, orders, status, said, task }
    }

    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    pub(super) async fn prepare(&self, job: Rc<Job>) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        self.order(Order::Prepare(job, reply));
        outcome.await.unwrap_or_else(|_| Err("it was stopped".to_owned()))
    }

    /// The candidate takes over at once; the reply comes when what was in service has ended.
    pub(super) fn commit(&self) -> oneshot::Receiver<()> {
        let (reply, done) = oneshot::channel();
        self.order(Order::Commit(reply));
        done
    }

    pub(super) async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        self.order(Order::Stop(reply));
        let _ = done.await;
    }

    pub(super) fn status(&self) -> WorkerStatus {
        let mut status = self.status.borrow().clone();
        status.uptime = status.started.map(|started| started.elapsed().as_secs());
        let said = self.said.borrow();
        status.log_error = said
            .as_ref()
            .and_then(|said| said.lock().unwrap_or_else(PoisonError::into_inner).log_error.clone());
        status
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.task.abort();
    }
}
