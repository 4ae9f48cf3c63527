#!/bin/sh
# Run every fuzz target for SECONDS (default 60), two at a time, from its seeds. Prints "ok fuzz_x N runs" or the finding.
#   test/fuzz/run.sh [SECONDS [BUILD]]    BUILD: a build with -Dfuzz=true; made with clang where it is missing
set -eu
seconds=${1:-60}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${2:-$root/build-fuzz}
targets='asm config image safetensors tokenizer yaml'
work=$(mktemp -d "${TMPDIR:-/tmp}/plena-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ ! -f "$build/build.ninja" ]; then
    CC=clang meson setup "$build" "$root" -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
        -Dbuildtype=debugoptimized >"$work/setup" 2>&1 || { cat "$work/setup" >&2; exit 1; }
fi
set -- # the programs to build
for t in $targets; do
    set -- "$@" "test/fuzz/fuzz_$t" "test/fuzz/fuzz_${t}_replay"
done
ninja -C "$build" "$@" >"$work/ninja" 2>&1 || { cat "$work/ninja" >&2; exit 1; }

fuzz() { # target
    mkdir -p "$work/$1"
    "$build/test/fuzz/fuzz_${1}_replay" --seeds "$work/$1"
    if UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$build/test/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=4096 \
        -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$build/finding-$1-" "$work/$1" >"$work/$1.log" 2>&1; then
        echo "ok fuzz_$1 $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$work/$1.log") runs"
    else
        echo "FAILED fuzz_$1; replay: $build/test/fuzz/fuzz_${1}_replay $build/finding-$1-*"
        tail -n 40 "$work/$1.log"
        : >"$work/failed"
    fi
}
# shellcheck disable=SC2086 # a list of words
set -- $targets
while [ $# -gt 0 ]; do
    fuzz "$1" &
    if [ $# -gt 1 ]; then
        fuzz "$2" &
        shift
    fi
    shift
    wait
done
[ ! -e "$work/failed" ]
