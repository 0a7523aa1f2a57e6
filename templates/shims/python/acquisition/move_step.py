"""Moves files into a directory, or to another step."""

import os

from mfutil import mkdir_p_or_die

from ._naming import fill
from .step import AcquisitionStep
from .utils import dest_dir_to_absolute, is_none


class AcquisitionMoveStep(AcquisitionStep):
    dest_dir = None
    drop_tags = False
    force_chmod = None
    _allows_steps = True

    def _add_extra_arguments_before(self, parser):
        super()._add_extra_arguments_before(parser)
        parser.add_argument("--dest-dir", default="FIXME", help="PLUGIN/STEP or an absolute path")
        parser.add_argument("--dest-basename", default="{ORIGINAL_UID}", help="placeholders and strftime's fields")
        parser.add_argument("--force-chmod", default="", help="octal")
        self._add_tags_argument(parser)

    def _add_tags_argument(self, parser):
        parser.add_argument("--drop-tags", default="AUTO", help="1, 0, or AUTO: for an absolute path")

    def _init(self):
        super()._init()
        try:
            self.dest_dir, self._is_absolute = dest_dir_to_absolute(self.args.dest_dir)
        except Exception as error:
            self.error_and_die("dest_dir: %s", error)
        self.drop_tags = self._wants_no_tags()
        mode = self.args.force_chmod
        try:
            self.force_chmod = None if is_none(mode) else int(mode, 8)
        except ValueError:
            self.error_and_die("force_chmod: found `%s`; an octal number is allowed", mode)
        mkdir_p_or_die(self.dest_dir)

    def _wants_no_tags(self):
        wanted = self.args.drop_tags
        if wanted not in ("AUTO", "1", "0"):
            self.error_and_die("drop_tags: found `%s`; AUTO, 1 and 0 are allowed", wanted)
        return self._is_absolute if wanted == "AUTO" else wanted == "1"

    def _trace_target(self):
        return (self.dest_dir, "") if self._is_absolute else tuple(self.args.dest_dir.split("/"))

    def _before_loop(self):
        self.add_virtual_trace(*self._trace_target())

    def compute_basename(self, xaf):
        return fill(self.args.dest_basename, self, xaf)

    def before_move(self, xaf):
        """Returns the path to move the file to, or nothing where it is to go nowhere."""
        return os.path.join(self.dest_dir, self.compute_basename(xaf))

    def process(self, xaf):
        target = self.before_move(xaf)
        if target is None or target is False:
            return True
        source = xaf.filepath
        is_done, _ = xaf.move_or_copy(target, chmod_mode_int=self.force_chmod)
        if not is_done:
            self.warning("%s cannot be moved into %s", source, target)
            return False
        if self.drop_tags:
            xaf.clear_tags()
        self.info("%s moved into %s", source, target)
        self.add_trace(xaf, *self._trace_target())
        return True


def main():
    AcquisitionMoveStep().run()
