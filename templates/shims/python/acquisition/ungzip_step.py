"""Uncompresses what gzip has compressed."""

import gzip

from .uncompress_step import AcquisitionUncompressStep


class AcquisitionUngzipStep(AcquisitionUncompressStep):
    def _get_compression_module(self):
        return gzip


def main():
    AcquisitionUngzipStep().run()
