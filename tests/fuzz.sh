#!/bin/sh
# Readers of foreign bytes against damaged ones, each for MWP_FUZZ_SECONDS (300). What fails is printed with the number
# that repeats it (MWP_FUZZ_SEED) and kept in a file: mend it, and put the file into tests/corpus/TARGET/.
# A word takes the targets with it in their names alone: `sh tests/fuzz.sh manifest`.
set -eu
cd "$(dirname "$0")/.."
export MWP_FUZZ_SECONDS="${MWP_FUZZ_SECONDS:-300}"
# What needs more memory than this has no bound.
ulimit -v 8000000
targets='test(/fuzz::|somebody_damaged|whatever_a_file_holds/)'
exec cargo nextest run --locked --lib --no-fail-fast --failure-output immediate \
    -E "$targets & test(/${1:-}/)"
