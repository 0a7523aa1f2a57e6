#!/bin/sh
# Stands for MetWork's command of this name: signal_wrapper.py [OPTIONS] UNIX_SOCKET -- COMMAND…
# Whoever supervises the worker takes it out of nginx's sight and waits for its requests before it sends a signal: what
# is left to do is to be the command.
while [ $# -gt 0 ]; do
    if [ "$1" = -- ]; then
        shift
        [ $# -gt 0 ] && exec "$@"
        break
    fi
    shift
done
echo "error: signal_wrapper.py: there is no command; UNIX_SOCKET -- COMMAND is required" >&2
exit 2
