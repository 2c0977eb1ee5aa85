# shellcheck shell=bash
# What the tests of octo-release share.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

# package NAME-VERSION [FILE=CONTENT]…: makes NAME-VERSION.tar.gz; a FILE that ends
# in .sh is a hook and can be executed; the same words make the same bytes
package() {
  local name=$1 file
  shift
  rm -rf "tree-$name"
  mkdir "tree-$name"
  printf '%s\n' "$name" >"tree-$name/version"
  for file in "$@"; do
    mkdir -p "$(dirname "tree-$name/${file%%=*}")"
    if [[ ${file%%=*} == *.sh ]]; then
      printf '#!/usr/bin/env bash\nset -eu\n%s\n' "${file#*=}" >"tree-$name/${file%%=*}"
      chmod +x "tree-$name/${file%%=*}"
    else
      printf '%s' "${file#*=}" >"tree-$name/${file%%=*}"
    fi
  done
  tar -C "tree-$name" --sort=name --mtime=@0 -czf "$name.tar.gz" .
}

# release WORD…: octo-release on ./srv
release() {
  octo-release -b "$PWD/srv" "$@"
}

# deploy NAME-VERSION [FILE=CONTENT]…: makes and deploys it, and has to succeed
deploy() {
  package "$@"
  expect 0 release -p "$1.tar.gz" deploy
}

# now_at APP: the release that current points to
now_at() {
  readlink "srv/$1/current"
}

# results APP: the journal, one `release result` a line
results() {
  cut -f 5,6 "srv/$1/journal" | awk '{ print $2, $1 }'
}

# sound APP: what has to hold after whatever happened
sound() {
  local app=$1 at
  missing "srv/$app/releases/.incoming-"*
  if [[ -L srv/$app/current ]]; then
    at=$(readlink "srv/$app/current")
    [[ -f srv/$app/$at/version ]] || die "current points to $at, which is no whole release"
  fi
}
