"""Gives files that another step could not process back to it, after a while, so many times.

A file stays in the inbox while it waits; the number of tries is in its tags. A file that was given up is never given back,
and one that is announced again while it waits is not counted again.
"""

import os
import time

from ._queue import announce
from .step import AcquisitionStep
from .utils import dest_dir_to_absolute


class AcquisitionReinjectStep(AcquisitionStep):
    debug_mode_allowed = False

    def _add_extra_arguments_before(self, parser):
        super()._add_extra_arguments_before(parser)
        parser.add_argument("--dest-dir", default="FIXME", help="PLUGIN/STEP")
        parser.add_argument("--retry-min-wait", type=float, default=10)
        parser.add_argument("--retry-max-wait", type=float, default=120)
        parser.add_argument("--retry-total", type=int, default=10)
        parser.add_argument("--retry-backoff", type=float, default=0)

    def _init(self):
        super()._init()
        self._waiting = {}
        try:
            dest_dir_to_absolute(self.args.dest_dir, allow_absolute=False)
        except Exception as error:
            self.error_and_die("dest_dir: %s", error)
        self.dest_plugin_name, self.dest_step_name = self.args.dest_dir.split("/")

    def _before_loop(self):
        self.add_virtual_trace(self.dest_plugin_name, self.dest_step_name)

    def delay(self, attempt):
        """Seconds until this try, the first being number 1."""
        grown = self.args.retry_min_wait + self.args.retry_backoff * 2 ** min(attempt - 1, 60)
        return min(self.args.retry_max_wait, grown)

    def _on_event(self, queue, path):
        if path in self._waiting and os.path.isfile(path):
            self.debug("%s is waiting already", path)
            return
        super()._on_event(queue, path)

    def _process(self, xaf, force_original_filepath=None):
        xaf._original_filepath = force_original_filepath or xaf.filepath
        xaf._before_process_filepath = xaf.filepath
        if self.args.retry_total <= 0:
            self.info("%s is deleted: there are no retries", xaf.filepath)
            self.add_trace(xaf, ">delete", "giveup")
            xaf.delete_or_nothing()
            return True
        self.info("Start the processing of %s...", xaf.filepath)
        self._set_before_tags(xaf)
        xaf.commit()
        self._waiting[xaf.filepath] = (time.monotonic(), xaf)
        return True

    def attempts(self, xaf):
        """Number of tries that were made."""
        value = self.get_tag(xaf, "attempt", b"0")
        return int(value) if value.isdigit() else 0

    def _ping(self):
        super()._ping()
        for path, (arrival, xaf) in list(self._waiting.items()):
            if self._exception_safe_call(self._is_done_with, [arrival, xaf], {}, f"the retry of {path}", False):
                del self._waiting[path]

    def _is_done_with(self, arrival, xaf):
        if not os.path.isfile(xaf.filepath):
            self.debug("%s is gone", xaf.filepath)
            xaf.delete_or_nothing()
            return True
        attempts = self.attempts(xaf)
        if attempts >= self.args.retry_total:
            self.give_up(xaf)
            return True
        if time.monotonic() - arrival < self.delay(attempts + 1):
            return False
        self.reinject(xaf, attempts + 1)
        return True

    def reinject(self, xaf, attempt):
        self.info("attempt %i of %s", attempt, xaf.filepath)
        self.set_tag(xaf, "attempt", str(attempt), info=True)
        is_done = self.move_to_plugin_step(xaf, self.dest_plugin_name, self.dest_step_name, info=True)
        self._count_one(xaf, is_done)
        if not is_done:
            self._trash(xaf)

    def give_up(self, xaf):
        self.warning("max retry attempt for %s: it is given up", xaf.filepath)
        self._count_one(xaf, False)
        self._trash(xaf)

    def _count_one(self, xaf, is_good):
        stats = self.get_stats_client()
        stats.incr("number_of_processed_files")
        stats.incr("bytes_of_processed_files", xaf.getsize() or 0)
        if not is_good:
            stats.incr("number_of_processing_errors")

    def _destroy(self):
        # For the next process; the observer may be gone already.
        for path in self._waiting:
            if os.path.isfile(path):
                queue = self.args.FULL_FILEPATH_OR_QUEUE_NAME
                self._exception_safe_call(announce, [self._get_redis(), queue, path], {}, "a last word", None)
        super()._destroy()


def main():
    AcquisitionReinjectStep().run()
