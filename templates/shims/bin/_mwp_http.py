"""HTTP on a unix socket for a WSGI application, with what Python brings along: one request per connection, as nginx
sends them, each connection in a thread of its own."""

import http.server
import io
import socket
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
import wsgiref.util

# How long a client may keep silent while a request is read or an answer is written.
SILENCE = 60


class Broken(Exception):
    """The answer cannot be completed; the connection is closed so that the client knows."""


def log(text):
    sys.stderr.write("bjoern_wrapper: %s\n" % text)
    sys.stderr.flush()


class Handler(http.server.BaseHTTPRequestHandler):
    """One request of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = SILENCE
    application = None

    def setup(self):
        super().setup()
        self.close_connection = True

    def handle(self):
        self.handle_one_request()

    def handle_one_request(self):
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if len(self.raw_requestline) > 65536:
                self.requestline = self.request_version = self.command = ""
                self.send_error(414)
            elif self.raw_requestline and self.parse_request():
                self.respond()
            self.wfile.flush()
        except (OSError, Broken):
            pass

    def respond(self):
        length = self.headers.get("Content-Length", "0")
        is_small = "Transfer-Encoding" not in self.headers and len(length) < 7
        with io.BytesIO() if is_small else tempfile.TemporaryFile() as body:
            try:
                self.read_body(body)
            except ValueError:
                self.send_error(400)
                return
            body.seek(0)
            self.is_head_sent = False
            answer = self.application(self.environ(body), self.start_response)
            try:
                for data in answer:
                    self.write(data)
                self.write(b"", is_last=True)
            finally:
                answer.close()

    def read_body(self, body):
        """ValueError where it is not what its headers say."""
        encoding = self.headers.get("Transfer-Encoding")
        lengths = set(self.headers.get_all("Content-Length", ["0"]))
        if encoding is None:
            length = lengths.pop()
            if lengths or not (length.isascii() and length.isdigit()):
                raise ValueError
            self.copy(int(length), body)
            self.length = int(length)
            return
        if encoding.lower() != "chunked" or "Content-Length" in self.headers:
            raise ValueError
        while True:
            size = self.rfile.readline(1000).split(b";")[0].strip()
            if not size or size.strip(b"0123456789abcdefABCDEF"):
                raise ValueError
            if int(size, 16) == 0:
                break
            self.copy(int(size, 16), body)
            if self.rfile.readline(3).strip():
                raise ValueError
        while self.rfile.readline(65537).strip():
            pass
        self.length = body.tell()

    def copy(self, length, body):
        while length > 0:
            data = self.rfile.read(min(length, 1 << 16))
            if not data:
                raise ValueError
            body.write(data)
            length -= len(data)

    def environ(self, body):
        # Python's own `path` is not what was sent where that begins with `//`.
        target = self.requestline.split()[1]
        path, _, query = target.partition("?")
        host, _, port = self.headers.get("Host", "localhost").partition(":")
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": urllib.parse.unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": target,
            "SERVER_NAME": host,
            "SERVER_PORT": port or "80",
            "SERVER_PROTOCOL": self.request_version,
            "SERVER_SOFTWARE": "mwp",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(self.length),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": wsgiref.util.FileWrapper,
        }
        for name, value in self.headers.items():
            # `A_B` would be taken for `A-B`.
            if "_" in name or name.lower() in ("content-length", "transfer-encoding"):
                continue
            key = name.upper().replace("-", "_")
            key = key if key == "CONTENT_TYPE" else "HTTP_" + key
            value = value.strip()
            environ[key] = environ[key] + "," + value if key in environ else value
        return environ

    def start_response(self, status, headers):
        self.status = status
        self.answer_headers = headers

    def write(self, data, is_last=False):
        if not self.is_head_sent:
            self.send_head()
        if self.has_body and data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if self.is_chunked else data)
        if self.has_body and self.is_chunked and is_last:
            self.wfile.write(b"0\r\n\r\n")

    def send_head(self):
        self.is_head_sent = True
        names = {name.lower() for name, _ in self.answer_headers}
        code = int(self.status.split(" ", 1)[0])
        self.has_body = self.command != "HEAD" and code >= 200 and code not in (204, 304)
        is_new = self.request_version >= "HTTP/1.1"
        self.is_chunked = self.has_body and is_new and "content-length" not in names
        lines = ["HTTP/1.1 " + self.status]
        lines += [
            "%s: %s" % header
            for header in self.answer_headers
            if header[0].lower() not in ("connection", "transfer-encoding", "keep-alive")
        ]
        if "date" not in names:
            lines.append("Date: " + self.date_time_string())
        if self.is_chunked:
            lines.append("Transfer-Encoding: chunked")
        lines.append("Connection: close")
        if any("\r" in line or "\n" in line for line in lines):
            log("a header of the answer holds a line break")
            raise Broken
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


class OwnServer:
    """A thread for each connection, with what Python brings along."""

    def __init__(self, application, listener):
        self.listener = listener
        self.lock = threading.Lock()
        self.count = 0
        self.is_open = True
        self.handler = type("Handler", (Handler,), {"application": application})
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError as error:
                # EINVAL: it was shut down, and whoever had come before is served.
                if not self.is_open:
                    break
                log("cannot accept: %s" % error)
                time.sleep(0.1)
                continue
            with self.lock:
                self.count += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()
        with self.lock:
            self.listener = None

    def serve(self, connection):
        try:
            self.handler(connection, "unix", self)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        except Exception:
            traceback.print_exc()
        finally:
            connection.close()
            with self.lock:
                self.count -= 1

    def connections(self):
        with self.lock:
            return self.count + (self.listener is not None)

    def stop(self):
        self.is_open = False
        # Who comes now is refused, and goes to another worker.
        self.listener.shutdown(socket.SHUT_RD)
