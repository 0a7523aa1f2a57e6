"""Where things are."""

import os
import re

MFMODULE_RUNTIME_HOME = os.environ.get("MFMODULE_RUNTIME_HOME", "/tmp")
_HAS_HOME = "MFMODULE_RUNTIME_HOME" in os.environ
MFDATA_DATA_IN_DIR = os.environ.get("MFDATA_DATA_IN_DIR") or (
    os.path.join(MFMODULE_RUNTIME_HOME, "var", "in") if _HAS_HOME else "/tmp"
)
TMP_DIR = os.path.join(MFDATA_DATA_IN_DIR, "tmp")
TRASH_DIR = os.path.join(MFDATA_DATA_IN_DIR, "trash")

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TARGET = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")


def is_name(text):
    """Whether a plugin or a step may have this name."""
    return _NAME.fullmatch(text) is not None


def get_plugin_step_directory_path(plugin_name, step_name):
    """The inbox of a step."""
    return os.path.join(MFDATA_DATA_IN_DIR, f"step.{plugin_name}.{step_name}")


def is_none(text):
    """Whether a setting says that there is nothing."""
    return text is None or text in ("", "null", "FIXME")


def dest_dir_to_absolute(dest_dir, allow_absolute=True):
    """The directory that `PLUGIN/STEP` or a path stands for, and whether it was a path."""
    if is_none(dest_dir):
        raise Exception(f"found the destination `{dest_dir}`; PLUGIN/STEP or an absolute path is required")
    if dest_dir.startswith("/"):
        if not allow_absolute:
            raise Exception(f"found the destination `{dest_dir}`; only PLUGIN/STEP is allowed")
        return dest_dir, True
    if not _TARGET.fullmatch(dest_dir):
        raise Exception(f"found the destination `{dest_dir}`; PLUGIN/STEP or an absolute path is allowed")
    return get_plugin_step_directory_path(*dest_dir.split("/")), False
