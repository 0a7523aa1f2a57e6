//! What runs, told truthfully.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::own_check::own_check;
use super::reconcile::Active;
use super::service::Supervised;
use super::slot::Slot;
use super::together::join_all;
use super::{Supervisor, children, health};
use crate::env;
use crate::process::facts;
use crate::process::sockets::all_connections;
use crate::process::tree::Processes;
use crate::run::data::Figures;
use crate::run::model::{group_of, queue_of};
use crate::run::status::{ModuleStatus, PluginStatus, QueueStatus, ServiceStatus, State, Test, WorkerStatus};
use crate::run::{Plan, Service, ServiceId, ServiceKind};

/// Between two looks whether everything has started, at most.
const SETTLING: Duration = Duration::from_secs(2);

impl Supervisor {
    /// `checks`: whether apps and plugins are asked, which may take as long as they take to answer.
    pub(super) async fn status(self: &Rc<Self>, checks: bool) -> ModuleStatus {
        if checks {
            self.replace_unreachable().await;
        }
        let seen = Seen { processes: Processes::now(), connections: all_connections() };
        let mut plugins: Vec<PluginStatus> = {
            let active = self.active.borrow();
            let names: std::collections::BTreeSet<String> =
                active.keys().chain(self.plans.borrow().keys()).cloned().collect();
            names.into_iter().map(|name| self.plugin_status(&name, active.get(&name), &seen)).collect()
        };
        if checks {
            self.check(&mut plugins).await;
        }
        let files = self.data_flow.report().await;
        add_queues(&mut plugins, &files.queues);
        for plugin in &mut plugins {
            plugin.ok = plugin.problems.is_empty()
                && plugin.test.as_ref().is_none_or(|test| test.ok)
                && plugin.services.iter().all(is_well);
        }
        let nginx = self.proxy.status().map(|nginx| with_figures(nginx, &seen));
        let redis = self.data_flow.redis_status().map(|redis| with_figures(redis, &seen));
        let mut problems = self.problems.borrow().clone();
        problems.extend(self.data_flow.error().map(|error| error.to_string()).or(files.redis));
        if self.going_down.get() {
            problems.push(format!("{} is going down", self.options.module));
        }
        let settled = |worker: &WorkerStatus| worker.state != State::Starting || worker.last_error.is_some();
        let are_well = nginx.iter().chain(&redis).all(|program| program.state == State::Running);
        ModuleStatus {
            module: self.options.module.to_string(),
            ok: problems.is_empty()
                && are_well
                && self.proxy.error().is_none()
                && plugins.iter().all(|plugin| plugin.ok),
            pid: std::process::id(),
            since: Some(self.since),
            uptime: self.begun.elapsed().as_secs(),
            url: self.proxy.url(),
            settled: self.has_looked.get()
                && nginx.iter().chain(&redis).all(settled)
                && plugins
                    .iter()
                    .flat_map(|plugin| &plugin.services)
                    .flat_map(|service| &service.workers)
                    .all(settled),
            nginx,
            redis,
            plugins,
            problems,
            warnings: self.warnings().into_iter().chain(files.warnings).collect(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let active = self.active.borrow();
        let slots = active.values().flat_map(|active| &active.services).flat_map(Supervised::slots);
        let statuses =
            slots.map(|slot| slot.status()).chain(self.proxy.status()).chain(self.data_flow.redis_status());
        let known = statuses.flat_map(|worker| worker.draining.into_iter().chain(worker.pid)).collect();
        let limits = active.iter().filter_map(|(name, active)| {
            self.limits_problem(&active.plan).map(|problem| format!("{name}: {problem}"))
        });
        let strays = children::strays(&known).into_iter().map(|(pid, command)| {
            format!("process {pid} (`{command}`) has left its worker behind, and nobody knows whose it is")
        });
        let slips = self.settings.borrow().slips.clone();
        let rules = self.rules.borrow().warnings.clone();
        slips
            .into_iter()
            .chain(rules)
            .chain(self.watch_trouble.borrow().iter().cloned())
            .chain(limits)
            .chain(strays)
            .collect()
    }

    /// Says so once everything has come to its start.
    pub(super) async fn tell_when_settled(self: Rc<Self>) {
        let begun = Instant::now();
        loop {
            let status = self.status(false).await;
            if status.settled {
                let summary = status.summary();
                self.notifier.ready(&summary);
                return self.note(&summary);
            }
            tokio::time::sleep((begun.elapsed() / 10).clamp(SETTLING / 50, SETTLING)).await;
        }
    }

    fn plugin_status(&self, name: &str, active: Option<&Active>, seen: &Seen) -> PluginStatus {
        let plans = self.plans.borrow();
        let found = plans.get(name);
        let mut problems = Vec::new();
        if let Some(Err(error)) = found {
            let aside = if active.is_some() { "; what runs goes on as it was" } else { "" };
            problems.push(format!("{error}{aside}"));
        }
        problems.extend(self.proxy.problems_of(name));
        problems.extend(self.rules.borrow().problems.get(name).into_iter().flatten().cloned());
        let plan: Option<&Plan> =
            active.map(|active| &active.plan).or(found.and_then(|found| found.as_ref().ok()));
        let routes = self.proxy.routes();
        let mut services: Vec<ServiceStatus> = Vec::new();
        for service in active.map(|active| active.services.as_slice()).unwrap_or_default() {
            let id = service.id();
            services.push(ServiceStatus {
                kind: id.kind,
                name: id.name.clone(),
                workers: service.slots().iter().map(|slot| seen.worker(slot)).collect(),
                test: None,
                routes: routes.get(id).cloned().unwrap_or_default(),
                queue: None,
            });
        }
        // Apps that nginx answers for alone.
        for (id, urls) in &routes {
            let is_shown = services.iter().any(|known| known.kind == id.kind && known.name == id.name);
            if id.plugin == name && !is_shown {
                let (name, routes) = (id.name.clone(), urls.clone());
                services.push(ServiceStatus {
                    kind: ServiceKind::App,
                    name,
                    workers: Vec::new(),
                    test: None,
                    routes,
                    queue: None,
                });
            }
        }
        // What was started goes on with a Python that is gone; nothing else starts.
        if !matches!(found, Some(Err(_)))
            && let Some(fault) = plan.and_then(|plan| env::virtualenv_fault(&plan.plugin.dir.join("local")))
        {
            problems.push(format!("its virtualenv cannot be used: {fault}"));
        }
        let groups = self.around.groups.as_ref();
        PluginStatus {
            name: name.to_owned(),
            version: plan.map(|plan| plan.version.clone()).unwrap_or_default(),
            release: plan.map(|plan| plan.release.clone()).unwrap_or_default(),
            ok: false,
            services,
            memory: groups.and_then(|groups| groups.memory_of(&group_of(name))),
            cpu: groups.and_then(|groups| groups.processor_time_of(&group_of(name))),
            test: None,
            problems,
        }
    }

    /// Asks every app that has a test, through the socket of each of its workers, and every plugin that has a
    /// check of its own.
    async fn check(self: &Rc<Self>, plugins: &mut [PluginStatus]) {
        let plans: Vec<Option<Plan>> = {
            let active = self.active.borrow();
            plugins.iter().map(|plugin| active.get(&plugin.name).map(|active| active.plan.clone())).collect()
        };
        let asked = plugins.iter_mut().zip(plans).filter_map(|(plugin, plan)| Some((plugin, plan?)));
        join_all(asked.map(|(plugin, plan)| async move {
            for status in &mut plugin.services {
                let id =
                    ServiceId { plugin: plugin.name.clone(), kind: status.kind, name: status.name.clone() };
                let service = plan.services.iter().find(|service| service.id == id);
                if let Some(service) =
                    service.filter(|service| service.health.is_some() && service.speaks_http)
                {
                    status.test = Some(self.ask(service, &status.workers).await);
                }
            }
            plugin.test = own_check(&plan).await;
        }))
        .await;
    }

    async fn ask(&self, service: &Service, workers: &[WorkerStatus]) -> Test {
        let running = workers.iter().filter(|worker| worker.state == State::Running);
        let asked = running.map(|worker| async {
            let socket = service.socket(worker.worker, &self.around.var);
            let outcome = health::check(&socket, service.health.as_ref(), "/").await;
            outcome.map_err(|reason| format!("worker {}: {reason}", worker.worker))
        });
        let failed = join_all(asked).await.into_iter().find_map(Result::err);
        Test { ok: failed.is_none(), reason: failed }
    }
}

/// What is known of their files, to the steps of mfdata.
fn add_queues(plugins: &mut [PluginStatus], queues: &[Figures]) {
    for plugin in plugins {
        for service in plugin.services.iter_mut().filter(|service| service.kind == ServiceKind::Step) {
            let name = queue_of(&plugin.name, &service.name);
            let Some(found) = queues.iter().find(|queue| queue.queue == name) else { continue };
            plugin.problems.extend(found.problems.iter().cloned());
            let age = |since: SystemTime| since.elapsed().unwrap_or_default().as_secs();
            service.queue = Some(QueueStatus {
                name,
                waiting: found.waiting,
                oldest: found.oldest.map(age),
                queued: found.queued,
                per_minute: found.per_minute,
                processed: found.processed,
                failed: found.failed,
            });
        }
    }
}

fn is_well(service: &ServiceStatus) -> bool {
    service.test.as_ref().is_none_or(|test| test.ok)
        && service.workers.iter().all(|worker| {
            worker.state == State::Running
                && !worker.outdated
                && !worker.suspended
                && worker.log_error.is_none()
        })
}

/// The machine at one moment.
struct Seen {
    processes: Processes,
    connections: HashMap<PathBuf, usize>,
}

impl Seen {
    fn worker(&self, slot: &Slot) -> WorkerStatus {
        let connections = slot.bound().and_then(|bound| self.connections.get(&bound).copied());
        let status = WorkerStatus { connections: connections.map(|count| count as u64), ..slot.status() };
        with_figures(status, self)
    }
}

fn with_figures(mut worker: WorkerStatus, seen: &Seen) -> WorkerStatus {
    let Some(pid) = worker.pid else { return worker };
    worker.memory = facts::memory_of(pid, &seen.processes);
    worker.cpu = facts::processor_time_of(pid, &seen.processes);
    worker.open_files = facts::open_files_of(pid);
    worker.suspended = facts::is_suspended(pid);
    worker
}
