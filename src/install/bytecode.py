"""Prints, as JSON, the files below a directory that Python would run in place of a source that says something else.

Nothing of them is run or made into objects: what the sources compile to is compared with what is in the files, piece by
piece.
"""
import importlib.util
import json
import marshal
import os
import stat
import struct
import sys
import warnings

OWN = importlib.util.MAGIC_NUMBER
TAG = sys.implementation.cache_tag
NEW_CODE = sys.version_info >= (3, 11)


class Pieces:
    """A marshalled value as nested tuples, references resolved; names of files are left out."""

    def __init__(self, data):
        self.data, self.at, self.seen = data, 0, []

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("truncated")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self):
        return struct.unpack("<i", self.take(4))[0]

    def several(self, count):
        if count < 0 or count > len(self.data):
            raise ValueError("a bad count")
        return tuple(self.value() for _ in range(count))

    def value(self):
        kind = self.take(1)[0]
        place = None
        if kind & 0x80:
            place = len(self.seen)
            self.seen.append(None)
        value = self.of_kind(chr(kind & 0x7F))
        if place is not None:
            self.seen[place] = value
        return value

    def of_kind(self, kind):
        if kind in "0NFTS.":
            return kind
        if kind == "i":
            return "int", self.number()
        if kind == "l":
            count = self.number()
            return "long", count, self.take(2 * abs(count))
        if kind in "gy":
            return kind, self.take(8 if kind == "g" else 16)
        if kind == "s":
            return "bytes", self.take(self.number())
        if kind in "tuaA":
            return "text", self.take(self.number())
        if kind in "zZ":
            return "text", self.take(self.take(1)[0])
        if kind == ")":
            return ("tuple",) + self.several(self.take(1)[0])
        if kind == "(":
            return ("tuple",) + self.several(self.number())
        if kind == "[":
            return ("list",) + self.several(self.number())
        if kind in "<>":
            return kind, sorted(self.several(self.number()), key=repr)
        if kind == ":":
            return ("slice",) + self.several(3)
        if kind == "r":
            return self.seen[self.number()]
        if kind == "c":
            numbers = self.take(4 * (5 if NEW_CODE else 6))
            first = self.several(5 if NEW_CODE else 6)
            self.value()
            names = self.several(2 if NEW_CODE else 1)
            line = self.number()
            return "code", numbers, first, names, line, self.several(2 if NEW_CODE else 1)
        raise ValueError("an unknown kind")


def is_as_source(path, source, optimize):
    with open(path, "rb") as file:
        data = file.read()
    with open(source, "rb") as file:
        text = file.read()
    flags = struct.unpack("<I", data[4:8])[0] if len(data) >= 16 else None
    if data[:4] != OWN or flags not in (0, 1, 3):
        return True  # Python does not use it.
    if flags == 0:
        found = os.stat(source)
        if struct.pack("<II", int(found.st_mtime) & 0xFFFFFFFF, found.st_size & 0xFFFFFFFF) != data[8:16]:
            return True
    elif flags == 3 and importlib.util.source_hash(text) != data[8:16]:
        return True
    made = marshal.dumps(compile(text, source, "exec", dont_inherit=True, optimize=optimize))
    return made == data[16:] or Pieces(made).value() == Pieces(data[16:]).value()


def fault(directory, name):
    """Why the file in a `__pycache__` should not be there; None where it may."""
    path = os.path.join(directory, name)
    parts = name.split(".")
    if not stat.S_ISREG(os.lstat(path).st_mode) or len(parts) < 3 or parts[-1] != "pyc":
        return "added"
    optimize = 0
    if parts[-2].startswith("opt-"):
        optimize = int(parts[-2][4:]) if parts[-2][4:] in ("1", "2") else None
        parts.pop(-2)
    source = os.path.join(os.path.dirname(directory), ".".join(parts[:-2]) + ".py")
    if optimize is None or not os.path.isfile(source):
        return "added"
    if parts[-2] != TAG or sys.version_info < (3, 8):
        return None
    try:
        return None if is_as_source(path, source, optimize) else "altered"
    except Exception:
        return "altered"


def main(home):
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(10000)
    found = []
    for directory, directories, files in os.walk(home):
        if os.path.basename(directory) != "__pycache__":
            continue
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        for name in files + links:
            why = fault(directory, name)
            if why:
                found.append([os.path.relpath(os.path.join(directory, name), home), why])
    json.dump(sorted(found), sys.stdout)


main(sys.argv[1])
