#!/bin/sh
# dse_scaling.sh PLENA [TRIALS] - 4 ranks under mpirun: how much of the three workers' time goes into evaluations of 1, 10 and 100 ms.
set -eu
plena=$1 trials=${2:-300}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cat >"$dir/s.yaml" <<YAML
study: scaling
space:
  blen: {pow2: [2, 16]}
  hbm_bandwidth: {range: [64, 1024]}
objectives: [latency_s, area_mm2]
sampler: random
batch: 6
YAML
for us in 1000 10000 100000; do
    echo "evaluations of $((us / 1000)) ms:"
    mpirun -n 4 --oversubscribe "$plena" dse run "$dir/s.yaml" -o "$dir/$us.db" --trials "$trials" --delay-us $us 2>&1 | grep workers
done
