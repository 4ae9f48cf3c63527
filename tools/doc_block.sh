#!/bin/sh
# doc_block.sh [--bless] FILE NAME COMMAND [ARG...] - the lines of FILE between "<!-- begin NAME -->" and
# "<!-- end NAME -->" must be what COMMAND prints; --bless puts them there.
bless=
[ "$1" = --bless ] && { bless=1; shift; }
file=$1 name=$2
shift 2
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
"$@" >"$tmp/want" || { echo "doc_block.sh: $1 failed"; exit 2; }
awk -v b="<!-- begin $name -->" -v e="<!-- end $name -->" '$0 == e { on = 0; n++ } on { print } $0 == b { on = 1; n++ }
  END { exit n != 2 }' "$file" >"$tmp/have" || { echo "$file: no block \"$name\""; exit 2; }
if [ -n "$bless" ]; then
    awk -v b="<!-- begin $name -->" -v e="<!-- end $name -->" -v want="$tmp/want" '$0 == e { on = 0 } !on { print }
      $0 == b { on = 1; while ((getline line < want) > 0) print line }' "$file" >"$tmp/new" && cat "$tmp/new" >"$file"
    exit
fi
diff -u "$tmp/have" "$tmp/want" && exit
echo "$file: block \"$name\" is stale; renew it with"
echo "  tools/doc_block.sh --bless $file $name $*"
exit 1
