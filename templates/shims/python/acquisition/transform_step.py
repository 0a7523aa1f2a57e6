"""Makes files of a file, and hands them on."""

import os
from collections.abc import Iterable

from xattrfile import XattrFile

from .step import AcquisitionStep
from .utils import dest_dir_to_absolute


class AcquisitionTransformStep(AcquisitionStep):
    dest_dir_default = "FIXME"
    #: Whether what is made keeps its basename in the inbox that it goes to.
    keep_transformed_basename = True
    dest_plugin_name = None
    dest_step_name = None

    def _add_extra_arguments_before(self, parser):
        super()._add_extra_arguments_before(parser)
        parser.add_argument("--dest-dir", default=self.dest_dir_default, help="PLUGIN/STEP")

    def _init(self):
        super()._init()
        self.keep_transformed_basename = True
        self._set_destination(self.args.dest_dir)

    def _set_destination(self, dest_dir):
        try:
            dest_dir_to_absolute(dest_dir, allow_absolute=False)
        except Exception as error:
            self.error_and_die("dest_dir: %s", error)
        self.dest_plugin_name, self.dest_step_name = dest_dir.split("/")

    def _before_loop(self):
        if self.dest_plugin_name is not None:
            self.add_virtual_trace(self.dest_plugin_name, self.dest_step_name)

    def transform(self, xaf):
        """Returns what is to be handed on: nothing, a path, an XattrFile, or any number of these."""
        raise NotImplementedError("transform() has to be overridden")

    def process(self, xaf):
        return self._process_outs(xaf, self.transform(xaf))

    def _process_outs(self, xaf, out):
        if out is None:
            return True
        if isinstance(out, (str, os.PathLike, XattrFile)):
            return self.process_out(xaf, out)
        if isinstance(out, Iterable) and not isinstance(out, (bytes, bytearray)):
            # All of them: one that cannot go holds up no other.
            return all([self._process_outs(xaf, item) for item in out])
        self.error("transform() returned a %s; None, a path, an XattrFile or a list is allowed", type(out).__name__)
        return False

    def process_out(self, xaf, out):
        if not isinstance(out, XattrFile):
            path = os.path.abspath(os.fspath(out))
            out = xaf if path == xaf.filepath else XattrFile(path)
        if out is not xaf and "first.core.original_basename" not in out.tags:
            out.tags.update({**xaf.tags, **out.tags})
        return self.move_to_plugin_step(
            out,
            self.dest_plugin_name,
            self.dest_step_name,
            keep_original_basename=self.keep_transformed_basename,
            info=True,
        )
