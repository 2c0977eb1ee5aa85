#!/bin/sh
# What octo-rotate runs on a target, as a job or by ssh: add, try or remove, the old and
# the new thumbprint, octo-keys or nothing. What is done already is no failure.
set -eu
config=${OCTO_CONFIG:-/etc/octo}
trusted=$config/trusted
PATH=$PATH:/usr/local/bin:/usr/bin:/opt/octo/bin:${HOME:-}/.local/bin

# A thumbprint may have several lines, for several addresses or times.
lines() {
  awk -v thumbprint="$1" '
    { this = tolower($1); sub(/^sha256:/, "", this); gsub(/:/, "", this) }
    this == thumbprint' "$trusted"
}

count() {
  lines "$1" | wc -l
}

# Each line of the old one has its like, in their order, also where some are there.
add() {
  [ "$(count "$1")" -gt 0 ] || fail 65 "the old thumbprint is not in $trusted"
  lines "$1" | tail -n +"$(($(count "$2") + 1))" | while read -r _ name options; do
    if [ -n "$options" ]; then
      "$keys" --config "$config" trust -o "$options" "$2" "$name"
    else
      "$keys" --config "$config" trust "$2" "$name"
    fi || exit
  done
}

remove() {
  [ "$(count "$2")" -gt 0 ] || fail 65 "the new thumbprint is not in $trusted: the old one stays"
  [ "$(count "$1")" -eq 0 ] || "$keys" --config "$config" distrust "$1"
}

fail() {
  echo "octo-rotate: $2" >&2
  exit "$1"
}

[ "$1" != try ] || exit 0
keys=${4:-$(command -v octo-keys)} || fail 127 'octo-keys: not found: octo-rotate --octo-keys PATH'
case $1 in
  add | remove) "$1" "$2" "$3" ;;
  *) exit 64 ;;
esac
