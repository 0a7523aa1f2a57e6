//! A worker that tells what it was started with, and requests to it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Answers with its command line and its environment as JSON; `/slow` after a second.
pub const SERVER: &str = r#"
import json, os, sys, time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(1)
        body = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "nginx"

print("listening on", sys.argv[1], flush=True)
ThreadingUnixStreamServer(sys.argv[1], Handler).serve_forever()
"#;

/// The body of the answer, as soon as somebody listens; within a minute.
#[track_caller]
pub fn get(socket: &Path, path: &str) -> String {
    let begun = Instant::now();
    loop {
        match try_get(socket, path) {
            Ok(body) => return body,
            Err(error) if begun.elapsed() > Duration::from_secs(60) => {
                panic!("{}: {error}", socket.display())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

pub fn try_get(socket: &Path, path: &str) -> io::Result<String> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    ask(stream, path)
}

/// The body of the answer to one request.
pub fn ask(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(body.to_owned())
}
