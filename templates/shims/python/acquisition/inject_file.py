"""Puts a file into the inbox of a step, or into the first directory that the module watches."""

import argparse
import os
import sys

from mfutil import get_unique_hexa_identifier
from xattrfile import XattrFile

from .utils import MFDATA_DATA_IN_DIR, get_plugin_step_directory_path


def _arguments():
    parser = argparse.ArgumentParser(prog="inject_file", description=__doc__)
    parser.add_argument("FILE")
    parser.add_argument("--plugin", default="guess_file_type")
    parser.add_argument("--step", default="main")
    parser.add_argument("--move", action="store_true", help="the file goes away from where it is")
    parser.add_argument("--random-basename", action="store_true")
    parser.add_argument("--incoming", action="store_true", help="into the first watched directory")
    return parser.parse_args()


def _target_dir(arguments):
    if not arguments.incoming:
        return get_plugin_step_directory_path(arguments.plugin, arguments.step)
    watched = os.environ.get("MFDATA_INTERNAL_PLUGINS_WATCHED_DIRECTORIES") or "incoming"
    return os.path.join(MFDATA_DATA_IN_DIR, watched.split(",")[0])


def main():
    arguments = _arguments()
    directory = _target_dir(arguments)
    if not os.path.isdir(directory):
        sys.exit(f"error: there is no {directory}\nhint: is that step installed, and the module started?")
    try:
        xaf = XattrFile(arguments.FILE)
        basename = get_unique_hexa_identifier() if arguments.random_basename else xaf.basename()
        target = os.path.join(directory, basename)
        if not arguments.move:
            xaf.copy(target)
        elif not xaf.move_or_copy(target)[0]:
            sys.exit(f"error: cannot move {xaf.filepath} to {target}")
    except Exception as error:
        sys.exit(f"error: {arguments.FILE}: {error}")
