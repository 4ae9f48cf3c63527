#!/bin/sh
# check_style.sh ROOT - rules of the house that no compiler checks: at most 600 lines in a file; no tabs, no trailing
# blanks; a licence line; below src/ only cli prints, exits or reads argv, and the library aborts only where memory is out.
cd "$1" || exit 2
report=$(mktemp) || exit 2
trap 'rm -f "$report"' EXIT
complain() { # RULE: what stdin lists breaks it
    list=$(cat)
    [ -z "$list" ] || printf '%s:\n%s\n' "$1" "$list" >>"$report"
}
sources=$(find include src test tools bench -name '*.[ch]' -o -name '*.def' | sort)
library=$(find src -name '*.[ch]' ! -path 'src/cli/*' | sort)
[ "$(echo "$sources" | wc -l)" -gt 80 ] || { echo "only few sources found below $1"; exit 2; }

for f in $sources; do
    awk -v f="$f" 'END { if (NR > 600) print f ": " NR " lines" }' "$f"
done | complain 'files of more than 600 lines'
grep -n "$(printf '\t')" $sources | complain 'tabs'
grep -n ' $' $sources | complain 'trailing blanks'
grep -L 'SPDX-License-Identifier: Apache-2.0' $sources | complain 'no licence line'
grep -nE '(^|[^a-zA-Z_])(printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|quick_exit) ?\(|(^|[^/a-z_])(stdout|stderr)\>' $library |
    complain 'printing or leaving outside of src/cli'
# abort() is for a failed allocation: the line above tests a pointer, or a size that overflows.
awk '/(^|[^a-z_])abort\(\)/ && last !~ /if \((!|more > SIZE_MAX)/ { print FILENAME ":" FNR ": " $0 }
     { last = $0 }' $library | complain 'abort() that is not out of memory'
cat "$report"
[ ! -s "$report" ]
