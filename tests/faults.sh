#!/bin/sh
# Lets system calls of the real binary fail, and kills it, at about 2,000 places; prints what it did, and what was wrong.
# MWP_FAULTS=200: fewer of them. MWP_FAULTS_ONLY=install,update: only there. MWP_FAULTS_SEED=2: at other places.
set -eu
cd "$(dirname "$0")/.."
sh tests/prepare.sh tests
# What is tested is not the disk.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then
    export TMPDIR=/dev/shm
fi
exec cargo test --locked --test cli faults:: -- --ignored --nocapture
