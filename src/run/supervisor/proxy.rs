//! nginx, in front of the apps: its configuration follows what runs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::service::stop_all;
use super::slot::{Context, ProcessSpec, Slot};
use crate::error::{Error, Problem, Result};
use crate::fs::{self, put_aside_when_due};
use crate::plugin::{Module, Plugin};
use crate::process::facts::children_of;
use crate::run::nginx::{AppRoutes, Configured, Inputs, Nginx, configure, running};
use crate::run::status::{State, WorkerStatus};
use crate::run::{LogSettings, Readiness, Service, ServiceId, ServiceKind, Settings, Stop};
use crate::site::Site;
use crate::{text, threads};

/// How long nginx has to take a new configuration.
const RELOAD: Duration = Duration::from_secs(3);
/// How long requests that nginx took before a reload are waited for.
const OLD_REQUESTS: Duration = Duration::from_secs(60);

pub(super) type Plugins = Vec<(Plugin, Vec<Service>)>;

/// The module's nginx, where it has one.
pub(super) struct Proxy {
    module: Module,
    around: Rc<Context>,
    state: RefCell<Front>,
    /// Which files its logs were at the last look.
    logs: RefCell<BTreeMap<&'static str, (u64, u64)>>,
}

/// Workers of nginx from before a reload, which answer what they had taken.
#[derive(Debug, Default)]
pub(super) struct OldWorkers {
    master: u32,
    workers: BTreeSet<i32>,
}

impl OldWorkers {
    /// Waits until they have gone, within reason.
    pub(super) async fn gone(self) {
        let begun = Instant::now();
        while begun.elapsed() < OLD_REQUESTS
            && children_of(self.master).intersection(&self.workers).next().is_some()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[derive(Default)]
struct Front {
    slot: Option<Rc<Slot>>,
    spec: Option<Rc<ProcessSpec>>,
    /// What nginx has read.
    text: String,
    /// Where it listens by that.
    addresses: BTreeSet<String>,
    problems: BTreeMap<String, Vec<Problem>>,
    routes: BTreeMap<ServiceId, Vec<String>>,
    url: Option<String>,
    /// Why there is none, though there should be.
    error: Option<Error>,
}

impl Proxy {
    pub(super) fn new(module: &Module, around: &Rc<Context>) -> Proxy {
        Proxy {
            module: module.clone(),
            around: Rc::clone(around),
            state: RefCell::default(),
            logs: RefCell::default(),
        }
    }

    /// Has nginx answer for these plugins from now on. Those of its workers that were told otherwise may go on for a while:
    /// who is no longer needed has to wait for them.
    pub(super) async fn apply(&self, plugins: Plugins, settings: Settings, site: Site) -> Result<OldWorkers> {
        if !self.is_wanted(&settings) {
            self.stop().await;
            *self.state.borrow_mut() = Front::default();
            return Ok(OldWorkers::default());
        }
        let url = origin(&settings);
        let routes_before = self.state.borrow().routes.clone();
        let result = match self.configure(plugins, settings.clone(), site.clone()).await {
            Ok((nginx, configured)) => self.take(&nginx, configured, &settings, &site).await,
            Err(error) => Err(error),
        };
        let mut state = self.state.borrow_mut();
        state.error = result.as_ref().err().cloned();
        if result.is_ok() {
            state.url = Some(url);
        } else {
            // What answers is where it was.
            state.routes = routes_before;
            // Whatever it has read, it is to be told again.
            state.text.clear();
        }
        result
    }

    /// Whether nginx takes the configuration of this plugin beside those of the others.
    pub(super) async fn accepts(
        &self,
        name: &str,
        plugins: Plugins,
        settings: Settings,
        site: Site,
    ) -> Result<(), String> {
        if !self.is_wanted(&settings) {
            return Ok(());
        }
        let known = self.state.borrow().problems.get(name).cloned().unwrap_or_default();
        let (_, configured) =
            self.configure(plugins, settings, site).await.map_err(|error| error.to_string())?;
        // What was wrong with the old version need not be better with the new one.
        let new =
            configured.problems.iter().find(|(plugin, problem)| plugin == name && !known.contains(problem));
        new.map_or(Ok(()), |(_, problem)| Err(problem.message.clone()))
    }

    async fn configure(
        &self,
        plugins: Plugins,
        settings: Settings,
        site: Site,
    ) -> Result<(Nginx, Configured)> {
        let module = self.module.clone();
        let configuring = move || {
            let nginx = Nginx::find(&site)?;
            let inputs = Inputs { module: &module, settings: &settings, site: &site, plugins: &plugins };
            let configured = configure(&nginx, &inputs)?;
            Ok((nginx, configured))
        };
        threads::apart("the configuration of nginx", configuring).await
    }

    fn is_wanted(&self, settings: &Settings) -> bool {
        (self.module.has_nginx() || self.module.takes_uploads()) && settings.nginx.flag
    }

    /// What nginx takes the paths in its configuration relative to.
    fn prefix(&self) -> PathBuf {
        self.around.var.parent().unwrap_or(&self.around.var).to_owned()
    }

    async fn take(
        &self,
        nginx: &Nginx,
        configured: Configured,
        settings: &Settings,
        site: &Site,
    ) -> Result<OldWorkers> {
        let Configured { text, problems, routes, addresses } = configured;
        let is_known = {
            let mut state = self.state.borrow_mut();
            let mut by_plugin: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
            for (plugin, problem) in problems {
                if !state.problems.get(&plugin).is_some_and(|known| known.contains(&problem)) {
                    self.around.own_log.note(&format!("{plugin}: {}", problem.message));
                }
                by_plugin.entry(plugin).or_default().push(problem);
            }
            state.problems = by_plugin;
            state.routes = routes.into_iter().map(|app| urls(&app, settings)).collect();
            state.text == text
        };
        let slot = self.state.borrow().slot.clone();
        let is_running = slot.as_ref().is_some_and(|slot| slot.status().state == State::Running);
        if is_known && slot.is_some() {
            return Ok(OldWorkers::default());
        }
        self.make_logs();
        let conf = self.around.var.join("nginx/nginx.conf");
        fs::write_atomic(&conf, text.as_bytes())?;
        self.state.borrow_mut().text = text;
        let before = std::mem::replace(&mut self.state.borrow_mut().addresses, addresses.clone());
        match slot {
            Some(slot) if is_running && !collides(&before, &addresses) => self.reload(&slot).await,
            Some(slot) => {
                let spec = self.spec(nginx, &conf, settings, site);
                slot.replace(spec);
                Ok(OldWorkers::default())
            }
            None => {
                let spec = self.spec(nginx, &conf, settings, site);
                let slot = Slot::new(1, Rc::clone(&spec), &self.around);
                slot.replace(spec);
                self.state.borrow_mut().slot = Some(slot);
                Ok(OldWorkers::default())
            }
        }
    }

    /// Made by nginx itself, they would be everybody's to read.
    fn make_logs(&self) {
        for name in [running::ACCESS_LOG, running::ERROR_LOG] {
            // One that cannot be made is told by nginx.
            drop(fs::append_to(&self.around.log.join(name)));
        }
    }

    fn spec(&self, nginx: &Nginx, conf: &Path, settings: &Settings, site: &Site) -> Rc<ProcessSpec> {
        let arguments = nginx.arguments(conf, &self.prefix());
        let words = std::iter::once(nginx.program.clone().into_os_string()).chain(arguments);
        let words = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let delay = Duration::from_secs(settings.nginx.timeout);
        let stop = Stop { drain: Duration::ZERO, signal: running::QUIT, delay };
        // It has workers once it listens.
        let service = Service::of_module("nginx", self.prefix(), words, stop, Readiness::Children);
        let spec = Rc::new(ProcessSpec {
            service,
            environment: site.environment.clone(),
            start_timeout: settings.supervisor.start_timeout,
            longest_wait: settings.supervisor.backoff_max,
        });
        self.state.borrow_mut().spec = Some(Rc::clone(&spec));
        spec
    }

    /// Has nginx read its configuration, and waits until it has taken it.
    async fn reload(&self, slot: &Rc<Slot>) -> Result<OldWorkers> {
        let Some(master) = slot.status().pid else { return Ok(OldWorkers::default()) };
        let old = children_of(master);
        slot.signal(running::READ_CONFIGURATION);
        let begun = Instant::now();
        while begun.elapsed() < RELOAD && slot.status().pid == Some(master) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = children_of(master);
            let is_taken = now.difference(&old).next().is_some();
            // Until they shut down, old workers go on taking requests by the old configuration.
            if is_taken && now.intersection(&old).all(|worker| running::shuts_down(*worker)) {
                return Ok(OldWorkers { master, workers: old });
            }
        }
        if slot.status().pid != Some(master) {
            // It ended, and the next one reads the new configuration.
            return Ok(OldWorkers::default());
        }
        let log = self.around.log.join(running::ERROR_LOG);
        let why = running::last_complaint(&log).map(|why| format!(": {why}")).unwrap_or_default();
        Err(Error::machine(format!(
            "nginx did not take its new configuration, and goes on with the old one{why}"
        ))
        .hint(format!("{} may say more", text::path(&log))))
    }

    pub(super) async fn restart(&self) -> Result<()> {
        let (slot, spec) = {
            let state = self.state.borrow();
            (state.slot.clone(), state.spec.clone())
        };
        let (Some(slot), Some(spec)) = (slot, spec) else {
            return Err(Error::input(format!("{} has no nginx", self.module))
                .hint("`mwp status` says why, if it should have one"));
        };
        if slot.status().state == State::Running {
            // New workers take over from old ones without a gap; the ports stay open.
            return self.reload(&slot).await.map(drop);
        }
        slot.replace(spec);
        Ok(())
    }

    pub(super) async fn stop(&self) {
        let slot = self.state.borrow_mut().slot.take();
        stop_all(slot.as_slice()).await;
    }

    pub(super) fn status(&self) -> Option<WorkerStatus> {
        let state = self.state.borrow();
        let mut status = state.slot.as_ref().map(|slot| slot.status());
        if let Some(error) = &state.error {
            let shown = status.get_or_insert_with(|| WorkerStatus::new(1));
            shown.last_error = Some(error.to_string());
        }
        status
    }

    pub(super) fn url(&self) -> Option<String> {
        self.state.borrow().url.clone()
    }

    /// Why nginx is not as it should be.
    pub(super) fn error(&self) -> Option<Error> {
        self.state.borrow().error.clone()
    }

    /// Whether it does without a part of some plugin.
    pub(super) fn has_problems(&self) -> bool {
        !self.state.borrow().problems.is_empty()
    }

    pub(super) fn problems_of(&self, plugin: &str) -> Vec<String> {
        let state = self.state.borrow();
        state.problems.get(plugin).into_iter().flatten().map(|problem| problem.message.clone()).collect()
    }

    /// Where nginx answers for a service, an app without processes included.
    pub(super) fn routes(&self) -> BTreeMap<ServiceId, Vec<String>> {
        self.state.borrow().routes.clone()
    }

    /// nginx writes its logs itself: they are put aside for it when they are too large or too old, and it opens them
    /// anew, too, where somebody else took them away.
    pub(super) fn look_after_logs(&self, settings: &LogSettings) {
        let Some(slot) = self.state.borrow().slot.clone() else { return };
        let mut is_to_reopen = false;
        for name in [running::ACCESS_LOG, running::ERROR_LOG] {
            let path = self.around.log.join(name);
            let found = path.metadata().ok().map(|file| (file.dev(), file.ino()));
            let known = self.logs.borrow().get(name).copied();
            // One that is away stays known, until nginx has opened another.
            is_to_reopen |= known.is_some() && known != found;
            if let Some(found) = found {
                self.logs.borrow_mut().insert(name, found);
            }
            // A log that cannot be put aside goes on as it is.
            is_to_reopen |= put_aside_when_due(&path, &settings.rotation()).unwrap_or(false);
        }
        if is_to_reopen {
            self.make_logs();
            slot.signal(running::REOPEN_LOGS);
        }
    }
}

/// Whether nginx, which opens new addresses before it closes old ones, would find one of them in use: a port of one
/// address is taken while another one listens at that port of all.
fn collides(before: &BTreeSet<String>, after: &BTreeSet<String>) -> bool {
    let port = |address: &String| address.rsplit(':').next().map(str::to_owned);
    let taken: BTreeSet<_> = before.iter().map(port).collect();
    after.difference(before).any(|address| taken.contains(&port(address)))
}

/// What nginx is among the services of a module.
pub(super) fn id() -> ServiceId {
    ServiceId { plugin: String::new(), kind: ServiceKind::Module, name: "nginx".to_owned() }
}

/// Where an app answers, as people type it.
fn urls(app: &AppRoutes, settings: &Settings) -> (ServiceId, Vec<String>) {
    let id = ServiceId { plugin: app.plugin.clone(), kind: ServiceKind::App, name: app.app.clone() };
    let port = settings.nginx.port;
    let base = origin(settings);
    let slash = |path: &String| if path.ends_with('/') { path.clone() } else { format!("{path}/") };
    let hosts = app.hosts.iter().map(|host| format!("http://{host}:{port}/"));
    let paths = app.paths.iter().chain(&app.files).map(|path| format!("{base}{}", slash(path)));
    (id, paths.chain(hosts).collect())
}

fn origin(settings: &Settings) -> String {
    let host = settings.nginx.listen.as_deref().unwrap_or("localhost");
    let is_ipv6 = host.contains(':') && !host.starts_with('[');
    let host = if is_ipv6 { format!("[{host}]") } else { host.to_owned() };
    format!("http://{host}:{}", settings.nginx.port)
}
