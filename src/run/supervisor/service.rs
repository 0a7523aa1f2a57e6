//! A service that is run: its slots.

use std::rc::Rc;

use futures_util::future::join_all;

use super::slot::{Context, Job, Outcome, Slot};
use crate::run::ServiceId;

#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) job: Rc<Job>,
    slots: Vec<Rc<Slot>>,
}

impl Supervised {
    /// Nothing is started yet.
    pub(super) fn new(job: Rc<Job>, around: &Rc<Context>) -> Supervised {
        let mut service = Supervised::empty(Rc::clone(&job));
        service.fit(job, around);
        service
    }

    /// Without slots, for those that are made elsewhere.
    pub(super) fn empty(job: Rc<Job>) -> Supervised {
        Supervised { job, slots: Vec::new() }
    }

    pub(super) fn id(&self) -> &ServiceId {
        &self.job.service.id
    }

    /// From now on this is its job. Makes room for its workers; slots beyond are returned, still at work.
    pub(super) fn fit(&mut self, job: Rc<Job>, around: &Rc<Context>) -> Vec<Rc<Slot>> {
        let slots = self.slots_for(&job, around);
        self.adopt(job, slots)
    }

    /// The slots for another job of this service: those that are there, and new ones.
    pub(super) fn slots_for(&self, job: &Rc<Job>, around: &Rc<Context>) -> Vec<Rc<Slot>> {
        let wanted = job.service.workers as usize;
        let mut slots: Vec<_> = self.slots.iter().take(wanted).cloned().collect();
        for worker in slots.len()..wanted {
            let number = u32::try_from(worker + 1).unwrap_or(u32::MAX);
            slots.push(Slot::new(number, Rc::clone(job), around));
        }
        slots
    }

    /// Takes over slots that are at work for the job; those that are superfluous now are returned, still at work.
    pub(super) fn adopt(&mut self, job: Rc<Job>, slots: Vec<Rc<Slot>>) -> Vec<Rc<Slot>> {
        self.job = job;
        let old = std::mem::replace(&mut self.slots, slots);
        let is_kept = |old: &Rc<Slot>| self.slots.iter().any(|slot| Rc::ptr_eq(slot, old));
        old.into_iter().filter(|slot| !is_kept(slot)).collect()
    }

    pub(super) fn slots(&self) -> &[Rc<Slot>] {
        &self.slots
    }

    /// Each slot, with what is to serve there.
    pub(super) fn pairs(&self) -> Vec<(Rc<Job>, Rc<Slot>)> {
        self.slots.iter().map(|slot| (Rc::clone(&self.job), Rc::clone(slot))).collect()
    }

    pub(super) fn into_slots(self) -> Vec<Rc<Slot>> {
        self.slots
    }
}

/// Starts a candidate in each slot, and waits until all are ready; else the first that is not says why.
pub(super) async fn prepare(slots: &[(Rc<Job>, Rc<Slot>)]) -> Outcome {
    let outcomes = join_all(slots.iter().map(|(job, slot)| slot.prepare(Rc::clone(job)))).await;
    let failed = slots.iter().zip(outcomes).find_map(|((job, slot), outcome)| {
        outcome.err().map(|reason| format!("{} {}: {reason}", job.service.id, slot.worker))
    });
    failed.map_or(Ok(()), Err)
}

pub(super) async fn stop_all(slots: &[Rc<Slot>]) {
    join_all(slots.iter().map(Slot::stop)).await;
}
