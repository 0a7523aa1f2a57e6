"""How many files went from where to where, for the day, in redis."""

import os
from datetime import date

from .utils import MFDATA_DATA_IN_DIR

LIFETIME = 86400
_INBOX = os.path.join(MFDATA_DATA_IN_DIR, "step.")


def _key(source, target):
    ends = []
    for plugin, step in (source, target):
        if plugin.startswith(_INBOX) and not step:
            plugin, _, step = plugin[len(_INBOX) :].partition(".")
        ends.append(f"{plugin}/{step}")
    return f"trace@{date.today().isoformat()}~{ends[0]}~{ends[1]}"


def add(redis, source, target):
    key = _key(source, target)
    if redis.incr(key) == 1:
        redis.expire(key, LIFETIME)


def add_virtual(redis, source, target):
    """That there is a way, even if nothing has gone it."""
    redis.set(_key(source, target), 0, ex=LIFETIME, nx=True)
