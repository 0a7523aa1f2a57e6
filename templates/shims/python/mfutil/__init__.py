"""Stands for MetWork's mfutil: what steps import of it. Where it fails, it fails as the original does."""

import fnmatch
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import mflog

from . import net
from ._eval import eval
from .net import get_ipv4_for_hostname

__all__ = [
    "BashWrapper",
    "BashWrapperException",
    "BashWrapperOrRaise",
    "create_tmp_dirpath",
    "eval",
    "get_ipv4_for_hostname",
    "get_recursive_mtime",
    "get_tmp_filepath",
    "get_unique_hexa_identifier",
    "get_utc_unix_timestamp",
    "hash_generator",
    "kill_process_and_children",
    "mkdir_p",
    "mkdir_p_or_die",
    "net",
]


class MFUtilException(Exception):
    pass


class BashWrapperException(MFUtilException):
    def __init__(self, message, bash_wrapper=None):
        super().__init__(message)
        self.bash_wrapper = bash_wrapper


def get_unique_hexa_identifier():
    return uuid.uuid4().hex


def get_utc_unix_timestamp():
    return int(time.time())


def mkdir_p(path, nodebug=False, nowarning=False):
    """Whether the directory is there afterwards."""
    logger = mflog.get_logger("mfutil")
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        if not nowarning:
            logger.warning("cannot make the directory %s: %s", path, error)
        return False
    if not nodebug:
        logger.debug("the directory %s is there", path)
    return True


def mkdir_p_or_die(path, nodebug=False, exit_code=2):
    if not mkdir_p(path, nodebug=nodebug):
        print(f"cannot make the directory {path}: exiting...", file=sys.stderr)
        sys.exit(exit_code)


def _tmp_dir(tmp_dir):
    found = tmp_dir or os.environ.get("TMPDIR") or tempfile.gettempdir()
    mkdir_p_or_die(found)
    return found


def get_tmp_filepath(tmp_dir=None, prefix=""):
    """A path that is free; the file is not made."""
    return os.path.join(_tmp_dir(tmp_dir), prefix + get_unique_hexa_identifier())


def create_tmp_dirpath(tmp_dir=None, prefix=""):
    path = get_tmp_filepath(tmp_dir, prefix)
    mkdir_p_or_die(path)
    return path


class BashWrapper:
    """A finished command of bash; true where it ended with 0."""

    def __init__(self, cmd):
        self.cmd = cmd
        shell = shutil.which("bash") or "/bin/sh"
        done = subprocess.run([shell, "-c", cmd], stdin=subprocess.DEVNULL, capture_output=True)
        self.code = done.returncode
        self.stdout = done.stdout.decode("utf-8", "surrogateescape").strip()
        self.stderr = done.stderr.decode("utf-8", "surrogateescape").strip()

    def __bool__(self):
        return self.code == 0

    def __str__(self):
        return f"full command: {self.cmd}\nreturn code: {self.code}\nstdout: {self.stdout}\nstderr: {self.stderr}"

    __repr__ = __str__


class BashWrapperOrRaise(BashWrapper):
    def __init__(self, cmd, exception_class=BashWrapperException, exception_msg="bad return code"):
        super().__init__(cmd)
        if not self:
            message = f"{exception_msg}\n{self}"
            is_ours = issubclass(exception_class, BashWrapperException)
            raise exception_class(message, bash_wrapper=self) if is_ours else exception_class(message)


def kill_process_and_children(pid):
    """SIGKILL, the children first."""
    for child in _children(pid):
        kill_process_and_children(child)
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def _children(pid):
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]


def get_recursive_mtime(directory, ignores=()):
    """The newest time of what is in a directory, in seconds; 0 where there is nothing."""
    newest = 0
    for root, dirs, files in os.walk(directory):
        for name in dirs + files:
            if any(fnmatch.fnmatch(name, pattern) for pattern in ignores):
                continue
            try:
                newest = max(newest, int(os.path.getmtime(os.path.join(root, name))))
            except OSError:
                pass
    return newest


def hash_generator(*args):
    """The same text for the same arguments."""
    return hashlib.md5("".join(f"{arg}\0" for arg in args).encode("utf-8", "surrogateescape")).hexdigest()
