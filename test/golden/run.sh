#!/bin/sh
# run.sh PLENA [--bless] - golden pairs: the suffix beside NAME.s picks what is compared.
#   .hex    words of plena asm          .dis    plena dis of those words, which must assemble to them again
#   .err    message of plena asm        .trace  plena sim --trace without the cycle columns, then the registers
#   .fault  message of plena sim
# --bless writes what the program says now into the files that exist (touch a new one first); look at the diff.
plena=$(realpath "$1") && cd "$(dirname "$0")" || exit 2
bless=$2
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
failed=0 n=0

produce() { # NAME.SUFFIX: what the program says, into $tmp/got
    s=${1%.*}.s
    case $1 in
    *.hex) "$plena" asm "$s" >"$tmp/got" ;;
    *.dis) "$plena" asm "$s" >"$tmp/1.mem" && "$plena" dis "$tmp/1.mem" >"$tmp/got" &&
        cp "$tmp/got" "$tmp/2.s" && "$plena" asm "$tmp/2.s" >"$tmp/2.mem" && cmp "$tmp/1.mem" "$tmp/2.mem" ;;
    *.err) ! "$plena" asm "$s" >"$tmp/out" 2>"$tmp/got" && [ ! -s "$tmp/out" ] ;;
    *.fault) ! "$plena" sim "$s" --machine tiny >"$tmp/out" 2>"$tmp/got" && [ ! -s "$tmp/out" ] ;;
    *.trace) "$plena" sim "$s" --machine tiny --registers --trace "$tmp/trace" >"$tmp/out" &&
        awk '!/^#/ { $2 = $3 = $4 = "-"; print }' "$tmp/trace" >"$tmp/got" && grep '^gp\|^f' "$tmp/out" >>"$tmp/got" ;;
    esac
}

for f in *.hex *.dis *.err *.fault *.trace; do
    n=$((n + 1))
    if ! produce "$f"; then
        echo "$f: the program's exit code or output is not that of this suffix"
        failed=$((failed + 1))
    elif [ "$bless" = --bless ]; then
        cp "$tmp/got" "$f"
    elif ! diff -u "$f" "$tmp/got"; then
        failed=$((failed + 1))
    fi
done
for s in *.s; do
    set -- "${s%.s}".[!s]*
    [ -e "$1" ] || { echo "$s: has no file to be compared with"; failed=$((failed + 1)); }
done
echo "$n golden files, $failed differ"
[ "$n" -gt 10 ] && [ $failed -eq 0 ]
