//! A service that is run: its slots.

use std::rc::Rc;

use super::slot::{Context, Outcome, ProcessSpec, Slot};
use super::together::join_all;
use crate::run::ServiceId;

#[derive(Debug)]
pub(super) struct Supervised {
    pub(super) spec: Rc<ProcessSpec>,
    slots: Vec<Rc<Slot>>,
}

impl Supervised {
    /// Nothing is started yet.
    pub(super) fn new(spec: Rc<ProcessSpec>, around: &Rc<Context>) -> Supervised {
        let mut service = Supervised::empty(Rc::clone(&spec));
        service.fit(spec, around);
        service
    }

    /// Without slots, for those that are made elsewhere.
    pub(super) fn empty(spec: Rc<ProcessSpec>) -> Supervised {
        Supervised { spec, slots: Vec::new() }
    }

    pub(super) fn id(&self) -> &ServiceId {
        &self.spec.service.id
    }

    /// From now on this is its spec. Makes room for its workers; slots beyond are returned, still at work.
    pub(super) fn fit(&mut self, spec: Rc<ProcessSpec>, around: &Rc<Context>) -> Vec<Rc<Slot>> {
        let slots = self.slots_for(&spec, around);
        self.adopt(spec, slots)
    }

    /// The slots for another spec of this service: those that are there, and new ones.
    pub(super) fn slots_for(&self, spec: &Rc<ProcessSpec>, around: &Rc<Context>) -> Vec<Rc<Slot>> {
        let wanted = spec.service.workers as usize;
        let mut slots: Vec<_> = self.slots.iter().take(wanted).cloned().collect();
        for worker in slots.len()..wanted {
            let number = u32::try_from(worker + 1).unwrap_or(u32::MAX);
            slots.push(Slot::new(number, Rc::clone(spec), around));
        }
        slots
    }

    /// Takes over slots that are at work for the spec; those that are superfluous now are returned, still at work.
    pub(super) fn adopt(&mut self, spec: Rc<ProcessSpec>, slots: Vec<Rc<Slot>>) -> Vec<Rc<Slot>> {
        self.spec = spec;
        let old = std::mem::replace(&mut self.slots, slots);
        let is_kept = |old: &Rc<Slot>| self.slots.iter().any(|slot| Rc::ptr_eq(slot, old));
        old.into_iter().filter(|slot| !is_kept(slot)).collect()
    }

    pub(super) fn slots(&self) -> &[Rc<Slot>] {
        &self.slots
    }

    /// Each slot, with what is to serve there.
    pub(super) fn pairs(&self) -> Vec<(Rc<ProcessSpec>, Rc<Slot>)> {
        self.slots.iter().map(|slot| (Rc::clone(&self.spec), Rc::clone(slot))).collect()
    }

    pub(super) fn into_slots(self) -> Vec<Rc<Slot>> {
        self.slots
    }
}

/// Starts a candidate in each slot, and waits until all are ready; else the first that is not says why.
pub(super) async fn prepare(slots: &[(Rc<ProcessSpec>, Rc<Slot>)]) -> Outcome {
    let outcomes = join_all(slots.iter().map(|(spec, slot)| slot.prepare(Rc::clone(spec)))).await;
    let failed = slots.iter().zip(outcomes).find_map(|((spec, slot), outcome)| {
        outcome.err().map(|reason| format!("{} {}: {reason}", spec.service.id, slot.worker))
    });
    failed.map_or(Ok(()), Err)
}

pub(super) async fn stop_all(slots: &[Rc<Slot>]) {
    join_all(slots.iter().map(Slot::stop)).await;
}
