"""Stands for mflog where MetWork's is not there: loggers whose messages may carry fields.

A line is `TIME [LEVEL] (NAME#PID) text {key=value}`; warnings and what is worse go to stderr, the rest to stdout. The
least level is `MFLOG_MINIMAL_LEVEL`, else `INFO`, until `set_config` or `setLevel` says otherwise. A log that cannot be written
stops nobody.
"""

import os
import sys
import traceback
from datetime import datetime, timezone

LEVELS = {"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
NAMES = {number: name for name, number in LEVELS.items()}

_config = {"minimal_level": None}
_levels = {}


def _number(level):
    if isinstance(level, int):
        return level
    return LEVELS.get(str(level).upper(), LEVELS["INFO"])


def set_config(minimal_level=None, **_):
    """Sets the least level of all loggers that have none of their own."""
    if minimal_level is not None:
        _config["minimal_level"] = _number(minimal_level)


def _minimal_level(name):
    if name in _levels:
        return _levels[name]
    if _config["minimal_level"] is not None:
        return _config["minimal_level"]
    return _number(os.environ.get("MFLOG_MINIMAL_LEVEL") or "INFO")


def _write(stream, text):
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError, AttributeError):
        pass


class Logger:
    def __init__(self, name="root", fields=None):
        self.name = name
        self._fields = fields or {}

    def bind(self, **fields):
        return Logger(self.name, {**self._fields, **fields})

    def new(self, **fields):
        return Logger(self.name, fields)

    def try_unbind(self, *names):
        return Logger(self.name, {key: value for key, value in self._fields.items() if key not in names})

    unbind = try_unbind

    def setLevel(self, level):
        _levels[self.name] = _number(level)

    def getEffectiveLevel(self):
        return _minimal_level(self.name)

    def isEnabledFor(self, level):
        return _number(level) >= _minimal_level(self.name)

    def log(self, level, message, *arguments, **fields):
        level = _number(level)
        if not self.isEnabledFor(level):
            return
        trace = fields.pop("exc_info", None)
        stack = fields.pop("stack_info", None)
        text = _line(self.name, level, _text(message, arguments), {**self._fields, **fields})
        if trace:
            text += _trace_of(trace)
        if stack:
            text += "".join(traceback.format_stack()[:-2])
        _write(sys.stderr if level >= LEVELS["WARNING"] else sys.stdout, text)

    def debug(self, message, *arguments, **fields):
        self.log(10, message, *arguments, **fields)

    def info(self, message, *arguments, **fields):
        self.log(20, message, *arguments, **fields)

    msg = info

    def warning(self, message, *arguments, **fields):
        self.log(30, message, *arguments, **fields)

    warn = warning

    def error(self, message, *arguments, **fields):
        self.log(40, message, *arguments, **fields)

    def critical(self, message, *arguments, **fields):
        self.log(50, message, *arguments, **fields)

    fatal = critical

    def exception(self, message, *arguments, **fields):
        fields.setdefault("exc_info", True)
        self.log(40, message, *arguments, **fields)


def _text(message, arguments):
    text = str(message)
    if not arguments:
        return text
    try:
        return text % (arguments[0] if len(arguments) == 1 and isinstance(arguments[0], dict) else arguments)
    except (TypeError, ValueError, KeyError):
        return " ".join([text, *map(repr, arguments)])


def _line(name, level, text, fields):
    time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    label = f"[{NAMES.get(level, level)}]".rjust(10)
    tail = " {" + " ".join(f"{key}={value}" for key, value in fields.items()) + "}" if fields else ""
    return f"{time} {label} ({name}#{os.getpid()}) {text}{tail}\n"


def _trace_of(trace):
    if isinstance(trace, BaseException):
        return "".join(traceback.format_exception(type(trace), trace, trace.__traceback__))
    found = trace if isinstance(trace, tuple) else sys.exc_info()
    return "".join(traceback.format_exception(*found)) if found[0] else ""


def get_logger(name="root"):
    return Logger(name)


getLogger = get_logger
