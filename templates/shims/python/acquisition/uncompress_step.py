"""Uncompresses files."""

import os
import shutil

from .transform_step import AcquisitionTransformStep


class AcquisitionUncompressStep(AcquisitionTransformStep):
    def _get_compression_module(self):
        """A module with an `open`."""
        raise NotImplementedError("_get_compression_module() has to be overridden")

    def transform(self, xaf):
        path = self.get_tmp_filepath()
        try:
            with self._get_compression_module().open(xaf.filepath, "rb") as reader, open(path, "wb") as writer:
                shutil.copyfileobj(reader, writer, 1024 * 1024)
        except Exception as error:
            self.warning("%s cannot be uncompressed: %s", xaf.filepath, error)
            if os.path.exists(path):
                os.unlink(path)
            raise
        return path
