#!/bin/sh
# Whatever a page links to within the site is there. Runs in the plugin's directory.
set -eu

cd main
missing=0
for page in $(find . -name '*.html'); do
    # Relative links, without what is behind `?` and `#`.
    links=$(sed -n 's/.*\(href\|src\)="\([^":?#]*\).*/\2/p' "$page" | grep -v '^/' || true)
    for link in $links; do
        if [ ! -e "$(dirname "$page")/$link" ]; then
            echo "main/$page links to $link, which is not there" >&2
            missing=1
        fi
    done
done
[ "$missing" = 0 ] && echo OK
exit "$missing"
