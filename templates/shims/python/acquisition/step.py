"""A step: takes files out of its inbox, one after the other, and processes each.

Unlike under the original, a file is not lost when its process dies: the next process of the step finds it (`_claims.py`) and
puts it back, three times at most; a file that took down three processes goes to the trash. A redis that is away is
waited for, and a message that is none of the observer's does no more than a line in the log.
"""

import os
import re
import signal
import time

from mfutil import get_unique_hexa_identifier, mkdir_p_or_die
from xattrfile import XattrFile, drop_tags

from . import _failure, _traces
from ._claims import Claims
from ._queue import Queue, address_of, announce
from ._waiting import wait_for_redis
from .base import AcquisitionBase, to_str
from .utils import get_plugin_step_directory_path

_UID = re.compile(rb"[A-Za-z0-9_.-]{1,200}")
PING_EVERY = 1.0
LOOK_FOR_ABANDONED_EVERY = 60.0


class AcquisitionStep(AcquisitionBase):
    stop_flag = False
    debug_mode_allowed = True
    step_limit = 1000
    #: So many processes may die over a file.
    crash_limit = 3
    failure_policy = None
    _debug_mode = False
    _claims = None
    _queue = None
    _failure = None
    _last_ping = None
    _last_look = None

    def _add_extra_arguments_before(self, parser):
        parser.add_argument("--redis-host", default="127.0.0.1")
        parser.add_argument("--redis-port", type=int, default=6379)
        parser.add_argument("--redis-unix-socket-path", default=None, help="wins over host and port")
        _failure.add_arguments(parser)

    def _add_extra_arguments_after(self, parser):
        name = "FULL_FILEPATH_OR_QUEUE_NAME"
        optional = {"nargs": "?", "default": ""} if self.unit_tests else {}
        parser.add_argument(name, help="a queue, or a file to process once (debug mode)", **optional)

    def _init(self):
        super()._init()
        self.failure_policy = self.args.failure_policy
        self._failure = _failure.FailurePolicy(self)
        self._debug_mode = self.args.FULL_FILEPATH_OR_QUEUE_NAME.startswith("/")

    # What authors override

    def process(self, xaf):
        """Returns whether all is well with the file."""
        raise NotImplementedError("process() has to be overridden")

    def after(self, status):
        """Called after each file."""

    def ping(self):
        """Called about every second between files."""

    # The loop

    def run(self):
        self._init()
        if self._debug_mode:
            self._run_in_debug_mode(self.args.FULL_FILEPATH_OR_QUEUE_NAME)
        else:
            self._run_in_daemon_mode(self.args.FULL_FILEPATH_OR_QUEUE_NAME)

    def _run_in_debug_mode(self, path):
        if not self.debug_mode_allowed:
            self.error_and_die("a file cannot be processed alone by this step")
        self._get_logger().setLevel("DEBUG")
        if not os.path.isfile(path):
            self.error_and_die("%s is no file", path)
        self._get_redis().patience = 0
        try:
            xaf = XattrFile(path).copy(self.get_tmp_filepath())
        except ConnectionError as error:
            self.error_and_die("tags need redis, which is started with the module: %s", error)
        self._ping()
        self._process(xaf, force_original_filepath=path)
        self._destroy()

    def _run_in_daemon_mode(self, queue_name):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        wait_for_redis(self._get_redis(), self)
        queue = self._queue = Queue(queue_name, address_of(self.args), self)
        self._claims = Claims(self._get_tmp_dir())
        self.info("started: %s", queue_name)
        self._before_loop()
        while not self.stop_flag:
            self._ping_if_due()
            self._look_for_abandoned_if_due(queue_name)
            path = None if self.stop_flag else queue.next()
            if path is not None:
                self._exception_safe_call(self._on_event, [queue, path], {}, f"the claim of {path}", None)
        self._destroy()
        self._claims.close()
        self.info("stopped")

    def _before_loop(self):
        """For classes of steps: redis is waited for from here on."""

    def _on_signal(self, *_):
        self.stop_flag = True

    def _on_event(self, queue, path):
        if not os.path.isfile(path):
            self.debug("%s is not there (any more)", path)
            return
        queue.count(f"{self.plugin_name}.{self.step_name}")
        try:
            xaf = XattrFile(path)
        except FileNotFoundError:
            return
        self._process(xaf)

    def _ping_if_due(self):
        now = time.monotonic()
        if self._last_ping is None or now - self._last_ping >= PING_EVERY:
            self._last_ping = now
            self._ping()

    def _ping(self):
        self._exception_safe_call(self.ping, [], {}, "ping", None)

    # One file

    def _process(self, xaf, force_original_filepath=None):
        """All that happens to a file."""
        xaf._original_filepath = force_original_filepath or xaf.filepath
        timer = self.get_stats_client().timer("processing_file_timer").start()
        if not self._before(xaf):
            return False
        self.info("Start the processing of %s...", xaf._original_filepath)
        size = xaf.getsize()
        xaf._before_process_filepath = xaf.filepath
        status = bool(self._exception_safe_call(self.process, [xaf], {}, f"process of {xaf.filepath}", False))
        self._after(xaf, status)
        self._count(timer, size, status)
        self.info("End of the %s processing after %i ms", xaf._original_filepath, timer.ms)
        return status

    def _before(self, xaf):
        """Takes the file out of the inbox; whether it is to be processed."""
        source = getattr(xaf, "_original_filepath", xaf.filepath)
        try:
            uid = self._take(xaf)
        except FileNotFoundError:
            self.debug("%s was taken by somebody else", source)
            return False
        self._set_original_tags(xaf, source, uid)
        self._set_before_tags(xaf)
        xaf.commit()
        if self._get_counter_tag_value(xaf) > self.step_limit:
            self.warning("%s went through more than %i steps and is left alone", xaf.filepath, self.step_limit)
            self._release(xaf.filepath)
            return False
        return True

    def _take(self, xaf):
        uid = xaf.tags.get("first.core.original_uid", b"")
        uid = uid.decode() if _UID.fullmatch(uid) and not uid.startswith(b".") else get_unique_hexa_identifier()
        if self._claims is not None:
            self._claims.take(xaf, uid)
        else:
            xaf.rename(_free(self.get_tmp_filepath(uid), xaf.filepath))
        return uid

    def _release(self, path):
        if self._claims is not None:
            self._claims.release(path)

    def _set_original_tags(self, xaf, source, uid):
        directory, basename = os.path.split(source)
        tags = {"original_uid": uid, "original_basename": basename, "original_dirname": os.path.basename(directory)}
        is_first = "first.core.original_basename" not in xaf.tags
        for name, value in tags.items():
            if f"first.core.{name}" not in xaf.tags:
                self._set_tag(xaf, f"first.core.{name}", value)
        if is_first:
            origin = (f"<{tags['original_dirname']}", "")
            self._safe_trace(_traces.add, self.plugin_name, self.step_name, origin)

    def _after(self, xaf, status):
        taken_as = getattr(xaf, "_before_process_filepath", xaf.filepath)
        if not status:
            self._on_bad_status(xaf)
        elif xaf.filepath == taken_as:
            xaf.delete_or_nothing()
        self._release(taken_as)
        self._exception_safe_call(self.after, [status], {}, "after", None)

    def _on_bad_status(self, xaf):
        self.warning("Bad processing status for file: %s", getattr(xaf, "_original_filepath", xaf.filepath))
        if self._queue is not None:
            self._queue.count_failure(f"{self.plugin_name}.{self.step_name}")
        if self._get_logger().isEnabledFor(10):
            xaf.dump_tags_on_logger(self._get_logger(), 10)
        if os.path.isfile(xaf.filepath):
            self._exception_safe_call(self._trash, [xaf], {}, "the failure policy", None)
        else:
            self.debug("%s is gone already", xaf.filepath)
            xaf.delete_or_nothing()

    def _trash(self, xaf):
        self._failure.apply(xaf)

    def _count(self, timer, size, status):
        timer.stop()
        stats = self.get_stats_client()
        stats.incr("number_of_processed_files")
        stats.incr("bytes_of_processed_files", size or 0)
        if not status:
            stats.incr("number_of_processing_errors")

    # Files of processes that died

    def _look_for_abandoned_if_due(self, queue_name):
        now = time.monotonic()
        if self._last_look is not None and now - self._last_look < LOOK_FOR_ABANDONED_EVERY:
            return
        self._last_look = now

        def adopt(path, source):
            self._adopt(path, source, queue_name)

        callbacks = [adopt, drop_tags]
        self._exception_safe_call(self._claims.abandoned, callbacks, {}, "the search for abandoned files", None)

    def _adopt(self, path, source, queue_name):
        xaf = XattrFile(path)
        crashes = self._crashes(xaf) + 1
        self._set_original_tags(xaf, source, xaf.basename())
        self._set_tag_latest(xaf, "crashes", str(crashes))
        if crashes >= self.crash_limit:
            self.error("%s: %i processes died over it: it is put into the trash", source, crashes)
            self._failure.keep(xaf)
            return
        self.warning("%s: a process died over it (number %i): it is put back", source, crashes)
        self._undo_before_tags(xaf)
        inbox = os.path.dirname(source)
        if not os.path.isdir(inbox):
            inbox = get_plugin_step_directory_path(self.plugin_name, self.step_name)
            mkdir_p_or_die(inbox)
        xaf.rename(_free(os.path.join(inbox, os.path.basename(source)), path))
        announce(self._get_redis(), queue_name, xaf.filepath)

    def _crashes(self, xaf):
        value = self.get_tag(xaf, "crashes", b"0")
        return int(value) if value.isdigit() else 0

    def _undo_before_tags(self, xaf):
        """As if the file had never been taken: a step counts once."""
        counter = self._get_counter_tag_value(xaf, not_found_value="-1")
        mark = self._get_tag_name("enter_step", str(counter))
        if mark not in xaf.tags:
            return
        del xaf.tags[mark]
        if counter > 0:
            xaf.tags["latest.core.step_counter"] = str(counter - 1)
        else:
            del xaf.tags["latest.core.step_counter"]

    # To other steps

    def _deliver(self, deliver, done, xaf, plugin_name, step_name, keep_original_basename, info):
        directory = get_plugin_step_directory_path(plugin_name, step_name)
        if not os.path.isdir(directory):
            self.warning("%s cannot go to %s/%s: there is no %s", xaf.filepath, plugin_name, step_name, directory)
            return False
        if keep_original_basename:
            basename = xaf.basename()
        elif keep_original_basename is None:
            basename = to_str(xaf.tags.get("first.core.original_uid")) or get_unique_hexa_identifier()
        else:
            basename = get_unique_hexa_identifier()
        source, target = xaf.filepath, _free(os.path.join(directory, os.path.basename(basename)), xaf.filepath)
        if not deliver(target):
            return False
        (self.info if info else self.debug)("%s %s into %s", source, done, target)
        self.add_trace(xaf, plugin_name, step_name)
        return True

    def move_to_plugin_step(self, xaf, plugin_name, step_name, keep_original_basename=False, info=False):
        def move(target):
            return xaf.move_or_copy(target)[0]

        return self._deliver(move, "moved", xaf, plugin_name, step_name, keep_original_basename, info)

    def copy_to_plugin_step(self, xaf, plugin_name, step_name, keep_original_basename=False, info=False):
        copy = xaf.copy_or_nothing
        return self._deliver(copy, "copied", xaf, plugin_name, step_name, keep_original_basename, info)

    def hardlink_to_plugin_step(self, xaf, plugin_name, step_name, keep_original_basename=False, info=False):
        def link(target):
            return xaf.hardlink_or_copy(target)[0]

        return self._deliver(link, "hardlinked", xaf, plugin_name, step_name, keep_original_basename, info)

    # What is known of a file

    def _original(self, xaf, name):
        return to_str(xaf.tags.get(f"first.core.original_{name}", b"unknown"))

    def get_original_basename(self, xaf):
        return self._original(xaf, "basename")

    def get_original_uid(self, xaf):
        return self._original(xaf, "uid")

    def get_original_dirname(self, xaf):
        return self._original(xaf, "dirname")


def _free(path, current):
    """This path, or one beside it where another file has it: copies of a file share their uid."""
    if path == current or not os.path.lexists(path):
        return path
    return os.path.join(os.path.dirname(path), get_unique_hexa_identifier())
