#!/bin/sh
# package_check.sh GEN_RTL_PKG MACHINES... - the package of each machine passes Verilator's lint and is read by Yosys.
set -eu
gen=$1
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for machine; do
    "$gen" "$machine" >"$dir/plena_pkg.sv"
    verilator --lint-only -Wall "$dir/plena_pkg.sv"
    yosys -q -p "read_verilog -sv $dir/plena_pkg.sv"
done
if "$gen" tiny hbm_model=hbm3 >/dev/null 2>"$dir/err"; then echo "a preset of banks was taken"; exit 1; fi
grep -q 'hbm_model simple only' "$dir/err"
