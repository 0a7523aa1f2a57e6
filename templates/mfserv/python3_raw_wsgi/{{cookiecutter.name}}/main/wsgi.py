"""The web application: `app` is what the command in config.ini serves."""

import os

PLUGIN = os.environ.get("{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME", "{{cookiecutter.name}}")


def app(environ, start_response):
    # nginx hands over the whole path, with what it routed by in front.
    body = f"Hello World from {PLUGIN}, asked for {environ['PATH_INFO']}!\n".encode()
    start_response(
        "200 OK",
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))],
    )
    return [body]
