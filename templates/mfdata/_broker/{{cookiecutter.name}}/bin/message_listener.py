"""A daemon that makes a file of each message that it gets."""

import os
import threading

from acquisition import AcquisitionListener
from acquisition.utils import dest_dir_to_absolute
from mfutil import get_unique_hexa_identifier, mkdir_p_or_die
from xattrfile import XattrFile

#: Seconds until a broker that is not there is asked again.
RETRY_WAIT = 5


class MessageListener(AcquisitionListener):
    def init(self):
        self.stop = threading.Event()
        self.dest_dir, _ = dest_dir_to_absolute(self.get_custom_config_value("dest_dir"))
        mkdir_p_or_die(self.dest_dir)

    def save(self, content, **tags):
        """Delivers a file that holds the message; it gets its name when it is complete."""
        path = self.get_tmp_filepath()
        try:
            with open(path, "wb") as file:
                file.write(content)
            target = self.deliver(XattrFile(path), tags)
        except Exception:
            # It is the broker's still, or lost: half of it is of no use.
            if os.path.exists(path):
                XattrFile(path).delete_or_nothing()
            raise
        self.info("a message became %s", target)

    def deliver(self, xaf, tags):
        self._set_before_tags(xaf)
        for name, value in tags.items():
            self.set_tag(xaf, name, str(value))
        target = os.path.join(self.dest_dir, get_unique_hexa_identifier())
        delivered, _ = xaf.move_or_copy(target)
        if not delivered:
            raise OSError(f"{target} was not written")
        return target
