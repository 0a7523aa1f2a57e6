#!/usr/bin/env python3
"""Django's commands. Usage: mwp exec --cwd {{cookiecutter.name}} -- python3 manage.py COMMAND"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "main.settings")
    execute_from_command_line(sys.argv)
