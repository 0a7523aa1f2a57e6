"""Runs a command for each file, which may name files to hand on.

How it ends is no matter, as existing scripts want it; but a file whose command was killed by a signal is not done with.
"""

import os
import shutil
import subprocess

from .transform_step import AcquisitionTransformStep
from .utils import is_none

MARK = "FILEPATH:"


class AcquisitionForkStep(AcquisitionTransformStep):
    dest_dir_default = "FIXME/FIXME"

    def _add_extra_arguments_before(self, parser):
        super()._add_extra_arguments_before(parser)
        parser.add_argument("--command-template", default="FIXME", help="a shell's command with {PATH}")
        parser.add_argument(
            "--command-returning-path", default=None, help="1: lines `FILEPATH: …` name files to hand on"
        )

    def _set_destination(self, dest_dir):
        returning = self.args.command_returning_path
        if returning is None:
            self.error_and_die("command_returning_path is required: 1 or 0")
        self.command_returning_path = returning.strip() == "1"
        if is_none(self.args.command_template) or "{PATH}" not in self.args.command_template:
            self.error_and_die(
                "command_template: found `%s`; a command with {PATH} is required", self.args.command_template
            )
        if not is_none(dest_dir) and dest_dir != "FIXME/FIXME":
            super()._set_destination(dest_dir)
        elif self.command_returning_path:
            self.error_and_die("dest_dir is required with command_returning_path=1")

    def get_command(self, filepath):
        command = self.args.command_template.replace("{PATH}", filepath)
        directory = os.environ.get("MFDATA_CURRENT_PLUGIN_DIR") or self.get_plugin_directory_path()
        return command.replace("{{MFDATA_CURRENT_PLUGIN_DIR}}", directory)

    def transform(self, xaf):
        command = self.get_command(xaf.filepath)
        self.info("Executing command: %s", command)
        # Scripts were written for a bash that calls itself sh.
        shell = shutil.which("bash") or "/bin/sh"
        done = subprocess.run([shell, "-c", command], input=b"", stdout=subprocess.PIPE)
        output = os.fsdecode(done.stdout)
        for line in output.splitlines():
            self.debug("output: %s", line)
        if done.returncode < 0 or (done.returncode > 128 and self.stop_flag):
            # It did not end by itself: the file may be whole.
            raise ChildProcessError(f"the command was killed ({done.returncode}): {command}")
        if done.returncode != 0:
            # Existing scripts end so to let the file vanish.
            self.warning("the command ended with %i: %s", done.returncode, command)
            return None
        return self._named(output) if self.command_returning_path else None

    def _named(self, output):
        lines = (line.strip() for line in output.split("\n"))
        paths = [line[len(MARK) :].strip() for line in lines if line.startswith(MARK)]
        for path in paths:
            if not os.path.isabs(path) or not os.path.isfile(path):
                self.warning("the command named `%s`; the absolute path of a file is expected", path)
                return None
        return list(dict.fromkeys(paths))


def main():
    AcquisitionForkStep().run()
