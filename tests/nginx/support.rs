//! A module's runtime home with plugins, a real nginx in front of it, workers behind it, and a client.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mwp::plugin::{Module, Plugin};
use mwp::run::nginx::{Configured, Inputs, Nginx, configure};
use mwp::run::{Service, Settings};
use mwp::site::{Environment, Site};
use tempfile::TempDir;

pub const GENERAL: &str =
    "[general]\n_version=1\n_summary=x\n_license=BSD\n_url=x\n_maintainer=x\n_vendor=x\n";
/// An app with one worker that is named by what follows.
pub const APP: &str = "_cmd_and_args = serve {unix_socket_path}\nnumprocesses = 1\n";

const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    root: TempDir,
    pub port: u16,
    settings: String,
    /// The PATH on which nginx is looked for.
    path: OsString,
}

impl World {
    pub fn new() -> World {
        World::below(tempfile::Builder::new().prefix("mwp-nginx-").tempdir().unwrap())
    }

    pub fn below(root: TempDir) -> World {
        let port = free_port();
        let path = std::env::var_os("PATH").unwrap();
        let world = World { root, port, settings: String::new(), path };
        for dir in ["config", "var/plugins", "log"] {
            fs::create_dir_all(world.home().join(dir)).unwrap();
        }
        world
    }

    /// Lines for section `[nginx]` of the module's configuration.
    pub fn set(&mut self, lines: &str) {
        self.settings.push_str(lines);
        self.settings.push('\n');
    }

    /// Puts a program of this name in front of all others.
    pub fn shadow(&mut self, name: &str, script: &str) {
        let dir = self.root.path().join("bin");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), script).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = dir.into_os_string();
        path.push(":");
        path.push(&self.path);
        self.path = path;
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Writes a file below the plugins.
    pub fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.home().join("var/plugins").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A plugin with these sections, beside `[general]` with these lines more.
    pub fn plugin(&self, name: &str, general: &str, sections: &str) {
        self.write(&format!("{name}/.layerapi2_label"), &format!("plugin_{name}@mfserv\n"));
        self.write(&format!("{name}/.plugin_format_version"), "1.0.0\n");
        self.write(&format!("{name}/config.ini"), &format!("{GENERAL}{general}\n{sections}\n"));
    }

    /// A plugin whose one app, `main`, has a worker, and these lines.
    pub fn app(&self, name: &str, lines: &str) {
        self.plugin(name, "", &format!("[app_main]\n{APP}{lines}"));
    }

    pub fn site(&self) -> Site {
        let mut environment = Environment::default();
        environment.set("PATH", &self.path);
        environment.set("HOME", self.root.path());
        environment.set("MFMODULE_RUNTIME_HOME", self.home());
        environment.set("MWP_ETC_DIR", self.root.path().join("etc"));
        environment.set("MFHOSTNAME", "box");
        environment.set("MFHOSTNAME_FULL", "box.example.org");
        Site::new(environment)
    }

    pub fn try_configure(&self) -> mwp::error::Result<Configured> {
        let settings = format!("[nginx]\nport={}\nlisten=127.0.0.1\nworkers=1\n{}", self.port, self.settings);
        fs::write(self.home().join("config/config.ini"), settings).unwrap();
        let module = Module::parse("mfserv").unwrap();
        let settings = Settings::load(&module, &self.site())?;
        let site = settings.applied_to(&self.site(), &module);
        let mut plugins = Vec::new();
        for dir in fs::read_dir(self.home().join("var/plugins")).unwrap() {
            let plugin = Plugin::load(&dir.unwrap().path(), &site)?;
            let services = Service::of_plugin(&plugin, &site)?;
            plugins.push((plugin, services));
        }
        let inputs = Inputs { module: &module, settings: &settings, site: &site, plugins: &plugins };
        configure(&Nginx::find(&site)?, &inputs)
    }

    pub fn configure(&self) -> Configured {
        self.try_configure().unwrap()
    }

    /// Starts nginx with this configuration and waits until it answers.
    pub fn serve(&self, configured: &Configured) -> Running {
        let conf = self.home().join("var/nginx/nginx.conf");
        fs::write(&conf, &configured.text).unwrap();
        let nginx = Nginx::find(&self.site()).unwrap();
        let child = Command::new(&nginx.program)
            .args(nginx.arguments(&conf, &self.home()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let running = Running { child };
        wait_until("nginx answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        running
    }

    /// Configures, asserts that nothing is wrong, and starts nginx.
    pub fn start(&self) -> Running {
        let configured = self.configure();
        assert_eq!(configured.problems, []);
        self.serve(&configured)
    }

    pub fn socket(&self, plugin: &str, app: &str, worker: u32) -> PathBuf {
        self.home().join(format!("var/app_{plugin}_{app}_{worker}.socket"))
    }

    /// A worker that answers `plugin/app/number`, and after an empty line what reached it.
    pub fn worker(&self, plugin: &str, app: &str, number: u32) {
        let name = format!("{plugin}/{app}/{number}");
        let listener = UnixListener::bind(self.socket(plugin, app, number)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let name = name.clone();
                std::thread::spawn(move || answer(&mut stream.unwrap(), &name));
            }
        });
    }

    /// A worker that answers one request after the other.
    pub fn single(&self, plugin: &str, app: &str, number: u32) {
        let name = format!("{plugin}/{app}/{number}");
        let listener = UnixListener::bind(self.socket(plugin, app, number)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&mut stream.unwrap(), &name);
            }
        });
    }

    /// A worker that ends, with its socket, at a request for `kill`; says whether it has.
    pub fn mortal(&self, plugin: &str, app: &str, number: u32) -> Arc<AtomicBool> {
        let name = format!("{plugin}/{app}/{number}");
        let socket = self.socket(plugin, app, number);
        let listener = UnixListener::bind(&socket).unwrap();
        let is_dead = Arc::new(AtomicBool::new(false));
        let dead = Arc::clone(&is_dead);
        std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                if line.contains("kill") {
                    dead.store(true, Ordering::Relaxed);
                    fs::remove_file(&socket).unwrap();
                    // A process takes a while to end.
                    std::thread::sleep(Duration::from_millis(50));
                    return;
                }
                let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain";
                let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            }
        });
        is_dead
    }

    /// The only worker of `main`.
    pub fn main(&self, plugin: &str) {
        self.worker(plugin, "main", 1);
    }

    /// Sends the bytes, and reads until the end.
    pub fn send(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer::read(&bytes)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// A header named `Host` replaces the usual one.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: 127.0.0.1:{}\r\n", self.port));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        self.send(format!("{request}\r\n").as_bytes())
    }

    pub fn host(&self, host: &str, path: &str) -> Answer {
        self.get_with(path, &[("Host", host)])
    }

    /// Who answers: the worker, or the status where it is nginx.
    pub fn who(&self, path: &str) -> String {
        self.get(path).who()
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.home().join("log").join(name)).unwrap_or_default()
    }
}

/// A port that nobody listens at. The kernel gives those from 32768 to clients, at any time.
pub fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let next = || 20_000 + (std::process::id() * 13 + COUNT.fetch_add(1, Ordering::Relaxed)) % 12_000;
    std::iter::repeat_with(next).filter_map(|port| u16::try_from(port).ok()).find(is_free).unwrap()
}

/// An nginx that ends with the test.
pub struct Running {
    child: Child,
}

impl Running {
    /// The processes that answer.
    pub fn workers(&self) -> BTreeSet<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Has nginx read its configuration again, and returns when a new worker answers and the old ones know.
    pub fn reload(&self) {
        let old = self.workers();
        Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap();
        let title = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        wait_until("nginx has new workers", || {
            let now = self.workers();
            now.difference(&old).next().is_some()
                && now.intersection(&old).all(|worker| title(worker).contains("shutting down"))
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default().split(' ').nth(1).and_then(|code| code.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Answer {
            status: status.unwrap_or(0),
            headers: lines.filter_map(header).collect(),
            body: bytes.get(end + 4..).unwrap_or_default().to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(it, _)| it == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice: {:?}", self.headers);
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn who(&self) -> String {
        match self.status {
            200 => self.text().lines().next().unwrap_or_default().to_owned(),
            status => status.to_string(),
        }
    }

    /// The request line that reached the worker.
    pub fn request_line(&self) -> String {
        self.text().lines().nth(2).unwrap_or_default().to_owned()
    }

    /// The headers that reached the worker, names in lower case.
    pub fn seen(&self) -> BTreeMap<String, String> {
        let mut seen = BTreeMap::new();
        for line in self.text().lines().skip(3).take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            let before = seen.insert(name.to_ascii_lowercase(), value.to_owned());
            assert!(before.is_none(), "{name} came twice");
        }
        seen
    }
}

fn answer(stream: &mut UnixStream, name: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    let mut length = 0_u64;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        head.push_str(&line);
        head.push('\n');
    }
    if head.to_ascii_lowercase().contains("upgrade: websocket") {
        return echo(stream, &mut reader);
    }
    let received = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
    let body = format!("{name}\n\n{head}\nbody of {received}\n");
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if path.contains("die") {
        return;
    }
    if path.contains("stream") {
        let (kind, text) = match path.contains("chunks") {
            true => ("Transfer-Encoding: chunked", "5\r\nfirst\r\n"),
            false => ("X-Accel-Buffering: no", "first"),
        };
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\nConnection: close\r\n\r\n{text}");
        let _ = stream.read(&mut [0]);
        return;
    }
    if let Some((_, megabytes)) = path.split_once("megabytes=") {
        let length = megabytes.parse::<usize>().unwrap() << 20;
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; length]);
        return;
    }
    let extra = if path.contains("own-id") { "X-Request-Id: mine\r\n" } else { "" };
    let status = if path.contains("own-502") { "502 Bad Gateway" } else { "200 OK" };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{extra}Connection: close\r\n\r\n{body}",
        body.len()
    );
}

/// What a WebSocket would do once the protocol is another.
fn echo(stream: &mut UnixStream, reader: &mut BufReader<UnixStream>) {
    write!(stream, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        .unwrap();
    let mut buffer = [0; 100];
    while let Ok(length) = reader.read(&mut buffer) {
        if length == 0 || stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
