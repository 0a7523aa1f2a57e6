//! What people ask for by name: stop, restart.

use std::rc::Rc;

use super::Supervisor;
use super::desired::name_of;
use super::service::{Supervised, stop_all};
use super::slot::{ProcessSpec, Slot};
use super::swap::served_anew;
use crate::error::{Error, Result};
use crate::text;

/// What the module's own programs are called among plugins.
const NGINX: &str = "nginx";
const REDIS: &str = "redis";

/// What a name stands for.
struct Found {
    plugin: String,
    /// As they are written down: `hello`, or services or workers of it.
    names: Vec<String>,
    /// Every worker of the plugin.
    workers: Vec<String>,
    slots: Vec<(Rc<ProcessSpec>, Rc<Slot>)>,
}

impl Supervisor {
    /// Starts anew, gracefully: a plugin, one of its services, or nginx. `wait`: until the new processes serve.
    pub(super) async fn restart(self: &Rc<Self>, names: &[String], wait: bool) -> Result<()> {
        for name in names.iter().filter(|name| *name != NGINX && *name != REDIS) {
            self.find(name)?;
        }
        for name in names {
            match name.as_str() {
                NGINX => self.proxy.restart().await?,
                REDIS if self.find(REDIS).is_err() => self.data_flow.restart_redis()?,
                name => self.restart_one(name, wait).await?,
            }
        }
        Ok(())
    }

    async fn restart_one(self: &Rc<Self>, name: &str, wait: bool) -> Result<()> {
        let plugin = self.find(name)?.plugin;
        // Whoever replaces it is waited for; what is found after that is the new version.
        let busy = self.desired.occupied(&plugin).await;
        let found = self.find(name)?;
        self.desired.start(&found.names, &found.workers)?;
        let before: Vec<_> = found.slots.iter().map(|(_, slot)| slot.serving_process()).collect();
        for (spec, slot) in &found.slots {
            slot.replace(Rc::clone(spec));
        }
        let outcome = if wait { served_anew(&found.slots, &before).await } else { Ok(()) };
        drop(busy);
        self.queue.ask();
        outcome.map_err(|reason| {
            Error::input(format!("`{}` has not restarted: {reason}", text::visible(name)))
                .hint(format!("`mwp logs {plugin}` shows what it said"))
        })
    }

    /// Stops plugins or services of theirs; without a name, everything but nginx. That is written down: it stays
    /// stopped until somebody restarts it, or brings the module up.
    pub(super) async fn stop(self: &Rc<Self>, names: Vec<String>) -> Result<()> {
        let names = match names.is_empty() {
            true => self.active.borrow().keys().cloned().collect(),
            false => names,
        };
        for name in &names {
            self.find(name)?;
        }
        let mut slots = Vec::new();
        for name in names {
            let plugin = self.find(&name)?.plugin;
            let _busy = self.desired.occupied(&plugin).await;
            let found = self.find(&name)?;
            self.desired.stop(&found.names)?;
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
            let known = found.services.iter().map(|service| service.id().to_string());
            return Err(unknown(what, known.collect()));
        }
        let is_worker = |slot: &&Rc<Slot>| worker.is_none_or(|worker| worker == slot.worker.to_string());
        let slots: Vec<_> = services.iter().flat_map(|service| service.pairs()).collect();
        let slots: Vec<_> = slots.into_iter().filter(|(_, slot)| is_worker(&slot)).collect();
        if slots.is_empty() && worker.is_some() {
            let what = format!("there is no worker `{}`", text::visible(name));
            let known = services.iter().flat_map(|service| {
                service.slots().iter().map(|slot| format!("{}/{}", service.id(), slot.worker))
            });
            return Err(unknown(what, known.collect()));
        }
        let of_worker = |(spec, slot): (Rc<ProcessSpec>, Rc<Slot>)| {
            format!("{}/{}", name_of(&spec.service.id), slot.worker)
        };
        let names = match (service, worker) {
            (None, _) => vec![plugin.to_owned()],
            (Some(_), None) => services.iter().map(|service| name_of(service.id())).collect(),
            (Some(_), Some(_)) => slots.iter().cloned().map(of_worker).collect(),
        };
        let workers = found.services.iter().flat_map(Supervised::pairs).map(of_worker).collect();
        Ok(Found { plugin: plugin.to_owned(), names, workers, slots })
    }
}
