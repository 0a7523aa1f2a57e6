"""Which files a process has taken into its hands, so that they are found again if it dies.

To take a file is to rename it to `IN/tmp/P.S/{uid}`. Before that the process says so by a link in a directory of its own,
`IN/tmp/P.S/.claims/{…}/`, which leads to where the file was. The process holds a lock on that directory for as long as it
lives, whichever way it dies: links in one that nobody holds tell of files that nobody works on.

The names in `tmp` are reserved by a link to nowhere that the file then replaces. Copies of a file share one uid: where
the name is taken, the file has it in a directory of its own.
"""

import errno
import fcntl
import os
import shutil

from mfutil import get_unique_hexa_identifier

_RESERVED = ".reserved-by-a-step"


class Claims:
    def __init__(self, tmp_dir):
        self._tmp_dir = tmp_dir
        self._base = os.path.join(tmp_dir, ".claims")
        self._dir = self._lock = None
        self._taken = {}

    def _own_dir(self):
        """Garbage collectors like empty directories: made again whenever it is gone."""
        while self._dir is None or not _is_same(self._dir, self._lock):
            self._dir = os.path.join(self._base, f"{os.getpid()}-{get_unique_hexa_identifier()}")
            os.makedirs(self._dir, exist_ok=True)
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
            try:
                self._lock = os.open(self._dir, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self._dir

    def take(self, xaf, name):
        """Moves a file to `tmp`. Raises FileNotFoundError where somebody else was faster."""
        source = xaf.filepath
        if not os.path.lexists(source):
            raise FileNotFoundError(source)
        path = self._reserve(name)
        entry = None
        try:
            entry = self._note(path, source)
            _bring(xaf, path)
        except BaseException:
            if _is_reserved(path):
                os.unlink(path)
            # After a rename that was taken for a failure the entry is what finds the file again.
            if entry is not None and not os.path.lexists(path):
                os.unlink(entry)
            raise
        self._taken[path] = entry

    def _reserve(self, name):
        path = os.path.join(self._tmp_dir, name)
        while True:
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.symlink(_RESERVED, path)
                return path
            except FileExistsError:
                path = os.path.join(self._tmp_dir, get_unique_hexa_identifier(), name)
            except FileNotFoundError:
                # The directory went between the two.
                pass

    def _note(self, path, source):
        name = os.path.relpath(path, self._tmp_dir).replace("/", ",")
        while True:
            entry = os.path.join(self._own_dir(), name)
            try:
                os.symlink(source, entry)
                return entry
            except FileExistsError:
                # Of a file that its step has long moved on, without telling.
                os.unlink(entry)
            except FileNotFoundError:
                pass

    def release(self, path):
        """The step is through with what it took as this."""
        entry = self._taken.pop(path, None)
        if entry is not None:
            _unlink(entry)
            if os.path.dirname(path) != self._tmp_dir:
                _rmdir(os.path.dirname(path))

    def abandoned(self, adopt, forget):
        """Calls `adopt(path, source)` for each file of a process that is dead, `forget(path)` where it has moved on."""
        try:
            dirs = os.listdir(self._base)
        except FileNotFoundError:
            return
        for name in sorted(dirs):
            directory = os.path.join(self._base, name)
            if directory != self._dir:
                self._adopt_from(directory, adopt, forget)

    def _adopt_from(self, directory, adopt, forget):
        try:
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for entry in _oldest_first(directory):
                path = os.path.join(self._tmp_dir, os.path.basename(entry).replace(",", "/"))
                if _is_reserved(path):
                    os.unlink(path)
                source = os.readlink(entry)
                found = next(filter(os.path.isfile, [path, _aside(source, path)]), None)
                if found is not None:
                    adopt(found, source)
                else:
                    forget(path)
                _unlink(entry)
                if os.path.dirname(path) != self._tmp_dir:
                    _rmdir(os.path.dirname(path))
            _rmdir(directory)
        except BlockingIOError:
            # Its process lives.
            pass
        finally:
            os.close(lock)

    def close(self):
        """For an orderly end; what is still taken is for the next process."""
        if self._dir is not None and not self._taken:
            shutil.rmtree(self._dir, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self._dir = self._lock = None


def _bring(xaf, path):
    source = xaf.filepath
    try:
        xaf.rename(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # From another file system: to take it is to rename it there, to a name that observers pass over.
        xaf.rename(_aside(source, path))
        if not xaf.move_or_copy(path)[0]:
            xaf.rename(source)
            raise


def _aside(source, path):
    return os.path.join(os.path.dirname(source), f".{os.path.basename(path)}.t")


def _is_same(path, descriptor):
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_reserved(path):
    try:
        return os.readlink(path) == _RESERVED
    except OSError:
        return False


def _oldest_first(directory):
    entries = []
    for entry in os.scandir(directory):
        if entry.is_symlink():
            entries.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
    return [path for _, path in sorted(entries)]


def _unlink(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _rmdir(path):
    try:
        os.rmdir(path)
    except OSError:
        pass
