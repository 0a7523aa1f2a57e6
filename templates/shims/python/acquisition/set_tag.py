"""Sets a tag of a file."""

from ._tag_command import file_and_arguments


def main():
    xaf, arguments = file_and_arguments("set_tag", __doc__, "FILE", "NAME", "VALUE")
    xaf.tags[arguments.NAME] = arguments.VALUE
    xaf.commit()
