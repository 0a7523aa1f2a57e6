"""For `process` and `batch_process`: the function gets another file, made of the one that came, with its tags.

What is made is removed after the call. The strict ones say False without a call where the content is not compressed; in a batch
such a file counts as bad by itself, and the function never sees it. The file that came stays for the failure policy.
"""

import bz2
import functools
import gzip
import os
import shutil
import zlib

from xattrfile import XattrFile

SIZE = 1024 * 1024


class _Unfit(Exception):
    """The content is not what the decorator is for."""


def _uncompressed(module, is_strict):
    def rewrite(source, target):
        try:
            with module.open(source, "rb") as reader:
                shutil.copyfileobj(reader, target, SIZE)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            if is_strict:
                raise _Unfit(str(error)) from error
            target.seek(0)
            target.truncate()
            with open(source, "rb") as reader:
                shutil.copyfileobj(reader, target, SIZE)

    return rewrite


def _without_first_line(source, target):
    with open(source, "rb") as reader:
        reader.readline()
        shutil.copyfileobj(reader, target, SIZE)


class _Rewritten:
    def __init__(self, step, xaf, rewrite):
        self._path = step.get_tmp_filepath()
        try:
            with open(self._path, "wb") as target:
                rewrite(xaf.filepath, target)
            self.xaf = xaf.copy_tags_on(self._path)
            for name in ("_original_filepath", "_before_process_filepath"):
                setattr(self.xaf, name, getattr(xaf, name, None))
        except BaseException:
            self.remove()
            raise

    def remove(self):
        # Unless the function has moved it.
        if os.path.lexists(self._path):
            XattrFile(self._path).delete_or_nothing()


def _decorator(rewrite):
    def decorate(function):
        @functools.wraps(function)
        def decorated(self, given, *args, **kwargs):
            if isinstance(given, (list, tuple)):
                return _on_batch(self, function, given, rewrite, args, kwargs)
            try:
                made = _Rewritten(self, given, rewrite)
            except _Unfit as error:
                self.warning("%s: %s", given.filepath, error)
                return False
            try:
                return function(self, made.xaf, *args, **kwargs)
            finally:
                made.remove()

        return decorated

    return decorate


def _on_batch(step, function, xafs, rewrite, args, kwargs):
    made, statuses = [], [False] * len(xafs)
    try:
        for number, xaf in enumerate(xafs):
            try:
                made.append((number, _Rewritten(step, xaf, rewrite)))
            except _Unfit as error:
                step.warning("%s: %s", xaf.filepath, error)
        if not made:
            return statuses
        answer = function(step, [rewritten.xaf for _, rewritten in made], *args, **kwargs)
    finally:
        for _, rewritten in made:
            rewritten.remove()
    if not isinstance(answer, (list, tuple)):
        answer = [bool(answer)] * len(made)
    elif len(answer) != len(made):
        step.error("batch_process() returned %i statuses for %i files: all are bad", len(answer), len(made))
        return statuses
    for (number, _), status in zip(made, answer):
        statuses[number] = bool(status)
    return statuses


ungzip = _decorator(_uncompressed(gzip, True))
unbzip2 = _decorator(_uncompressed(bz2, True))
try_ungzip = _decorator(_uncompressed(gzip, False))
try_unbzip2 = _decorator(_uncompressed(bz2, False))
remove_first_line = _decorator(_without_first_line)
