# shellcheck shell=bash
# A small test library. Sourced by a file whose functions named test_… are its
# tests; the file ends in `run_tests "$@"`.
#
# Each test runs by itself: a process of its own, an empty directory as its working
# directory and HOME, an environment of PATH and little else, $LIMIT seconds. One line a
# test, the output of those that failed, and at the end `N passed, M failed`. Words on
# the command line are parts of the names of the tests to run; --list prints the names,
# and --exact NAME runs that one.

# What the code under test should find, whatever the caller's environment is.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SELF=$(readlink -f "$0")
# A file whose tests need more sets it.
LIMIT=120
export ROOT

run_tests() {
  if [[ ${1:-} == --one ]]; then
    set -euo pipefail
    umask 022
    "$2"
    return
  fi
  if [[ ${1:-} == --list ]]; then
    declared_tests
    return
  fi
  local name passed=0 failed=0 scratch
  # On memory where there is some: the tests sync.
  scratch=$(mktemp -d "$(roomy_place)/octo-shell.XXXXXX")
  chmod 711 "$scratch"
  # shellcheck disable=SC2064 # the directory of now
  trap "chmod -Rf u+rwX '$scratch'; rm -rf '$scratch'" EXIT
  for name in $(declared_tests); do
    wanted "$name" "$@" || continue
    if one_test "$name" "$scratch"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  done
  printf '%s passed, %s failed\n' "$passed" "$failed"
  ((failed == 0))
}

# the_version: of the release, as the one place has it
the_version() {
  sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml"
}

# What is mounted noexec, or small, won't do.
roomy_place() {
  local probe free
  if probe=$(mktemp /dev/shm/octo-probe.XXXXXX 2>/dev/null); then
    chmod +x "$probe"
    free=$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')
    if [[ -x $probe ]] && ((free > 500000)); then
      printf /dev/shm
    fi
    rm -f "$probe"
  fi | grep . || printf '%s' "${TMPDIR:-/tmp}"
}

# In the order in which they stand in the file.
declared_tests() (
  shopt -s extdebug
  compgen -A function test_ | while IFS= read -r name; do declare -F "$name"; done |
    sort -k 2n | cut -d ' ' -f 1
)

wanted() {
  local name=$1 part
  shift
  (($# > 0)) || return 0
  if [[ $1 == --exact ]]; then
    [[ $name == "$2" ]]
    return
  fi
  for part in "$@"; do
    [[ $name != *"$part"* ]] || return 0
  done
  return 1
}

one_test() {
  local name=$1 place=$2/$1 status=0 started=$SECONDS
  mkdir "$place"
  (
    cd "$place" && exec env -i PATH="$ROOT/scripts:$PATH" HOME="$place" TMPDIR="$place" LANG=C.UTF-8 \
      OCTO_CONFIG="$place/config" OCTO_STATE="$place/state" ROOT="$ROOT" ${OCTO_BIN:+OCTO_BIN="$OCTO_BIN"} \
      ${OCTO_TEST_LONG:+OCTO_TEST_LONG="$OCTO_TEST_LONG"} \
      timeout -k 5 "$LIMIT" bash "$SELF" --one "$name"
  ) >"$place.log" 2>&1 </dev/null || status=$?
  if ((status == 0)); then
    printf 'ok %s (%s s)\n' "$name" $((SECONDS - started))
    sed -nE "s/^(skipped|not possible here): /\1: $name: /p" "$place.log"
  else
    printf 'FAILED %s: exit status %s\n' "$name" "$status"
    sed 's/^/    /' "$place.log"
  fi
  chmod -Rf u+rwX "$place" || :
  rm -rf "$place"
  return "$status"
}

# skip REASON: this kernel, or this user's rights, forbid the test
skip() {
  printf 'not possible here: %s\n' "$*"
  exit 0
}

# as_nobody TEST: runs this test again, as a user who is nobody, where that can be
as_nobody() {
  needs setpriv
  local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups) tree=$PWD/tree
  # The tree may lie where nobody can look.
  chmod 711 .
  mkdir -p "$tree/tests" nobody
  cp -R "$ROOT/scripts" "$tree/"
  cp -R "$ROOT/tests/shell" "$tree/tests/"
  # So may what is built; octo-pack looks for it beside itself.
  ! command -v octo-exec >/dev/null || cp "$(command -v octo-exec)" "$tree/scripts/"
  chmod -R a+rX "$tree"
  chown 65534:65534 nobody
  cd nobody
  # Not test: there is a script of that name in PATH.
  "${nobody[@]}" [ -x "$tree/scripts" -a -w . ] || skip 'needs a directory that others can enter'
  PATH="$tree/scripts:$PATH" HOME=$PWD TMPDIR=$PWD OCTO_CONFIG=$PWD/config OCTO_STATE=$PWD/state \
    "${nobody[@]}" bash "$tree/tests/shell/${SELF##*/}" --one "$1"
}

# needs COMMAND|/FILE…: skips where one is missing, which scripts/test --strict doesn't take
needs() {
  local command
  for command in "$@"; do
    if [[ $command != /* || ! -e $command ]] && ! command -v "$command" >/dev/null; then
      printf 'skipped: needs %s, not installed\n' "$command"
      exit 0
    fi
  done
}

die() {
  printf '%s:%s: %s\n' "${BASH_SOURCE[2]##*/}" "${BASH_LINENO[1]}" "$*" >&2
  exit 1
}

# expect CODE COMMAND…: its exit status is CODE; its output is in $OUT and $ERR
expect() {
  local code=$1 status=0
  shift
  "$@" >stdout.txt 2>stderr.txt || status=$?
  OUT=$(<stdout.txt) ERR=$(<stderr.txt)
  [[ $status == "$code" ]] || die "exit status $status, not $code: $*"$'\n'"$OUT"$'\n'"$ERR"
}

# equal IS SHOULD [WHAT]
equal() {
  [[ $1 == "$2" ]] || die "${3:-value}: is"$'\n'"$1"$'\n'"and should be"$'\n'"$2"
}

# contains TEXT PART
contains() {
  [[ $1 == *"$2"* ]] || die "'$2' is not in"$'\n'"$1"
}

lacks() {
  [[ $1 != *"$2"* ]] || die "'$2' is in"$'\n'"$1"
}

exists() {
  [[ -e $1 || -L $1 ]] || die "$1 does not exist"
}

missing() {
  [[ ! -e $1 && ! -L $1 ]] || die "$1 exists"
}

# eventually COMMAND…: waits until it succeeds, 30 seconds at most
eventually() {
  local tries
  for ((tries = 0; tries < 600; tries++)); do
    ! "$@" 2>/dev/null || return 0
    sleep 0.05
  done
  die "never happened: $*"
}
