//! Modules that are up, and a small web application to run in them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Sandbox;

/// Answers every request with the plugin's name, what is in the file `version` beside it, and the process; `/slow` takes a
/// second, `/ping` says `OK`, `/exit` ends the process.
const SERVER: &str = r#"
import http.server, os, pathlib, signal, socketserver, sys, time
here = pathlib.Path(__file__).parent.parent
version = (here / "version").read_text().strip()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if "/slow" in self.path:
            time.sleep(1)
        if "/exit" in self.path:
            os._exit(7)
        body = "OK" if self.path.endswith("/ping") else f"{here.name} {version} {os.getpid()} {self.path}"
        if version == "ill":
            self.send_response(500)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def address_string(self):
        return "nginx"
    def log_message(self, *arguments):
        pass

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 500

if version == "broken":
    sys.exit("this version does not start")
print("version", version, "listens", flush=True)
Server(sys.argv[1], Handler).serve_forever()
"#;

impl Sandbox {
    /// A plugin of mfserv with one web app `main` of two workers, in `work/{name}`.
    pub fn web_plugin(&self, name: &str, version: &str) -> PathBuf {
        let dir = self.plugin(name);
        let config = format!("{name}/config.ini");
        let number: String = version.chars().filter(char::is_ascii_alphanumeric).collect();
        let general = self.read(&config).replace("_version=0.0.1", &format!("_version={number}"));
        self.write(
            &config,
            format!(
                "{general}[app_main]\n\
                 _cmd_and_args=python3 -u \"{{plugin_dir}}/{{app_name}}/server.py\" \"{{unix_socket_path}}\"\n\
                 numprocesses=2\nsmart_stop_delay=1\n_http_test_endpoint=/ping\n"
            ),
        );
        self.write(&format!("{name}/main/server.py"), SERVER);
        self.write(&format!("{name}/main/static/robots.txt"), "robots\n");
        self.write(&format!("{name}/version"), version);
        dir
    }

    /// A plugin with one extra daemon `foo` that is this shell script.
    pub fn daemon_plugin(&self, name: &str, script: &str) -> PathBuf {
        let dir = self.plugin(name);
        self.write(&format!("{name}/foo.sh"), script);
        let config = format!("{name}/config.ini");
        let general = self.read(&config);
        self.write(
            &config,
            format!(
                "{general}[extra_daemon_foo]\n_cmd_and_args=sh \"{{plugin_dir}}/foo.sh\"\nnumprocesses=1\n\
                 graceful_timeout=1\n"
            ),
        );
        dir
    }

    /// Packs `work/{name}` and returns the file.
    pub fn packed(&self, name: &str) -> PathBuf {
        let done = self.ok(["pack", "-C", name, "--output", "."]);
        self.work().join(done.stdout.trim())
    }

    pub fn runtime_home(&self) -> PathBuf {
        self.path("home/.local/share/mwp/mfserv")
    }

    /// The module's own configuration.
    pub fn configure_module(&self, text: &str) {
        let dir = self.runtime_home().join("config");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.ini"), text).unwrap();
    }

    /// Brings the module up, with nginx on a free port of its own; whatever `mwp up` says of the plugins.
    pub fn up(&self) -> Up<'_> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.configure_module(&format!("[nginx]\nport={port}\nlisten=127.0.0.1\nworkers=1\n"));
        self.up_at(port)
    }

    /// Brings the module up without nginx.
    pub fn up_without_nginx(&self) -> Up<'_> {
        self.configure_module("[nginx]\nflag=0\n");
        self.up_at(0)
    }

    pub fn up_at(&self, port: u16) -> Up<'_> {
        let done = super::Done::of(&mut self.mwp(["up", "--detach", "--module", "mfserv"]));
        assert!(matches!(done.code, Some(0 | 1)), "{done:?}");
        let up = Up { sandbox: self, port };
        assert_ne!(up.supervisor(), 0, "{done:?}");
        up
    }
}

/// A module that is up; goes down with its owner.
pub struct Up<'a> {
    pub sandbox: &'a Sandbox,
    pub port: u16,
}

impl Up<'_> {
    /// What `mwp status --json` prints, whatever its exit code.
    pub fn status(&self) -> Value {
        let output = self.sandbox.mwp(["status", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// One worker of the status.
    pub fn worker(&self, plugin: &str, service: &str, number: usize) -> Value {
        let status = self.status();
        let find = |list: &Value, name: &str| {
            list.as_array().and_then(|list| list.iter().find(|item| item["name"] == name).cloned())
        };
        let plugin = find(&status["plugins"], plugin).unwrap_or(Value::Null);
        find(&plugin["services"], service).map_or(Value::Null, |found| found["workers"][number - 1].clone())
    }

    /// The process of a worker that runs.
    pub fn pid(&self, plugin: &str, service: &str, number: usize) -> i64 {
        self.worker(plugin, service, number)["pid"].as_i64().unwrap_or(0)
    }

    /// The process of the supervisor.
    pub fn supervisor(&self) -> i64 {
        self.status()["pid"].as_i64().unwrap_or(0)
    }

    #[track_caller]
    pub fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(
                begun.elapsed() < super::PATIENCE,
                "{what}\n{:#}\n{}",
                self.status(),
                self.log("supervisor.log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub fn until_running(&self, plugin: &str, service: &str) {
        self.until(&format!("{plugin}/{service} runs"), || {
            self.worker(plugin, service, 1)["state"] == "running"
        });
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.sandbox.runtime_home().join("log").join(name)).unwrap_or_default()
    }

    /// The answer of a worker to `GET path` over its socket.
    pub fn ask_worker(&self, plugin: &str, number: u32, path: &str) -> Option<String> {
        let socket = self.sandbox.runtime_home().join(format!("var/app_{plugin}_main_{number}.socket"));
        let mut stream = UnixStream::connect(socket).ok()?;
        get(&mut stream, path).map(|(_, body)| body)
    }

    /// Status and body that nginx answers with.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(15))).ok()?;
        get(&mut stream, path)
    }
}

fn get(stream: &mut (impl Read + Write), path: &str) -> Option<(u16, String)> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let mut down = self.sandbox.mwp(["down", "--module", "mfserv"]).spawn().unwrap();
        let begun = Instant::now();
        while down.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = down.kill();
        let _ = down.wait();
        // Whatever is still there must not outlive the test.
        for pid in processes_of(&self.sandbox.runtime_home()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// Every process that works for the runtime home: by its environment or its command line.
pub fn processes_of(runtime_home: &Path) -> Vec<i32> {
    let home = runtime_home.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let names_it = |content: Vec<u8>| String::from_utf8_lossy(&content).contains(&home);
        let is_marked =
            String::from_utf8_lossy(&read("environ")).contains("MWP_WORKER=") && names_it(read("environ"));
        if (is_marked || names_it(read("cmdline"))) && i32::try_from(std::process::id()) != Ok(pid) {
            found.push(pid);
        }
    }
    found
}

/// Clients that ask without pause, until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Counted>>,
}

#[derive(Debug, Default)]
pub struct Counted {
    pub answered: usize,
    pub lost: usize,
    pub reasons: Vec<String>,
}

impl Load {
    pub fn start(port: u16, path: &str, keep_alive: bool, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let (stop, path) = (Arc::clone(&stop), path.to_owned());
            std::thread::spawn(move || {
                let (mut counted, mut stream) = (Counted::default(), None);
                while !stop.load(Ordering::SeqCst) {
                    match one_request(port, &path, keep_alive, &mut stream) {
                        Ok(200) => counted.answered += 1,
                        other => {
                            counted.lost += 1;
                            let reason = format!("{other:?}");
                            if !counted.reasons.contains(&reason) {
                                counted.reasons.push(reason);
                            }
                            stream = None;
                        }
                    }
                }
                counted
            })
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, clients }
    }

    pub fn stop(self) -> Counted {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Counted::default();
        for client in self.clients {
            let counted = client.join().unwrap();
            all.answered += counted.answered;
            all.lost += counted.lost;
            all.reasons.extend(counted.reasons);
        }
        all
    }
}

/// The status. A connection that the server closed between two requests is opened again, as every client does.
fn one_request(
    port: u16,
    path: &str,
    keep_alive: bool,
    kept: &mut Option<BufReader<TcpStream>>,
) -> std::io::Result<u16> {
    let is_kept = kept.is_some();
    let mut reader = match kept.take() {
        Some(reader) => reader,
        None => BufReader::new(TcpStream::connect(("127.0.0.1", port))?),
    };
    reader.get_ref().set_read_timeout(Some(Duration::from_secs(20)))?;
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n");
    let mut line = String::new();
    let sent = reader.get_ref().write_all(request.as_bytes()).and_then(|()| reader.read_line(&mut line));
    if is_kept && !matches!(sent, Ok(length) if length > 0) {
        return one_request(port, path, keep_alive, kept);
    }
    sent?;
    let bad = || std::io::Error::other("no HTTP answer");
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(bad)?;
    let (mut length, mut closes) = (0, !keep_alive);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().map_err(|_| bad())?;
        }
        closes |= header == "connection: close";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !closes {
        *kept = Some(reader);
    }
    Ok(status)
}
