#!/usr/bin/env python3

import os

import magic

from acquisition import AcquisitionTransformStep


def yes(text):
    return text.lower() in ("1", "true", "yes", "y", "t")


def printable(header):
    """The characters of ASCII in it that can be printed."""
    return "".join(chr(byte) for byte in header if 32 <= byte <= 126).strip()


class GuessFileTypeMainStep(AcquisitionTransformStep):
    step_name = "main"

    def init(self):
        super().init()
        self.header_length = self.get_custom_config_value("ascii_header_max_length", transform=int, default="60")
        self.tells_size = self.get_custom_config_value("add_size_tag", transform=yes, default="1")
        own = self.get_custom_config_value("magic_custom_file", default="")
        only_own = self.get_custom_config_value("magic_use_custom_only", transform=yes, default="0")
        self.detectors = {}
        if not only_own:
            self.detectors["system_magic"] = magic.Magic()
        if own and own != "null":
            if not os.path.isfile(own):
                self.error_and_die("magic_custom_file: found %s; a file for libmagic is allowed", own)
            self.detectors["custom_magic"] = magic.Magic(magic_file=own)

    def transform(self, xaf):
        if self.header_length > 0:
            with open(xaf.filepath, "rb") as file:
                self.set_tag(xaf, "ascii_header", printable(file.read(self.header_length)))
        for tag, detector in self.detectors.items():
            try:
                self.set_tag(xaf, tag, detector.from_file(xaf.filepath), info=True)
            except Exception:
                self.exception("libmagic does not know what to do with %s", xaf.filepath)
                self.set_tag(xaf, tag, "magic_exception")
        if self.tells_size:
            self.set_tag(xaf, "size", str(xaf.getsize()))
        return xaf


if __name__ == "__main__":
    GuessFileTypeMainStep().run()
