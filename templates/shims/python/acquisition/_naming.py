"""What a file is called where it goes to."""

import re
import time

from mfutil import get_unique_hexa_identifier


def fill(template, step, xaf):
    """Replaces what stands for something. The date first: the name of a file may hold a `%` of its own."""
    dated = time.strftime(template) if "%" in template else template
    values = {
        "RANDOM_ID": get_unique_hexa_identifier,
        "ORIGINAL_BASENAME": lambda: step.get_original_basename(xaf),
        "ORIGINAL_DIRNAME": lambda: step.get_original_dirname(xaf),
        "ORIGINAL_UID": lambda: step.get_original_uid(xaf),
        "STEP_COUNTER": lambda: str(step._get_counter_tag_value(xaf, not_found_value="999")),
    }
    return re.sub(r"\{(%s)\}" % "|".join(values), lambda found: values[found.group(1)](), dated)
