"""What steps and listeners have in common: arguments, configuration, the log, tags."""

import argparse
import os
import sys
import traceback
from datetime import datetime, timezone

import mflog
from mfutil import get_unique_hexa_identifier, mkdir_p_or_die
from xattrfile import get_redis

from . import _traces
from .stats import get_stats_client
from .utils import MFMODULE_RUNTIME_HOME, TMP_DIR, is_name

_MISSING = object()


def to_str(value):
    """Bytes that come from the name of a file may be no UTF-8."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


class AcquisitionBase:
    """Classes that skip `__init__` work as far as they go: what it sets has a default here."""

    unit_tests = False
    unit_tests_args = None
    args = None
    plugin_name = None
    step_name = "main"
    _logger = None

    def __init__(self):
        self.args = None
        self._set_plugin_name()

    def _set_plugin_name(self):
        name = os.environ.get("MFDATA_CURRENT_PLUGIN_NAME")
        if name is None and self.unit_tests:
            name = "unittests"
        if name is None:
            raise Exception("MFDATA_CURRENT_PLUGIN_NAME is not set: run this in the environment of a plugin")
        if not is_name(name):
            self.error_and_die("found the plugin name `%s`; letters, digits, `_` and `-` are allowed", name)
        self.plugin_name = name

    # Arguments

    def _add_extra_arguments_before(self, parser):
        """Those of the class."""

    def add_extra_arguments(self, parser):
        """Those of the author."""

    def _add_extra_arguments_after(self, parser):
        """Positional ones."""

    def _get_argument_parser(self):
        parser = argparse.ArgumentParser(description=type(self).__doc__)
        parser.add_argument("--step-name", default="main", help="name of the step in the configuration")
        self._add_extra_arguments_before(parser)
        self.add_extra_arguments(parser)
        self._add_extra_arguments_after(parser)
        return parser

    def _init(self):
        if not self.plugin_name:
            self._set_plugin_name()
        given = (self.unit_tests_args or []) if self.unit_tests else None
        self.args, _ = self._get_argument_parser().parse_known_args(given)
        self.step_name = self.args.step_name
        self._logger = None
        if not is_name(self.step_name) or "-" in self.step_name:
            self.error_and_die("found the step name `%s`; letters, digits and `_` are allowed", self.step_name)
        if self.get_config_value("debug", default="0").lower() in ("1", "true", "yes", "y", "t"):
            self._get_logger().setLevel("DEBUG")
        self.init()

    def init(self):
        """Called before anything else is done."""

    def destroy(self):
        """Called when everything else is done."""

    def _destroy(self):
        self.destroy()

    # Configuration

    def _config_value(self, section, key, transform, default):
        name = f"MFDATA_CURRENT_PLUGIN_{section}_{key}".upper().replace("-", "_")
        value = os.environ.get(name, default)
        if value is _MISSING:
            raise Exception(f"there is no `{key}` in [{section.lower()}] of config.ini ({name} is not set)")
        if transform is None:
            return value
        try:
            return transform(value)
        except Exception as error:
            raise Exception(f"[{section.lower()}] {key}: found `{value}`: {error}") from error

    def get_config_value(self, key, transform=None, default=_MISSING):
        return self._config_value(f"step_{self.step_name}", key, transform, default)

    def get_custom_config_value(self, key, transform=None, default=_MISSING):
        return self._config_value("custom", key, transform, default)

    # The log

    def _get_logger(self):
        if self._logger is None:
            self._logger = mflog.get_logger(f"mfdata.{self.plugin_name}.{self.step_name}")
        return self._logger

    def debug(self, msg, *args, **kwargs):
        self._get_logger().debug(msg, *args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self._get_logger().info(msg, *args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self._get_logger().warning(msg, *args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self._get_logger().error(msg, *args, **kwargs)

    def critical(self, msg, *args, **kwargs):
        self._get_logger().critical(msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        self._get_logger().exception(msg, *args, **kwargs)

    def error_and_die(self, msg, *args, **kwargs):
        self.error(msg, *args, **kwargs)
        sys.stderr.write("exiting...\n")
        traceback.print_stack(file=sys.stderr)
        sys.stderr.flush()
        # At once: nothing that is set up may catch it.
        os._exit(2)

    def _exception_safe_call(self, func, args, kwargs, label, value_if_exception):
        try:
            return func(*args, **kwargs)
        except Exception:
            self.exception("exception during %s", label)
            return value_if_exception

    # Places

    def _get_tmp_dir(self):
        return os.path.join(TMP_DIR, f"{self.plugin_name}.{self.step_name}")

    def get_tmp_filepath(self, forced_basename=None):
        directory = self._get_tmp_dir()
        mkdir_p_or_die(directory, nodebug=True)
        return os.path.join(directory, forced_basename or get_unique_hexa_identifier())

    def get_plugin_directory_path(self):
        return os.path.join(MFMODULE_RUNTIME_HOME, "var", "plugins", self.plugin_name)

    # Tags

    def _get_tag_name(self, name, counter, plugin_name=None, step_name=None):
        plugin_name = plugin_name or self.plugin_name
        if plugin_name == "core":
            return f"{counter}.core.{name}"
        return f"{counter}.{plugin_name}.{step_name or self.step_name}.{name}"

    def _set_tag(self, xaf, name, value, info=False):
        (self.info if info else self.debug)("setting tag %s=%s", name, to_str(value))
        xaf.tags[name] = value

    def _set_tag_latest(self, xaf, name, value, info=False):
        self._set_tag(xaf, self._get_tag_name(name, "latest"), value, info)

    def set_tag(self, xaf, name, value, add_latest=True, info=False):
        counter = str(self._get_counter_tag_value(xaf))
        self._set_tag(xaf, self._get_tag_name(name, counter), value, info)
        if add_latest:
            self._set_tag_latest(xaf, name, value)

    def get_tag(
        self,
        xaf,
        name,
        not_found_value=None,
        counter_str_value="latest",
        force_process_name=None,
        force_plugin_name=None,
        force_step_name=None,
    ):
        step_name = force_step_name or force_process_name
        return xaf.tags.get(
            self._get_tag_name(name, counter_str_value, force_plugin_name, step_name), not_found_value
        )

    def _get_counter_tag_value(self, xaf, not_found_value="0"):
        value = xaf.tags.get("latest.core.step_counter", not_found_value)
        try:
            return int(value)
        except ValueError:
            self.warning("found the step counter `%s` at %s", to_str(value), xaf.filepath)
            return int(not_found_value)

    def _set_before_tags(self, xaf):
        counter = self._get_counter_tag_value(xaf, not_found_value="-1") + 1
        self._set_tag(xaf, "latest.core.step_counter", str(counter))
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S:%f")
        self.set_tag(xaf, "enter_step", now, add_latest=False)

    # Numbers for others

    def _get_redis(self):
        return get_redis()

    def get_stats_client(self, extra_tags={}):
        return get_stats_client(self.plugin_name, self.step_name, extra_tags)

    def add_trace(self, xaf, to_plugin, to_step=""):
        self._safe_trace(_traces.add, to_plugin, to_step)

    def add_virtual_trace(self, to_plugin, to_step=""):
        self._safe_trace(_traces.add_virtual, to_plugin, to_step)

    def _safe_trace(self, add, to_plugin, to_step, source=None):
        try:
            add(self._get_redis(), source or (self.plugin_name, self.step_name), (to_plugin, to_step))
        except Exception as error:
            self.warning("no trace to %s/%s: %s", to_plugin, to_step, error)
