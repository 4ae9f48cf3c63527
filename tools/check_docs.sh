#!/bin/sh
# check_docs.sh ROOT PLENA - what the documents name exists: relative links, paths of the repository, and in code blocks
# and code spans every `plena COMMAND` and its --options, by plena COMMAND --help.
plena=$(cd "$(dirname "$2")" && pwd)/$(basename "$2") || exit 2
cd "$1" || exit 2
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
bad=$tmp/bad
: >"$bad"
docs=$(ls README.md CONTRIBUTING.md CHANGES.md doc/*.md 2>/dev/null)

# Links: [text](target), relative to the document.
for f in $docs; do
    grep -o '](\([^)]*\))' "$f" | sed -e 's/^](//' -e 's/)$//' -e 's/#.*//' | grep -v -e '^$' -e '^[a-z]*:' | sort -u |
        while read -r target; do
            [ -e "$(dirname "$f")/$target" ] || echo "$f: link to $target, which does not exist" >>"$bad"
        done
done

# Paths that start in a folder of ours; NAME stands for any name.
for f in $docs; do
    tr -c 'A-Za-z0-9_./*-' '\n' <"$f" | grep -E '^(include/plena|src|tools|doc|test|configs|examples|bench|rtl)/' |
        sed -e 's/[.]*$//' -e 's/NAME/*/g' | sort -u |
        while read -r path; do
            # shellcheck disable=SC2086 # patterns are meant to expand
            set -- $path
            [ -e "$1" ] || echo "$f: path $path, which does not exist" >>"$bad"
        done
done

# Commands: one "FILE COMMAND OPTION..." line for each, from fenced lines and from code spans.
for f in $docs; do
    awk -v file="$f" '
      function emit(text,   w, n, i, out) {
          sub(/[|;&#<>].*/, "", text); sub(/^[$] */, "", text)
          n = split(text, w, /[ \t]+/)
          if (w[1] !~ /^([^ ]*\/)?plena$/ || w[2] !~ /^(--)?[a-zA-Z]+$/) return
          out = file " " w[2]
          for (i = 3; i <= n; i++) {
              gsub(/[][,.]/, "", w[i])
              if (w[i] ~ /^--?[a-z]/) { sub(/=.*/, "", w[i]); out = out " " w[i] }
              else if (w[2] == "help") out = out " " w[i]
          }
          print out
      }
      /^ *```/ { fenced = !fenced; next }
      fenced { line = line $0; if (sub(/\\$/, " ", line)) next; emit(line); line = ""; next }
      { n = split($0, part, "`"); for (i = 2; i <= n; i += 2) emit(part[i]) }' "$f"
done | sort -u >"$tmp/commands"
while read -r f command rest; do
    case $command in
    COMMAND | --version | --help) continue ;;
    help)
        # shellcheck disable=SC2086 # one word or none
        [ "$rest" = COMMAND ] || "$plena" help $rest >/dev/null 2>&1 || echo "$f: plena help $rest fails" >>"$bad"
        continue
        ;;
    esac
    if ! "$plena" "$command" --help >"$tmp/help" 2>&1; then
        echo "$f: there is no plena $command" >>"$bad"
        continue
    fi
    for option in $rest; do
        case $option in --help | -h) continue ;; --*) ;; -??*) option=$(printf %.2s "$option") ;; esac
        grep -q -e "^  $option\( \|$\)" "$tmp/help" || echo "$f: plena $command has no $option" >>"$bad"
    done
done <"$tmp/commands"

n=$(wc -l <"$tmp/commands")
[ -s "$bad" ] && { sort -u "$bad"; exit 1; }
echo "$n commands"
