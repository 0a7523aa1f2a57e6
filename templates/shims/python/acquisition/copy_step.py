"""Copies files to other steps."""

import os

from .step import AcquisitionStep
from .utils import dest_dir_to_absolute


def parse_target(text):
    """`PLUGIN/STEP`, or `PLUGIN/STEP*` where a hard link will do."""
    text = text.strip()
    name = text[:-1] if text.endswith("*") else text
    dest_dir_to_absolute(name, allow_absolute=False)
    plugin_name, step_name = name.split("/")
    return plugin_name, step_name, name != text


class AcquisitionCopyStep(AcquisitionStep):
    _targets = ()

    def _add_extra_arguments_before(self, parser):
        super()._add_extra_arguments_before(parser)
        self._add_targets_argument(parser)

    def _add_targets_argument(self, parser):
        parser.add_argument("--dest-dirs", default="", help="PLUGIN/STEP or PLUGIN/STEP*, with commas between")

    def _init(self):
        super()._init()
        self._set_targets()

    def _set_targets(self):
        given = self.args.dest_dirs
        try:
            self._targets = [parse_target(text) for text in given.split(",")]
        except Exception as error:
            self.error_and_die("dest_dirs: %s", error)

    def _before_loop(self):
        for plugin_name, step_name, _ in self._targets:
            self.add_virtual_trace(plugin_name, step_name)

    def before_copy(self, xaf):
        """Returns (plugin, step, whether a hard link will do) for each target, or nothing."""
        return list(self._targets)

    def process(self, xaf):
        targets = self.before_copy(xaf)
        if targets is None or targets is False:
            return True
        targets = list(targets)
        if not targets:
            xaf.delete_or_nothing()
            return True
        return self._to_all(xaf, targets)

    def _to_all(self, xaf, targets):
        is_foreign = xaf.getuid() != os.getuid()
        if not is_foreign or not (len(targets) == 1 or any(allows_link for _, _, allows_link in targets)):
            return self._in_order(xaf, targets)
        # What is handed on is to be ours.
        path = self.get_tmp_filepath()
        mine = xaf.copy(path)
        try:
            return self._in_order(mine, targets)
        finally:
            if mine.filepath == path:
                mine.delete_or_nothing()

    def _in_order(self, xaf, targets):
        is_linked = False
        for plugin_name, step_name, allows_link in targets[:-1]:
            deliver = self.hardlink_to_plugin_step if allows_link else self.copy_to_plugin_step
            if not self._to_one(deliver, xaf, plugin_name, step_name):
                return False
            is_linked = is_linked or allows_link
        plugin_name, step_name, allows_link = targets[-1]
        # The file itself must not go to a step that may change it while others have it.
        deliver = self.move_to_plugin_step if allows_link or not is_linked else self.copy_to_plugin_step
        return self._to_one(deliver, xaf, plugin_name, step_name)

    def _to_one(self, deliver, xaf, plugin_name, step_name):
        return deliver(xaf, plugin_name, step_name, keep_original_basename=None, info=True)


def main():
    AcquisitionCopyStep().run()
