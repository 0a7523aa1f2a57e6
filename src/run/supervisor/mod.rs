//! The embedded supervisor: keeps the installed plugins of one module running.
//!
//! One thread does all of it; nothing that could hold it up happens there: logs are copied by a thread of their own
//! (`logs`), plugins are read and nginx's configuration is tested on others. Each worker is a task (`slot`) that
//! starts, watches, replaces and stops its processes, whatever becomes of the others.
//!
//! # How a change takes effect
//!
//! `reconcile` compares what is installed with what runs, and acts on the difference, plugin by plugin, where what is
//! `desired` does not say otherwise. It is asked to, through one `queue`, by whatever changes something: a command, the file `var/conf_monitor`, an edited override, an edit of
//! a devlinked plugin (`watch`). What cannot be read or does not start leaves what runs in place.
//!
//! # What is left behind
//!
//! Nothing. Each process dies with the supervisor, by the kernel's doing; what has got away from its parent is found
//! by its mark in the environment (`children`). The guardian, a process above this one, ends what is left and starts the
//! supervisor again where it was killed.

mod children;
mod data_flow;
mod desired;
mod guardian;
mod health;
mod http;
mod idle;
mod journald;
mod logs;
mod metrics;
mod notify;
mod orders;
mod own_check;
mod own_log;
mod process;
mod proxy;
mod queue;
mod reconcile;
mod removal;
mod report;
mod rules;
mod server;
mod service;
mod slot;
mod swap;
mod together;
mod upload;
mod watch;
mod wellness;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use self::children::ZombieReaper;
use self::data_flow::DataFlow;
use self::desired::Desired;
use self::idle::Idle;
use self::logs::Logs;
use self::notify::Notifier;
use self::own_log::OwnLog;
use self::proxy::Proxy;
use self::queue::Queue;
use self::reconcile::Active;
use self::removal::OldFiles;
use self::slot::{Context, Slot};
use self::wellness::Wellness;
use super::control::{self, Reply, Request};
use super::nginx::upload_socket;
use super::switch::Compiled;
use super::{Plans, Settings};
use crate::error::{Error, Result};
use crate::fs;
use crate::installed::Base;
use crate::plugin::Module;
use crate::process::cgroup::Groups;
use crate::process::tree;
use crate::site::Site;

pub use self::guardian::guard;
pub use self::own_log::Watcher;

/// Which module to run.
#[derive(Debug, Clone)]
pub struct Options {
    pub module: Module,
    /// Where plugins are installed, instead of the module's own directory.
    pub plugins_base: Option<PathBuf>,
}

/// One module that is up.
pub(crate) struct Supervisor {
    options: Options,
    site: Site,
    settings: RefCell<Settings>,
    around: Rc<Context>,
    /// The plugins that run, by name.
    active: RefCell<BTreeMap<String, Active>>,
    desired: Rc<Desired>,
    notifier: Notifier,
    queue: Queue,
    idle: Rc<Idle>,
    wellness: RefCell<Wellness>,
    /// Why edits are noticed late, where they are.
    watch_trouble: RefCell<Option<String>>,
    /// Slots whose daemon waits until a swap that was called off is undone, by plugin.
    displaced: RefCell<BTreeMap<String, Vec<Rc<Slot>>>>,
    /// Swaps under way, by plugin, as long as they can be called off.
    swaps: RefCell<BTreeMap<String, Rc<Notify>>>,
    /// What was found at the last look.
    plans: RefCell<Plans>,
    /// What the switches of mfdata go by.
    rules: RefCell<Compiled>,
    proxy: Proxy,
    data_flow: DataFlow,
    problems: RefCell<Vec<String>>,
    since: SystemTime,
    begun: Instant,
    /// One change at a time decides what is to run; waiting for it to happen is done side by side.
    deciding: tokio::sync::Mutex<()>,
    going_down: Cell<bool>,
    /// Whether the first look at what is installed is over.
    has_looked: Cell<bool>,
    /// How many ticks in a row something has kept a look from taking effect.
    troubled_ticks: Cell<u32>,
    change_is_near: Cell<bool>,
    old_files: OldFiles,
    down: Notify,
    /// Everything was looked at once more.
    looked: Notify,
}

/// Between two looks at what needs looking after.
const TICK: Duration = Duration::from_secs(5);
/// In ticks: a plugin that stays broken is looked at once a minute.
const LEAST_OFTEN: u32 = 12;

/// Signals so close to each other are one.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

/// Runs the module until it is told to end. `watcher` gets a line for whatever happens.
pub fn supervise(options: &Options, site: &Site, watcher: Watcher) -> Result<()> {
    tree::adopt_orphans();
    let cannot = |error: std::io::Error| Error::machine(format!("cannot start the supervisor: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        let supervisor = Supervisor::new(options, site, watcher)?;
        supervisor.run().await
    });
    runtime.shutdown_background();
    result
}

impl Supervisor {
    fn new(options: &Options, site: &Site, watcher: Watcher) -> Result<Rc<Supervisor>> {
        let settings = Settings::load(&options.module, site)?;
        let home = site.runtime_home(&options.module);
        let (var, log) = (home.join("var"), home.join("log"));
        for dir in [&var, &log, &home.join("config/plugins")] {
            fs::create_own_dir_all(dir)?;
        }
        let mut site = site.clone();
        let notifier = Notifier::take(&mut site.environment);
        children::end_leftovers(&var, &log);
        remove_old_sockets(&var);
        let logs = Logs::start(settings.log.clone(), &options.module)?;
        let own_log = OwnLog::new(&log, &options.module, &settings.log, &logs, watcher);
        let desired = Rc::new(Desired::read(&var));
        // Of this runtime home alone, whatever else is up.
        let home = home.metadata().map(|home| home.ino()).unwrap_or_default();
        let idle = Idle::new(&var);
        let groups = Groups::claim(&format!("mwp-{}-{home}", options.module));
        let around = Rc::new(Context::new(var, log, logs, own_log, groups));
        Ok(Rc::new(Supervisor {
            options: options.clone(),
            desired,
            site,
            notifier,
            proxy: Proxy::new(&options.module, &around),
            data_flow: DataFlow::new(&options.module, &around),
            settings: RefCell::new(settings),
            around,
            active: RefCell::default(),
            queue: Queue::new(&idle),
            idle,
            wellness: RefCell::default(),
            watch_trouble: RefCell::default(),
            swaps: RefCell::default(),
            displaced: RefCell::default(),
            plans: RefCell::default(),
            rules: RefCell::default(),
            problems: RefCell::default(),
            since: SystemTime::now(),
            begun: Instant::now(),
            deciding: tokio::sync::Mutex::default(),
            going_down: Cell::new(false),
            has_looked: Cell::new(false),
            troubled_ticks: Cell::new(0),
            change_is_near: Cell::new(false),
            old_files: OldFiles::new(),
            down: Notify::new(),
            looked: Notify::new(),
        }))
    }

    async fn run(self: Rc<Self>) -> Result<()> {
        let mut signals = Signals::listen()?;
        let socket = control::socket(&self.options.module, &self.site);
        let listener = server::listen(&socket)?;
        self.note(&format!("{} is coming up, process {}", self.options.module, std::process::id()));
        let (watch, mut changes) = watch::start(&self)?;
        tokio::task::spawn_local(server::serve(listener, Rc::clone(&self)));
        metrics::start(&self).await;
        upload::start(&self);
        let looking = tokio::task::spawn_local(Rc::clone(&self).look_whenever_asked());
        self.queue.ask();

        let mut reaper = ZombieReaper::default();
        let mut tick = tokio::time::interval(TICK);
        let mut ending = None;
        loop {
            tokio::select! {
                stop = signals.next() => match stop {
                    // Reload, as daemons do.
                    false => {
                        let this = Rc::clone(&self);
                        // What is wrong is among the problems of the status.
                        tokio::task::spawn_local(async move { this.reload_and_tell().await });
                    }
                    true if ending.is_none() => {
                        let this = Rc::clone(&self);
                        tokio::task::spawn_local(async move { this.go_down().await });
                        ending = Some(Instant::now());
                    }
                    // The death of a parent with several threads is told several times.
                    true if ending.is_some_and(|begun| begun.elapsed() < ONE_SIGNAL) => {}
                    true => {
                        self.note("told to end a second time: everything is killed");
                        break;
                    }
                },
                Some(change) = changes.recv() => watch::take(&self, &watch, change),
                () = self.looked.notified() => watch.follow(&self),
                _ = tick.tick() => {
                    reaper.look();
                    watch.look_at_roots(&self);
                    *self.watch_trouble.borrow_mut() = watch.trouble();
                    let this = Rc::clone(&self);
                    tokio::task::spawn_local(async move {
                        this.replace_unreachable().await;
                        this.replace_hung().await;
                    });
                    if self.is_to_look_again() {
                        self.queue.ask();
                    }
                    self.listen_again(&socket);
                    self.idle.look();
                    self.remove_old_files_when_due();
                    self.data_flow.look_at_processes(self.active.borrow().values());
                    self.proxy.look_after_logs(&self.settings.borrow().log);
                }
                () = self.down.notified() => break,
            }
        }
        looking.abort();
        let _ = fs::remove_file(&control::socket(&self.options.module, &self.site));
        let _ = fs::remove_file(&metrics::socket(&self.around.var));
        self.idle.end();
        let _ = fs::remove_file(&upload_socket(&self.around.var));
        self.note(&format!("{} is down", self.options.module));
        Ok(())
    }

    /// Whether what kept the last look from taking effect may be gone: the port free, the disk no longer full, the
    /// plugin repaired. A look at all plugins costs time, and a broken one may stay so: it is looked at less and less.
    fn is_to_look_again(&self) -> bool {
        let has_problems = !self.problems.borrow().is_empty()
            || self.plans.borrow().values().any(Result::is_err)
            || self.proxy.has_problems();
        let ticks = if has_problems { self.troubled_ticks.get() + 1 } else { 0 };
        self.troubled_ticks.set(ticks);
        self.proxy.error().is_some()
            || self.data_flow.error().is_some()
            || ticks.is_power_of_two()
            || (ticks > 0 && ticks % LEAST_OFTEN == 0)
    }

    /// Without its socket nobody could tell this process to end.
    fn listen_again(self: &Rc<Self>, socket: &Path) {
        if !socket.exists()
            && let Ok(listener) = server::listen(socket)
        {
            tokio::task::spawn_local(server::serve(listener, Rc::clone(self)));
        }
    }

    async fn obey(self: &Rc<Self>, request: Request) -> Reply {
        let result = match request {
            Request::Status { checks } => return Reply::Status(Box::new(self.status(checks).await)),
            _ if self.going_down.get() && request != Request::Down => {
                Err(Error::machine(format!("{} is going down", self.options.module))
                    .hint("bring it up again with `mwp up`"))
            }
            Request::Reload => self.reload_and_tell().await,
            Request::Restart { names, wait } => self.restart(&names, wait).await,
            Request::Stop { names } => self.stop(names).await,
            // What is installed elsewhere does not run here.
            Request::Swap { base, .. } | Request::Withdraw { base, .. } | Request::Settled { base, .. }
                if base != self.base().dir =>
            {
                Ok(())
            }
            Request::Swap { plugin, .. } => self.swap(&plugin).await,
            Request::CallOff { plugin } => self.call_off_swap(&plugin).await,
            Request::Withdraw { plugin, .. } => {
                self.withdraw(&plugin).await;
                Ok(())
            }
            Request::Settled { plugin, .. } => {
                self.desired.come_back(&plugin);
                self.queue.answered(self.queue.ask()).await;
                Ok(())
            }
            Request::Down => {
                self.go_down().await;
                Ok(())
            }
        };
        match result {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Failed(error),
        }
    }

    /// Stops everything gracefully: no more files come in, nginx takes no more requests and ends with the last one under
    /// way, then the workers end, and redis that they need.
    async fn go_down(&self) {
        if self.going_down.replace(true) {
            // Somebody else's order is being carried out.
            std::future::pending::<()>().await;
        }
        self.idle.end();
        self.notifier.stopping();
        self.note(&format!("{} is going down", self.options.module));
        let _deciding = self.deciding.lock().await;
        self.data_flow.stop_observing().await;
        self.proxy.stop().await;
        let active = std::mem::take(&mut *self.active.borrow_mut());
        let slots: Vec<_> = active.into_values().flat_map(Active::into_slots).collect();
        service::stop_all(&slots).await;
        self.data_flow.stop_redis().await;
        // The reply goes out before the process ends.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.down.notify_one();
    }

    fn note(&self, line: &str) {
        self.around.own_log.note(line);
    }

    fn runtime_home(&self) -> PathBuf {
        self.site.runtime_home(&self.options.module)
    }

    fn base(&self) -> Base {
        Base::new(self.options.plugins_base.as_deref(), &self.options.module, &self.site)
    }
}

/// Sockets of workers that an earlier supervisor had.
fn remove_old_sockets(var: &Path) {
    use std::os::unix::fs::FileTypeExt;
    for path in fs::list(var).unwrap_or_default() {
        let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
        let is_of_worker = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"app_"));
        if is_socket && is_of_worker {
            let _ = fs::remove_file(&path);
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Signals> {
        let listen =
            |kind| signal(kind).map_err(|error| Error::machine(format!("cannot listen to signals: {error}")));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Whether to end.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            _ = self.hang_up.recv() => false,
        }
    }
}
