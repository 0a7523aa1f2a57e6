#!/bin/sh
# Installs the Debian packages that building plugins (or, with `tests`, the tests; with `benches`, the benchmarks and what
# they compare with) needs and that are not there.
# Without root, or without apt, it says what is missing and exits with 1.
set -eu

missing=
need() { # PROGRAM PACKAGE…
    program=$1
    shift
    command -v "$program" >/dev/null 2>&1 || missing="$missing $*"
}

need cc gcc libc6-dev
need make make
need python3 python3 python3-pip python3-venv
need npm nodejs npm
if command -v python3 >/dev/null 2>&1; then
    python3 -c 'import pip' 2>/dev/null || missing="$missing python3-pip"
fi
if [ "${1:-}" = tests ]; then
    need git git
    need strace strace
    need tar tar
    need zstd zstd
    need jq jq
    need curl curl
    need unshare util-linux
    [ -x /usr/sbin/mkfs.xfs ] || need mkfs.xfs xfsprogs
    need cp coreutils
    need crontab cron
    need systemd-analyze systemd
    need openssl openssl
    need chromium chromium
    # Not on everybody's PATH, and found all the same.
    [ -x /usr/sbin/nginx ] || need nginx nginx-light
    [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || missing="$missing libnginx-mod-http-lua"
    need luajit luajit2
    ls /usr/sbin/php-fpm* >/dev/null 2>&1 || need php-fpm php-fpm
    need php php-cli
    need redis-server redis-server
    [ -x /usr/sbin/vsftpd ] || need vsftpd vsftpd
    [ -x /usr/sbin/sshd ] || need sshd openssh-server
    [ -x /usr/sbin/mosquitto ] || need mosquitto mosquitto
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || need rabbitmq-server rabbitmq-server
    ls /usr/lib/*/libmagic.so.1 >/dev/null 2>&1 || missing="$missing libmagic1"
    if command -v python3 >/dev/null 2>&1; then
        python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
    fi
fi
if [ "${1:-}" = benches ]; then
    need ninja ninja-build
    need rsync rsync
    need zstd zstd
    [ -x /usr/sbin/nginx ] || need nginx nginx-light
    need redis-server redis-server
fi
command -v cargo >/dev/null 2>&1 || {
    echo "error: there is no cargo on PATH" >&2
    echo "hint: install Rust 1.88 or later" >&2
    exit 1
}
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # A package with a service would start it, on a port that others may want: its programs are all we need.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "error: these Debian packages are missing:$missing" >&2
    echo "hint: install them, as root: apt-get install$missing" >&2
    exit 1
fi
