"""Where tags are kept: the redis of the module, or the memory of this process where there is no module.

The module's redis is its own, unless its settings name another one (`[redis] address`).
"""

import os

from _mwp_redis import Redis

_shared = {}


def get_redis():
    """The connection of this process."""
    home = os.environ.get("MFMODULE_RUNTIME_HOME")
    if home not in _shared:
        _shared[home] = Redis(_address(home)) if home else Memory()
    return _shared[home]


def _address(home):
    given = os.environ.get("MFDATA_REDIS_ADDRESS", "").strip()
    if given in ("", "null"):
        return os.path.join(home, "var", "redis.socket")
    path = given[len("unix:"):] if given.startswith("unix:") else given
    if path.startswith("/"):
        return path
    host, _, port = given.rpartition(":")
    return host.strip("[]"), int(port)


class Memory:
    """What tags need of redis, for unit tests of steps."""

    def __init__(self):
        self._hashes = {}

    def hgetall(self, key):
        return dict(self._hashes.get(key, {}))

    def delete(self, *keys):
        for key in keys:
            self._hashes.pop(key, None)

    def hset(self, key, mapping):
        self._hashes.setdefault(key, {}).update(mapping)

    def expire(self, key, seconds):
        pass

    def incr(self, key):
        return 1

    def set(self, key, value, ex=None, nx=False):
        return True

    def rpush(self, key, *values):
        return 1

    def pipeline(self):
        return self

    def execute(self):
        pass
