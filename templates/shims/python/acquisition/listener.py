"""A daemon of a plugin that brings files in."""

from .base import AcquisitionBase


class AcquisitionListener(AcquisitionBase):
    def listen(self):
        """Works until it is to end; to be overridden."""
        raise NotImplementedError("listen() has to be overridden")

    def run(self):
        self._init()
        self.listen()
        self._destroy()
