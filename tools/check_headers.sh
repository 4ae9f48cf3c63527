#!/bin/sh
# check_headers.sh ROOT CC... - each public header compiles by itself, twice in a row.
root=$1
shift
bad=0 n=0
for h in "$root"/include/plena/*.h; do
    name=plena/${h##*/}
    printf '#include "%s"\n#include "%s"\n' "$name" "$name" |
        "$@" -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -I"$root/include" -fsyntax-only -xc - || bad=$((bad + 1))
    n=$((n + 1))
done
echo "$n public headers, $bad do not compile alone"
[ "$n" -gt 10 ] && [ $bad -eq 0 ]
