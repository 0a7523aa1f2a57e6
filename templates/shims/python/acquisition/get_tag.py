"""Prints a tag of a file, or nothing."""

import sys

from ._tag_command import file_and_arguments


def main():
    xaf, arguments = file_and_arguments("get_tag", __doc__, "FILE", "NAME")
    value = xaf.tags.get(arguments.NAME)
    if value is not None:
        sys.stdout.buffer.write(value + b"\n")
