"""Moves files into an archive, their tags into files beside them."""

import os

from .move_step import AcquisitionMoveStep
from .utils import is_none


class AcquisitionArchiveStep(AcquisitionMoveStep):
    def _add_tags_argument(self, parser):
        parser.add_argument("--keep-tags-suffix", default=".tags", help="empty for no files with tags")

    def _wants_no_tags(self):
        if not self._is_absolute:
            self.error_and_die("dest_dir: found `%s`; an absolute path is required", self.args.dest_dir)
        return True

    def before_move(self, xaf):
        target = super().before_move(xaf)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        suffix = self.args.keep_tags_suffix
        if not is_none(suffix):
            xaf.write_tags_in_a_file(target + suffix)
        return target


def main():
    AcquisitionArchiveStep().run()
