#!/bin/sh
# What octo-rotate runs on a target, as a job or by ssh: check, add, try or remove, the old and
# the new thumbprint, octo-keys or nothing. What is done already is no failure.
set -eu
PATH=$PATH:/usr/local/bin:/usr/bin:/opt/octo/bin:${HOME:-}/.local/bin

fail() {
  echo "octo-rotate: $2" >&2
  exit "$1"
}

[ "$1" != try ] || exit 0
keys=${4:-$(command -v octo-keys)} || fail 127 'octo-keys: not found: octo-rotate --octo-keys PATH'
config=${OCTO_CONFIG:-}
if [ -z "$config" ]; then
  config=/etc/octo
  [ "$(id -u)" = 0 ] || config=${XDG_CONFIG_HOME:-$HOME/.config}/octo
fi
case $1 in
  # Others replace the file, so that the directory counts, too.
  check)
    "$keys" --version >/dev/null || fail 127 "$keys: can't be run: octo-rotate --octo-keys PATH"
    [ -f "$config/trusted" ] || fail 65 "$config/trusted: not there"
    { [ -w "$config" ] && [ -w "$config/trusted" ]; } ||
      fail 77 "$config/trusted: $(id -un) can't change it"
    ;;
  add) "$keys" trust --like "$2" "$3" ;;
  remove) "$keys" distrust --replaced-by "$3" "$2" ;;
  *) exit 64 ;;
esac
