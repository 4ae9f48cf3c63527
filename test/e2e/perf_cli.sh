#!/bin/sh
# perf_cli.sh PLENA - perf, compare and reproduce: published figures met, files written, impossible requests refused.
plena=$1
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
refused() { # STATUS WORDS COMMAND...
    want=$1 words=$2
    shift 2
    "$@" >"$tmp/out" 2>"$tmp/err"
    [ $? = "$want" ] || fail "$* ended with another status than $want: $(cat "$tmp/err")"
    grep -q "$words" "$tmp/err" || fail "$*: $(cat "$tmp/err")"
}

# Table X in the paper's convention, to the printed digit: every ratio is 1.000.
"$plena" reproduce table10 >"$tmp/t10" || fail "table10"
[ "$(grep -c '  1\.000' "$tmp/t10")" = 12 ] || fail "Table X: $(cat "$tmp/t10")"
"$plena" reproduce table12 --csv "$tmp/t12.csv" --svg "$tmp/t12.svg" >"$tmp/t12" || fail "table12"
grep -q '^14 of 16 energy cells follow one constant' "$tmp/t12" || fail "energy cells: $(tail -1 "$tmp/t12")"
[ "$(cut -d, -f1 "$tmp/t12.csv" | sort -u | wc -l)" = 57 ] || fail "cells of Table XII"
grep -q '^<svg' "$tmp/t12.svg" && grep -q '</svg>$' "$tmp/t12.svg" || fail "table12.svg"
for what in $("$plena" reproduce --list | cut -d' ' -f1); do
    "$plena" reproduce "$what" --json >"$tmp/$what.json" || fail "$what"
    grep -q '"schema": "plena.reproduce/1"' "$tmp/$what.json" || fail "$what --json"
done
"$plena" compare llama-3.1-8b --csv "$tmp/c.csv" >"$tmp/c" || fail "compare"
for reading in roofline derated paper-implied; do
    grep -q ",$reading," "$tmp/c.csv" || fail "no row $reading"
done
"$plena" perf llama-3.1-8b --machine paper --tp 4 --batch 8 >"$tmp/p" || fail "perf"
grep -q '^4 devices' "$tmp/p" || fail "perf: $(cat "$tmp/p")"

# Impossible machines, models that do not fit, unknown baselines.
refused 4 'does not fit: a device of stage 0 needs' "$plena" perf llama-3.3-70b --machine paper
refused 4 'does not fit' "$plena" perf llama-3.1-8b --machine paper --batch 100000
refused 3 'tp 3 does not divide' "$plena" perf llama-3.1-8b --machine paper --tp 3
refused 3 'blen must divide hlen' "$plena" perf llama-3.1-8b --machine paper --set blen=64 --set hlen=32
refused 2 'expected ring or switch' "$plena" perf llama-3.1-8b --machine paper --link star
refused 2 'synthesis and paper' "$plena" perf --area --corner fast
refused 3 'neither a file nor a shipped baseline; did you mean' "$plena" compare llama-3.1-8b --systems a100,b200
refused 2 'did you mean "table1' "$plena" reproduce table13
refused 3 'table12.csv' "$plena" reproduce table12 --csv "$tmp/none/table12.csv"
echo ok
