"""Works every [custom] interval seconds, until SIGTERM."""

import os
import signal
import threading

PLUGIN = os.environ.get("{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME", "{{cookiecutter.name}}")
INTERVAL = float(os.environ.get("{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_CUSTOM_INTERVAL", "60"))


def work(number):
    """What the daemon does, once per round."""
    return f"Hello World from {PLUGIN}, round {number}"


def main():
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    number = 0
    # A round that has begun is finished.
    while not stop.is_set():
        number += 1
        print(work(number))
        stop.wait(INTERVAL)


if __name__ == "__main__":
    main()
