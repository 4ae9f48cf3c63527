#!/bin/sh
# embed.sh FILE... - C initialisers {"name", "text"}, one for each file, the name without folder and suffix.
set -e
for f in "$@"; do
    name=$(basename "$f" .yaml)
    printf '    {"%s",\n' "$name"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/     "/' -e 's/$/\\n"/' "$f"
    printf '    },\n'
done
