#!/usr/bin/env python3
"""Stands for MetWork's command of this name: serves a WSGI application on a unix socket.

As under bjoern, the application runs in the main thread, one request at a time; requests are read and answers are
written in other threads, by waitress where the plugin has it, else with what Python brings along. SIGTERM and SIGINT
end the process when the requests under way are answered.
"""

import argparse
import atexit
import importlib
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback

from _mwp_http import SILENCE, Broken, OwnServer, log

BACKLOG = 4096
# How many pieces of an answer wait for a slow client before the application does.
PIECES = 256


class TimedOut(BaseException):
    """The time for one request is over. No Exception: those are often caught by applications."""


class Job:
    """A request on its way through the main thread, and its answer on its way back."""

    def __init__(self, environ):
        self.environ = environ
        self.pieces = queue.Queue(PIECES)
        self.abandoned = False

    def put(self, kind, content=None):
        while not self.abandoned:
            try:
                return self.pieces.put((kind, content), timeout=1)
            except queue.Full:
                pass
        raise Broken


class MainThread:
    """Runs the application; a WSGI application itself, for the threads of a server."""

    def __init__(self, application, timeout, raises):
        self.application = application
        self.timeout = timeout
        self.raises = raises
        # Of this kind a signal handler may put.
        self.jobs = queue.SimpleQueue()
        self.is_stopping = False
        self.started = None
        self.is_running = False
        self.server = None

    def __call__(self, environ, start_response):
        job = Job(environ)
        self.jobs.put(job)
        kind, content = job.pieces.get()
        if kind != "start":
            raise Broken
        start_response(*content)
        return Answer(job)

    def stop(self, *_):
        if not self.is_stopping:
            self.is_stopping = True
            # The application may be at work, and new requests must not wait for that to be refused.
            threading.Thread(target=self.server.stop, daemon=True).start()
            self.jobs.put(None)

    def run(self, server):
        self.server = server
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        if self.timeout > 0:
            signal.signal(signal.SIGALRM, self.on_alarm)
            threading.Thread(target=self.watch, daemon=True).start()
        while not self.is_stopping:
            job = self.jobs.get()
            if job is not None:
                self.work(job)
        deadline = time.monotonic() + max(self.timeout, 1) + 1
        while time.monotonic() < deadline:
            try:
                job = self.jobs.get(timeout=0.02)
            except queue.Empty:
                if server.connections() == 0:
                    return
            else:
                if job is not None:
                    self.work(job)

    def on_alarm(self, *_):
        if self.is_running:
            raise TimedOut

    def watch(self):
        """Code that does not listen to Python's signals gets an end, too."""
        while True:
            time.sleep(0.5)
            started = self.started
            if started is not None and time.monotonic() - started > self.timeout + 2:
                log("a request took more than %i seconds and cannot be interrupted: killed" % self.timeout)
                os.kill(os.getpid(), signal.SIGKILL)

    def work(self, job):
        self.started = time.monotonic()
        if "HTTP_X_REQUEST_ID" in job.environ:
            os.environ["MFSERV_CURRENT_REQUEST_ID"] = job.environ["HTTP_X_REQUEST_ID"]
        state = {"head": None, "is_sent": False}
        try:
            try:
                self.is_running = True
                if self.timeout > 0:
                    signal.setitimer(signal.ITIMER_REAL, self.timeout)
                self.call(job, state)
            finally:
                self.is_running = False
                signal.setitimer(signal.ITIMER_REAL, 0)
        except TimedOut:
            log("a request took more than %i seconds" % self.timeout)
            self.fail(job, state, "504 Gateway Time-out", b"HTTP/504 Gateway Time-out")
        except Broken:
            pass
        except BaseException as error:
            traceback.print_exc()
            sys.stderr.flush()
            text = traceback.format_exc() if self.raises else "HTTP/500 Internal Server Error"
            self.fail(job, state, "500 Internal Server Error", text.encode("utf-8", "replace"))
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                self.stop()
        self.started = None

    def call(self, job, state):
        def send_head():
            if state["head"] is None:
                raise AssertionError("the application has not called start_response")
            if not state["is_sent"]:
                state["is_sent"] = True
                job.put("start", state["head"])

        def write(data):
            send_head()
            job.put("data", data)

        def start_response(status, headers, exc_info=None):
            if exc_info:
                try:
                    if state["is_sent"]:
                        raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None
            elif state["head"] is not None:
                raise AssertionError("start_response was called already")
            state["head"] = (status, list(headers))
            return write

        result = self.application(job.environ, start_response)
        try:
            for data in result:
                if data:
                    write(data)
            send_head()
            job.put("end")
        finally:
            if hasattr(result, "close"):
                result.close()

    @staticmethod
    def fail(job, state, status, text):
        try:
            if state["is_sent"]:
                job.put("broken")
                return
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
            job.put("start", (status, headers))
            job.put("data", text)
            job.put("end")
        except Broken:
            pass


class Answer:
    """What the main thread says, as it says it."""

    def __init__(self, job):
        self.job = job

    def __iter__(self):
        while True:
            kind, content = self.job.pieces.get()
            if kind == "data":
                yield content
            elif kind == "end":
                return
            else:
                raise Broken

    def close(self):
        self.job.abandoned = True


class Waitress:
    """waitress, with threads that wait for the main thread."""

    def __init__(self, application, listener):
        from waitress.server import create_server

        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self.is_open = True
        self.server = create_server(
            application,
            sockets=[listener],
            threads=16,
            backlog=BACKLOG,
            channel_timeout=SILENCE,
            # They come from nginx.
            clear_untrusted_proxy_headers=False,
        )
        threading.Thread(target=self.server.run, daemon=True).start()

    def connections(self):
        return len(self.server.active_channels) + self.is_open

    def stop(self):
        self.server.socket.shutdown(socket.SHUT_RD)
        # Whoever had come before is taken in meanwhile.
        time.sleep(0.1)
        self.server.accepting = False
        self.is_open = False


def load(name):
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        sys.exit("error: bjoern_wrapper.py: found `%s`; MODULE:APPLICATION is allowed" % name)
    application = importlib.import_module(module)
    for part in attribute.split("."):
        application = getattr(application, part)
    return application


def debugged(application, evalex):
    try:
        from werkzeug.debug import DebuggedApplication
    except ImportError:
        log("without werkzeug, answers to errors hold a traceback and nothing else")
        return application
    return DebuggedApplication(application, evalex=evalex, pin_security=False)


def listen(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(umask)
    listener.listen(BACKLOG)
    return listener


def main():
    parser = argparse.ArgumentParser(description="serve a WSGI application on a unix socket")
    parser.add_argument("main_arg", metavar="MODULE:APPLICATION")
    parser.add_argument("unix_socket", metavar="UNIX_SOCKET", help="where to listen")
    parser.add_argument("--timeout", default=60, type=int, help="seconds for one request; 0 for no limit (default: 60)")
    parser.add_argument("--debug", action="store_true", help="show errors in the browser; not for production")
    parser.add_argument("--debug-evalex", action="store_true", help="and let it run code; never for production")
    arguments = parser.parse_args()
    application = load(arguments.main_arg)
    if arguments.debug:
        application = debugged(application, arguments.debug_evalex)
    main_thread = MainThread(application, arguments.timeout, arguments.debug)
    listener = listen(arguments.unix_socket)
    try:
        server = Waitress(main_thread, listener)
    except ImportError:
        server = OwnServer(main_thread, listener)
    except Exception as error:
        log("this waitress does not do: %s" % error)
        server = OwnServer(main_thread, listener)
    main_thread.run(server)
    # Whatever threads the application has left do not hold it up.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
