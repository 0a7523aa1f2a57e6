"""Prints the tags of a file."""

import sys

from ._tag_command import file_and_arguments


def main():
    xaf, arguments = file_and_arguments("print_tags", __doc__, "FILE")
    for name, value in sorted(xaf.tags.items()):
        sys.stdout.buffer.write(b"%s = %s\n" % (name, value))
