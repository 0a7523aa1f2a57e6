//! Modules that are up, and clients that ask them without pause.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// A module with a runtime home of its own; it goes down with its owner.
pub struct Module {
    root: TempDir,
    pub port: u16,
}

const GENERAL: &str =
    "[general]\n_version=VERSION\n_summary=s\n_license=l\n_url=u\n_maintainer=m\n_vendor=v\n";
const METADATA: &str = "{\"version\":\"1\",\"release\":\"1\",\"build_host\":\"h\",\"build_date\":\"2026-01-01T00:00:00Z\",\
    \"size\":\"1\",\"summary\":\"s\",\"license\":\"l\",\"packager\":\"p\",\"vendor\":\"v\",\"url\":\"u\"}";

impl Module {
    pub fn new() -> Module {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let module = Module { root: tempfile::Builder::new().prefix("mwp-bench-").tempdir().unwrap(), port };
        module.configure(&format!("[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\n"));
        module
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The module's own configuration.
    pub fn configure(&self, text: &str) {
        fs::create_dir_all(self.path("home/config")).unwrap();
        fs::write(self.path("home/config/config.ini"), text).unwrap();
    }

    /// A plugin's directory with these sections and this server.
    pub fn plugin(&self, parent: &str, name: &str, version: &str, sections: &str, server: &str) -> PathBuf {
        let dir = self.path(parent).join(name);
        fs::create_dir_all(&dir).unwrap();
        for (file, content) in [
            (".layerapi2_label", format!("plugin_{name}@mfserv\n").as_str()),
            (".layerapi2_dependencies", "python3@mfext\n"),
            (".plugin_format_version", "1.0.0\n"),
            ("config.ini", &(GENERAL.replace("VERSION", version) + sections)),
            ("server", server),
        ] {
            fs::write(dir.join(file), content).unwrap();
        }
        dir
    }

    /// The same, as if installed.
    pub fn installed(&self, name: &str, sections: &str, server: &str) -> PathBuf {
        let dir = self.plugin("home/var/plugins", name, "1", sections, server);
        fs::write(dir.join(".metadata.json"), METADATA).unwrap();
        dir
    }

    pub fn socket(&self, plugin: &str, worker: u32) -> PathBuf {
        self.path(&format!("home/var/app_{plugin}_main_{worker}.socket"))
    }

    pub fn mwp(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mwp"));
        command.args(arguments).current_dir(self.root.path()).env("HOME", self.root.path());
        command.env("MFMODULE_RUNTIME_HOME", self.path("home")).env("MWP_ETC_DIR", self.path("etc"));
        command.env("MWP_CACHE_DIR", self.path("cache")).env_remove("MFMODULE").stdout(Stdio::null());
        command
    }

    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) {
        let output = self.mwp(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn up(&self) {
        self.ok(&["up", "--quiet", "--detach", "--module", "mfserv"]);
    }

    pub fn down(&self) {
        let _ = self.mwp(&["down", "--module", "mfserv"]).stderr(Stdio::null()).status();
    }

    /// The supervisor and the guardian above it.
    pub fn processes(&self) -> [u32; 2] {
        let output = self.mwp(&["status", "--json", "--module", "mfserv"]).stdout(Stdio::piped()).output();
        let status: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let status = status.get(0).unwrap_or(&status);
        let supervisor = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
        [supervisor, of_status(supervisor, "PPid:")]
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        self.down();
    }
}

/// A number of `/proc/PID/status`.
pub fn of_status(pid: u32, field: &str) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    value.split_whitespace().next().unwrap().parse().unwrap()
}

/// What a process has had of the processor, in all its threads.
pub fn processor_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of_thread = |thread: fs::DirEntry| -> u64 {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|time| time.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(threads.map(of_thread).sum())
}

/// What clients got.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counted {
    pub answered: usize,
    pub lost: usize,
    /// Asked again, as the server had closed the kept connection; lost to a client that does not do so.
    pub repeated: usize,
}

/// Clients that ask until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Counted>>,
}

impl Load {
    pub fn start(port: u16, path: &'static str, keep_alive: bool, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let client = |_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || ask_until(&stop, &answered, port, path, keep_alive))
        };
        Load { clients: (0..clients).map(client).collect(), stop, answered }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    pub fn stop(self) -> Counted {
        self.stop.store(true, Ordering::SeqCst);
        let counted = self.clients.into_iter().map(|client| client.join().unwrap());
        counted.fold(Counted::default(), |all, one| Counted {
            answered: all.answered + one.answered,
            lost: all.lost + one.lost,
            repeated: all.repeated + one.repeated,
        })
    }
}

fn ask_until(stop: &AtomicBool, answered: &AtomicUsize, port: u16, path: &str, keep_alive: bool) -> Counted {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n");
    let (mut counted, mut kept) = (Counted::default(), None);
    while !stop.load(Ordering::SeqCst) {
        match ask(port, request.as_bytes(), &mut kept, &mut counted.repeated) {
            Ok(true) => {
                counted.answered += 1;
                answered.fetch_add(1, Ordering::SeqCst);
            }
            Ok(false) | Err(_) => {
                counted.lost += 1;
                kept = None;
            }
        }
    }
    counted
}

/// Whether the answer was 200. A kept connection that the server has closed is opened again, as every client does.
fn ask(
    port: u16,
    request: &[u8],
    kept: &mut Option<BufReader<TcpStream>>,
    repeated: &mut usize,
) -> io::Result<bool> {
    let (mut reader, is_kept) = match kept.take() {
        Some(reader) => (reader, true),
        None => (BufReader::new(TcpStream::connect(("127.0.0.1", port))?), false),
    };
    let mut line = String::new();
    let sent = reader.get_ref().write_all(request).and_then(|()| reader.read_line(&mut line));
    if is_kept && !matches!(sent, Ok(length) if length > 0) {
        *repeated += 1;
        return ask(port, request, kept, repeated);
    }
    sent?;
    let is_good = line.split(' ').nth(1) == Some("200");
    let (mut length, mut closes) = (0, false);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        }
        closes |= header == "connection: close";
    }
    reader.read_exact(&mut vec![0; length])?;
    if !closes {
        *kept = Some(reader);
    }
    Ok(is_good)
}

/// Requests per second over some seconds: by wrk where there is one, which takes less of the machine than we do.
pub fn requests_per_second(port: u16, path: &'static str, keep_alive: bool, seconds: u64) -> f64 {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c16", &format!("-d{seconds}s")]);
    if !keep_alive {
        wrk.args(["-H", "Connection: close"]);
    }
    if let Ok(output) = wrk.arg(&url).output() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{url}: {text}");
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        return rate.unwrap_or_else(|| panic!("{text}")).trim().parse().unwrap();
    }
    let load = Load::start(port, path, keep_alive, 8);
    std::thread::sleep(Duration::from_secs(seconds));
    let counted = load.stop();
    assert_eq!(counted.lost, 0);
    counted.answered as f64 / seconds as f64
}

/// Whether somebody listens there.
pub fn listens(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// A worker in Python, as many of it as is put for `WORKERS`.
pub const PYTHON_APP: &str = "[app_main]\n_cmd_and_args=python3 {plugin_dir}/server {unix_socket_path}\n\
                          numprocesses=WORKERS\nsmart_stop_delay=1\n";

pub const PYTHON_SERVER: &str = r#"
import http.server, socketserver, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")
    def address_string(self):
        return "nginx"
    def log_message(self, *arguments):
        pass

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 500

Server(sys.argv[1], Handler).serve_forever()
"#;

/// Processes that end with their owner.
pub struct Processes(pub Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // A master that is killed leaves its workers.
            let _ = rustix::process::kill_process(Pid::from_child(child), Signal::TERM);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(5) && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Until somebody listens on all of them.
pub fn wait_for(sockets: &[PathBuf]) {
    let begun = Instant::now();
    while !sockets.iter().all(|socket| listens(socket)) {
        assert!(begun.elapsed() < Duration::from_secs(120), "some do not listen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One request over a connection of its own.
pub fn ask_once(port: u16, path: &str) -> io::Result<bool> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    ask(port, request.as_bytes(), &mut None, &mut 0)
}
