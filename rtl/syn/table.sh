#!/bin/sh
# table.sh LIBERTY ROM ROOT - areas of the leaf blocks, and of square against flattened arrays of as many multipliers.
set -eu
lib=$1 rom=$2 rtl=$3/rtl
area() { "$rtl/syn/area.sh" "$lib" "$rom" "$@"; }
array="$rtl/array/mx_array.sv $rtl/array/mx_subarray.sv $rtl/array/mx_pe.sv $rtl/array/mx_align.sv $rtl/array/mx_reorder.sv $rtl/array/mx_tree.sv $rtl/array/mx_to_fp.sv $rtl/array/mx_round.sv $rtl/array/mx_delay.sv"
echo "| block | um2 | NAND2 | cells | flip-flops | levels | ps |"
echo "|---|---|---|---|---|---|---|"
area mx_pe "Wl=4 Wt=4 Pw=10" "$rtl/array/mx_pe.sv"
area mx_pe "Wl=5 Wt=5 Pw=12" "$rtl/array/mx_pe.sv"
area mx_pe "Wl=8 Wt=4 Pw=14" "$rtl/array/mx_pe.sv"
area mx_pe "Wl=8 Wt=8 Pw=18" "$rtl/array/mx_pe.sv"
area mx_align "C=4 Pw=10 Aw=32" "$rtl/array/mx_align.sv"
area mx_to_fp "W=40 Exp=8 Man=7" "$rtl/array/mx_to_fp.sv" "$rtl/array/mx_delay.sv"
area mx_reorder "N=4 W=4" "$rtl/array/mx_reorder.sv"
area fp_add "Exp=8 Man=7" "$rtl/vector/fp_add.sv"
area fp_mul "Exp=8 Man=7" "$rtl/vector/fp_mul.sv"
area fp_exp "Exp=8 Man=7" "$rtl/vector/fp_exp.sv"
area fp_reci "Exp=8 Man=7" "$rtl/vector/fp_reci.sv"
area mx_quantise "N=16 Kind=0 Qman=4 MaxCode=7" "$rtl/vector/mx_quantise.sv"
area mx_subarray "N=4 Run=4" $array
area mx_array "S=1 N=8 Run=8" $array
area mx_array "S=4 N=4 Run=4" $array
area mx_array "S=1 N=16 Run=16" $array
area mx_array "S=16 N=4 Run=4" $array
