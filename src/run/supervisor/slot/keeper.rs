//! The task that sees one process to its end: whether it listens, whether it does its work, how it leaves.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::machine::{End, Event, ProcessId};
use super::{ProcessSpec, Slot};
use crate::process::facts::children_of;
use crate::run::Readiness;
use crate::run::supervisor::health;
use crate::run::supervisor::process::{Ended, Process};

#[derive(Debug)]
enum Order {
    Retire,
    Kill,
    Signal(i32),
}

/// A process' keeper, as its slot has it.
#[derive(Debug)]
pub(super) struct Keeper {
    orders: UnboundedSender<Order>,
    leaves: Cell<bool>,
}

impl Keeper {
    pub(super) fn start(slot: Weak<Slot>, id: ProcessId, spec: Rc<ProcessSpec>, process: Process) -> Keeper {
        let (orders, inbox) = unbounded_channel();
        tokio::task::spawn_local(keep(slot, id, spec, process, inbox));
        Keeper { orders, leaves: Cell::new(false) }
    }

    /// Gracefully, as its own spec says.
    pub(super) fn retire(&self) {
        self.leaves.set(true);
        let _ = self.orders.send(Order::Retire);
    }

    pub(super) fn kill(&self) {
        self.leaves.set(true);
        let _ = self.orders.send(Order::Kill);
    }

    pub(super) fn signal(&self, signal: i32) {
        let _ = self.orders.send(Order::Signal(signal));
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaves.get()
    }
}

async fn keep(
    slot: Weak<Slot>,
    id: ProcessId,
    spec: Rc<ProcessSpec>,
    mut process: Process,
    mut inbox: UnboundedReceiver<Order>,
) {
    let mut look = Some(Instant::now()).filter(|_| spec.service.readiness != Readiness::AtOnce);
    let how = loop {
        tokio::select! {
            how = process.ended() => break how,
            order = inbox.recv() => match order {
                Some(Order::Signal(signal)) => process.signal(signal),
                Some(Order::Retire) => {
                    let retiring = process.retire(spec.service.stop);
                    tokio::select! {
                        () = retiring => {}
                        () = killed(&mut inbox) => {}
                    }
                    process.kill();
                    break process.ended().await;
                }
                // Its slot is gone: nobody would know of it.
                Some(Order::Kill) | None => {
                    process.kill();
                    break process.ended().await;
                }
            },
            () = super::sleep_until(look.map(Instant::into_std)) => {
                if is_ready(spec.service.readiness, &process).await {
                    look = None;
                    tell(&slot, Event::Listens(id));
                } else {
                    // Often at first, then less so: a start that takes a minute need not be seen to the millisecond.
                    let pause = process.started.elapsed() / 20;
                    look = Some(Instant::now() + pause.clamp(Duration::from_millis(5), Duration::from_millis(250)));
                }
            }
        }
    };
    let is_from_outside = is_from_outside(&how);
    let end = End { is_from_outside, reason: process.exit_reason(how).await };
    if let Some(slot) = slot.upgrade() {
        slot.ended(id, end);
    }
}

fn tell(slot: &Weak<Slot>, event: Event<Rc<ProcessSpec>>) {
    if let Some(slot) = slot.upgrade() {
        slot.feed(event);
    }
}

/// Returns when patience has an end.
async fn killed(inbox: &mut UnboundedReceiver<Order>) {
    while !matches!(inbox.recv().await, Some(Order::Kill) | None) {}
}

async fn is_ready(readiness: Readiness, process: &Process) -> bool {
    match (readiness, &process.bound) {
        (Readiness::Socket, Some(bound)) => accepts(bound).await,
        (Readiness::Children, _) => !children_of(process.pid).is_empty(),
        _ => true,
    }
}

/// Whether somebody listens there.
async fn accepts(socket: &Path) -> bool {
    let connecting = tokio::time::timeout(Duration::from_secs(1), UnixStream::connect(socket));
    socket.exists() && connecting.await.is_ok_and(|stream| stream.is_ok())
}

/// A program does not send itself these.
fn is_from_outside(how: &Ended) -> bool {
    use std::os::unix::process::ExitStatusExt;
    let signal = how.as_ref().ok().and_then(ExitStatusExt::signal);
    signal.is_some_and(|signal| [SIGKILL, SIGTERM, SIGINT, SIGHUP].contains(&signal))
}

/// Asks a process that listens and is not in service yet whether it is well.
pub(super) fn check(slot: Weak<Slot>, id: ProcessId, spec: Rc<ProcessSpec>, bound: PathBuf) {
    tokio::task::spawn_local(async move {
        let service = &spec.service;
        let path = format!("/{}/{}/", service.id.plugin, service.id.name);
        let outcome = match service.speaks_http {
            true => health::check(&bound, service.health.as_ref(), &path).await,
            false => Ok(()),
        };
        tell(&slot, Event::Checked(id, outcome));
    });
}
