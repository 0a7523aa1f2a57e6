"""Deletes files."""

from .step import AcquisitionStep


class AcquisitionDeleteStep(AcquisitionStep):
    def process(self, xaf):
        self.info("deleting %s", xaf.filepath)
        return xaf.delete_or_nothing()


def main():
    AcquisitionDeleteStep().run()
