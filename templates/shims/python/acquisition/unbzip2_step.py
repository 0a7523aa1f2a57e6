"""Uncompresses what bzip2 has compressed."""

import bz2

from .uncompress_step import AcquisitionUncompressStep


class AcquisitionUnbzip2Step(AcquisitionUncompressStep):
    def _get_compression_module(self):
        return bz2


def main():
    AcquisitionUnbzip2Step().run()
