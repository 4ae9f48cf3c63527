#!/bin/sh
# dse.sh PLENA - studies: the same after kills, by several processes, on MPI ranks of which one dies; errors that lose nothing.
set -u
plena=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") || exit 2
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2
fail() {
    echo "dse.sh: $*"
    exit 1
}
study() { # NAME TRIALS SAMPLER BATCH
    cat <<YAML
study: $1
machine: small
space:
  blen: {pow2: [2, 16]}
  mlen: {pow2: [16, 512]}
  vlen: {pow2: [16, 256]}
  matrix_tiles: {pow2: [64, 4096]}
  hbm_bandwidth: {range: [64, 1024], log: true}
  kv_format: ["mxint4:16", "mxint8:16", "mxfp8_e4m3:16"]
rules:
  - mlen % blen == 0
  - mlen * kv_format <= 2048
objectives:
  - {metric: latency_s, log: true, ref: 0.1}
  - {metric: area_mm2, log: true, ref: 100}
sampler: $3
trials: $2
batch: $4
prompt: 64
output: 16
YAML
}
csv() { # STUDY: its trials, without the file's name
    "$plena" dse export "$1" --csv "$1.csv" >/dev/null || fail "$1: cannot be exported"
    sed 's/^[^,]*,//' "$1.csv"
}

# kill -9 again and again: the study that comes out is the uninterrupted one.
study killed 500 nsga2 1 >killed.yaml
"$plena" dse run killed.yaml -o whole.db --quiet || fail "the uninterrupted study failed"
csv whole.db >whole.txt
[ "$(wc -l <whole.txt)" = 501 ] || fail "500 trials were asked for"
kills=0
while [ $kills -lt 200 ]; do
    "$plena" dse run killed.yaml -o killed.db --quiet --delay-us 1000 &
    pid=$!
    sleep 0.$((1 + kills % 4))
    kill -9 $pid 2>/dev/null || break
    wait $pid 2>/dev/null
    kills=$((kills + 1))
done
wait
"$plena" dse run killed.yaml -o killed.db --quiet || fail "the killed study cannot be finished"
csv killed.db >killed.txt
cmp whole.txt killed.txt || fail "$kills kills changed the study"
[ $kills -ge 3 ] || fail "only $kills kills"
echo "ok 1 - $kills kills, the same 500 trials"

# The same with Bayesian optimisation, and two processes at once.
study bo 24 bo 2 >bo.yaml
"$plena" dse run bo.yaml -o one.db --quiet || fail "bo failed"
csv one.db >one.txt
"$plena" dse run bo.yaml -o two.db --quiet &
"$plena" dse run bo.yaml -o two.db --quiet || fail "the second process failed"
wait
csv two.db >two.txt
cmp one.txt two.txt || fail "two processes make another study than one"
echo "ok 2 - two processes, the same study"
"$plena" dse run bo.yaml -o one.db --quiet --seed 9 2>err && fail "another seed went on with the study"
grep -q 'started from another study file' err || fail "no word of the other study: $(cat err)"

# A full disk (here: a limit on the file size) and a study that may not be written.
study full 400 random 1 >full.yaml
"$plena" dse run full.yaml -o full.db --quiet --trials 20 || fail "the first 20 trials failed"
csv full.db >before.txt
(
    trap '' XFSZ
    ulimit -f 60
    "$plena" dse run full.yaml -o full.db --quiet 2>err
) && fail "the disk was not full"
grep -q 'full.db: cannot be written' err || fail "no word of the full disk: $(cat err)"
csv full.db | head -21 | cmp - before.txt || fail "the full disk lost trials"
"$plena" dse run full.yaml -o full.db --quiet || fail "a study cannot go on after a full disk"
[ "$(csv full.db | wc -l)" = 401 ] || fail "trials are missing after the full disk"
echo "ok 3 - full disk"
chmod 755 . && chmod 444 full.db
before=$(cksum <full.db)
if [ "$(id -u)" = 0 ]; then
    as="setpriv --reuid 65534 --regid 65534 --clear-groups"
else
    as=
    chmod 555 .
fi
$as "$plena" dse run full.yaml -o "$dir/full.db" --quiet --trials 410 2>err && fail "a read-only study was written"
grep -q 'read-only' err || fail "no word of read-only: $(cat err)"
$as "$plena" dse ls "$dir/full.db" | grep -q '400 trials (400 complete' || fail "a read-only study cannot be read"
chmod 755 .
[ "$(cksum <full.db)" = "$before" ] || fail "the read-only study changed"
echo "ok 4 - read-only"

# Four ranks, one killed in the middle.
if command -v mpirun >/dev/null; then
    study mpi 300 random 8 >mpi.yaml
    "$plena" dse run mpi.yaml -o single.db --quiet || fail "the single process failed"
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    mpirun -n 4 --oversubscribe "$plena" dse run mpi.yaml -o mpi.db --delay-us 20000 >mpi.log 2>&1 &
    pid=$!
    victim=
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        sleep 0.2 # a worker: a child of a rank, itself a child of mpirun
        [ -f mpi.db ] || continue
        for rank in $(pgrep -P $pid -f 'dse run mpi.yaml'); do
            victim=$(pgrep -P "$rank" -f 'dse run mpi.yaml' | head -1)
            [ -n "$victim" ] && break
        done
        [ -n "$victim" ] && [ "$("$plena" dse ls mpi.db 2>/dev/null | sed 's/.* \([0-9]*\) complete.*/\1/; s/.*(//')" != 0 ] && break
    done
    [ -n "$victim" ] || fail "no worker to kill: $(cat mpi.log)"
    kill -9 "$victim" || fail "the worker had ended already"
    wait $pid || fail "mpirun failed: $(cat mpi.log)"
    csv single.db >single.txt
    csv mpi.db >mpi.txt
    cmp single.txt mpi.txt || fail "the ranks make another study than one process"
    echo "ok 5 - 4 ranks, one killed, the same 300 trials"
else
    echo "ok 5 - skipped: no mpirun here"
fi

# Pictures and tables.
"$plena" dse export one.db whole.db --html page.html --to-json all.json >medians.txt || fail "no page"
grep -q '</html>' page.html && [ "$(grep -c '<svg' page.html)" -ge 3 ] || fail "the page lacks pictures"
grep -q 'http' page.html && [ "$(grep -o 'http[^ "]*' page.html | sort -u)" != 'http://www.w3.org/2000/svg' ] && fail "the page is not self-contained"
grep -q '^bo .* 1 studies' medians.txt && grep -q '^nsga2 .* 1 studies' medians.txt || fail "medians: $(cat medians.txt)"
"$plena" dse best one.db | grep -q 'Pareto set of' || fail "no Pareto set"
"$plena" dse show one.db | grep -q '  mlen \* kv_format <= 2048' || fail "no rejections"
"$plena" dse sweep killed.yaml >/dev/null 2>err && fail "a sweep over real parameters"
grep -q 'without real parameters' err || fail "$(cat err)"
echo "ok 6 - tables and pictures"

# The timing plane; closed form first, then the timing plane: of 5 simulated points the screened ones are at least as good.
for fidelity in timing screen; do
    study $fidelity 5 random 1 | sed 's/range: .*/pow2: [64, 1024]}/' >$fidelity.yaml
    echo "fidelity: $fidelity" >>$fidelity.yaml
    echo "screen: 20" >>$fidelity.yaml
    "$plena" dse run $fidelity.yaml -o $fidelity.db --json >$fidelity.json || fail "fidelity $fidelity"
    grep -q '"complete": 5' $fidelity.json || fail "fidelity $fidelity: $(cat $fidelity.json)"
done
volume() { sed -n 's/.*"hypervolume": \([0-9.]*\).*/\1/p' "$1"; }
awk "BEGIN { exit !($(volume screen.json) > $(volume timing.json)) }" || fail "screening makes it worse"
echo "ok 7 - simulated objectives"

# A study file that is wrong says where.
wrong() { # SED-EXPRESSION WORDS
    study wrong 5 random 1 | sed "$1" >wrong.yaml
    "$plena" dse run wrong.yaml -o wrong.db 2>err && fail "accepted: $1"
    grep -q "$2" err || fail "$1: $(cat err)"
    [ -f wrong.db ] && fail "$1: a study was made"
}
wrong 's/blen: {/blem: {/' 'wrong.yaml:4:3: no machine parameter "blem"; did you mean "blen"'
wrong 's/latency_s/latencies/' 'no metric "latencies"; did you mean "latency_s"'
wrong 's/mlen % blen == 0/mlen %% blen/' 'expected a number, a parameter'
wrong 's/mlen % blen == 0/mlen % bllen == 0/' 'did you mean "blen"'
wrong 's/sampler: random/sampler: randon/' 'no sampler "randon"'
wrong 's/\[2, 16\]/[2, 15]/' 'expected two powers of two'
wrong 's/"mxint4:16"/"mxint9:16"/' 'mxint9'
wrong 's/trials:/trails:/' 'unknown key "trails"; did you mean "trials"'
wrong '/^objectives/,$d' 'needs "space" and "objectives"'
echo "ok 8 - wrong study files"
