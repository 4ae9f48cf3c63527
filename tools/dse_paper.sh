#!/bin/sh
# dse_paper.sh PLENA DIR [SEEDS [CACHE.db]] - the paper's search: Table III on the shapes of LLaMA-3-8B and 3.2-1B, 50 trials, bo, tpe
# and random on 5 seeds; medians, a page of pictures for each model, and bo's Pareto set. CACHE: a finished accuracy study.
set -eu
plena=$1 dir=$2 seeds=${3:-5} cache=${4:-$2/accuracy.db}
here=$(dirname "$0")/..
mkdir -p "$dir"
cd "$here" # the study files name the text below examples/
[ -f "$cache" ] || "$plena" dse run examples/studies/accuracy.yaml -o "$cache" --quiet
for model in 8b 1b; do
    for sampler in bo tpe random; do
        s=1
        while [ "$s" -le "$seeds" ]; do
            "$plena" dse run examples/studies/table3-$model.yaml -o "$dir/$model-$sampler-$s.db" --sampler $sampler --seed "$s" \
                --cache-from "$cache" --quiet
            s=$((s + 1))
        done
    done
    echo "LLaMA $model:"
    "$plena" dse export "$dir/$model"-*.db --html "$dir/$model.html" --csv "$dir/$model.csv"
    "$plena" dse best "$dir/$model-bo-1.db"
done
