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
area fp_convert "Exp=8 Man=23 Oexp=8 Oman=7" "$rtl/vector/fp_convert.sv"
area vec_lanes "Vlen=16 Exp=8 Man=7" "$rtl/vector/vec_lanes.sv" "$rtl/vector/fp_add.sv" "$rtl/vector/fp_mul.sv" "$rtl/vector/fp_exp.sv" "$rtl/vector/fp_reci.sv" \
    "$rtl/vector/fp_order.sv" "$rtl/array/mx_delay.sv"
area vec_reduce "Vlen=16 Exp=8 Man=7" "$rtl/vector/vec_reduce.sv" "$rtl/vector/fp_sum.sv" "$rtl/vector/fp_add.sv" "$rtl/vector/fp_convert.sv" \
    "$rtl/array/mx_tree.sv" "$rtl/array/mx_to_fp.sv" "$rtl/array/mx_delay.sv"
area vec_scan "Vlen=16 Exp=8 Man=7" "$rtl/vector/vec_scan.sv" "$rtl/vector/fp_add.sv" "$rtl/array/mx_delay.sv"
area vec_hadamard "Vlen=16 Exp=8 Man=7" "$rtl/vector/vec_hadamard.sv" "$rtl/array/mx_to_fp.sv" "$rtl/array/mx_delay.sv"
area stage_in "Vlen=16 Kind=0 Qman=8 Block=16" "$rtl/vector/stage_in.sv" "$rtl/array/mx_edge.sv" "$rtl/array/mx_to_fp.sv" "$rtl/array/mx_delay.sv"
area stage_out "Vlen=16 Kind=0 Qman=8 MaxCode=127 Block=16" "$rtl/vector/stage_out.sv" "$rtl/vector/mx_quantise.sv" "$rtl/vector/fp_convert.sv"
area mx_subarray "N=4 Run=4" $array
area mx_array "S=1 N=8 Run=8" $array
area mx_array "S=4 N=4 Run=4" $array
area mx_array "S=1 N=16 Run=16" $array
area mx_array "S=16 N=4 Run=4" $array
