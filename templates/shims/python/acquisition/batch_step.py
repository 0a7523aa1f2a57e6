"""A step that processes several files at once.

An answer of the wrong length counts as bad for all files. A file that a process died over is a batch of its own, so that it
takes no others with it.
"""

import time

from mfutil import get_unique_hexa_identifier

from .step import AcquisitionStep


class AcquisitionBatchStep(AcquisitionStep):
    batch_process_max_size = 100
    batch_process_max_wait = 10
    _batch = None

    def batch_process(self, xafs):
        """Returns whether all is well, for all files or as a list for each."""
        raise NotImplementedError("batch_process() has to be overridden")

    def _process(self, xaf, force_original_filepath=None):
        xaf._original_filepath = force_original_filepath or xaf.filepath
        timer = self.get_stats_client().timer("processing_file_timer").start()
        if not self._before(xaf):
            return False
        self.info("Start the processing of %s...", xaf._original_filepath)
        xaf._before_process_filepath = xaf.filepath
        is_suspect = self._crashes(xaf) > 0
        if is_suspect:
            self._end_batch()
        if self._batch is None:
            self._batch = Batch(self)
        self._set_batch_tag(xaf)
        self._batch.files.append((xaf, timer, xaf.getsize()))
        if is_suspect or self._debug_mode or len(self._batch.files) >= self._batch.max_size:
            self._end_batch()
        return True

    def _set_batch_tag(self, xaf):
        self.set_tag(xaf, "batch_id", self._batch.identifier, add_latest=False)
        xaf.commit()

    def _ping(self):
        super()._ping()
        if self._batch is not None and time.monotonic() - self._batch.begun >= self._batch.max_wait:
            self._end_batch()

    def _destroy(self):
        self._end_batch()
        super()._destroy()

    def _end_batch(self):
        batch, self._batch = self._batch, None
        if batch is None:
            return
        xafs = [xaf for xaf, _, _ in batch.files]
        stats = self.get_stats_client()
        timer = stats.timer("processing_batch_timer").start()
        self.info("Start the processing of the batch %s of %i files...", batch.identifier, len(xafs))
        answer = self._exception_safe_call(self.batch_process, [xafs], {}, "batch_process", False)
        statuses = self._statuses(answer, len(xafs))
        for (xaf, file_timer, size), status in zip(batch.files, statuses):
            self._after(xaf, status)
            self._count(file_timer, size, status)
            self.info("End of the %s processing after %i ms", xaf._original_filepath, file_timer.ms)
        timer.stop()
        stats.incr("number_of_processed_batches")
        if not all(statuses):
            stats.incr("number_of_processed_batches_error")
        self.info("End of the batch %s processing after %i ms", batch.identifier, timer.ms)

    def _statuses(self, answer, count):
        if not isinstance(answer, (list, tuple)):
            return [bool(answer)] * count
        if len(answer) != count:
            self.error("batch_process() returned %i statuses for %i files: all are bad", len(answer), count)
            return [False] * count
        return [bool(status) for status in answer]


class Batch:
    def __init__(self, step):
        self.identifier = get_unique_hexa_identifier()
        self.begun = time.monotonic()
        # Authors may compute these from the arguments.
        self.max_size = step.batch_process_max_size
        self.max_wait = step.batch_process_max_wait
        self.files = []
