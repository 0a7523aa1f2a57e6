//! From what is installed to what runs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Supervisor;
use super::proxy::OldWorkers;
use super::service::{Supervised, prepare, stop_all};
use super::slot::{Job, Order, Slot};
use crate::error::{Error, Problem, Result};
use crate::run::{Plan, Plans, Settings, plan, plans};
use crate::text;

/// A plugin that is still there so long after it was to be removed stays.
const WITHDRAWN: Duration = Duration::from_secs(20);

/// A plugin that runs.
pub(super) struct Active {
    /// What its processes were started by.
    pub(super) plan: Plan,
    pub(super) services: Vec<Supervised>,
}

impl Active {
    pub(super) fn into_slots(self) -> Vec<Rc<Slot>> {
        self.services.into_iter().flat_map(Supervised::into_slots).collect()
    }
}

fn jobs(plan: &Plan, supervisor: &Supervisor) -> Vec<Rc<Job>> {
    let job = |service: &crate::run::Service| {
        let mut environment = plan.environment_of(service);
        environment.set(super::children::VAR, supervisor.around.var.as_os_str());
        Rc::new(Job { service: service.clone(), environment })
    };
    plan.services.iter().map(job).collect()
}

impl Supervisor {
    /// Looks at everything that is installed, and makes what runs agree with it. Does not wait until processes have
    /// started or ended.
    pub(super) async fn reconcile(self: &Rc<Self>) -> Result<()> {
        let _deciding = self.deciding.lock().await;
        if self.going_down.get() {
            return Ok(());
        }
        let (module, base, site) =
            (self.options.module.clone(), self.options.plugins_base.clone(), self.site.clone());
        let found = tokio::task::spawn_blocking(move || {
            let settings = Settings::load(&module, &site)?;
            let plans = plans(&module, base.as_deref(), &settings, &site)?;
            Ok((settings, plans))
        });
        let (settings, plans): (Settings, Plans) = found.await.map_err(|error| panicked(&error))??;
        self.problems.borrow_mut().clear();
        *self.settings.borrow_mut() = settings;

        // What is in the home of a plugin that is being changed is not final; whoever changes it will say so.
        let unfinished = self.base().unfinished();
        self.withdrawn
            .borrow_mut()
            .retain(|name, since| plans.contains_key(name) && since.elapsed() < WITHDRAWN);
        let is_busy = |name: &String| {
            self.busy.borrow().contains(name)
                || self.withdrawn.borrow().contains_key(name)
                || unfinished.as_ref() == Some(name)
        };
        if unfinished.is_some() {
            self.look_again();
        }
        let mut surplus = Vec::new();
        for (name, plan) in &plans {
            match plan {
                Ok(_) if is_busy(name) => {}
                Ok(plan) => surplus.extend(self.apply(plan)),
                Err(error) => self.note(&format!("{}: {error}", text::visible(name))),
            }
        }
        let gone: Vec<String> = {
            let active = self.active.borrow();
            active.keys().filter(|name| !plans.contains_key(*name) && !is_busy(name)).cloned().collect()
        };
        for name in gone {
            self.note(&format!("{name}: uninstalled"));
            surplus
                .extend(self.active.borrow_mut().remove(&name).map(Active::into_slots).unwrap_or_default());
        }
        *self.plans.borrow_mut() = plans;
        let old = self.route().await;
        tokio::task::spawn_local(stop_once_unused(old, surplus));
        Ok(())
    }

    fn look_again(self: &Rc<Self>) {
        let supervisor = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            supervisor.changed.notify_one();
        });
    }

    /// Starts the plugin, or replaces what runs of it where that differs. Slots that are no longer needed are returned,
    /// still at work.
    fn apply(&self, plan: &Plan) -> Vec<Rc<Slot>> {
        let mut active = self.active.borrow_mut();
        let known = active.get(plan.name());
        if known.is_some_and(|known| known.plan.runs_like(plan)) {
            if let Some(known) = active.get_mut(plan.name()) {
                known.plan = plan.clone();
            }
            return Vec::new();
        }
        let mut old = active.remove(plan.name()).map(|active| active.services).unwrap_or_default();
        let is_stopped = self.stopped.borrow().contains(plan.name());
        let (mut services, mut surplus) = (Vec::new(), Vec::new());
        for job in jobs(plan, self) {
            let known = old.iter().position(|service| *service.id() == job.service.id);
            let mut service = match known {
                Some(known) => old.swap_remove(known),
                None => Supervised::new(Rc::clone(&job), &self.around),
            };
            if is_stopped {
                service.job = job;
            } else {
                surplus.extend(service.replace(job, &self.around));
            }
            services.push(service);
        }
        surplus.extend(old.into_iter().flat_map(Supervised::into_slots));
        active.insert(plan.name().to_owned(), Active { plan: plan.clone(), services });
        surplus
    }

    /// Tells nginx who answers for what now. Whatever keeps it from following is in its status.
    async fn route(&self) -> OldWorkers {
        let plans: Vec<_> = self
            .active
            .borrow()
            .values()
            .map(|active| (active.plan.plugin.clone(), active.plan.services.clone()))
            .collect();
        let settings = self.settings.borrow().clone();
        let site = settings.applied_to(&self.site, &self.options.module);
        self.proxy.apply(plans, settings, site).await.unwrap_or_else(|error| {
            self.note(&format!("nginx: {error}"));
            OldWorkers::default()
        })
    }

    /// Puts what is in the plugin's home into service in place of what runs. Either all of it is in service when this
    /// returns and the old processes have ended, or the old ones go on as if nothing had been.
    pub(super) async fn swap(self: &Rc<Self>, name: &str) -> Result<()> {
        let _busy = Busy::new(self, name)?;
        self.withdrawn.borrow_mut().remove(name);
        let deciding = self.deciding.lock().await;
        let plan = self.plan_of(name).await?;
        if !self.active.borrow().contains_key(name) {
            let surplus = self.apply(&plan);
            self.plans.borrow_mut().insert(name.to_owned(), Ok(plan));
            let old = self.route().await;
            drop(deciding);
            stop_once_unused(old, surplus).await;
            return Ok(());
        }
        self.note(&format!("{name}: the new version starts beside the old one"));
        // Others may change what they want while this plugin's new processes start.
        drop(deciding);

        let mut pairs: Vec<(Rc<Job>, Vec<Rc<Slot>>)> = Vec::new();
        {
            let active = self.active.borrow();
            let old = active.get(name).map(|active| active.services.as_slice()).unwrap_or_default();
            for job in jobs(&plan, self) {
                let slots = match old.iter().find(|service| *service.id() == job.service.id) {
                    Some(service) => service.slots_for(&job, &self.around),
                    None => Supervised::new(Rc::clone(&job), &self.around).into_slots(),
                };
                pairs.push((job, slots));
            }
        }
        let flat: Vec<_> = pairs
            .iter()
            .flat_map(|(job, slots)| slots.iter().map(|slot| (Rc::clone(job), Rc::clone(slot))))
            .collect();
        if let Err(reason) = prepare(&flat).await {
            return Err(self.call_off(name, flat, &reason).await);
        }

        let deciding = self.deciding.lock().await;
        if let Err(reason) = self.proxy_accepts(&plan).await {
            return Err(self.call_off(name, flat, &reason).await);
        }
        self.note(&format!("{name}: the new version takes over"));
        let surplus = self.adopt(&plan, pairs);
        let leaving: Vec<_> = flat.iter().map(|(_, slot)| slot.commit()).collect();
        self.plans.borrow_mut().insert(name.to_owned(), Ok(plan));
        let old = self.route().await;
        drop(deciding);
        futures_util::future::join_all(leaving).await;
        stop_once_unused(old, surplus).await;
        self.note(&format!("{name}: the old version has ended"));
        Ok(())
    }

    /// Ends what was started of a new version.
    async fn call_off(&self, name: &str, slots: Vec<(Rc<Job>, Rc<Slot>)>, reason: &str) -> Error {
        let at_work: Vec<Rc<Slot>> = self
            .active
            .borrow()
            .get(name)
            .into_iter()
            .flat_map(|active| &active.services)
            .flat_map(|service| service.slots().iter().cloned())
            .collect();
        let is_new = |slot: &Rc<Slot>| !at_work.iter().any(|known| Rc::ptr_eq(known, slot));
        let (new, old): (Vec<_>, Vec<_>) = slots.into_iter().map(|(_, slot)| slot).partition(is_new);
        for slot in old {
            slot.order(Order::Abort);
        }
        stop_all(&new).await;
        self.note(&format!("{name}: the new version is not put into service: {reason}"));
        Error::input(format!("the new version of `{name}` is not well: {reason}"))
            .hint(format!("the old one goes on; `mwp logs {name}` shows what the new one said"))
    }

    /// Whether nginx takes the plugin's new configuration together with that of all others.
    async fn proxy_accepts(&self, plan: &Plan) -> Result<(), String> {
        let mut plans: BTreeMap<String, _> = self
            .active
            .borrow()
            .iter()
            .map(|(name, active)| (name.clone(), (active.plan.plugin.clone(), active.plan.services.clone())))
            .collect();
        plans.insert(plan.name().to_owned(), (plan.plugin.clone(), plan.services.clone()));
        let settings = self.settings.borrow().clone();
        let site = settings.applied_to(&self.site, &self.options.module);
        self.proxy.accepts(plan.name(), plans.into_values().collect(), settings, site).await
    }

    fn adopt(&self, plan: &Plan, pairs: Vec<(Rc<Job>, Vec<Rc<Slot>>)>) -> Vec<Rc<Slot>> {
        let mut active = self.active.borrow_mut();
        let mut old = active.remove(plan.name()).map(|active| active.services).unwrap_or_default();
        let (mut services, mut surplus) = (Vec::new(), Vec::new());
        for (job, slots) in pairs {
            let known = old.iter().position(|service| *service.id() == job.service.id);
            let mut service = match known {
                Some(known) => old.swap_remove(known),
                None => Supervised::empty(Rc::clone(&job)),
            };
            surplus.extend(service.adopt(job, slots));
            services.push(service);
        }
        surplus.extend(old.into_iter().flat_map(Supervised::into_slots));
        self.stopped.borrow_mut().remove(plan.name());
        active.insert(plan.name().to_owned(), Active { plan: plan.clone(), services });
        surplus
    }

    /// Takes a plugin out of service: first nobody is sent there any more, then its processes end.
    pub(super) async fn withdraw(&self, name: &str) {
        let deciding = self.deciding.lock().await;
        let Some(active) = self.active.borrow_mut().remove(name) else { return };
        self.plans.borrow_mut().remove(name);
        self.stopped.borrow_mut().remove(name);
        self.withdrawn.borrow_mut().insert(name.to_owned(), Instant::now());
        self.note(&format!("{name}: taken out of service"));
        let old = self.route().await;
        drop(deciding);
        stop_once_unused(old, active.into_slots()).await;
    }

    async fn plan_of(&self, name: &str) -> Result<Plan> {
        let base = self.base();
        let (module, site, name) = (self.options.module.clone(), self.site.clone(), name.to_owned());
        let site = self.settings.borrow().applied_to(&site, &module);
        let found = tokio::task::spawn_blocking(move || plan(&base.get(&name)?, &base, &module, &site));
        found.await.map_err(|error| panicked(&error))?
    }

    /// Starts anew, gracefully: a plugin, one of its services, or nginx.
    pub(super) async fn restart(self: &Rc<Self>, name: &str) -> Result<()> {
        if name == "nginx" {
            return self.proxy.restart().await;
        }
        let found = self.find(name)?;
        self.stopped.borrow_mut().remove(&found.plugin);
        for (job, slot) in &found.slots {
            slot.order(Order::Replace(Rc::clone(job)));
        }
        Ok(())
    }

    /// Stops a plugin or one of its services; without a name, everything but nginx.
    pub(super) async fn stop(self: &Rc<Self>, name: Option<&str>) -> Result<()> {
        let names: Vec<String> = match name {
            Some(name) => vec![name.to_owned()],
            None => self.active.borrow().keys().cloned().collect(),
        };
        let mut slots = Vec::new();
        for name in names {
            let found = self.find(&name)?;
            if found.is_whole_plugin {
                self.stopped.borrow_mut().insert(found.plugin);
            }
            slots.extend(found.slots.into_iter().map(|(_, slot)| slot));
        }
        stop_all(&slots).await;
        Ok(())
    }

    /// `hello`, `hello/main` or `hello/main/2`; where an app and a daemon share a name, `hello/app_main`.
    fn find(&self, name: &str) -> Result<Found> {
        let active = self.active.borrow();
        let mut parts = name.splitn(3, '/');
        let plugin = parts.next().unwrap_or_default();
        let (service, worker) = (parts.next(), parts.next());
        let unknown = |what: String, known: Vec<String>| {
            let nearest = text::nearest(name, known.iter().map(String::as_str));
            let hint = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if known.is_empty() => "nothing runs".to_owned(),
                None => format!("there are: {}", known.join(", ")),
            };
            Error::input(what).hint(hint)
        };
        let Some(found) = active.get(plugin) else {
            let what = format!("no plugin `{}` runs in {}", text::visible(plugin), self.options.module);
            return Err(unknown(what, active.keys().cloned().collect()));
        };
        let is_meant = |candidate: &&Supervised| match service {
            None => true,
            Some(service) => {
                let id = candidate.id();
                service == id.name || service == format!("{}_{}", id.kind.word(), id.name)
            }
        };
        let services: Vec<_> = found.services.iter().filter(is_meant).collect();
        if services.is_empty() && service.is_some() {
            let what = format!("there is no `{}`", text::visible(name));
            return Err(unknown(
                what,
                found.services.iter().map(|service| service.id().to_string()).collect(),
            ));
        }
        let is_worker = |slot: &&Rc<Slot>| worker.is_none_or(|worker| worker == slot.worker.to_string());
        let slots: Vec<_> = services
            .iter()
            .flat_map(|service| {
                service
                    .slots()
                    .iter()
                    .filter(is_worker)
                    .map(|slot| (Rc::clone(&service.job), Rc::clone(slot)))
            })
            .collect();
        if slots.is_empty() && worker.is_some() {
            let what = format!("there is no worker `{}`", text::visible(name));
            return Err(unknown(what, Vec::new()));
        }
        Ok(Found { plugin: plugin.to_owned(), is_whole_plugin: service.is_none(), slots })
    }
}

/// Stops slots that nginx no longer sends requests to.
async fn stop_once_unused(old: OldWorkers, slots: Vec<Rc<Slot>>) {
    if !slots.is_empty() {
        old.gone().await;
        stop_all(&slots).await;
    }
}

struct Found {
    plugin: String,
    is_whole_plugin: bool,
    slots: Vec<(Rc<Job>, Rc<Slot>)>,
}

/// Keeps others from a plugin.
struct Busy {
    supervisor: Rc<Supervisor>,
    name: String,
}

impl Busy {
    fn new(supervisor: &Rc<Supervisor>, name: &str) -> Result<Busy> {
        if !supervisor.busy.borrow_mut().insert(name.to_owned()) {
            return Err(Error::machine(format!("`{}` is being replaced already", text::visible(name)))
                .hint("wait until that has come to its end"));
        }
        Ok(Busy { supervisor: Rc::clone(supervisor), name: name.to_owned() })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.supervisor.busy.borrow_mut().remove(&self.name);
        // What happened meanwhile was left for now.
        self.supervisor.changed.notify_one();
    }
}

fn panicked(error: &tokio::task::JoinError) -> Error {
    Error::many(
        crate::error::Fault::Machine,
        vec![Problem { message: format!("a look at the plugins failed: {error}"), hint: None }],
    )
}
