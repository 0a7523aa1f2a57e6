//! The thread that watches directories and tells of files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::MOST_QUEUED;
use super::client::{Client, Counters, Trouble};
use super::directory::{Directory, Identity, file_at, is_link};
use super::event::{self, Cause};
use super::queue::Queue;
use crate::error::Result;
use crate::run::model::{RedisAddress, Watched, is_unfinished};
use crate::{fs, text, threads};

/// Between two looks whether the directories are still those that are watched, and at what was not done.
const TICK: Duration = Duration::from_secs(1);
/// Between two readings of the counters.
const READING: Duration = Duration::from_secs(5);
/// Deliveries of so many files are told of at once.
const AT_ONCE: usize = 1000;

/// The handle of the thread.
#[derive(Debug)]
pub struct Observer {
    orders: Sender<Message>,
}

/// Where to look, and for whom.
#[derive(Debug, Clone)]
pub struct Task {
    pub redis: RedisAddress,
    /// It is run with the module, and by nobody else.
    pub is_own_redis: bool,
    /// Directories below this one are made where they are missing.
    pub input: PathBuf,
    pub watched: Vec<Watched>,
}

/// How a queue is.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    pub queue: String,
    /// Files in the step's directories.
    pub waiting: u64,
    /// Since when the oldest of them is there.
    pub oldest: Option<SystemTime>,
    /// News in the list in redis, and files taken so far, as far as it answers.
    pub queued: Option<u64>,
    pub processed: Option<u64>,
    pub failed: Option<u64>,
    /// In the last minute.
    pub per_minute: Option<f64>,
    /// Why files do not get in.
    pub problems: Vec<String>,
}

/// All that is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueReport {
    pub queues: Vec<Figures>,
    /// Why redis takes nothing.
    pub redis: Option<String>,
    /// Why files are noticed late.
    pub warnings: Vec<String>,
}

impl QueueReport {
    /// There is none, for this reason.
    pub fn out_of_order(reason: &str) -> QueueReport {
        QueueReport { redis: Some(reason.to_owned()), ..QueueReport::default() }
    }
}

enum Message {
    Event(notify::Result<notify::Event>),
    Follow(Task, oneshot::Sender<()>),
    /// A process of the step has started: what another had read the news of is told again.
    Started(Vec<String>),
    Report(oneshot::Sender<QueueReport>),
    Stop(oneshot::Sender<()>),
}

impl Observer {
    /// `notes` gets a line for what somebody should know.
    pub fn start(task: Task, notes: UnboundedSender<String>) -> Result<Observer> {
        let (orders, messages) = channel();
        let events = orders.clone();
        threads::start("the observer", move || Thread::new(task, events, notes).run(&messages))?;
        Ok(Observer { orders })
    }

    /// From now on this is to be watched. Returns when the directories are there.
    pub async fn follow(&self, task: Task) {
        let (sender, done) = oneshot::channel();
        if self.orders.send(Message::Follow(task, sender)).is_ok() {
            let _ = done.await;
        }
    }

    /// Processes of these queues' steps have started.
    pub fn started(&self, queues: Vec<String>) {
        let _ = self.orders.send(Message::Started(queues));
    }

    pub async fn report(&self) -> Option<QueueReport> {
        let (sender, report) = oneshot::channel();
        self.orders.send(Message::Report(sender)).ok()?;
        report.await.ok()
    }

    /// Returns when nothing is told of any more.
    pub async fn stop(&self) {
        let (sender, done) = oneshot::channel();
        if self.orders.send(Message::Stop(sender)).is_ok() {
            let _ = done.await;
        }
    }
}

struct Thread {
    task: Task,
    client: Client,
    /// None where the kernel gives no more of them to this user.
    watcher: Option<RecommendedWatcher>,
    watcher_problem: Option<String>,
    directories: BTreeMap<PathBuf, Directory>,
    queues: Vec<Queue>,
    notes: UnboundedSender<String>,
    away: Option<String>,
    full: Option<String>,
    /// Which connection it was that the lists were last seen by.
    known_connect: u64,
    next_look: Instant,
    next_reading: Instant,
}

impl Thread {
    fn new(task: Task, events: Sender<Message>, notes: UnboundedSender<String>) -> Thread {
        let on_event = move |event| drop(events.send(Message::Event(event)));
        let watcher = RecommendedWatcher::new(on_event, notify::Config::default());
        let now = Instant::now();
        let mut thread = Thread {
            client: Client::new(task.redis.clone()),
            watcher_problem: watcher.as_ref().err().map(ToString::to_string),
            watcher: watcher.ok(),
            directories: BTreeMap::new(),
            queues: Vec::new(),
            notes,
            away: None,
            full: None,
            known_connect: 0,
            next_look: now,
            next_reading: now,
            task: task.clone(),
        };
        thread.follow(task);
        thread
    }

    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let wait = self.deadline().saturating_duration_since(Instant::now());
            match messages.recv_timeout(wait) {
                Ok(Message::Stop(done)) => return done.send(()).unwrap_or_default(),
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for message in messages.try_iter().take(AT_ONCE) {
                match message {
                    Message::Stop(done) => return done.send(()).unwrap_or_default(),
                    message => self.take(message),
                }
            }
            self.tell_of_arrivals();
            self.act_on_time();
        }
    }

    fn deadline(&self) -> Instant {
        let listings = self.queues.iter().map(|queue| queue.list_at);
        listings.chain([self.next_look, self.next_reading]).min().unwrap_or(self.next_look)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(Ok(event)) => self.on_event(&event),
            Message::Event(Err(_)) => self.on_lost_events(),
            Message::Follow(task, done) => {
                self.follow(task);
                let _ = done.send(());
            }
            Message::Started(queues) => {
                let now = Instant::now();
                let started = self.queues.iter_mut().filter(|queue| queues.contains(&queue.watched.queue));
                started.for_each(|queue| queue.list_again(now));
            }
            Message::Report(sender) => {
                let report = self.report();
                let _ = sender.send(report);
            }
            Message::Stop(_) => {}
        }
    }

    fn follow(&mut self, task: Task) {
        if task.redis != *self.client.address() {
            self.client = Client::new(task.redis.clone());
            self.known_connect = 0;
        }
        let known: Vec<Queue> = std::mem::take(&mut self.queues);
        let mut known: BTreeMap<Watched, Queue> =
            known.into_iter().map(|queue| (queue.watched.clone(), queue)).collect();
        for watched in &task.watched {
            let queue = known.remove(watched).unwrap_or_else(|| Queue::new(watched.clone()));
            self.queues.push(queue);
        }
        let wanted = |path: &PathBuf| task.watched.iter().any(|watched| watched.directory == *path);
        let gone: Vec<PathBuf> = self.directories.keys().filter(|path| !wanted(path)).cloned().collect();
        for path in gone {
            self.directories.remove(&path);
            self.unwatch(&path);
        }
        self.task = task;
        for at in 0..self.task.watched.len() {
            let path = self.task.watched[at].directory.clone();
            if !self.directories.contains_key(&path) {
                self.make(&path, true);
                self.directories.insert(path.clone(), Directory::new(path));
            }
        }
        self.look_at_directories();
    }

    fn on_event(&mut self, event: &notify::Event) {
        if event.need_rescan() {
            return self.on_lost_events();
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => self.arrived(&event.paths[..1]),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => self.arrived(&event.paths[..1]),
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) if event.paths.len() == 2 => {
                self.left(&event.paths[..1]);
                // The same move has an event of its own for where it went.
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => {
                self.left(&event.paths);
            }
            // What another name is given to is whole already.
            EventKind::Create(_) if event.paths.iter().all(|path| is_link(path)) => {
                self.arrived(&event.paths);
            }
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => {
                for (directory, name) in split(&mut self.directories, &event.paths) {
                    directory.writing.insert(name);
                }
            }
            _ => {}
        }
    }

    fn left(&mut self, paths: &[PathBuf]) {
        for (directory, name) in split(&mut self.directories, paths) {
            directory.writing.remove(&name);
        }
    }

    fn arrived(&mut self, paths: &[PathBuf]) {
        self.left(paths);
        for path in paths {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            if is_unfinished(name) || file_at(path).is_none() {
                continue;
            }
            for queue in self.queues.iter_mut().filter(|queue| queue.watched.directory == parent) {
                queue.arrived(name.to_owned());
            }
        }
    }

    /// Puts what has come in into the lists.
    fn tell_of_arrivals(&mut self) {
        let Thread { queues, client, .. } = self;
        let mut outcome = None;
        for queue in queues.iter_mut() {
            let names = std::mem::take(&mut queue.arrivals);
            if !names.is_empty() {
                outcome = Some(tell(client, queue, &names, Cause::Created));
            }
        }
        if let Some(outcome) = outcome {
            self.note_redis(outcome);
        }
    }

    fn act_on_time(&mut self) {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + TICK;
            self.look_at_directories();
        }
        if now >= self.next_reading {
            self.next_reading = now + READING;
            let read = self.read_counters().map(|_| None);
            self.note_redis(read);
            if self.full.is_some() {
                let wrote = self.client.try_write().map(Some);
                self.note_redis(wrote);
            }
        }
        for at in 0..self.queues.len() {
            if now >= self.queues[at].list_at {
                let outcome = self.list(at);
                self.note_redis(outcome);
            }
        }
    }

    /// Tells of the files that are there and in no list, as many as there may be.
    fn list(&mut self, at: usize) -> Result<Took, Trouble> {
        let Thread { queues, client, directories, .. } = self;
        let queue = &mut queues[at];
        queue.list_at = Instant::now() + TICK;
        let Some(directory) = directories.get_mut(&queue.watched.directory) else { return Ok(None) };
        let length = client.length(&queue.watched.queue)?;
        if queue.is_full && length > MOST_QUEUED / 2 {
            return Ok(None);
        }
        let listing = match directory.list() {
            Ok(listing) => listing,
            Err(reason) => {
                directory.problem.get_or_insert(reason);
                return Ok(None);
            }
        };
        let mut waiting: Vec<OsString> = listing.whole.into_iter().map(|file| file.name).collect();
        if !waiting.is_empty() && length > 0 {
            let told = client.content(&queue.watched.queue)?;
            let told = told.iter().filter_map(|payload| event::name_in(payload, &queue.watched.directory));
            let told: std::collections::HashSet<OsString> = told.collect();
            waiting.retain(|name| !told.contains(name));
        }
        let room = MOST_QUEUED.saturating_sub(length);
        let rest = waiting.len().saturating_sub(room);
        waiting.truncate(room);
        let took = tell(client, queue, &waiting, Cause::Exists)?;
        queue.is_full = rest > 0;
        let is_watched = directory.watch.is_some();
        queue.listed(!waiting.is_empty(), listing.has_unfinished || rest > 0 || !is_watched, Instant::now());
        Ok(took)
    }

    fn list_all(&mut self) {
        let now = Instant::now();
        self.queues.iter_mut().for_each(|queue| queue.list_again(now));
    }

    /// What they were about is in the directories.
    fn on_lost_events(&mut self) {
        self.list_all();
        let since = SystemTime::now();
        for directory in self.directories.values_mut() {
            directory.writing.clear();
            if let Some((_, known)) = &mut directory.watch {
                *known = since;
            }
        }
    }

    /// Whether the directories are those that are watched; else they are made and watched again.
    fn look_at_directories(&mut self) {
        let paths: Vec<PathBuf> = self.directories.keys().cloned().collect();
        for path in paths {
            let problem = self.look_at(&path);
            let Some(directory) = self.directories.get_mut(&path) else { continue };
            if let Some(problem) = problem.as_ref().filter(|_| directory.problem != problem) {
                let _ = self.notes.send(format!("no files come in from {}: {problem}", text::path(&path)));
            }
            directory.problem = problem;
        }
    }

    fn look_at(&mut self, path: &Path) -> Option<String> {
        let mut found = self.directories.get(path)?.identity();
        if found.is_err() && self.make(path, false) {
            found = self.directories.get(path)?.identity();
        }
        let identity = match found {
            Ok(identity) => identity,
            Err(reason) => {
                self.unwatch(path);
                self.directories.get_mut(path)?.watch = None;
                return Some(reason);
            }
        };
        let is_known = self.directories.get(path)?.watch.is_some_and(|(known, _)| known == identity);
        if !is_known {
            self.watch(path, identity);
        }
        // One that can be watched can be listed: both need the same right.
        std::fs::read_dir(path).err().map(|error| text::io_reason(&error))
    }

    fn watch(&mut self, path: &Path, identity: Identity) {
        self.unwatch(path);
        let since = SystemTime::now();
        let watched = match &mut self.watcher {
            Some(watcher) => {
                watcher.watch(path, RecursiveMode::NonRecursive).map_err(|error| error.to_string())
            }
            None => Err(self.watcher_problem.clone().unwrap_or_default()),
        };
        let Some(directory) = self.directories.get_mut(path) else { return };
        directory.writing.clear();
        match watched {
            Ok(()) => directory.watch = Some((identity, since)),
            Err(reason) => {
                directory.watch = None;
                self.watcher_problem = Some(reason);
            }
        }
        // Events from before are lost.
        let now = Instant::now();
        let own = self.queues.iter_mut().filter(|queue| queue.watched.directory == path);
        own.filter(|queue| queue.list_at > now).for_each(|queue| queue.list_again(now));
    }

    fn unwatch(&mut self, path: &Path) {
        if let Some(watcher) = &mut self.watcher {
            // It may be gone, or was never watched.
            let _ = watcher.unwatch(path);
        }
    }

    /// Makes the directory, if it is ours to make: those below the input always, others at the start. For whoever
    /// delivers as a member of the group.
    fn make(&self, path: &Path, is_start: bool) -> bool {
        if !path.starts_with(&self.task.input) && !is_start || path.symlink_metadata().is_ok() {
            return false;
        }
        let made = fs::create_dir_all(path).is_ok();
        if made {
            let mode = path.metadata().map_or(0o775, |metadata| metadata.permissions().mode() | 0o070);
            let _ = fs::set_mode(path, mode & 0o7777);
        }
        made
    }

    fn read_counters(&mut self) -> Result<Vec<Counters>, Trouble> {
        let Thread { queues, client, .. } = self;
        let names: Vec<(&str, &str)> =
            queues.iter().map(|queue| (queue.watched.queue.as_str(), queue.watched.label.as_str())).collect();
        let counters = client.counters(&names)?;
        let now = Instant::now();
        for (queue, counters) in queues.iter_mut().zip(&counters) {
            queue.rate.note(counters.processed, now);
        }
        Ok(counters)
    }

    /// What an exchange with redis came to.
    fn note_redis(&mut self, outcome: Result<Took, Trouble>) {
        if self.client.connects > self.known_connect {
            self.known_connect = self.client.connects;
            if self.task.is_own_redis {
                // One that cannot write them down says so when it is to take news.
                let _ = self.client.keep_changes();
            }
            self.list_all();
        }
        let was_well = self.redis_problem().is_none();
        match outcome {
            Err(Trouble::Away(reason)) => self.away = Some(reason),
            Err(Trouble::Full(reason)) => (self.away, self.full) = (None, Some(reason)),
            Ok(Some(())) => (self.away, self.full) = (None, None),
            // What it would say to more news is not known.
            Ok(None) => self.away = None,
        }
        let problem = self.redis_problem();
        if was_well != problem.is_none() {
            let note = problem.unwrap_or_else(|| "redis takes news of files again".to_owned());
            let _ = self.notes.send(note);
        }
    }

    fn redis_problem(&self) -> Option<String> {
        let problem = self.away.as_ref().or(self.full.as_ref())?;
        Some(format!("{problem}: files wait in their directories"))
    }

    fn report(&mut self) -> QueueReport {
        let counters = self.read_counters();
        self.note_redis(counters.clone().map(|_| None));
        let counters = counters.ok();
        let mut queues: BTreeMap<&str, Figures> = BTreeMap::new();
        for (at, queue) in self.queues.iter().enumerate() {
            let counters = counters.as_ref().map(|counters| counters[at]);
            let figures = queues.entry(&queue.watched.queue).or_insert_with(|| Figures {
                queue: queue.watched.queue.clone(),
                waiting: 0,
                oldest: None,
                queued: counters.map(|counters| counters.queued),
                processed: counters.map(|counters| counters.processed),
                failed: counters.map(|counters| counters.failed),
                per_minute: queue.rate.per_minute(Instant::now()),
                problems: Vec::new(),
            });
            let Some(directory) = self.directories.get(&queue.watched.directory) else { continue };
            let counted = match &directory.problem {
                Some(reason) => Err(reason.clone()),
                None => directory.count(),
            };
            match counted {
                Ok((files, oldest)) => {
                    figures.waiting += files;
                    figures.oldest = [figures.oldest, oldest].into_iter().flatten().min();
                }
                Err(reason) => {
                    let path = text::path(&queue.watched.directory);
                    figures.problems.push(format!("no files come in from {path}: {reason}"));
                }
            }
        }
        let is_late = self.directories.values().any(|known| known.watch.is_none() && known.problem.is_none());
        let why = self.watcher_problem.as_ref().filter(|_| is_late);
        QueueReport {
            queues: queues.into_values().collect(),
            redis: self.redis_problem(),
            warnings: why
                .map(|why| format!("files are noticed late, directories are listed: {why}"))
                .into_iter()
                .collect(),
        }
    }
}

/// Whether redis took something, where there was something to take.
type Took = Option<()>;

/// Puts news into the list of the queue, a few at a time.
fn tell(client: &mut Client, queue: &mut Queue, names: &[OsString], cause: Cause) -> Result<Took, Trouble> {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    for names in names.chunks(AT_ONCE) {
        let write = |name: &OsString| event::write(&queue.watched.directory, name, cause, timestamp);
        let payloads: Vec<Vec<u8>> = names.iter().map(write).collect();
        match client.push(&queue.watched.queue, &payloads) {
            Ok(length) => queue.is_full |= length >= MOST_QUEUED,
            Err(reason) => {
                queue.list_again(Instant::now() + TICK);
                return Err(reason);
            }
        }
    }
    if queue.is_full {
        queue.list_again(Instant::now() + TICK);
    }
    Ok((!names.is_empty()).then_some(()))
}

/// The directories that these paths are in, with their names there.
fn split<'d>(
    directories: &'d mut BTreeMap<PathBuf, Directory>,
    paths: &[PathBuf],
) -> Vec<(&'d mut Directory, OsString)> {
    // An event has one path that counts.
    let Some((parent, name)) = paths.first().and_then(|path| Some((path.parent()?, path.file_name()?)))
    else {
        return Vec::new();
    };
    directories.get_mut(parent).map(|directory| (directory, name.to_owned())).into_iter().collect()
}
