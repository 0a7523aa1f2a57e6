#!/bin/sh
# What is hostile – archives, wheels, links, journals, stores, caches – is installed by the tests that make it, as
# whoever runs this (root is what it is for), and the machine is then the same as before: path, kind, mode, owner, size,
# link, time of writing and of the last change of everything in /usr, /etc and cron's spool, and the content of the
# programs and of Python.
set -eu
cd "$(dirname "$0")/.."
sums=$(mktemp -d)
trap 'rm -rf "$sums"' EXIT

machine() {
    # What Python keeps of its own modules is nobody's doing but its own; a directory's time changes with it.
    find /usr /etc /var/spool/cron -xdev -name __pycache__ -prune -o -type d -printf '%p %y %m %U:%G\n' \
        -o -printf '%p %y %m %U:%G %s %l %T@ %C@\n' 2>/dev/null | LC_ALL=C sort
    find -L /usr/bin /usr/sbin /usr/local/bin /usr/lib/python3* /usr/local/lib/python3* -xdev -type f \
        ! -path '*/__pycache__/*' -size -20M -print0 2>/dev/null | LC_ALL=C sort -zu | xargs -0 sha256sum
}

export PYTHONDONTWRITEBYTECODE=1
cargo nextest run --locked --no-run --lib --test cli
machine >"$sums/before"
failed=0
cargo nextest run --locked --no-fail-fast --lib --test cli -E \
    'test(/^(hostile|hostile_wheels|linked|trust|unpack|base|cache_trust|bounds)::/) | test(/fuzz::/)' || failed=$?
machine >"$sums/after"
echo "compared: $(wc -l <"$sums/before") entries below /usr, /etc and /var/spool/cron, as $(id -un)"
diff "$sums/before" "$sums/after" >"$sums/difference" || {
    echo "error: the machine is not as it was:" >&2
    head -40 "$sums/difference" >&2
    exit 1
}
echo "the same as before"
exit "$failed"
