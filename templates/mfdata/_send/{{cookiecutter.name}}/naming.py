"""What a file is called where it is sent to."""

import re
import time
import uuid


def fill(template, step, xaf, encode=str):
    """Replaces what stands for something. The date first: the name of a file may hold a `%` of its own."""
    dated = re.sub(r"%[A-Za-z%]", lambda found: time.strftime(found.group()), template)
    values = {
        "RANDOM_ID": lambda: uuid.uuid4().hex,
        "ORIGINAL_BASENAME": lambda: step.get_original_basename(xaf),
        "ORIGINAL_DIRNAME": lambda: step.get_original_dirname(xaf),
        "ORIGINAL_UID": lambda: step.get_original_uid(xaf),
        "STEP_COUNTER": lambda: str(step._get_counter_tag_value(xaf, not_found_value="999")),
    }
    return re.sub(r"\{(%s)\}" % "|".join(values), lambda found: encode(values[found.group(1)]()), dated)
