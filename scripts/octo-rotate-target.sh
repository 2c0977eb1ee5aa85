#!/bin/sh
# What octo-rotate runs on a target, as a job or by ssh: add, try or remove, the old and
# the new thumbprint, octo-keys or nothing. What is done already is no failure.
set -eu
PATH=$PATH:/usr/local/bin:/usr/bin:/opt/octo/bin:${HOME:-}/.local/bin

fail() {
  echo "octo-rotate: $2" >&2
  exit "$1"
}

[ "$1" != try ] || exit 0
keys=${4:-$(command -v octo-keys)} || fail 127 'octo-keys: not found: octo-rotate --octo-keys PATH'
case $1 in
  add) "$keys" trust --like "$2" "$3" ;;
  remove) "$keys" distrust --replaced-by "$3" "$2" ;;
  *) exit 64 ;;
esac
