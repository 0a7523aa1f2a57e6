//! A new version in place of the one that serves, and a plugin out of service: what others wait for.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Supervisor;
use super::desired::Busy;
use super::reconcile::{Active, stop_once_unused, take};
use super::service::{Supervised, prepare, stop_all};
use super::slot::{Outcome, ProcessId, ProcessSpec, Slot};
use super::together::join_all;
use crate::error::{Error, Result};
use crate::run::Plan;
use crate::run::status::State;
use crate::text;

/// Who has nothing under way has ended by then; whoever asked for the change does not wait for the others.
const GRACE: Duration = Duration::from_millis(700);

/// A service of a new version, with a slot for each of its workers.
type Room = (Rc<ProcessSpec>, Vec<Rc<Slot>>);
/// A slot, and what is to serve in it.
type Pair = (Rc<ProcessSpec>, Rc<Slot>);

impl Supervisor {
    /// Puts what is in the plugin's home into service in place of what runs. All of it is in service when this returns
    /// without an error; else what ran goes on. What is replaced ends by itself, as soon as nothing is under way there.
    ///
    /// Whoever asked for it and goes away has called it off, as long as the new version does not serve.
    pub(super) async fn swap(self: &Rc<Self>, name: &str) -> Result<()> {
        let Some(busy) = self.desired.occupy(name) else {
            return Err(Error::machine(format!("`{}` is being replaced already", text::visible(name)))
                .hint("wait until that has come to its end"));
        };
        self.desired.come_back(name);
        // From the start: whoever asked may be gone before the plan is read.
        let called_off = Rc::new(Notify::new());
        self.swaps.borrow_mut().insert(name.to_owned(), Rc::clone(&called_off));
        let result = self.swap_alone(name, &called_off, &busy).await;
        self.swaps.borrow_mut().remove(name);
        drop(busy);
        // What happened meanwhile was left for now.
        self.queue.ask();
        result
    }

    async fn swap_alone(self: &Rc<Self>, name: &str, called_off: &Notify, _: &Busy) -> Result<()> {
        let deciding = self.deciding.lock().await;
        let plan = self.plan_of(name).await?;
        let is_stopped = self.desired.is_plugin_stopped(name);
        if is_stopped || !self.active.borrow().contains_key(name) {
            let surplus = self.apply(&plan);
            self.plans.borrow_mut().insert(name.to_owned(), Ok(plan));
            let old = self.route().await;
            drop(deciding);
            tokio::task::spawn_local(stop_once_unused(old, surplus));
            let slots = self.slots_at_work(name);
            return self.wait_until_served(name, &slots).await;
        }
        self.note(&format!("{name}: the new version starts beside the old one"));
        // Others may change what they want while this plugin's new processes start.
        drop(deciding);

        self.limit(&plan);
        let (services, pairs) = self.room_for(&plan);
        let prepared = tokio::select! {
            prepared = prepare_in_turn(&pairs) => prepared,
            () = called_off.notified() => Err("it was called off".to_owned()),
        };
        if let Err(reason) = prepared {
            return Err(self.call_off(name, pairs, &reason).await);
        }
        let deciding = self.deciding.lock().await;
        let refused = match self.proxy_accepts(&plan).await {
            // While nginx was asked one of them may have died.
            Ok(()) => {
                pairs.iter().find_map(|(spec, slot)| slot.is_ready().err().map(|why| place(spec, slot, &why)))
            }
            Err(reason) => Some(reason),
        };
        // From here on it is too late to call it off.
        let is_called_off = self.swaps.borrow_mut().remove(name).is_none();
        let refused = refused.or(is_called_off.then(|| "it was called off".to_owned()));
        if let Some(reason) = refused {
            return Err(self.call_off(name, pairs, &reason).await);
        }
        self.note(&format!("{name}: the new version takes over"));
        for (spec, slot) in &pairs {
            if let Err(reason) = slot.commit() {
                // Out of service as soon as it was in it: it starts again, and is waited for below.
                self.note(&format!("{name}: {}", place(spec, slot, &reason)));
                slot.replace(Rc::clone(spec));
            }
        }
        let surplus = self.adopt(&plan, services);
        self.plans.borrow_mut().insert(name.to_owned(), Ok(plan));
        let old = self.route().await;
        drop(deciding);
        self.wait_until_served(name, &pairs).await?;
        let replaced: Vec<Rc<Slot>> = pairs.iter().map(|(_, slot)| Rc::clone(slot)).collect();
        let ending = async { join_all(replaced.iter().map(|slot| slot.drained())).await };
        let has_ended = tokio::time::timeout(GRACE, ending).await.is_ok();
        tokio::task::spawn_local(stop_once_unused(old, surplus));
        let rest = if has_ended { "has ended" } else { "answers what is under way, then ends" };
        self.note(&format!("{name}: the new version serves; the old one {rest}"));
        Ok(())
    }

    /// Gives up the plugin's swap, where it can be given up; returns when what ran has the place for itself.
    pub(super) async fn call_off_swap(&self, name: &str) -> Result<()> {
        let Some(called_off) = self.swaps.borrow_mut().remove(name) else {
            return Err(Error::input(format!("the new version of `{}` serves already", text::visible(name)))
                .hint("install the old one again to go back"));
        };
        called_off.notify_one();
        drop(self.desired.occupied(name).await);
        Ok(())
    }

    /// The services of a plan with a slot for each worker, those that are at work first; and the slots where something
    /// is to serve.
    fn room_for(&self, plan: &Plan) -> (Vec<Room>, Vec<Pair>) {
        let active = self.active.borrow();
        let old = active.get(plan.name()).map(|active| active.services.as_slice()).unwrap_or_default();
        let (mut services, mut pairs) = (Vec::new(), Vec::new());
        for spec in self.specs(plan) {
            let slots = match old.iter().find(|service| *service.id() == spec.service.id) {
                Some(service) => service.slots_for(&spec, &self.around),
                None => Supervised::new(Rc::clone(&spec), &self.around).into_slots(),
            };
            let is_wanted = |slot: &&Rc<Slot>| !self.desired.is_stopped(&spec.service.id, slot.worker);
            pairs.extend(slots.iter().filter(is_wanted).map(|slot| (Rc::clone(&spec), Rc::clone(slot))));
            services.push((spec, slots));
        }
        (services, pairs)
    }

    /// Ends what was started of a new version.
    async fn call_off(&self, name: &str, pairs: Vec<Pair>, reason: &str) -> Error {
        let at_work = self.slots_at_work(name);
        let is_new = |slot: &Rc<Slot>| !at_work.iter().any(|(_, known)| Rc::ptr_eq(known, slot));
        let (new, old): (Vec<_>, Vec<_>) = pairs.into_iter().map(|(_, slot)| slot).partition(is_new);
        for slot in old {
            if slot.is_displaced() {
                // It starts again once its home is its own again: when the change is undone.
                self.displaced.borrow_mut().entry(name.to_owned()).or_default().push(slot);
            } else {
                slot.abort();
            }
        }
        stop_all(&new).await;
        self.note(&format!("{name}: the new version is not put into service: {reason}"));
        not_well(name, reason)
    }

    /// What a new version had displaced that was called off starts again.
    pub(super) fn bring_back(&self, name: &str) {
        for slot in self.displaced.borrow_mut().remove(name).into_iter().flatten() {
            slot.abort();
        }
    }

    fn adopt(&self, plan: &Plan, services: Vec<Room>) -> Vec<Rc<Slot>> {
        let mut active = self.active.borrow_mut();
        let mut old = active.remove(plan.name()).map(|active| active.services).unwrap_or_default();
        let (mut new, mut surplus) = (Vec::new(), Vec::new());
        for (spec, slots) in services {
            let mut service = take(&mut old, &spec).unwrap_or_else(|| Supervised::empty(Rc::clone(&spec)));
            surplus.extend(service.adopt(spec, slots));
            new.push(service);
        }
        surplus.extend(old.into_iter().flat_map(Supervised::into_slots));
        active.insert(plan.name().to_owned(), Active { plan: plan.clone(), services: new });
        surplus
    }

    /// The slots of a plugin where something is to serve.
    fn slots_at_work(&self, name: &str) -> Vec<Pair> {
        let active = self.active.borrow();
        let services = active.get(name).into_iter().flat_map(|active| &active.services);
        services
            .flat_map(|service| {
                service.slots().iter().map(|slot| (Rc::clone(&service.spec), Rc::clone(slot)))
            })
            .filter(|(spec, slot)| !self.desired.is_stopped(&spec.service.id, slot.worker))
            .collect()
    }

    async fn wait_until_served(&self, name: &str, pairs: &[Pair]) -> Result<()> {
        served(pairs).await.map_err(|reason| {
            self.note(&format!("{name}: the new version does not serve: {reason}"));
            not_well(name, &reason)
        })
    }

    /// Takes a plugin out of service: first nobody is sent there any more, then its processes end. What is under way is
    /// not waited for for long, and answered all the same.
    pub(super) async fn withdraw(&self, name: &str) {
        let _busy = self.desired.occupied(name).await;
        let deciding = self.deciding.lock().await;
        let Some(active) = self.active.borrow_mut().remove(name) else { return };
        self.plans.borrow_mut().remove(name);
        self.desired.withdraw(name, Some(active.plan.identity()));
        self.note(&format!("{name}: taken out of service"));
        let old = self.route().await;
        drop(deciding);
        let stopping = tokio::task::spawn_local(stop_once_unused(old, active.into_slots()));
        let _ = tokio::time::timeout(GRACE, stopping).await;
    }
}

fn not_well(name: &str, reason: &str) -> Error {
    Error::input(format!("the new version of `{name}` is not well: {reason}"))
        .hint(format!("the old one goes on; `mwp logs {name}` shows what the new one said"))
}

fn place(spec: &ProcessSpec, slot: &Slot, reason: &str) -> String {
    format!("{} {}: {reason}", spec.service.id, slot.worker)
}

/// Those that can run beside their predecessors first: until they are all well nothing has happened to what serves.
async fn prepare_in_turn(pairs: &[Pair]) -> Outcome {
    let (beside, instead): (Vec<Pair>, Vec<Pair>) =
        pairs.iter().cloned().partition(|(spec, _)| spec.service.readiness == crate::run::Readiness::Socket);
    prepare(&beside).await?;
    prepare(&instead).await
}

/// Waits until each slot has its spec in service; else says why one has not.
async fn served(pairs: &[Pair]) -> Outcome {
    served_anew(pairs, &vec![None; pairs.len()]).await
}

/// As [`served`], by another process than before.
pub(super) async fn served_anew(pairs: &[Pair], before: &[Option<ProcessId>]) -> Outcome {
    let begun = Instant::now();
    for ((spec, slot), before) in pairs.iter().zip(before) {
        let is_anew = || before.is_none() || slot.serving_process() != *before;
        while !(slot.serving().is_some_and(|serving| serving == *spec) && is_anew()) {
            let status = slot.status();
            let failed = status.state == State::Waiting || status.outdated || status.state == State::Stopped;
            if failed || begun.elapsed() > spec.start_timeout {
                let reason = status.last_error.unwrap_or_else(|| "it has not started".to_owned());
                return Err(place(spec, slot, &reason));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}
