//! What steps of mfdata need to get files: redis and the observer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::sync::mpsc::unbounded_channel;

use super::reconcile::Active;
use super::service::stop_all;
use super::slot::{Context, ProcessId, ProcessSpec, Slot};
use crate::error::{Error, Result};
use crate::plugin::Module;
use crate::run::data::{self, Observer, QueueReport, Task};
use crate::run::model::{DataHome, RedisAddress, RedisSettings, Watched, queue_of};
use crate::run::status::{State, WorkerStatus};
use crate::run::{Readiness, Service, ServiceKind, Settings, Stop};
use crate::site::Site;

/// How long redis may take to read what it has on disk before steps start without it.
const START: Duration = Duration::from_secs(10);
/// How long it may take to write it.
const STOP: Duration = Duration::from_secs(60);
/// An observer that counts files of a directory on a slow disk is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The redis and the observer of the module, where it has steps of that kind.
pub(super) struct DataFlow {
    module: Module,
    around: Rc<Context>,
    redis: RefCell<Option<Redis>>,
    observer: RefCell<Option<Rc<Observer>>>,
    /// Why there is none, though there should be.
    error: RefCell<Option<Error>>,
    /// The processes of steps at the last look, by queue.
    processes: RefCell<BTreeMap<String, Vec<ProcessId>>>,
}

struct Redis {
    slot: Rc<Slot>,
    spec: Rc<ProcessSpec>,
    settings: RedisSettings,
}

impl DataFlow {
    pub(super) fn new(module: &Module, around: &Rc<Context>) -> DataFlow {
        DataFlow {
            module: module.clone(),
            around: Rc::clone(around),
            redis: RefCell::default(),
            observer: RefCell::default(),
            error: RefCell::default(),
            processes: RefCell::default(),
        }
    }

    /// Has files of these directories told of from now on. Redis answers by then, if it does at all, and the directories
    /// are there.
    pub(super) async fn follow(&self, watched: Vec<Watched>, settings: &Settings, site: &Site) {
        if self.module != Module::Mfdata {
            return;
        }
        let started = self.run_redis(settings, site).await;
        let home = DataHome::of(site);
        let is_own_redis = settings.redis.address.is_none();
        let task = Task { redis: home.redis, is_own_redis, input: home.input, watched };
        let observer = self.observer.borrow().clone();
        let outcome = match observer {
            Some(observer) => {
                observer.follow(task).await;
                started
            }
            None => started.and(self.observe(task)),
        };
        let error = outcome.err();
        if let Some(error) = error.as_ref().filter(|error| Some(*error) != self.error.borrow().as_ref()) {
            self.around.own_log.note(&error.to_string());
        }
        *self.error.borrow_mut() = error;
    }

    fn observe(&self, task: Task) -> Result<()> {
        let (notes, mut lines) = unbounded_channel();
        let around = Rc::clone(&self.around);
        tokio::task::spawn_local(async move {
            while let Some(line) = lines.recv().await {
                around.own_log.note(&format!("observer: {line}"));
            }
        });
        *self.observer.borrow_mut() = Some(Rc::new(Observer::start(task, notes)?));
        Ok(())
    }

    /// Starts redis, or replaces it where its settings are others now.
    async fn run_redis(&self, settings: &Settings, site: &Site) -> Result<()> {
        if settings.redis.address.is_some() {
            self.stop_redis().await;
            return Ok(());
        }
        let slot = self.redis.borrow().as_ref().map(|redis| Rc::clone(&redis.slot));
        let is_known = self.redis.borrow().as_ref().is_some_and(|redis| redis.settings == settings.redis);
        if is_known {
            return Ok(());
        }
        let spec = self.spec(settings, site)?;
        let slot = slot.unwrap_or_else(|| Slot::new(1, Rc::clone(&spec), &self.around));
        slot.replace(Rc::clone(&spec));
        *self.redis.borrow_mut() =
            Some(Redis { slot: Rc::clone(&slot), spec, settings: settings.redis.clone() });
        self.wait_until_it_answers(&slot).await;
        Ok(())
    }

    async fn wait_until_it_answers(&self, slot: &Rc<Slot>) {
        let RedisAddress::Unix(socket) = RedisAddress::own(&self.home()) else { return };
        let begun = Instant::now();
        while begun.elapsed() < START && slot.status().state != State::Waiting {
            if UnixStream::connect(&socket).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn home(&self) -> std::path::PathBuf {
        self.around.var.parent().unwrap_or(&self.around.var).to_owned()
    }

    fn spec(&self, settings: &Settings, site: &Site) -> Result<Rc<ProcessSpec>> {
        let socket = self.around.var.join("redis.socket");
        data::check(&socket)?;
        let program = data::find(site)?;
        let mut words = vec![program.to_string_lossy().into_owned()];
        words.extend(data::arguments(&socket, &self.around.var, &settings.redis));
        let stop = Stop { drain: Duration::ZERO, signal: 15, delay: STOP };
        let service = Service::of_module("redis", self.home(), words, stop, Readiness::AtOnce);
        let mut environment = site.environment.clone();
        environment.set(super::children::VAR, self.around.var.as_os_str());
        Ok(Rc::new(ProcessSpec {
            service,
            environment,
            start_timeout: settings.supervisor.start_timeout,
            longest_wait: settings.supervisor.backoff_max,
        }))
    }

    /// Tells the observer which steps have new processes: what the ones before them had read may be lost.
    pub(super) fn look_at_processes<'a>(&self, active: impl Iterator<Item = &'a Active>) {
        let Some(observer) = self.observer.borrow().clone() else { return };
        let services = active.flat_map(|active| &active.services);
        let steps = services.filter(|service| service.id().kind == ServiceKind::Step);
        let now: BTreeMap<String, Vec<ProcessId>> = steps
            .map(|step| {
                let processes = step.slots().iter().filter_map(|slot| slot.serving_process());
                (queue_of(&step.id().plugin, &step.id().name), processes.collect())
            })
            .collect();
        let before = self.processes.replace(now.clone());
        let started: Vec<String> = now
            .into_iter()
            .filter(|(queue, now)| before.get(queue) != Some(now))
            .map(|(queue, _)| queue)
            .collect();
        if !started.is_empty() {
            observer.started(started);
        }
    }

    pub(super) async fn report(&self) -> QueueReport {
        let Some(observer) = self.observer.borrow().clone() else { return QueueReport::default() };
        match tokio::time::timeout(PATIENCE, observer.report()).await {
            Ok(Some(report)) => report,
            Ok(None) => QueueReport::out_of_order("the observer has ended: files are not noticed"),
            Err(_) => QueueReport::out_of_order("the observer is busy: how many files wait is not known"),
        }
    }

    pub(super) fn error(&self) -> Option<Error> {
        self.error.borrow().clone()
    }

    pub(super) fn redis_status(&self) -> Option<WorkerStatus> {
        self.redis.borrow().as_ref().map(|redis| redis.slot.status())
    }

    pub(super) fn restart_redis(&self) -> Result<()> {
        let redis = self.redis.borrow();
        let Some(redis) = redis.as_ref() else {
            return Err(Error::input(format!("{} has no redis of its own", self.module))
                .hint("`mwp status` says why, if it should have one"));
        };
        redis.slot.replace(Rc::clone(&redis.spec));
        Ok(())
    }

    /// Nothing comes in any more.
    pub(super) async fn stop_observing(&self) {
        let observer = self.observer.borrow_mut().take();
        if let Some(observer) = observer {
            observer.stop().await;
        }
    }

    /// Steps need it as long as they run.
    pub(super) async fn stop_redis(&self) {
        let redis = self.redis.borrow_mut().take();
        if let Some(redis) = redis {
            stop_all(&[redis.slot]).await;
        }
    }
}
