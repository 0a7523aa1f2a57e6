"""The settings of the plugin's storage, as the environment has them."""

import os

PREFIX = "MFBASE_CURRENT_PLUGIN_GENERAL_STORAGE_"


def settings():
    """By their names in config.ini, less `storage_`."""
    found = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return {name.removeprefix(PREFIX).lower(): value for name, value in found.items()}
