"""The queue of a step: a list in redis that tells of files in its inbox, oldest first."""

import json
import os
import time

from _mwp_redis import Redis, RedisError

WAIT = 1
REMIND_EVERY = 60


class Queue:
    """One that waits for a redis that is away, and says so once a minute."""

    def __init__(self, name, address, step):
        self.name = name
        self._step = step
        self._redis = Redis(address, patience=0)
        self._told = None

    def next(self):
        """The path of the next file, or `None` after about a second without one."""
        try:
            found = self._redis.brpop(self.name, WAIT)
        except RedisError as error:
            self._tell(error)
            time.sleep(WAIT)
            return None
        if self._told is not None:
            self._told = None
            self._step.info("the queue %s is there again", self.name)
        return None if found is None else self._path(found[1])

    def _tell(self, error):
        now = time.monotonic()
        if self._told is None or now - self._told > REMIND_EVERY:
            self._told = now
            self._step.warning("cannot read the queue %s, will try again: %s", self.name, error)

    def _path(self, payload):
        # Names may be no UTF-8: as they are, or as Python escapes them.
        text = payload.decode("utf-8", "surrogateescape")
        try:
            event = json.loads(text)
            return os.path.join(event["directory"], event["filename"])
        except (ValueError, TypeError, KeyError):
            self._step.warning("the queue %s: found %.200r; an event of the observer is expected", self.name, text)
            return None

    def count(self, label):
        """One more event whose file was there."""
        try:
            self._redis.incr(f"counter.{label}")
            self._redis.set(f"latest.{label}", int(time.time()))
        except RedisError as error:
            self._step.warning("cannot count the files of %s: %s", label, error)

    def count_failure(self, label):
        """One more file that could not be processed."""
        try:
            self._redis.incr(f"failures.{label}")
        except RedisError as error:
            self._step.warning("cannot count the failures of %s: %s", label, error)


def announce(redis, queue, path):
    """Tells of a file that is to be next."""
    event = {
        "directory": os.path.dirname(path),
        "filename": os.path.basename(path),
        "event": "exists",
        "event_timestamp": time.time(),
    }
    redis.rpush(queue, json.dumps(event))


def address_of(arguments):
    socket = arguments.redis_unix_socket_path
    if socket and socket != "null":
        return socket
    return arguments.redis_host, arguments.redis_port
