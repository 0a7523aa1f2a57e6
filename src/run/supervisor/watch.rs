//! What is edited takes effect on its own: overrides, the module's settings, and the code of devlinked plugins.
//!
//! Directories are watched one by one and not as trees, so that those that are excluded cost nothing. An edit is acted
//! upon once nothing has changed for a moment, so that a checkout or a save by an editor is one edit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use notify::event::{AccessKind, AccessMode, EventKind, MetadataKind, ModifyKind};
use notify::{PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::Supervisor;
use super::idle::{Busy, Idle};
use crate::error::Result;
use crate::text;

/// Nothing has changed for so long: the edit is complete.
const QUIET: Duration = Duration::from_millis(100);
/// A plugin that restarts more often than this in [`OFTEN_WITHIN`] has to wait as long.
const OFTEN: usize = 10;
const OFTEN_WITHIN: Duration = Duration::from_secs(30);

/// Never a reason to restart: what tools and editors leave in a directory for themselves.
const NEVER: [&str; 22] = [
    ".git/",
    ".hg/",
    ".svn/",
    ".mwp/",
    ".mwp-tmp-*",
    // What the kernel calls a file without a name.
    "\\#[0-9]*",
    "__pycache__/",
    "/node_modules/",
    "/local/",
    "*.pyc",
    "*.plugin",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".idea/",
    // vim, emacs, JetBrains.
    "*.sw?",
    "*~",
    "4913",
    ".\\#*",
    "\\#*\\#",
    "*___jb_tmp___",
    "*___jb_old___",
];

/// Where the kernel has no watches left, files are looked at so often.
const POLLING: Duration = Duration::from_secs(2);

pub(super) enum Change {
    /// On the disk.
    Files(Vec<PathBuf>),
    /// The time has come to act upon edits of the plugin.
    Edited(String),
}

pub(super) struct Watch {
    /// None where the kernel gives no more of them to this user.
    native: RefCell<Option<RecommendedWatcher>>,
    /// For what the other one cannot watch; made when it is needed.
    polling: RefCell<Option<PollWatcher>>,
    /// Why files are polled.
    trouble: RefCell<Option<String>>,
    /// What is watched, by the names that it had.
    watched: RefCell<BTreeMap<PathBuf, (u64, u64)>>,
    sender: UnboundedSender<Change>,
    trees: RefCell<BTreeMap<String, Tree>>,
    idle: Rc<Idle>,
    /// Files and directories of the module itself.
    of_module: Vec<PathBuf>,
}

/// A devlinked plugin's directory.
struct Tree {
    root: PathBuf,
    includes: Option<Gitignore>,
    excludes: Gitignore,
    dirs: BTreeSet<PathBuf>,
    last: Option<Instant>,
    /// While an edit waits.
    waiting: Option<Busy>,
    /// A change of its configuration, which may be no reason to restart.
    configuration: bool,
    code: bool,
    restarts: Vec<Instant>,
}

pub(super) fn start(supervisor: &Rc<Supervisor>) -> Result<(Watch, UnboundedReceiver<Change>)> {
    let (sender, receiver) = unbounded_channel();
    let native = RecommendedWatcher::new(on_event(&sender), notify::Config::default());
    let trouble = native.as_ref().err().map(because);
    let home = supervisor.runtime_home();
    let etc = supervisor.site.etc.join("metwork.config.d").join(supervisor.options.module.as_str());
    let of_module = vec![
        home.join("var/conf_monitor"),
        home.join("config"),
        home.join("config/plugins"),
        etc.clone(),
        etc.join("plugins"),
    ];
    let watch = Watch {
        native: RefCell::new(native.ok()),
        polling: RefCell::default(),
        trouble: RefCell::new(trouble),
        watched: RefCell::default(),
        sender,
        trees: RefCell::default(),
        idle: Rc::clone(&supervisor.idle),
        of_module,
    };
    watch.look_at_roots(supervisor);
    Ok((watch, receiver))
}

fn on_event(sender: &UnboundedSender<Change>) -> impl Fn(notify::Result<notify::Event>) + Send + 'static {
    let events = sender.clone();
    move |event: notify::Result<notify::Event>| {
        if let Ok(event) = event
            && is_change(event.kind)
        {
            let _ = events.send(Change::Files(event.paths));
        }
    }
}

/// The limits that a user runs into have names.
fn because(error: &notify::Error) -> String {
    let limit = match &error.kind {
        notify::ErrorKind::MaxFilesWatch => "fs.inotify.max_user_watches",
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
            "fs.inotify.max_user_instances"
        }
        _ => return error.to_string(),
    };
    format!("the kernel's limit {limit} is reached")
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    dir.metadata().ok().filter(Metadata::is_dir).map(|dir| (dir.dev(), dir.ino()))
}

fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Remove(_) => true,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Modify(ModifyKind::Name(_)) => true,
        // The time of writing is what polling sees.
        EventKind::Modify(ModifyKind::Metadata(kind)) => {
            matches!(kind, MetadataKind::Permissions | MetadataKind::WriteTime)
        }
        _ => false,
    }
}

pub(super) fn take(supervisor: &Rc<Supervisor>, watch: &Watch, change: Change) {
    match change {
        Change::Files(paths) => {
            for path in paths {
                if watch.is_of_module(&path) {
                    supervisor.change_soon();
                } else {
                    watch.note(&path);
                }
            }
        }
        Change::Edited(name) => watch.act(&name, supervisor),
    }
}

impl Watch {
    /// Why files are polled, where they are.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().as_ref().map(|why| {
            format!("edits are noticed after up to {}: {why}, so files are polled", text::duration(POLLING))
        })
    }

    fn add(&self, dir: &Path) {
        let Some(identity) = identity(dir) else { return };
        self.watched.borrow_mut().insert(dir.to_owned(), identity);
        let added = match self.native.borrow_mut().as_mut() {
            Some(native) => native.watch(dir, RecursiveMode::NonRecursive),
            None => return self.poll(dir),
        };
        match added {
            Err(error) if !matches!(error.kind, notify::ErrorKind::PathNotFound) => {
                self.trouble.borrow_mut().get_or_insert_with(|| because(&error));
                self.poll(dir);
            }
            _ => {}
        }
    }

    fn poll(&self, dir: &Path) {
        let mut polling = self.polling.borrow_mut();
        if polling.is_none() {
            let settings = notify::Config::default().with_poll_interval(POLLING);
            *polling = PollWatcher::new(on_event(&self.sender), settings).ok();
        }
        if let Some(polling) = polling.as_mut() {
            // One that is gone by now is nobody's to watch.
            let _ = polling.watch(dir, RecursiveMode::NonRecursive);
        }
    }

    fn remove(&self, dir: &Path) {
        self.watched.borrow_mut().remove(dir);
        // It may be gone, and be watched by one of them only.
        let _ = self.native.borrow_mut().as_mut().map(|native| native.unwatch(dir));
        let _ = self.polling.borrow_mut().as_mut().map(|polling| polling.unwatch(dir));
    }

    /// Watches the directories that are there only now, or are others by now: what is in them is a change.
    pub(super) fn look_at_roots(&self, supervisor: &Rc<Supervisor>) {
        // conf_monitor is replaced as a whole, so its directory is watched.
        let var = supervisor.runtime_home().join("var");
        let dirs = self.of_module[1..].iter().chain([&var]);
        let is_new = dirs.filter(|dir| self.has_changed(dir)).map(|dir| self.add_anew(dir)).count() > 0;
        let mut trees = self.trees.borrow_mut();
        let replaced = trees.iter_mut().filter(|(_, tree)| self.has_changed(&tree.root));
        let mut names = Vec::new();
        for (name, tree) in replaced {
            for dir in std::mem::take(&mut tree.dirs) {
                self.remove(&dir);
            }
            let root = tree.root.clone();
            self.add_below(tree, &root);
            (tree.includes, tree.excludes) = patterns(&root);
            (tree.code, tree.configuration, tree.last) = (true, true, Some(Instant::now()));
            if tree.waiting.replace(self.idle.busy()).is_none() {
                names.push(name.clone());
            }
        }
        for name in names {
            self.act_after(QUIET, &name);
        }
        if is_new {
            supervisor.change_soon();
        }
    }

    /// Whether there is something at this path that is not watched.
    fn has_changed(&self, dir: &Path) -> bool {
        identity(dir).is_some_and(|now| self.watched.borrow().get(dir) != Some(&now))
    }

    fn add_anew(&self, dir: &Path) {
        self.remove(dir);
        self.add(dir);
    }

    fn is_of_module(&self, path: &Path) -> bool {
        let is_ini = path.extension().is_some_and(|ending| ending == "ini");
        self.of_module.iter().any(|known| path == known || (is_ini && path.parent() == Some(known)))
    }

    /// Watches the directories of the plugins that are devlinked now, and of no others.
    pub(super) fn follow(&self, supervisor: &Rc<Supervisor>) {
        let mut wanted = BTreeMap::new();
        if supervisor.settings.borrow().autorestart {
            for (name, active) in supervisor.active.borrow().iter() {
                if let Some(dir) = &active.plan.devlink {
                    wanted.insert(name.clone(), dir.clone());
                }
            }
        }
        let mut trees = self.trees.borrow_mut();
        trees.retain(|name, tree| {
            let stays = wanted.get(name) == Some(&tree.root);
            if !stays {
                for dir in &tree.dirs {
                    self.remove(dir);
                }
            }
            stays
        });
        let known = trees.len();
        for (name, root) in wanted {
            trees.entry(name).or_insert_with(|| {
                let mut tree = Tree::new(root.clone());
                self.add_below(&mut tree, &root);
                tree
            });
        }
        if trees.len() > known {
            // Its configuration was read before anybody watched it.
            supervisor.change_soon();
        }
    }

    /// Watches a directory and those in it that are not excluded.
    fn add_below(&self, tree: &mut Tree, dir: &Path) {
        let mut waiting = vec![dir.to_owned()];
        while let Some(dir) = waiting.pop() {
            if dir != tree.root && tree.is_excluded(&dir, true) {
                continue;
            }
            if tree.dirs.insert(dir.clone()) || self.has_changed(&dir) {
                self.add_anew(&dir);
            }
            let entries = crate::fs::list(&dir).unwrap_or_default();
            waiting.extend(entries.into_iter().filter(|path| path.is_dir() && !path.is_symlink()));
        }
    }

    /// Takes note of a change in a plugin's directory.
    fn note(&self, path: &Path) {
        let mut trees = self.trees.borrow_mut();
        let Some((name, tree)) = trees.iter_mut().find(|(_, tree)| path.starts_with(&tree.root)) else {
            return;
        };
        let is_dir = path.is_dir() && !path.is_symlink();
        if tree.is_excluded(path, is_dir) {
            return;
        }
        if is_dir {
            self.add_below(tree, path);
        } else if !path.exists() {
            tree.dirs.remove(path);
        }
        let relative = path.strip_prefix(&tree.root).unwrap_or(path);
        let is_configuration = relative == Path::new(crate::plugin::config::CONFIG_FILE)
            || relative.as_os_str().as_encoded_bytes().starts_with(b".layerapi2_");
        if is_configuration {
            tree.configuration = true;
        } else if relative.as_os_str().as_encoded_bytes().starts_with(b".autorestart_") {
            (tree.includes, tree.excludes) = patterns(&tree.root);
            return;
        } else if tree.is_included(path, is_dir) {
            tree.code = true;
        } else {
            return;
        }
        tree.last = Some(Instant::now());
        if tree.waiting.is_none() {
            tree.waiting = Some(self.idle.busy());
            self.act_after(QUIET, name);
        }
    }

    fn act_after(&self, wait: Duration, name: &str) {
        let (sender, name) = (self.sender.clone(), name.to_owned());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(wait).await;
            let _ = sender.send(Change::Edited(name));
        });
    }

    fn act(&self, name: &str, supervisor: &Rc<Supervisor>) {
        let mut trees = self.trees.borrow_mut();
        let Some(tree) = trees.get_mut(name) else { return };
        let quiet = tree.last.map_or(QUIET, |last| last.elapsed());
        if quiet < QUIET {
            return self.act_after(QUIET - quiet, name);
        }
        tree.restarts.retain(|at| at.elapsed() < OFTEN_WITHIN);
        if tree.code && tree.restarts.len() >= OFTEN {
            // A plugin that writes into its own directory restarts itself.
            if tree.restarts.len() == OFTEN {
                supervisor.note(&format!(
                    "{name}: files in {} change all the time; name what the plugin writes in .autorestart_excludes",
                    text::path(&tree.root)
                ));
                tree.restarts.push(Instant::now());
            }
            return self.act_after(OFTEN_WITHIN / 3, name);
        }
        // To the end of this.
        let _waiting = tree.waiting.take();
        if std::mem::take(&mut tree.configuration) {
            supervisor.queue.ask();
        }
        if std::mem::take(&mut tree.code) {
            tree.restarts.push(Instant::now());
            supervisor.note(&format!("{name}: edited"));
            supervisor.restart_edited(name);
        }
    }
}

impl Tree {
    fn new(root: PathBuf) -> Tree {
        let (includes, excludes) = patterns(&root);
        Tree {
            root,
            includes,
            excludes,
            dirs: BTreeSet::new(),
            last: None,
            waiting: None,
            configuration: false,
            code: false,
            restarts: Vec::new(),
        }
    }

    fn is_excluded(&self, path: &Path, is_dir: bool) -> bool {
        self.excludes.matched_path_or_any_parents(path, is_dir).is_ignore()
    }

    fn is_included(&self, path: &Path, is_dir: bool) -> bool {
        let matches = |includes: &Gitignore| includes.matched_path_or_any_parents(path, is_dir).is_ignore();
        self.includes.as_ref().is_none_or(matches)
    }
}

/// `.autorestart_includes`, where it is there, and `.autorestart_excludes`, in gitignore's syntax.
fn patterns(root: &Path) -> (Option<Gitignore>, Gitignore) {
    let file = root.join(".autorestart_includes");
    let includes = file.is_file().then(|| {
        let mut builder = GitignoreBuilder::new(root);
        builder.add(file);
        builder.build().unwrap_or_else(|_| Gitignore::empty())
    });
    let mut builder = GitignoreBuilder::new(root);
    for pattern in NEVER {
        let _ = builder.add_line(None, pattern);
    }
    builder.add(root.join(".autorestart_excludes"));
    (includes, builder.build().unwrap_or_else(|_| Gitignore::empty()))
}

impl Supervisor {
    /// Looks at everything once nothing has changed for a moment.
    fn change_soon(self: &Rc<Self>) {
        if self.change_is_near.replace(true) {
            return;
        }
        let supervisor = Rc::clone(self);
        let busy = self.idle.busy();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(QUIET).await;
            supervisor.change_is_near.set(false);
            supervisor.queue.ask();
            drop(busy);
        });
    }

    fn restart_edited(self: &Rc<Self>, name: &str) {
        if self.desired.is_busy(name) {
            return;
        }
        if let Some(active) = self.active.borrow().get(name) {
            for service in &active.services {
                for slot in service.slots() {
                    if !self.desired.is_stopped(service.id(), slot.worker) {
                        slot.replace(Rc::clone(&service.spec));
                    }
                }
            }
        }
        // Its nginx fragments may have been what was edited.
        self.queue.ask();
    }
}
