"""Stands for MetWork's xattrfile: a file with tags.

The tags are in redis, one hash for each file under the md5 of its path, and travel with it when it is moved or copied by the
methods here. Tags are at the new place before the file is: whoever takes it there finds them. Unlike the original,
every change of `tags` counts (`update`, `pop`, `setdefault` too), one who comes second to a file leaves its tags alone, and
after a move that had to be a copy the object is the file at its new place.
"""

import errno
import hashlib
import logging
import os
import stat

import mflog

from ._content import copy_content
from ._store import get_redis
from ._tags import Tags

__all__ = ["XattrFile", "Tags", "drop_tags", "get_redis"]

KEY_PREFIX = "xattr_"
DEFAULT_TIMEOUT = 86400


def key_of(path):
    return KEY_PREFIX + hashlib.md5(os.fsencode(path)).hexdigest()


def drop_tags(path):
    """Those that were left at a path where there is no file any more."""
    get_redis().delete(key_of(path))


class XattrFile:
    _tags = None

    def __init__(self, filepath, get_redis_callable=get_redis, redis_timeout=DEFAULT_TIMEOUT):
        path = os.path.abspath(os.fsdecode(filepath))
        if not os.path.isfile(path):
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        self._path = path
        self.get_redis_callable = get_redis_callable
        self.redis_timeout = redis_timeout
        self.logger = mflog.get_logger("xattrfile")

    @property
    def filepath(self):
        return self._path

    @property
    def tags(self):
        if self._tags is None:
            self._read_tags()
        return self._tags

    @tags.setter
    def tags(self, tags):
        new = Tags()
        new.update(tags)
        new.dirty = True
        self._tags = new

    def __repr__(self):
        return f"XattrFile({self._path!r})"

    def __del__(self):
        try:
            if self._tags is None or not self._tags.dirty:
                return
            if os.path.lexists(self._path):
                self._write_tags()
            else:
                self.logger.warning("%s is gone: its tags are dropped", self._path)
                self._drop(self._path)
        except Exception:
            # Also at the end of the interpreter, when there is no more to be told.
            pass

    def _redis(self):
        return self.get_redis_callable()

    def _fetch(self):
        return self._redis().hgetall(key_of(self._path))

    def _read_tags(self):
        self._tags = Tags(self._fetch())

    def _current_tags(self):
        """Ours where we have changed them; else those in redis, which another object may have changed."""
        if self._tags is None or not self._tags.dirty:
            self._read_tags()
        return self._tags

    def _put(self, path, tags):
        key = key_of(path)
        pipeline = self._redis().pipeline()
        pipeline.delete(key)
        if tags:
            pipeline.hset(key, mapping=dict(tags))
            if self.redis_timeout >= 0:
                pipeline.expire(key, self.redis_timeout)
        pipeline.execute()

    def _drop(self, path):
        self._redis().delete(key_of(path))

    def _write_tags(self, force=False):
        if self._tags is not None and (force or self._tags.dirty):
            self._put(self._path, self._tags)
            self._tags.dirty = False

    def commit(self):
        self._write_tags()

    def clear_tags(self):
        self._drop(self._path)
        self._tags = Tags()

    def copy_tags_on(self, path):
        """The file at this path with our tags in place of its own."""
        other = self._other(path)
        other._tags = Tags(self._current_tags())
        other._write_tags(force=True)
        return other

    def _other(self, path):
        return XattrFile(path, self.get_redis_callable, self.redis_timeout)

    def write_tags_in_a_file(self, path):
        with open(path, "wb") as file:
            for name, value in sorted(self._current_tags().items()):
                file.write(b"%s = %s\n" % (name, value))

    def dump_tags_on_logger(self, logger, level):
        level = level if isinstance(level, int) else getattr(logging, str(level).upper())
        logger.log(level, "===== dump of tags of %s =====", self._path)
        for name, value in sorted(self.tags.items()):
            logger.log(level, "%s = %s", name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))

    def _arrive(self, path, bring):
        """Brings a file to a path, with its tags: what is there before knows nothing of tags, or has its own."""
        tags = self._current_tags()
        self._put(path, tags)
        try:
            bring()
        except BaseException:
            self._drop(path)
            raise
        tags.dirty = False

    def rename(self, new):
        new = os.path.abspath(os.fsdecode(new))
        old = self._path
        if new == old:
            self.commit()
            return
        self._arrive(new, lambda: os.rename(old, new))
        self._path = new
        try:
            self._drop(old)
        except Exception as error:
            # The file has its tags; those at the old path end by themselves.
            self.logger.warning("tags stay behind at %s: %s", old, error)

    def _by_way_of(self, new, suffix, make):
        new = os.path.abspath(os.fsdecode(new))
        temporary = new + suffix
        was_dirty = self._tags is not None and self._tags.dirty
        try:
            make(temporary)
            self._arrive(new, lambda: os.rename(temporary, new))
        finally:
            # After a failure; and one of two links to one file stays when it is renamed to the other.
            if suffix and os.path.lexists(temporary):
                os.unlink(temporary)
        if was_dirty:
            self._write_tags(force=True)
        return self._other(new)

    def copy(self, new, tmp_suffix=".t", chmod_mode_int=None):
        return self._by_way_of(new, tmp_suffix, lambda path: copy_content(self._path, path, chmod_mode_int))

    def hard_link(self, new, tmp_suffix=".t"):
        def link(path):
            if os.path.lexists(path):
                os.unlink(path)
            os.link(self._path, path)

        return self._by_way_of(new, tmp_suffix, link)

    def copy_or_nothing(self, new, tmp_suffix=".t", chmod_mode_int=None):
        try:
            self.copy(new, tmp_suffix, chmod_mode_int)
            return True
        except Exception as error:
            self.logger.warning("cannot copy %s to %s: %s", self._path, new, error)
            return False

    def move_or_copy(self, new, tmp_suffix=".t", chmod_mode_int=None):
        if chmod_mode_int is None:
            try:
                self.rename(new)
                return True, True
            except Exception as error:
                self.logger.debug("cannot rename %s to %s: %s", self._path, new, error)
        if not self.copy_or_nothing(new, tmp_suffix, chmod_mode_int):
            return False, False
        old, self._path = self._path, os.path.abspath(os.fsdecode(new))
        try:
            os.unlink(old)
            self._drop(old)
        except Exception as error:
            self.logger.warning("cannot delete %s: %s", old, error)
        return True, False

    def hardlink_or_copy(self, new, tmp_suffix=".t"):
        try:
            self.hard_link(new, tmp_suffix)
            return True, True
        except Exception as error:
            self.logger.debug("cannot link %s to %s: %s", self._path, new, error)
        return self.copy_or_nothing(new, tmp_suffix), False

    def delete(self):
        os.unlink(self._path)
        self.clear_tags()

    def delete_or_nothing(self):
        try:
            self.delete()
            return True
        except FileNotFoundError:
            pass
        except Exception as error:
            self.logger.warning("cannot delete %s: %s", self._path, error)
            return False
        try:
            self.clear_tags()
        except Exception as error:
            self.logger.warning("cannot drop the tags of %s: %s", self._path, error)
        return False

    def basename(self):
        return os.path.basename(self._path)

    def dirname(self):
        return os.path.dirname(self._path)

    def _stat(self):
        try:
            return os.stat(self._path)
        except OSError:
            return None

    def getsize(self):
        found = self._stat()
        return None if found is None else found.st_size

    def getuid(self):
        found = self._stat()
        return None if found is None else found.st_uid

    def chmod(self, mode_int):
        os.chmod(self._path, stat.S_IMODE(mode_int))
