#!/bin/sh
# report_example.sh PLENA OPTION... - a report as doc/timing.md shows it: the command, what it prints behind the tables that
# every run prints, and no more than 14 lines of long tables.
plena=$1
shift
printf '```\n$ plena run agent-0.8m --prompt user: --max-tokens 2 %s\n' "$*"
"$plena" run agent-0.8m --prompt user: --max-tokens 2 "$@" 2>/dev/null | sed -n '/^array: /,$p' | sed -e 1,2d |
    awk -v full="$*" 'NR <= 14 || full !~ /--operators/ { sub(/ *$/, ""); print } END { if (NR > 14 && full ~ /--operators/) print "..." }'
echo '```'
