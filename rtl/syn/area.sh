#!/bin/sh
# area.sh [-o NETLIST] LIBERTY ROM TOP 'PARAMETERS' FILES... - Yosys maps TOP with the parameters (A=1 B=2 ...) to the cells of LIBERTY, module by
# module; prints a table row: cell area in um2, in NAND2 equivalents, cells, flip-flops, levels of logic and delay in ps of the deepest module. -o also writes the mapped
# modules in Verilog.
set -eu
net=
if [ "$1" = -o ]; then net="write_verilog -noattr $2"; shift 2; fi
lib=$1 rom=$2 top=$3 params=$4
shift 4
here=$(dirname "$0")
set_params=
for p in $params; do set_params="$set_params chparam -set ${p%=*} ${p#*=} $top;"; done
log=$(mktemp)
trap 'rm -f "$log"' EXIT
yosys -p "read_verilog -sv $rom $*;$set_params hierarchy -check -top $top; rename -top $top; proc; async2sync; opt; wreduce; alumacc; share; opt;
  memory_map; opt; techmap; opt -fast; dfflegalize -cell \$_DFF_P_ x; techmap; opt; dfflibmap -liberty $lib;
  abc -script $here/abc.script -liberty $lib; opt_clean; stat -liberty $lib -top $top; $net" >"$log" 2>&1 || { tail -3 "$log" >&2; exit 1; }
area=$(sed -n "s/.*Chip area for top module.*: //p; s/.*Chip area for module '.*$top.*': //p" "$log" | tail -1)
awk -v name="$top $params" -v area="$area" '
  /Number of cells:/ { cells = $NF }
  $1 == "DFFHQNx1" { flops = $2 }
  match($0, /lev = *[0-9]+/) { n = substr($0, RSTART + 5, RLENGTH - 5) + 0; if (n > levels) levels = n }
  match($0, /Delay = *[0-9.]+/) { n = substr($0, RSTART + 7, RLENGTH - 7) + 0; if (n > delay) delay = n }
  END { printf "| %s | %.1f | %.0f | %d | %d | %d | %.0f |\n", name, area, area / 0.05832, cells, flops, levels, delay }' "$log"
