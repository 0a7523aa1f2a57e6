"""What the commands for tags have in common."""

import argparse
import sys

from xattrfile import XattrFile


def file_and_arguments(program, description, *names):
    parser = argparse.ArgumentParser(prog=program, description=description)
    for name in names:
        parser.add_argument(name)
    arguments = parser.parse_args()
    try:
        xaf = XattrFile(arguments.FILE)
        xaf.tags
    except Exception as error:
        sys.exit(f"error: {arguments.FILE}: {error}")
    return xaf, arguments
