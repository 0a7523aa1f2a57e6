#!/bin/sh
# Collects the static files of all Django applications into main/static. A release is made without a virtualenv: the
# wheels are unpacked for the moment.
set -eu

packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
for wheel in python3_virtualenv_sources/src/*.whl; do
    python3 -m zipfile -e "$wheel" "$packages"
done
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$packages python3 manage.py collectstatic --no-input --clear --verbosity=0
