#!/bin/sh
# Each module may include only the public headers of itself and of the modules tools/layers.txt lists for it.
# A public header belongs to the module its name starts with: base_json.h and base.h are of base.
cd "$1" || exit 2
bad=$(grep -Hn '#include "plena/' src/*/*.[ch] include/plena/*.h | awk '
  BEGIN { while ((getline l < "tools/layers.txt") > 0) { n = split(l, w, /[: ]+/)
          for (i = 1; i <= n; i++) ok[w[1], w[i]] = 1 } }
  { n = split($0, c, ":"); file = c[1]; h = $0; sub(/.*plena\//, "", h); sub(/[._].*/, "", h)
    m = file
    if (m ~ /^src\//) { sub(/^src\//, "", m); sub(/\/.*/, "", m) }
    else { sub(/.*\//, "", m); sub(/[._].*/, "", m) }
    if (!((m, h) in ok)) print }')
[ -z "$bad" ] || { printf 'include against the layer order:\n%s\n' "$bad"; exit 1; }
