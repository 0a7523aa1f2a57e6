//! `bjoern_wrapper.py` and `signal_wrapper.py` as the commands of workers behind nginx.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::{World, wait_until};

const APP: &str = r#"
import os, threading, time
assert threading.current_thread() is threading.main_thread()

def app(environ, start_response):
    path = environ["PATH_INFO"].rsplit("/", 1)[-1]
    body = environ["wsgi.input"].read()
    def answer(text, *headers):
        start_response("200 OK", [("Content-Type", "text/plain"), *headers])
        return [text.encode("latin-1")]
    if path == "sleep":
        time.sleep(1)
        return answer("slept")
    if path == "stream":
        def pieces():
            yield b"first,"
            go = os.path.join(os.path.dirname(__file__), "go")
            while not os.path.exists(go):
                time.sleep(0.01)
            os.remove(go)
            yield b"second"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces()
    if path == "hang":
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                pass
    if path == "raise":
        raise RuntimeError("on purpose")
    if path == "late":
        def pieces():
            yield b"first"
            raise RuntimeError("on purpose")
        start_response("200 OK", [("Content-Length", "100")])
        return pieces()
    if path == "nothing":
        start_response("204 No Content", [])
        return []
    if path == "server":
        return answer(environ["SERVER_SOFTWARE"] or "waitress")
    if path == "length":
        return answer(str(len(body)), ("Content-Length", str(len(str(len(body))))))
    thread = threading.current_thread() is threading.main_thread()
    return answer("|".join([
        environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_HOST"],
        environ.get("HTTP_X_FORWARDED_PROTO", ""), str(environ["HTTP_X_REQUEST_ID"] == os.environ["MFSERV_CURRENT_REQUEST_ID"]),
        str(thread), environ.get("CONTENT_TYPE", "")]))
"#;

/// Which server the plugin's environment has.
#[derive(Clone, Copy, PartialEq)]
enum Server {
    Own,
    Waitress,
}

/// A directory that holds waitress, from PyPI, installed once.
fn waitress() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared").join("waitress");
    fs::create_dir_all(&dir).unwrap();
    let lock = fs::File::create(dir.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let target = dir.join("lib");
    if !target.join("waitress/server.py").exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&target)
            .arg("waitress==3.0.2");
        assert!(pip.status().unwrap().success());
    }
    target
}

struct Worker(Child);

impl Worker {
    fn start(world: &World, server: Server, command: &[&str]) -> Worker {
        world.write("hello/main/wsgi.py", APP);
        let home = world.home().join("var/plugins/hello");
        let programs = mwp::shims::programs(&world.site()).unwrap();
        let mut path = std::env::var_os("PATH").unwrap();
        path.push(":");
        path.push(&programs);
        let mut modules = OsString::from(&home);
        if server == Server::Waitress {
            modules.push(":");
            modules.push(waitress());
        }
        let socket = world.socket("hello", "main", 1);
        let words = command.iter().map(|word| word.replace("SOCKET", socket.to_str().unwrap()));
        let mut words = words.collect::<Vec<_>>().into_iter();
        let program = which::which_in(words.next().unwrap(), Some(&path), &home).unwrap();
        let child = Command::new(program)
            .args(words)
            .env("PATH", path)
            .env("PYTHONPATH", modules)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(&home)
            .stdin(Stdio::null())
            .stderr(fs::File::create(world.home().join("log/worker.log")).unwrap())
            .spawn()
            .unwrap();
        wait_until("the worker listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Worker(child)
    }

    fn bjoern(world: &World, server: Server) -> Worker {
        Worker::start(world, server, &["bjoern_wrapper.py", "--timeout=2", "main.wsgi:app", "SOCKET"])
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
    }

    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn world() -> World {
    let world = World::new();
    world.app("hello", "");
    world
}

fn with_each(check: impl Fn(&World, Server)) {
    for server in [Server::Own, Server::Waitress] {
        check(&world(), server);
    }
}

/// What the client gets, its body put together where it came in chunks.
fn body(world: &World, method: &str, path: &str, content: &[u8]) -> (u16, String) {
    let length = content.len();
    let head = format!(
        "{method} /hello/{path} HTTP/1.0\r\nHost: example.org\r\nContent-Type: text/x\r\nContent-Length: {length}\r\n\r\n"
    );
    let answer = world.send(&[head.as_bytes(), content].concat());
    (answer.status, answer.text())
}

#[test]
fn an_application_is_served_from_the_main_thread() {
    with_each(|world, server| {
        let worker = Worker::bjoern(world, server);
        let _nginx = world.start();
        let name = if server == Server::Own { "mwp" } else { "waitress" };
        assert_eq!(body(world, "GET", "server", b""), (200, name.to_owned()));
        let expected = "GET|/hello/caf\u{fffd}\u{fffd} x|a=%20b&c|example.org|http|True|True|text/x";
        assert_eq!(
            body(world, "GET", "caf%C3%A9%20x?a=%20b&c", b"").1.replace("\u{e9}", "\u{fffd}\u{fffd}"),
            expected
        );
        assert_eq!(body(world, "POST", "length", &vec![b'x'; 10 << 20]), (200, (10 << 20).to_string()));
        assert_eq!(body(world, "POST", "length", b"abc"), (200, "3".to_owned()));
        assert_eq!(body(world, "GET", "nothing", b""), (204, String::new()));
        let head = world.send(b"HEAD /hello/length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("1"), 0));
        assert_eq!(world.socket("hello", "main", 1).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(worker);
    });
}

#[test]
fn many_requests_at_once_are_all_answered() {
    with_each(|world, server| {
        let _worker = Worker::bjoern(world, server);
        let _nginx = world.start();
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..50_usize)
                .map(|number| {
                    scope.spawn(move || (number, body(world, "POST", "length", &vec![b'x'; number * 1000])))
                })
                .collect();
            for thread in all {
                let (number, answer) = thread.join().unwrap();
                assert_eq!(answer, (200, (number * 1000).to_string()));
            }
        });
    });
}

#[test]
fn pieces_of_an_answer_go_out_as_they_come() {
    with_each(|world, server| {
        let _worker = Worker::bjoern(world, server);
        let _nginx = world.start();
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).unwrap();
        stream.write_all(b"GET /hello/stream HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let length = stream.read(&mut buffer).unwrap();
            if length == 0 {
                break;
            }
            seen.extend_from_slice(&buffer[..length]);
            if seen.ends_with(b"first,") {
                // The second piece is not made before the first one is here.
                world.write("hello/main/go", "");
            }
        }
        assert!(seen.ends_with(b"first,second"), "{}", String::from_utf8_lossy(&seen));
    });
}

#[test]
fn errors_are_answers_and_the_worker_goes_on() {
    with_each(|world, server| {
        let _worker = Worker::bjoern(world, server);
        let _nginx = world.start();
        assert_eq!(body(world, "GET", "raise", b""), (500, "HTTP/500 Internal Server Error".to_owned()));
        let log = world.log("worker.log");
        assert!(log.contains("RuntimeError: on purpose"), "{log}");
        assert_eq!(body(world, "GET", "hang", b""), (504, "HTTP/504 Gateway Time-out".to_owned()));
        // Cut off, not completed.
        assert_eq!(body(world, "GET", "late", b""), (200, "first".to_owned()));
        assert_eq!(body(world, "POST", "length", b"abc").1, "3");
    });
}

#[test]
fn what_is_under_way_is_answered_before_the_end() {
    with_each(|world, server| {
        for signal in ["-TERM", "-INT"] {
            let mut worker = Worker::bjoern(world, server);
            let nginx = world.start();
            std::thread::scope(|scope| {
                // The second waits for the first, as there is one application.
                let one = scope.spawn(|| body(world, "GET", "sleep", b""));
                let two = scope.spawn(|| body(world, "GET", "sleep", b""));
                std::thread::sleep(Duration::from_millis(400));
                worker.signal(signal);
                std::thread::sleep(Duration::from_millis(200));
                assert_eq!(body(world, "GET", "x", b"").0, 503);
                let slept = (200, "slept".to_owned());
                assert_eq!((one.join().unwrap(), two.join().unwrap()), (slept.clone(), slept));
            });
            assert_eq!(worker.end().code(), Some(0));
            drop(nginx);
        }
    });
}

#[test]
fn a_request_that_is_not_what_it_says_is_refused() {
    let world = world();
    let _worker = Worker::bjoern(&world, Server::Own);
    for (request, status) in [
        (
            "POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            "200",
        ),
        ("POST /length HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "400"),
        ("POST /length HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "400"),
        ("POST /length HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc", "400"),
        ("POST /length HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"),
        ("POST /length HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc", "400"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(world.socket("hello", "main", 1)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.contains(&format!(" {status} ")) || answer.contains(&format!("code: {status}")),
            "{request}: {answer}"
        );
        assert_eq!(
            answer.contains("\r\n5\r\n0\r\n\r\n") || answer.ends_with("\r\n\r\n5"),
            status == "200",
            "{answer}"
        );
    }
}

#[test]
fn signal_wrapper_becomes_its_command() {
    let world = world();
    let command = [
        "signal_wrapper.py",
        "--timeout=60",
        "--signal=15",
        "--socket-up-after=3",
        "SOCKET",
        "--",
        "bjoern_wrapper.py",
        "--timeout",
        "2",
        "main.wsgi:app",
        "SOCKET",
    ];
    let mut worker = Worker::start(&world, Server::Own, &command);
    let _nginx = world.start();
    assert_eq!(body(&world, "GET", "server", b"").1, "mwp");
    worker.signal("-TERM");
    assert_eq!(worker.end().code(), Some(0));
}
