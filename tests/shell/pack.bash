# shellcheck shell=bash
# What the tests of octo-pack share.
# shellcheck source=tests/shell/release.bash
source "$(dirname "${BASH_SOURCE[0]}")/release.bash"

# a_tree DIR: files of all modes that a package keeps, links, names that are odd
a_tree() {
  mkdir -p "$1/bin" "$1/conf.d" "$1/empty" "$1/with space"
  echo shop >"$1/version"
  printf '#!/bin/sh\necho run\n' >"$1/bin/run" && chmod +x "$1/bin/run"
  echo a >"$1/conf.d/a"
  echo B >"$1/conf.d/B"
  echo é >"$1/conf.d/é"
  echo x >"$1/with space/-n"
  echo x >"$1/with space/\$(id)"
  ln -s ../version "$1/bin/link"
  ln -s not/there "$1/dangling"
  ln -s . "$1/here"
  echo long >"$1/$(printf '%0150d' 7)"
}

# packs WORD…: runs octo-pack, which has to succeed; PACKAGE is what it printed
packs() {
  expect 0 octo-pack "$@"
  equal "$ERR" ''
  PACKAGE=$OUT
  [[ -f $PACKAGE ]] || die "$PACKAGE is not there"
}

# refused NAME REASON: ./tree is refused, and both are said; nothing is written
refused() {
  expect 65 timeout 60 octo-pack tree shop 1.0
  contains "$ERR" "octo-pack: $1: $2"
  contains "$ERR" 'octo-pack: ./tree: not packed'
  equal "$OUT" ''
  equal "$(ls -A)" $'stderr.txt\nstdout.txt\ntree'
}

# new_tree: a fresh ./tree with one file
new_tree() {
  rm -rf tree
  mkdir tree
  echo x >tree/version
}
