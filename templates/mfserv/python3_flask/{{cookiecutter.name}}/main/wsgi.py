"""The web application: `app` is what the command in config.ini serves."""

import os

from flask import Flask, render_template

app = Flask(__name__)
PLUGIN = os.environ.get("{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME", "{{cookiecutter.name}}")


# nginx hands over the whole path, with what it routed by in front.
@app.route("/", defaults={"path": ""})
@app.route("/<path:path>")
def hello(path):
    return render_template("hello.html", plugin=PLUGIN, path=path)
