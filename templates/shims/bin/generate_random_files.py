#!/usr/bin/env python3
"""Makes files with random content in the current directory, so many every second, to see how a module copes.

Each is there under its name only when it is complete.
"""

import argparse
import os
import time


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--nb_files", type=int, default=1000, help="files each second (default: 1000)")
    parser.add_argument("--size", type=int, default=1000, help="bytes of each (default: 1000)")
    parser.add_argument("--prefix", default="file", help="their names: this and a number (default: file)")
    parser.add_argument("--seconds", type=int, default=60, help="for how long (default: 60)")
    return parser.parse_args()


def make(name, size):
    with open(name + ".t", "wb") as file:
        file.write(os.urandom(size))
    os.rename(name + ".t", name)


def main():
    arguments = _arguments()
    begun = time.monotonic()
    for second in range(arguments.seconds):
        first = second * arguments.nb_files
        for number in range(first, first + arguments.nb_files):
            make(f"{arguments.prefix}{number}", arguments.size)
        late = time.monotonic() - begun - second - 1
        if late > 0:
            print(f"{first + arguments.nb_files} files, {late:.1f} s late", flush=True)
        elif second + 1 < arguments.seconds:
            time.sleep(-late)


if __name__ == "__main__":
    main()
