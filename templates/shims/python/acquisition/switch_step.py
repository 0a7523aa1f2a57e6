"""Sends each file to the steps whose rules match.

A target that is not installed is told in the log and left out; the file fails only where none of its targets is there. The original
fails at the first that is missing, when it may have served others.
"""

import hashlib
import os

from ._failure import put_aside
from .copy_step import AcquisitionCopyStep
from .switch_rules import evaluate, read_rules
from .utils import TRASH_DIR, get_plugin_step_directory_path

NO_MATCH_POLICIES = ("delete", "keep")


class AcquisitionSwitchStep(AcquisitionCopyStep):
    _rules = ()
    _rules_digest = None

    def _add_targets_argument(self, parser):
        parser.add_argument("--rules-file", default=None, help="default: config.ini of the plugin")
        parser.add_argument("--no-match-policy", default="delete", help="delete or keep")
        parser.add_argument("--switch-section-prefix", default="switch_rules*")

    def _set_targets(self):
        policy = self.args.no_match_policy
        if policy not in NO_MATCH_POLICIES:
            self.error_and_die("no_match_policy: found `%s`; %s are allowed", policy, ", ".join(NO_MATCH_POLICIES))
        self._rules_file = self.args.rules_file or os.path.join(
            os.environ.get("MFDATA_CURRENT_PLUGIN_DIR") or self.get_plugin_directory_path(), "config.ini"
        )
        self._rules_digest = _digest(self._rules_file)
        self._rules = read_rules(
            self._rules_file, self.args.switch_section_prefix, self.plugin_name, self.warning
        )
        self.info("%i rules in %s", len(self._rules), self._rules_file)

    def _before_loop(self):
        for target in sorted({target for rule in self._rules for target in rule.targets}):
            self.add_virtual_trace(*target)
        self.add_virtual_trace(">nomatch", self.args.no_match_policy)

    def _ping(self):
        if self._rules_digest != _digest(self._rules_file):
            self.info("%s has changed: another process will go on with it", self._rules_file)
            self.stop_flag = True
        super()._ping()

    def before_copy(self, xaf):
        wanted = evaluate(self._rules, xaf, self)
        self.info("%i actions matched for file=%s", len(wanted), xaf.filepath)
        if not wanted:
            return None
        there, absent = [], []
        for (plugin_name, step_name), allows_link in sorted(wanted.items()):
            is_there = os.path.isdir(get_plugin_step_directory_path(plugin_name, step_name))
            (there if is_there else absent).append((plugin_name, step_name, allows_link))
        for plugin_name, step_name, _ in absent:
            self.warning("%s should go to %s/%s, which is not installed", xaf.filepath, plugin_name, step_name)
        return there or absent

    def process(self, xaf):
        targets = self.before_copy(xaf)
        return self._to_all(xaf, list(targets)) if targets else self._no_match(xaf)

    def _no_match(self, xaf):
        policy = self.args.no_match_policy
        self.add_trace(xaf, ">nomatch", policy)
        if policy == "delete":
            return True
        keeps_name = os.environ.get("MFDATA_INTERNAL_PLUGINS_SWITCH_NO_MATCH_KEEP_ORIGINAL_BASENAME") == "1"
        basename = os.path.basename(self.get_original_basename(xaf)) if keeps_name else None
        return put_aside(self, xaf, os.path.join(TRASH_DIR, f"{self.plugin_name}.nomatch"), basename)


def _digest(path):
    try:
        with open(path, "rb") as file:
            return hashlib.md5(file.read()).hexdigest()
    except FileNotFoundError:
        return None


def main():
    AcquisitionSwitchStep().run()
