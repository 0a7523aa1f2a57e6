"""A client for redis: commands in, replies out, over a unix socket or TCP.

It has the methods of the usual client that steps need, under the same names, so that either can be used. A server that is
away, full, or still loads its data, is waited for: as long as `patience` says, and no longer than `give_up` allows. A
command whose reply was lost is sent again, so the ones here are such that a second time does no harm.
"""

import os
import socket
import threading
import time

RETRY_WAIT = 1.0
REPLY_TIMEOUT = 10.0
# What redis itself allows for a value.
MAX_BULK = 512 * 1024 * 1024
MAX_ITEMS = 16 * 1024 * 1024
MAX_DEPTH = 8
# What a server says that will take the command another time: it is full, or its disk is, or it is at work.
NOT_NOW = ("LOADING", "BUSY ", "OOM ", "MISCONF")
MAX_LINE = 64 * 1024


class RedisError(Exception):
    """The server refuses a command."""


class Away(RedisError, ConnectionError):
    """There is no server, or it does not answer as redis does."""


def _encode(value):
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value).encode()
    raise TypeError(f"found a {type(value).__name__}; str, bytes and numbers are allowed")


def pack(arguments):
    """A command as it goes over the wire."""
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in map(_encode, arguments):
        parts += [b"$%d\r\n" % len(argument), argument, b"\r\n"]
    return b"".join(parts)


def read_reply(stream, depth=0):
    """One reply. An error within is returned, not raised: it may be one of many."""
    line = stream.readline(MAX_LINE)
    if not line.endswith(b"\r\n"):
        raise Away("the connection ended within a reply")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest
    if kind == b"-":
        return RedisError(rest.decode("utf-8", "replace"))
    try:
        number = int(rest)
    except ValueError:
        raise Away(f"found {line[:40]!r}; a reply of redis is expected") from None
    if kind == b":":
        return number
    if kind == b"$" and -1 <= number <= MAX_BULK:
        return None if number < 0 else _read_bulk(stream, number)
    if kind == b"*" and -1 <= number <= MAX_ITEMS and depth < MAX_DEPTH:
        return None if number < 0 else [read_reply(stream, depth + 1) for _ in range(number)]
    raise Away(f"found {line[:40]!r}; a reply of redis is expected")


def _read_bulk(stream, size):
    content = stream.read(size + 2)
    if len(content) != size + 2 or not content.endswith(b"\r\n"):
        raise Away("the connection ended within a reply")
    return content[:-2]


class Redis:
    """One connection, shared by the threads of a process; a child process makes its own."""

    def __init__(self, address, patience=10.0, give_up=lambda: False, on_wait=lambda error: None):
        self.address = address
        self.patience = patience
        self.give_up = give_up
        self.on_wait = on_wait
        self._lock = threading.RLock()
        self._socket = self._stream = self._pid = None

    def _connect(self):
        family = socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX
        if family == socket.AF_INET:
            self._socket = socket.create_connection(self.address, REPLY_TIMEOUT)
        else:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.settimeout(REPLY_TIMEOUT)
            self._socket.connect(self.address)
        self._stream = self._socket.makefile("rb")
        self._pid = os.getpid()

    def close(self):
        for part in (self._stream, self._socket):
            try:
                if part is not None:
                    part.close()
            except OSError:
                pass
        self._socket = self._stream = None

    def _exchange(self, commands, timeout):
        try:
            if self._socket is None or self._pid != os.getpid():
                self._socket = self._stream = None
                self._connect()
            self._socket.settimeout(timeout)
            self._socket.sendall(b"".join(map(pack, commands)))
            replies = [read_reply(self._stream) for _ in commands]
        except BaseException as error:
            # What is still to come on this connection belongs to no later command.
            self.close()
            if isinstance(error, OSError) and not isinstance(error, Away):
                raise Away(f"redis at {self.address}: {error}") from error
            raise
        for reply in replies:
            if isinstance(reply, RedisError) and str(reply).startswith(NOT_NOW):
                raise Away(str(reply))
        return replies

    def exchange(self, commands, timeout=REPLY_TIMEOUT):
        """The replies to these commands, in their order; raises the first error."""
        deadline = time.monotonic() + self.patience
        with self._lock:
            while True:
                try:
                    replies = self._exchange(commands, timeout)
                    break
                except Away as error:
                    if self.give_up() or time.monotonic() + RETRY_WAIT > deadline:
                        raise
                    self.on_wait(error)
                    time.sleep(RETRY_WAIT)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return replies

    def execute_command(self, *arguments):
        return self.exchange([arguments])[0]

    def ping(self):
        return self.execute_command("PING") == b"PONG"

    def get(self, key):
        return self.execute_command("GET", key)

    def set(self, key, value, ex=None, nx=False):
        options = (["EX", ex] if ex is not None else []) + (["NX"] if nx else [])
        return self.execute_command("SET", key, value, *options) is not None

    def incr(self, key):
        return self.execute_command("INCR", key)

    def expire(self, key, seconds):
        return self.execute_command("EXPIRE", key, seconds)

    def delete(self, *keys):
        return self.execute_command("DEL", *keys)

    def hgetall(self, key):
        found = iter(self.execute_command("HGETALL", key))
        return dict(zip(found, found))

    def lpush(self, key, *values):
        return self.execute_command("LPUSH", key, *values)

    def rpush(self, key, *values):
        return self.execute_command("RPUSH", key, *values)

    def brpop(self, key, timeout=1):
        return self.exchange([("BRPOP", key, timeout)], timeout + REPLY_TIMEOUT)[0]

    def pipeline(self):
        return Pipeline(self)


class Pipeline:
    """Commands that take effect together or not at all."""

    def __init__(self, redis):
        self._redis = redis
        self._commands = []

    def delete(self, *keys):
        self._commands.append(("DEL", *keys))
        return self

    def expire(self, key, seconds):
        self._commands.append(("EXPIRE", key, seconds))
        return self

    def hset(self, key, mapping):
        fields = [part for item in mapping.items() for part in item]
        self._commands.append(("HSET", key, *fields))
        return self

    def execute(self):
        commands, self._commands = self._commands, []
        return self._redis.exchange([("MULTI",), *commands, ("EXEC",)])[-1]
