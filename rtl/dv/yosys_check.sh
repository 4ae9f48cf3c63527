#!/bin/sh
# yosys_check.sh ROM -- FILES... - Yosys reads every block, elaborates it and finds no latch, no loop, no undriven wire.
rom=$1
shift 2
packages=$(printf '%s\n' "$@" | grep '_pkg.sv$' | tr '\n' ' ')
files=$packages$(printf '%s\n' "$@" | grep -v '_pkg.sv$' | sort -u | tr '\n' ' ')
bad=0
for top in mx_array mx_sram lanes quantise stage vector; do
    log=$(yosys -q -p "read_verilog -sv $rom $files; hierarchy -check -top $top; proc; check -assert; select -assert-none t:\$dlatch t:\$_DLATCH_*" 2>&1) ||
        { printf '%s: %s\n' "$top" "$log"; bad=1; }
done
exit $bad
