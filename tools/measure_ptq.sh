#!/bin/sh
# measure_ptq.sh PLENA MODEL N - the table of doc/quantization.md: every recipe calibrated on the first N texts of
# MODEL/eval.jsonl and evaluated against fp32 on the others; last, matrices whose output error exceeds the peer's rule.
# Weights alone are evaluated in fp32 arithmetic, everything in MX in the machine's.
plena=$1 model=$2 n=$3
[ $# = 3 ] || { echo "usage: measure_ptq.sh PLENA MODEL N" >&2; exit 2; }
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
for block in 16 32; do
    for row in "mxint4 mxint4" "mxint4 none" "mxint3 none"; do
        weights=${row% *}:$block other=${row#* } arithmetic=
        if [ "$other" = none ]; then arithmetic=--reference; else other=$other:$block; fi
        for recipe in rtn paper best; do
            calibrate="--calibrate $model/eval.jsonl --limit $n"
            [ $recipe = rtn ] && calibrate=
            # shellcheck disable=SC2086 # lists of options
            "$plena" quantize "$model" $calibrate --weights "$weights" --act "$other" --kv "$other" --recipe $recipe --compare \
                -o "$tmp/q" >"$tmp/report" || exit
            worse=$(awk '$1 ~ /weight$/ && NF == 7 && $5 < $7 { n++ } END { print n + 0 }' "$tmp/report")
            # shellcheck disable=SC2086
            "$plena" eval "$tmp/q" --against "$model" $arithmetic --text "$model/eval.jsonl" --skip "$n" >"$tmp/eval" || exit
            printf '%-6s %s, %s matrices worse than the peer\n' $recipe "$(tail -n 1 "$tmp/eval")" "$worse"
            rm -rf "$tmp/q"
        done
    done
done
