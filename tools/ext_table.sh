#!/bin/sh
# ext_table.sh PLENA - what the extensions of the instruction set save, as a table: LLaMA-3.2-1B, one layer, 64 tokens.
"$1" bench codegen | awk '
  $1 ~ /^codegen_layer_llama_3.2_1b_64_/ { sub(/^codegen_layer_llama_3.2_1b_64_/, "", $1); v[$1] = $2 }
  function n(x) { return sprintf("%.0f", x) }
  END {
      print "| without | words | instructions | an M_MM or M_TMM | cycles |"
      print "|---|--:|--:|--:|--:|"
      printf "| nothing | %s | %s | %s | %s |\n", n(v["words"]), n(v["instructions"]), v["instructions_per_mm"], n(v["cycles"])
      printf "| step | %s | %s | %s | %s |\n", n(v["words_no_step"]), n(v["instructions_no_step"]), v["instructions_per_mm_no_step"], n(v["cycles_no_step"])
  }'
