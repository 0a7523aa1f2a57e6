"""What a file is, as libmagic says: as much of python-magic as guess_file_type needs, for where that package is absent.

This lies in front of what a virtualenv has. Where the package is there, it takes the place of this module.
"""

import ctypes
import importlib.machinery
import importlib.util
import os
import sys

_LIBRARY = "libmagic.so.1"
_NO_FLAGS, _MIME_TYPE = 0, 0x10


def _real():
    here = os.path.realpath(os.path.dirname(__file__))
    elsewhere = [directory for directory in sys.path if os.path.realpath(directory or ".") != here]
    return importlib.machinery.PathFinder.find_spec("magic", elsewhere)


class MagicException(Exception):
    pass


class Magic:
    """Where the library or its rules cannot be had, looking at a file is what fails."""

    def __init__(self, mime=False, magic_file=None):
        self._cookie = None
        try:
            self._library = _load()
        except OSError as error:
            self._fault = str(error)
            return
        self._cookie = self._library.magic_open(_MIME_TYPE if mime else _NO_FLAGS)
        path = None if magic_file is None else os.fsencode(magic_file)
        self._fault = self._error() if self._library.magic_load(self._cookie, path) != 0 else None

    def from_file(self, path):
        if self._fault is not None:
            raise MagicException(self._fault)
        # Which says for itself why a file cannot be read; libmagic tells that as what the file is.
        with open(path, "rb"):
            pass
        text = self._library.magic_file(self._cookie, os.fsencode(path))
        if text is None:
            raise MagicException(self._error())
        return text.decode("utf-8", "replace")

    def _error(self):
        text = self._library.magic_error(self._cookie) if self._cookie else None
        return (text or b"libmagic does not say why").decode("utf-8", "replace")

    def __del__(self):
        if self._cookie:
            self._library.magic_close(self._cookie)
            self._cookie = None


def _load():
    library = ctypes.CDLL(_LIBRARY)
    text, pointer, number = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("magic_open", pointer, [number]),
        ("magic_close", None, [pointer]),
        ("magic_load", number, [pointer, text]),
        ("magic_file", text, [pointer, text]),
        ("magic_error", text, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_spec = _real()
if _spec is not None:
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[__name__] = _module
    _spec.loader.exec_module(_module)
