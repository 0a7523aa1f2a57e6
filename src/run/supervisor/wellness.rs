//! Whether what is in service does its work: it can be reached, it answers, it is not suspended.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::Instant;

use super::Supervisor;
use super::health::{self, Failure};
use super::service::Supervised;
use super::slot::{ProcessSpec, Slot};
use super::together::join_all;
use crate::run::Readiness;

/// So many questions in a row that get no answer mean that a worker hangs.
const PATIENCE: u32 = 3;
/// A socket where nobody takes or refuses a connection for so long is of a worker that is very busy: it is there.
const CONNECTING: Duration = Duration::from_secs(1);

/// What is known of workers that were asked.
#[derive(Debug, Default)]
pub(super) struct Wellness {
    /// Questions in a row without an answer, by process.
    silent: BTreeMap<u32, u32>,
    next: Option<Instant>,
}

impl Supervisor {
    /// Has each worker replaced that nobody can reach any more.
    pub(super) async fn replace_unreachable(&self) {
        let reached = self.serving_slots().into_iter().map(|(spec, slot)| async move {
            if spec.service.readiness != Readiness::Socket {
                return;
            }
            let socket = spec.service.socket(slot.worker, &self.around.var);
            let connecting = tokio::time::timeout(CONNECTING, UnixStream::connect(&socket)).await;
            if let Ok(Err(error)) = connecting
                && matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
                )
            {
                slot.is_unwell(format!(
                    "nobody can connect to {}: {}",
                    crate::text::path(&socket),
                    crate::text::io_reason(&error)
                ));
            }
        });
        join_all(reached).await;
    }

    /// Asks each app that has a test, now and then; a worker that does not answer at all, several times in a row, is
    /// replaced. One that answers otherwise than it should is for a person to judge.
    pub(super) async fn replace_hung(&self) {
        let interval = self.settings.borrow().supervisor.health_interval;
        let is_due = self.wellness.borrow().next.is_none_or(|next| next <= Instant::now());
        if interval.is_zero() || !is_due || self.going_down.get() {
            return;
        }
        self.wellness.borrow_mut().next = Some(Instant::now() + interval);
        let asked = self.serving_slots().into_iter().filter(|(spec, _)| {
            spec.service.readiness == Readiness::Socket
                && spec.service.speaks_http
                && spec.service.health.is_some()
        });
        let asked: Vec<(Rc<ProcessSpec>, Rc<Slot>)> = asked.collect();
        let outcomes = join_all(asked.iter().map(|(spec, slot)| async move {
            let socket = spec.service.socket(slot.worker, &self.around.var);
            health::ask(&socket, spec.service.health.as_ref(), "/").await
        }))
        .await;
        let mut silent = BTreeMap::new();
        for ((_, slot), outcome) in asked.iter().zip(outcomes) {
            let (Some(pid), Err(Failure::NoAnswer(reason))) = (slot.status().pid, outcome) else { continue };
            let times = self.wellness.borrow().silent.get(&pid).copied().unwrap_or(0) + 1;
            if times >= PATIENCE {
                slot.is_unwell(format!("no answer {times} times in a row: {reason}"));
            } else {
                silent.insert(pid, times);
            }
        }
        self.wellness.borrow_mut().silent = silent;
    }

    fn serving_slots(&self) -> Vec<(Rc<ProcessSpec>, Rc<Slot>)> {
        let active = self.active.borrow();
        let services = active.values().flat_map(|active| &active.services);
        services
            .flat_map(Supervised::slots)
            .filter_map(|slot| Some((slot.serving()?, Rc::clone(slot))))
            .collect()
    }
}
