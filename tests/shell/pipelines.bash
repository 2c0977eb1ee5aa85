# shellcheck shell=bash
# What the tests of the pipelines share: an octopus in the test's own directory, and
# tentacles that really listen.
# shellcheck source=tests/shell/release.bash
source "$(dirname "${BASH_SOURCE[0]}")/release.bash"

export PATH="${OCTO_BIN:-$ROOT/target/debug}:$PATH"

# Of this test alone: else another takes a port that a listener has given up for a while.
NETWORK=127.$((64 + $$ / 250 % 128)).$(($$ % 250))

# fleet NAME:TAG,TAG…: the octopus, and a tentacle for each NAME, the first at
# NETWORK.1, the next at NETWORK.2; applications live in NAME/srv
fleet() {
  local word number=0
  trap end_listeners EXIT
  octo-keys new --name octopus >/dev/null
  : >config/targets
  for word in "$@"; do
    number=$((number + 1))
    tentacle "${word%%:*}" "$NETWORK.$number" "${word#*:}"
  done
}

# By the shell's own list: the number of one that has ended may be another's by now.
end_listeners() {
  local process
  for process in $(jobs -p); do
    kill "$process" 2>/dev/null || :
  done
}

# tentacle NAME ADDRESS TAG,TAG: made, trusted both ways, running
tentacle() {
  local name=$1 tags=${3//,/ }
  mkdir -p "$name/srv"
  at "$name" octo-keys new --name "$name" >/dev/null
  trust "$name"
  listen "$name" "$2:0"
  printf '%s %s %s %s\n' "$name" "$LISTENING" "$(thumbprint "$name/config")" "$tags" >>config/targets
}

# trust NAME [OPTION…]: its trust file has one line, for this octopus
trust() {
  local name=$1
  shift
  rm -f "$name/config/trusted"
  at "$name" octo-keys trust \
    -o "user=$(id -un) set=OCTO_BASE=$PWD/$name/srv set=OCTO_HOOKS=package set=TENTACLE=$name $*" \
    "$(thumbprint config)" octopus >/dev/null
}

# plug_in NAME: it listens again, where it did
plug_in() {
  local address
  address=$(awk -v name="$1" '$1 == name { print $2 }' config/targets)
  listen "$1" "$address"
}

# listen NAME ADDRESS: sets LISTENING to what it prints
listen() {
  : >"$1/listening" # what an earlier one said there is stale
  env OCTO_CONFIG="$PWD/$1/config" OCTO_STATE="$PWD/$1/state" PATH="$PATH" \
    octo-listen -l "$2" >"$1/listening" 2>"$1/listen.log" &
  printf '%s\n' "$!" >"$1/pid"
  eventually listens_or_ended "$1"
  grep -q '^listening ' "$1/listening" || die "$1 doesn't listen: $(<"$1/listen.log")"
  LISTENING=$(<"$1/listening")
  LISTENING=${LISTENING#listening }
}

listens_or_ended() {
  grep -q '^listening ' "$1/listening" || ! kill -0 "$(<"$1/pid")"
}

# unplug NAME: nobody answers there any more
unplug() {
  kill "$(<"$1/pid")"
  wait "$(<"$1/pid")" || :
}

# at NAME COMMAND…: on that side
at() {
  local side=$PWD/$1
  shift
  OCTO_CONFIG=$side/config OCTO_STATE=$side/state "$@"
}

# thumbprint CONFIG: of the identity there
thumbprint() {
  octo-keys show "$1/identity.pem" | awk '$1 == "thumbprint" { print $2 }'
}

# runs TARGET [APP]: the version that is current there, nothing if none is
runs() {
  local version="$1/srv/${2:-shop}/current/version"
  [[ ! -e $version ]] || sed 's/.*-//' "$version"
}

# jobs_of TARGET: how many jobs it was given
jobs_of() {
  find "$1/state/jobs" -mindepth 1 -maxdepth 1 -name '2*' 2>/dev/null | wc -l
}

# release_of NAME-VERSION [FILE=CONTENT]…: as package, in packages/
release_of() {
  package "$@"
  mkdir -p packages
  mv "$1.tar.gz" packages/
}

# targets_file: targets that nobody has to reach
targets_file() {
  mkdir -p config/vars/{env,tag,target}
  local nobody
  nobody=$(printf '0%.0s' {1..64})
  printf 'web1 127.0.0.1:1 %s web canary\nweb2 127.0.0.1:2 %s web\n' "$nobody" "${nobody//0/1}" >config/targets
}

# read_back NAME VALUE WORD…: a job gets this value from these files
read_back() {
  local name=$1 value=$2
  shift 2
  equal "$(octo-exec run "$@" -c "printf %s \"\$$name\" | od -An -tx1")" "$(printf %s "$value" | od -An -tx1)" "$name"
}
