"""What becomes of a file that its step could not process: it is kept, deleted or moved.

A move that fails keeps the file, where the original deletes it; two files of one uid do not replace each other.
"""

import os

from mfutil import get_unique_hexa_identifier, mkdir_p_or_die

from .utils import TRASH_DIR, dest_dir_to_absolute, is_none

POLICIES = ("keep", "delete", "move")


def add_arguments(parser):
    parser.add_argument("--failure-policy", default="keep", help="keep, delete or move")
    parser.add_argument("--failure-policy-move-dest-dir", default=None, help="PLUGIN/STEP or an absolute path")


class FailurePolicy:
    def __init__(self, step):
        self._step = step
        self.name = step.args.failure_policy
        self._trash = os.path.join(TRASH_DIR, f"{step.plugin_name}.{step.step_name}")
        self._dir, self._target = None, None
        if self.name not in POLICIES:
            step.error_and_die("failure_policy: found `%s`; %s are allowed", self.name, ", ".join(POLICIES))
        if self.name == "move":
            self._set_target(step.args.failure_policy_move_dest_dir)
            mkdir_p_or_die(self._dir)
        elif self.name == "keep":
            mkdir_p_or_die(self._trash)

    def _set_target(self, given):
        if is_none(given):
            self._step.error_and_die("failure_policy_move_dest_dir is required with failure_policy=move")
        try:
            self._dir, is_absolute = dest_dir_to_absolute(given)
        except Exception as error:
            self._step.error_and_die("failure_policy_move_dest_dir: %s", error)
        if not is_absolute:
            self._target = tuple(given.split("/"))

    def apply(self, xaf):
        if self.name == "delete":
            self._step.add_trace(xaf, ">trash", "delete")
            self._step.info("%s is deleted after a failure", xaf.filepath)
            xaf.delete_or_nothing()
        elif self.name == "keep" or not self._move(xaf):
            self.keep(xaf)

    def _move(self, xaf):
        if self._target is not None:
            return self._step.move_to_plugin_step(xaf, *self._target, keep_original_basename=None)
        self._step.add_trace(xaf, self._dir)
        return put_aside(self._step, xaf, self._dir)

    def keep(self, xaf):
        self._step.add_trace(xaf, ">trash", "keep")
        if not put_aside(self._step, xaf, self._trash):
            self._step.error("%s cannot be kept, and is deleted", xaf.filepath)
            xaf.delete_or_nothing()


def put_aside(step, xaf, directory, basename=None):
    """Moves a file out of the way of all steps, its tags into a file beside it."""
    target = os.path.join(directory, basename or xaf.basename())
    if os.path.lexists(target):
        target += "." + get_unique_hexa_identifier()[:8]
    try:
        os.makedirs(directory, exist_ok=True)
        xaf.write_tags_in_a_file(target + ".tags")
    except OSError as error:
        step.error("cannot write %s.tags: %s", target, error)
    source = xaf.filepath
    is_done, _ = xaf.move_or_copy(target)
    if not is_done:
        return False
    xaf.clear_tags()
    step.info("%s moved into %s", source, target)
    return True
