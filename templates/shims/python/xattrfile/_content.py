"""Copies what is in a file, with its mode and time; holes stay holes."""

import os
import stat


def copy_content(source, target, mode=None):
    """`mode` in place of that of the source. What was at the target is gone first: it may be a link to another file."""
    if os.path.lexists(target):
        os.unlink(target)
    with open(source, "rb") as reader:
        found = os.fstat(reader.fileno())
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for start, end in _extents(reader.fileno(), found.st_size):
                os.lseek(writer, start, os.SEEK_SET)
                _copy_range(reader.fileno(), writer, start, end)
            os.ftruncate(writer, max(found.st_size, os.fstat(writer).st_size))
            os.fchmod(writer, stat.S_IMODE(found.st_mode) if mode is None else mode)
            os.utime(writer, ns=(found.st_atime_ns, found.st_mtime_ns))
        finally:
            os.close(writer)


def _extents(reader, size):
    """From where to where there is data."""
    position = 0
    while position < size:
        try:
            start = os.lseek(reader, position, os.SEEK_DATA)
            end = os.lseek(reader, start, os.SEEK_HOLE)
        except OSError:
            # A hole to the end; or a file system that knows none, which says so at once.
            if position == 0 and os.lseek(reader, 0, os.SEEK_SET) == 0 and not _knows_holes(reader):
                yield 0, size
            return
        yield start, end
        position = end


def _knows_holes(reader):
    try:
        return os.lseek(reader, 0, os.SEEK_HOLE) == 0
    except OSError:
        return False


def _copy_range(reader, writer, start, end):
    while start < end:
        sent = os.sendfile(writer, reader, start, min(end - start, 1 << 30))
        if sent == 0:
            return
        start += sent
