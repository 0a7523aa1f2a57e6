"""The web application: `make_app` makes what the command in config.ini serves."""

import os

from aiohttp import web

PLUGIN = os.environ.get("{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME", "{{cookiecutter.name}}")


async def hello(request):
    return web.Response(text=f"Hello World from {PLUGIN}, asked for {request.path}!\n")


def make_app(argv=None):
    app = web.Application()
    # nginx hands over the whole path, with what it routed by in front.
    app.add_routes([web.get("/{path:.*}", hello)])
    return app
