"""The web application: `app` is what the command in config.ini serves."""

import os

PLUGIN = os.environ.get("{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME", "{{cookiecutter.name}}")


async def app(scope, receive, send):
    if scope["type"] != "http":
        # uvicorn goes on without what an application refuses here: start-up, WebSockets.
        raise NotImplementedError(scope["type"])
    # nginx hands over the whole path, with what it routed by in front.
    body = f"Hello World from {PLUGIN}, asked for {scope['path']}!\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
