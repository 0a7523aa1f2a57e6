#!/bin/sh
# Makes what people install without Rust: a tarball and, where dpkg-deb is, a Debian package. Static where the musl target
# of Rust is installed (`rustup target add x86_64-unknown-linux-musl`), else for the C library of this machine.
# Usage: sh packaging/package.sh [DIR]     DIR: where they go, `dist` unless it is given
set -eu

cd "$(dirname "$0")/.."
out=${1:-dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
arch=$(uname -m)

# A tag `v1.2.3` is a release; anything else is the version of Cargo.toml at a commit.
declared=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
if tag=$(git describe --tags --exact-match --match 'v*' 2>/dev/null); then
    version=${tag#v}
else
    version="$declared+git$(git show --no-patch --format=%cd --date=format:%Y%m%d HEAD).$(git rev-parse --short=8 HEAD)"
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git show --no-patch --format=%ct HEAD)}
export SOURCE_DATE_EPOCH

musl="$arch-unknown-linux-musl"
if rustc --print target-libdir --target "$musl" 2>/dev/null | xargs -r test -d; then
    cargo build --release --locked --target "$musl"
    binary=target/$musl/release/mwp
    libc=
else
    cargo build --release --locked
    binary=target/release/mwp
    libc="libc6 (>= $(ldd --version 2>/dev/null | sed -n '1s/.* //p'))"
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
tree=$stage/mwp-$version
install -D -m 755 "$binary" "$tree/bin/mwp"
mwp=$tree/bin/mwp
"$mwp" man "$tree/share/man/man1" 2>/dev/null
mkdir -p "$tree/share/bash-completion/completions" "$tree/share/zsh/site-functions" "$tree/share/fish/vendor_completions.d"
"$mwp" completions bash >"$tree/share/bash-completion/completions/mwp"
"$mwp" completions zsh >"$tree/share/zsh/site-functions/_mwp"
"$mwp" completions fish >"$tree/share/fish/vendor_completions.d/mwp.fish"
install -D -m 644 LICENSE "$tree/share/doc/mwp/copyright"
install -m 644 README.md CHANGELOG.md "$tree/share/doc/mwp"
install -D -m 644 -t "$tree/share/doc/mwp/docs" docs/*.md docs/session.svg
install -D -m 644 -t "$tree/share/doc/mwp/docs/help" docs/help/*.md

tarball=$out/mwp-$version-$arch.tar.gz
tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -c "mwp-$version" |
    gzip -9n >"$tarball"
echo "$tarball"

if ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "hint: there is no dpkg-deb here, so there is no Debian package" >&2
    exit 0
fi
deb=$stage/deb
mkdir -p "$deb/DEBIAN"
cp -a "$tree" "$deb/usr"
cat >"$deb/DEBIAN/control" <<CONTROL
Package: mwp
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: the mwp developers <mwp@localhost>
Section: devel
Priority: optional
${libc:+Depends: $libc
}Recommends: python3, python3-pip, make
Suggests: nodejs, npm, nginx, redis-server
Description: builds, ships and runs MetWork plugins
 A plugin is a directory with code: web services, data-processing steps, daemons, cron jobs.
CONTROL
package=$out/mwp_${version}_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group --build "$deb" "$package" >/dev/null
echo "$package"
