"""Metrics, as statsd takes them over UDP. Nobody waits for them, and nobody misses them."""

import os
import socket
import time


def get_stats_client(plugin_name, step_name, extra_tags={}):
    port = os.environ.get("MFDATA_TELEGRAF_STATSD_PORT", "")
    admin = os.environ.get("MFDATA_ADMIN_HOSTNAME_IP", "null")
    tags = {
        "module": os.environ.get("MFMODULE_LOWERCASE", "mfdata"),
        "host": os.environ.get("MFHOSTNAME", "unknown"),
        "plugin": plugin_name,
        "step": step_name,
        **extra_tags,
    }
    suffix = "".join(f",{key}={value}" for key, value in tags.items())
    if not port.isdigit() or admin in ("", "null"):
        return AcquisitionStatsDClient(None, suffix)
    return AcquisitionStatsDClient(("127.0.0.1", int(port)), suffix)


class AcquisitionStatsDClient:
    """Without an address it does nothing."""

    def __init__(self, address=None, suffix=""):
        self._address = address
        self._suffix = suffix
        self._socket = None

    def _send(self, stat, text):
        self._emit(f"{stat}{self._suffix}:{text}")

    def _emit(self, line):
        if self._address is None:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(line.encode("utf-8", "replace"), self._address)
        except OSError:
            pass

    def incr(self, stat, count=1, rate=1):
        self._send(stat, f"{count}|c")

    def decr(self, stat, count=1, rate=1):
        self._send(stat, f"{-count}|c")

    def gauge(self, stat, value, rate=1, delta=False):
        self._send(stat, f"{value:+}|g" if delta else f"{value}|g")

    def set(self, stat, value, rate=1):
        self._send(stat, f"{value}|s")

    def timing(self, stat, delta, rate=1):
        self._send(stat, f"{delta:.6f}|ms")

    def timer(self, stat, rate=1):
        return Timer(self, stat)

    def pipeline(self):
        return Pipeline(self)


class Pipeline(AcquisitionStatsDClient):
    """Collects, and sends at the end."""

    def __init__(self, client):
        super().__init__(client._address, client._suffix)
        self._client = client
        self._lines = []

    def _emit(self, line):
        self._lines.append(line)

    def send(self):
        lines, self._lines = self._lines, []
        for line in lines:
            self._client._emit(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.send()


class Timer:
    def __init__(self, client, stat):
        self._client = client
        self._stat = stat
        self._begun = None
        self.ms = None

    def start(self):
        self._begun = time.monotonic()
        self.ms = None
        return self

    def stop(self, send=True):
        self.ms = 1000.0 * (time.monotonic() - self._begun)
        if send:
            self.send()
        return self

    def send(self):
        self._client.timing(self._stat, self.ms)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
