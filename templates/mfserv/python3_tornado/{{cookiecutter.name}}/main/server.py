"""The web application. Usage: python3 -m main.server [--debug] UNIX_SOCKET"""

import argparse
import asyncio
import os
import signal

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler

PLUGIN = os.environ.get("{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME", "{{cookiecutter.name}}")


class Hello(RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write(f"Hello World from {PLUGIN}, asked for {self.request.path}!\n")


def make_app(debug=False):
    # nginx hands over the whole path, with what it routed by in front. Edits restart the plugin by themselves.
    return Application([(r"/.*", Hello)], debug=debug, autoreload=False)


async def serve(socket, debug):
    server = HTTPServer(make_app(debug))
    server.add_socket(bind_unix_socket(socket))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    server.stop()
    await server.close_all_connections()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--debug", action="store_true", help="show errors in the browser")
    parser.add_argument("socket", help="the unix socket to listen on")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.socket, arguments.debug))
