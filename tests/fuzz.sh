#!/bin/sh
# Readers of foreign bytes against damaged ones, each for MWP_FUZZ_SECONDS (300). What fails is printed with the number
# that repeats it (MWP_FUZZ_SEED) and kept in a file: mend it, and put the file into tests/corpus/TARGET/.
# Arguments go to nextest: `sh tests/fuzz.sh -E 'test(manifest)'`.
set -eu
cd "$(dirname "$0")/.."
export MWP_FUZZ_SECONDS="${MWP_FUZZ_SECONDS:-300}"
# What needs more memory than this has no bound.
ulimit -v 8000000
if [ $# -eq 0 ]; then
    set -- -E 'test(/fuzz::|somebody_damaged|whatever_a_file_holds/)'
fi
exec cargo nextest run --locked --lib --no-fail-fast --failure-output immediate "$@"
