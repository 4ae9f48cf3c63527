#!/bin/sh
# plena hbm: a trace from text to figures, and what it says about bad ones.
set -eu
plena=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
fails() { # exit code, words, command...
    want=$1 words=$2
    shift 2
    rc=0
    "$@" >out 2>err || rc=$?
    [ "$rc" = "$want" ] || { echo "$*: exit $rc, wanted $want"; exit 1; }
    grep -qF "$words" err || { echo "$*: wanted \"$words\", found:"; cat err; exit 1; }
}
awk 'BEGIN { for (i = 0; i < 4096; i++) printf "0x%x%s\n", i * 64, i % 4 ? "" : " W" }' >mixed.txt
printf '# two lines, then a blank one\r\n0x0\r\n\r\n  0X40\tR  # hit' >small.txt
"$plena" help | grep -q '^  hbm '
for p in hbm2 hbm2e hbm3 hbm3e dramsim3-hbm2 ramulator2.1-hbm2; do
    "$plena" hbm --list | grep -q "^$p "
    "$plena" hbm mixed.txt --preset $p --json >a.json
    "$plena" hbm mixed.txt --preset $p --json >b.json
    cmp a.json b.json
    for key in '"schema": "plena.hbm/1"' '"lines_read": 3072' '"lines_written": 1024' cycles achieved_gbs peak_gbs p50 p95 p99 max row_hits refreshes binding; do
        grep -qF "$key" a.json || { echo "$p: no $key"; exit 1; }
    done
done
"$plena" hbm small.txt --preset dramsim3-hbm2 --set lat_out=0 | grep -q '32 cycles = 32.0 ns'
"$plena" hbm --parameters | grep -q '^  trfc_pb '
fails 2 'TRACE is missing' "$plena" hbm
fails 2 'did you mean "hbm3"' "$plena" hbm small.txt --preset hmb3
fails 3 'organisation.peak_gbs: found 256 GB/s claimed' "$plena" hbm small.txt --set burst=4
fails 3 'frontend.inject: found 1e9, allowed 0..1000' "$plena" hbm small.txt --inject 1e9
echo 0x40 X >bad.txt
fails 3 'bad.txt:1:6: expected R, W or the end of the line' "$plena" hbm bad.txt
printf '0x0\n64\n' >bad.txt
fails 3 'bad.txt:2:1: expected an address like 0x1f40' "$plena" hbm bad.txt
echo 0xffffffffffff >bad.txt
fails 3 'bad.txt:1:1: the address lies outside the memory' "$plena" hbm bad.txt
echo 0x12345678123456789 >bad.txt
fails 3 'bad.txt:1:' "$plena" hbm bad.txt
fails 3 'none.txt' "$plena" hbm none.txt
: >empty.txt
"$plena" hbm empty.txt | grep -q 'no accesses'
