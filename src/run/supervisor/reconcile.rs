//! From what is installed to what runs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::Supervisor;
use super::proxy::OldWorkers;
use super::service::{Supervised, stop_all};
use super::slot::{ProcessSpec, Slot};
use crate::error::{Error, Fault, Problem, Result};
use crate::process::GroupLimits;
use crate::run::model::group_of;
use crate::run::{Plan, Plans, Settings, plan, plans};
use crate::{text, threads};

/// Requests that nginx took by its old configuration are waited for so long before those they may go to are stopped;
/// who is connected then is waited for by the worker itself.
const OLD_REQUESTS: Duration = Duration::from_secs(5);

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

impl Supervisor {
    /// What the services of a plan are started with.
    pub(super) fn specs(&self, plan: &Plan) -> Vec<Rc<ProcessSpec>> {
        let settings = self.settings.borrow();
        let spec = |service: &crate::run::Service| {
            let mut environment = plan.environment_of(service);
            environment.set(super::children::VAR, self.around.var.as_os_str());
            Rc::new(ProcessSpec {
                service: service.clone(),
                environment,
                start_timeout: service.start_timeout.unwrap_or(settings.supervisor.start_timeout),
                longest_wait: settings.supervisor.backoff_max,
            })
        };
        plan.services.iter().map(spec).collect()
    }

    /// Looks at everything whenever somebody asks for it; requests that come meanwhile are one.
    pub(super) async fn look_whenever_asked(self: Rc<Self>) {
        loop {
            let number = self.queue.next().await;
            if let Err(error) = self.reconcile().await {
                self.note(&format!("cannot look at what is installed: {error}"));
                *self.problems.borrow_mut() = vec![error.to_string()];
            }
            if !self.has_looked.replace(true) {
                tokio::task::spawn_local(Rc::clone(&self).tell_when_settled());
            }
            self.queue.finish(number);
            // Kept for the loop where that is at something else just then.
            self.looked.notify_one();
        }
    }

    /// As [`reload`](Supervisor::reload), told to a service manager.
    pub(super) async fn reload_and_tell(&self) -> Result<()> {
        self.notifier.reloading();
        let result = self.reload().await;
        self.notifier.ready(if result.is_ok() { "reloaded" } else { "reloaded, with problems" });
        result
    }

    /// Looks at everything, and says what keeps it from taking effect.
    pub(super) async fn reload(&self) -> Result<()> {
        self.queue.answered(self.queue.ask()).await;
        let problems = self.problems.borrow().clone();
        if !problems.is_empty() {
            let problem = |message| Problem { message, hint: None };
            return Err(Error::many(Fault::Input, problems.into_iter().map(problem).collect()));
        }
        self.proxy.error().map_or(Ok(()), Err)
    }

    /// Looks at everything that is installed, and makes what runs agree with it. Does not wait until processes have
    /// started or ended.
    async fn reconcile(self: &Rc<Self>) -> Result<()> {
        let _deciding = self.deciding.lock().await;
        if self.going_down.get() {
            return Ok(());
        }
        let (module, base, site) =
            (self.options.module.clone(), self.options.plugins_base.clone(), self.site.clone());
        // What is in the home of a plugin that is being changed is not final; whoever changes it will say so. The change
        // may be called off while we look: what was seen then is gone, so both before and after count.
        let unfinished_before = self.base().unfinished();
        let found = threads::apart("a look at the plugins", move || {
            let settings = Settings::load(&module, &site)?;
            let plans = plans(&module, base.as_deref(), &settings, &site)?;
            Ok((settings, plans))
        });
        let (settings, plans): (Settings, Plans) = found.await?;
        self.problems.borrow_mut().clear();
        *self.settings.borrow_mut() = settings;
        self.follow_files(&plans).await;

        let unfinished: Vec<String> = unfinished_before.into_iter().chain(self.base().unfinished()).collect();
        let homes =
            plans.iter().filter_map(|(name, plan)| Some((name.clone(), plan.as_ref().ok()?.identity())));
        let homes: BTreeMap<String, (u64, u64)> = homes.collect();
        if self.desired.settle(&homes) || !unfinished.is_empty() {
            self.look_again();
        }
        let is_left_alone = |name: &String| {
            self.desired.is_busy(name)
                || homes.get(name).is_some_and(|home| self.desired.is_withdrawn(name, *home))
                || unfinished.contains(name)
        };
        self.look_for_internal_plugins(&plans);
        self.write_rules(&plans, is_left_alone).await;
        let mut surplus = Vec::new();
        for (name, plan) in &plans {
            match plan {
                Ok(_) if is_left_alone(name) => {}
                Ok(plan) => {
                    self.bring_back(name);
                    surplus.extend(self.apply(plan));
                }
                Err(error) => {
                    let known = self
                        .plans
                        .borrow()
                        .get(name)
                        .and_then(|plan| plan.as_ref().err().map(ToString::to_string));
                    if known.as_deref() != Some(&error.to_string()) {
                        self.note(&format!("{}: {error}", text::visible(name)));
                    }
                }
            }
        }
        let is_gone = |name: &&String| !plans.contains_key(*name) && !is_left_alone(name);
        let gone: Vec<String> = self.active.borrow().keys().filter(is_gone).cloned().collect();
        for name in gone {
            self.note(&format!("{name}: uninstalled"));
            self.desired.drop_plugin(&name);
            let active = self.active.borrow_mut().remove(&name);
            surplus.extend(active.map(Active::into_slots).unwrap_or_default());
        }
        *self.plans.borrow_mut() = plans;
        self.old_files.plans_are_known();
        let old = self.route().await;
        tokio::task::spawn_local(stop_once_unused(old, surplus));
        Ok(())
    }

    /// Has the observer look where the steps of these plugins take their files from; of those whose plan cannot be made
    /// now, where they took them from.
    async fn follow_files(&self, plans: &Plans) {
        let watched = {
            let active = self.active.borrow();
            let known = |name: &String| active.get(name).map(|active| active.plan.watched.clone());
            plans
                .iter()
                .flat_map(|(name, plan)| match plan {
                    Ok(plan) => plan.watched.clone(),
                    Err(_) => known(name).unwrap_or_default(),
                })
                .collect()
        };
        let settings = self.settings.borrow().clone();
        let site = settings.applied_to(&self.site, &self.options.module);
        self.data_flow.follow(watched, &settings, &site).await;
    }

    fn look_again(self: &Rc<Self>) {
        let supervisor = Rc::clone(self);
        let busy = self.idle.busy();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            supervisor.queue.ask();
            drop(busy);
        });
    }

    /// Starts the plugin, or replaces what runs of it where that differs; what somebody stopped stays stopped. Slots
    /// that are no longer needed are returned, still at work.
    pub(super) fn apply(&self, plan: &Plan) -> Vec<Rc<Slot>> {
        self.limit(plan);
        let mut active = self.active.borrow_mut();
        let known = active.get(plan.name());
        if known.is_some_and(|known| known.plan.runs_like(plan)) {
            if let Some(known) = active.get_mut(plan.name()) {
                known.plan = plan.clone();
            }
            return Vec::new();
        }
        let mut old = active.remove(plan.name()).map(|active| active.services).unwrap_or_default();
        let (mut services, mut surplus) = (Vec::new(), Vec::new());
        for spec in self.specs(plan) {
            let mut service = match take(&mut old, &spec) {
                Some(known) => known,
                None => Supervised::new(Rc::clone(&spec), &self.around),
            };
            surplus.extend(service.fit(Rc::clone(&spec), &self.around));
            for slot in service.slots() {
                if !self.desired.is_stopped(&spec.service.id, slot.worker) {
                    slot.replace(Rc::clone(&spec));
                }
            }
            services.push(service);
        }
        surplus.extend(old.into_iter().flat_map(Supervised::into_slots));
        active.insert(plan.name().to_owned(), Active { plan: plan.clone(), services });
        surplus
    }

    /// Sets the limits of the plugin's processes together.
    pub(super) fn limit(&self, plan: &Plan) {
        if let Some(groups) = &self.around.groups
            && let Err(error) = groups.limit(&group_of(plan.name()), &plan.limits)
        {
            self.note(&format!("{}: its limits cannot be set: {error}", plan.name()));
        }
    }

    /// Why the limits of a plugin cannot be kept on this machine.
    pub(super) fn limits_problem(&self, plan: &Plan) -> Option<String> {
        if plan.limits == GroupLimits::default() {
            return None;
        }
        let Some(groups) = &self.around.groups else {
            return Some(
                "memory_max and cpu_max have no effect: there are no control groups (version 2) here"
                    .to_owned(),
            );
        };
        let missing = groups.missing_for(&plan.limits)?;
        Some(format!(
            "its limit has no effect: the controller `{missing}` of control groups is not in our hands"
        ))
    }

    /// Tells nginx who answers for what now. Whatever keeps it from following is in its status.
    pub(super) async fn route(&self) -> OldWorkers {
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

    /// Whether nginx takes the plugin's new configuration together with that of all others.
    pub(super) async fn proxy_accepts(&self, plan: &Plan) -> Result<(), String> {
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

    pub(super) async fn plan_of(&self, name: &str) -> Result<Plan> {
        let base = self.base();
        let (module, site, name) = (self.options.module.clone(), self.site.clone(), name.to_owned());
        let site = self.settings.borrow().applied_to(&site, &module);
        threads::apart("a look at a plugin", move || plan(&base.get(&name)?, &base, &module, &site)).await
    }
}

/// The service of this spec, out of those that are known.
pub(super) fn take(known: &mut Vec<Supervised>, spec: &ProcessSpec) -> Option<Supervised> {
    let at = known.iter().position(|service| *service.id() == spec.service.id)?;
    Some(known.swap_remove(at))
}

/// Stops slots that nginx no longer sends requests to.
pub(super) async fn stop_once_unused(old: OldWorkers, slots: Vec<Rc<Slot>>) {
    if !slots.is_empty() {
        let _ = tokio::time::timeout(OLD_REQUESTS, old.gone()).await;
        stop_all(&slots).await;
    }
}
