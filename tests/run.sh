#!/bin/sh
# Everything that has to pass: format, lints, unit tests, end-to-end tests with real tools, documentation.
set -eu
cd "$(dirname "$0")/.."
sh tests/prepare.sh tests
sh tests/prepare.sh benches
cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
cargo test --locked --doc --quiet
# Whether the benchmarks work, not how fast anything is.
for bench in release install start nothing_to_do growth; do
    MWP_BENCH_SHORT=1 cargo bench --locked --profile dev --quiet --bench $bench
done
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --no-fail-fast
else
    cargo test --locked --lib --bins --tests --no-fail-fast
fi
