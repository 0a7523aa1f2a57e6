#!/usr/bin/env python3
"""Writes session.svg: a real session with the `mwp` on PATH, in a home of its own. Needs nginx, and port 18868 free.

    PATH="$PWD/target/debug:$PATH" python3 docs/session.py
"""

import html
import os
import pathlib
import subprocess
import tempfile

COMMANDS = [
    "mwp new shop --no-input",
    "cd shop && mwp develop",
    "mwp up -d",
    "curl -s http://localhost:18868/shop/ | grep h1",
    "mwp status",
    "mwp build",
]
LINE, COLUMN, MARGIN = 19, 8.43, 18
STYLE = """
    text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre; fill: #24292f }
    .command { font-weight: bold; fill: #0550ae }
    rect { fill: #f6f8fa; stroke: #d0d7de }
    @media (prefers-color-scheme: dark) {
      text { fill: #d1d7e0 }
      .command { fill: #79c0ff }
      rect { fill: #151b23; stroke: #3d444d }
    }
"""


def session():
    """The lines of a terminal in which the commands are typed, one after the other."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HOME": home, "MWP_ETC_DIR": home}
        # Nobody else is to reach it meanwhile.
        settings = pathlib.Path(home, "metwork.config.d/mfserv/config.ini")
        settings.parent.mkdir(parents=True)
        settings.write_text("[nginx]\nlisten=127.0.0.1\n")
        typed = [f"echo '$ {command}'\n{command}" for command in COMMANDS]
        shell = ["sh", "-ec", "\n".join(["exec 2>&1", *typed])]
        try:
            done = subprocess.run(shell, cwd=home, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        finally:
            subprocess.run(["mwp", "down"], cwd=home, env=environment, stderr=subprocess.DEVNULL)
    return done.stdout.replace(home, "/home/me").replace("127.0.0.1", "localhost").splitlines()


def picture(lines):
    width = round(max(map(len, lines)) * COLUMN + 2 * MARGIN)
    height = len(lines) * LINE + 2 * MARGIN
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    yield f"  <style>{STYLE}  </style>"
    yield f'  <rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>'
    for number, line in enumerate(lines, 1):
        kind = ' class="command"' if line.startswith("$ ") else ""
        y = MARGIN + number * LINE - 5
        yield f'  <text x="{MARGIN}" y="{y}"{kind} xml:space="preserve">{html.escape(line, quote=False)}</text>'
    yield "</svg>"


pathlib.Path(__file__).with_name("session.svg").write_text("\n".join(picture(session())) + "\n")
