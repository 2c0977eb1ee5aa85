# shellcheck shell=bash
# What stands in a page is typed as it stands there: blocks before which the page's source says
# `.\" run: tests/shell/FILE`, for the FILE that sources this, or another that it names.
EXAMPLES_OF=${EXAMPLES_OF:-${SELF##*/}}

# example PAGE WORDS: the block of man/PAGE, marked for this file, that has these words; as a
# shell gets it
example() {
  local block
  for block in $(blocks "$1"); do
    if grep -qF -e "$2" "$block"; then
      sed -E 's/^[$#] //' "$block"
      return 0
    fi
  done
  die "man/$1 has no block for $EXAMPLES_OF with: $2"
}

# blocks PAGE: files, one a block, prompts and all
blocks() {
  local place=$PWD/blocks-$1
  if [[ ! -d $place ]]; then
    mkdir "$place"
    # awk would read the backslash of a variable that -v sets.
    MARK=".\\\" run: tests/shell/$EXAMPLES_OF" awk -v place="$place" '
      $0 == ENVIRON["MARK"] { marked = 1; next }
      /^\.Bd / && marked { inside = 1; file = place "/" ++number; next }
      /^\.Dl / && marked { sub(/^\.Dl /, ""); print > (place "/" ++number) }
      /^\.Ed/ { inside = 0 }
      inside { print > file }
      { marked = 0 }' "$ROOT/man/$1"
    find "$place" -type f -exec sed -i 's/\\(dq/"/g; s/\\e/\\/g; s/\\&//g' {} +
  fi
  find "$place" -type f | sort
}

# type_in TEXT: what a person types, until something fails
type_in() {
  [[ -n $1 ]] || die 'nothing to type: no such example'
  expect 0 bash -euo pipefail -c "$1"
}

# every_example_is_called PAGE…: this file, or the library of its name, has PAGE 'WORDS' somewhere
# for each block
every_example_is_called() {
  local page block words called all=0
  for page in "$@"; do
    for block in $(blocks "$page"); do
      all=$((all + 1))
      called=no
      while IFS= read -r words; do
        if grep -qF -e "$words" "$block"; then
          called=yes
        fi
      done < <(cat "$SELF" "$SELF.bash" 2>/dev/null | sed -n "s/.* $page '\([^']*\)'.*/\1/p")
      [[ $called == yes ]] || die "man/$page: nobody calls: $(<"$block")"
    done
  done
  ((all > 0)) || die "no block of $* is for ${SELF##*/}"
}
