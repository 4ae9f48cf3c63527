#!/bin/sh
# The HBM model as a library of its own: compile examples/hbm_stream.c against nothing but plena-hbm.pc, run it, look at its answer.
set -eu
src=$(realpath "$1") build=$(realpath "$2") cc=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
PKG_CONFIG_PATH=$build/meson-uninstalled
export PKG_CONFIG_PATH
flags=$(pkg-config --static --cflags --libs plena-hbm)
# shellcheck disable=SC2086
$cc -std=c11 -Wall -Werror "$src/examples/hbm_stream.c" -o "$tmp/hbm_stream" $flags
"$tmp/hbm_stream" dramsim3-hbm2 | tee "$tmp/out"
grep -q '^284656 cycles' "$tmp/out"
if "$tmp/hbm_stream" nonsense 2>"$tmp/err"; then exit 1; fi
grep -q 'no HBM preset "nonsense"' "$tmp/err"
