//! Plugins with steps, a redis, and what became of the files.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{CONFIG, Done, Sandbox};

/// Longer than anything takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct World {
    pub sandbox: Sandbox,
    redis: RefCell<Option<Child>>,
}

impl World {
    pub fn new() -> World {
        let world = World { sandbox: Sandbox::new(), redis: RefCell::new(None) };
        fs::create_dir_all(world.home("var/plugins")).unwrap();
        fs::create_dir_all(world.home("var/in/incoming")).unwrap();
        world.start_redis();
        world
    }

    pub fn start_redis(&self) {
        let mut server = Command::new("redis-server");
        server.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        server.arg(self.socket()).arg("--dir").arg(self.home("var"));
        server.stdout(Stdio::null()).stderr(Stdio::null());
        *self.redis.borrow_mut() = Some(server.spawn().unwrap());
        self.until("redis answers", |world| world.redis(["PING"]) == "PONG");
    }

    pub fn stop_redis(&self) {
        if let Some(mut redis) = self.redis.borrow_mut().take() {
            redis.kill().unwrap();
            redis.wait().unwrap();
        }
    }

    /// A path below the runtime home of mfdata.
    pub fn home(&self, relative: &str) -> PathBuf {
        self.sandbox.path("home/.local/share/mwp/mfdata").join(relative)
    }

    /// A path below the directory of incoming files.
    pub fn input(&self, relative: &str) -> PathBuf {
        self.home("var/in").join(relative)
    }

    fn socket(&self) -> PathBuf {
        self.home("var/redis.socket")
    }

    /// What `redis-cli` says.
    pub fn redis<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> String {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(self.socket()).args(arguments);
        Done::of(&mut command).stdout.trim_end().to_owned()
    }

    /// An installed plugin `p` whose step is this body of a class, with its inbox.
    pub fn step(&self, class: &str, body: &str) {
        let main = format!(
            "#!/usr/bin/env python3\nimport os, sys, time, signal\nfrom acquisition import *\n\
             from xattrfile import XattrFile\n\nclass Main({class}):\n{body}\n\nif __name__ == '__main__':\n    Main().run()\n"
        );
        self.plugin("p", &[("main.py", &main)]);
        self.inbox("p", "main");
    }

    /// An installed plugin with these files.
    pub fn plugin(&self, name: &str, files: &[(&str, &str)]) {
        let home = self.home("var/plugins").join(name);
        fs::create_dir_all(&home).unwrap();
        let label = format!("plugin_{name}@mfdata\n");
        let fixed = [
            (".layerapi2_label", label.as_str()),
            (".layerapi2_dependencies", "python3@mfext\n"),
            (".plugin_format_version", "1.0.0\n"),
            ("config.ini", CONFIG),
        ];
        for (file, content) in fixed.iter().chain(files) {
            fs::write(home.join(file), content).unwrap();
            fs::set_permissions(home.join(file), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    pub fn inbox(&self, plugin: &str, step: &str) -> PathBuf {
        let dir = self.input(&format!("step.{plugin}.{step}"));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A file in the inbox of `p/main`, announced.
    pub fn deliver(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.inbox("p", "main").join(name.as_ref());
        fs::write(&path, content).unwrap();
        self.announce("step.p.main", &path);
        path
    }

    /// The event of the observer.
    pub fn announce(&self, queue: &str, path: &Path) {
        let mut event = b"{\"directory\": \"".to_vec();
        event.extend(path.parent().unwrap().as_os_str().as_bytes());
        event.extend(b"\", \"filename\": \"");
        event.extend(path.file_name().unwrap().as_bytes());
        event.extend(b"\", \"event\": \"created\", \"event_timestamp\": 1.5}");
        self.redis([OsString::from("LPUSH"), queue.into(), OsString::from_vec(event)]);
    }

    /// A command in the environment of the plugin `p`.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_of("p", words)
    }

    pub fn command_of(&self, plugin: &str, words: &[&str]) -> Command {
        let mut command = self.sandbox.mwp(["exec", "--cwd", plugin]);
        command.args(words);
        command
    }

    /// The step `main` of the plugin `p`, at work: its command and options.
    pub fn start(&self, words: &[&str]) -> Running {
        self.start_as("main", words)
    }

    pub fn start_as(&self, step: &str, words: &[&str]) -> Running {
        let socket = format!("--redis-unix-socket-path={}", self.socket().display());
        let mut command = self.command(words);
        command.args([&format!("--step-name={step}"), &socket, &format!("step.p.{step}")]);
        self.run_beside(command)
    }

    /// A command at work, with a log of its own.
    pub fn run_beside(&self, mut command: Command) -> Running {
        let log = self.sandbox.path(&format!("{}.log", uuid()));
        let file = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Running { child: command.spawn().unwrap(), log }
    }

    /// Delivers these to `main.py` with these options, waits until all are processed, and returns the log.
    pub fn run(&self, options: &[&str], files: &[&str]) -> String {
        for file in files {
            self.deliver(file, file);
        }
        self.process(&[&["./main.py"], options].concat(), files.len())
    }

    /// Runs a step until it has processed so many of the files that are announced.
    pub fn process(&self, words: &[&str], count: usize) -> String {
        let mut running = self.start(words);
        running.until("all is processed", |log| log.matches("processing after").count() >= count);
        running.stop()
    }

    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&World) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Names and contents of the files in a directory below that of incoming files, sorted; directories are none.
    pub fn files(&self, relative: &str) -> Vec<(String, String)> {
        let Ok(entries) = fs::read_dir(self.input(relative)) else { return Vec::new() };
        let entries = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let mut files: Vec<_> = entries.map(|path| (name_of(&path), read(&path))).collect();
        files.sort();
        files
    }

    /// The contents only.
    pub fn contents(&self, relative: &str) -> Vec<String> {
        let mut contents: Vec<_> = self.files(relative).into_iter().map(|(_, content)| content).collect();
        contents.sort();
        contents
    }

    /// The tags of the only file in a directory.
    pub fn tags_of_only(&self, relative: &str) -> String {
        let files = self.files(relative);
        assert_eq!(files.len(), 1, "{files:?}");
        let path = self.input(relative).join(&files[0].0);
        Done::of(&mut self.command(&["print_tags", path.to_str().unwrap()])).succeeded().stdout
    }

    /// That nothing is left in hands and no tags without a file.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        assert_eq!(self.files("tmp/p.main"), []);
        assert_eq!(self.redis(["KEYS", "xattr_*"]), "");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_redis();
    }
}

/// A step at work; killed at the end of a test.
pub struct Running {
    pub child: Child,
    log: PathBuf,
}

impl Running {
    pub fn log(&self) -> String {
        read(&self.log)
    }

    #[track_caller]
    pub fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.log()) {
            let ended = self.child.try_wait().unwrap();
            let log = self.log();
            if ended.is_some() && is_so(&log) {
                return;
            }
            assert!(ended.is_none(), "{what}: ended with {ended:?}\n{log}");
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end, which is to be a good one.
    #[track_caller]
    pub fn ended(mut self) -> String {
        let status = self.child.wait().unwrap();
        let log = self.log();
        assert!(status.success(), "{status}\n{log}");
        log
    }

    /// SIGTERM, and what it said.
    #[track_caller]
    pub fn stop(self) -> String {
        self.signal(rustix::process::Signal::TERM);
        self.ended()
    }

    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn uuid() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("step-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
