# shellcheck shell=bash
# The two sides of octo in a section: one octopus, and tentacles that listen.

# make_octopus: sets OCTOPUS and what others know it by
make_octopus() {
  OCTOPUS=$HERE/octopus
  declare -gA LISTENER=() ADDRESS=()
  THUMBPRINT=$(octopus "$BIN/octo-keys" new | thumbprint)
}

octopus() {
  OCTO_CONFIG=$OCTOPUS/config OCTO_STATE=$OCTOPUS/state "$@"
}

push() {
  OCTO_CONFIG=$OCTOPUS/config OCTO_STATE=$OCTOPUS/state "$BIN/octo-push" -q "$@"
}

# at NAME COMMAND…: as that tentacle
at() {
  OCTO_CONFIG=$HERE/$1/config OCTO_STATE=$HERE/$1/state "${@:2}"
}

thumbprint() {
  grep -oE '[0-9a-f]{64}' | head -n 1
}

# make_tentacle NAME [OPTIONS]: an identity, and a line that trusts the octopus
make_tentacle() {
  local name=$1 options="max-store=200G max-log=4G ${2-}"
  ((EUID != 0)) || options+=" user=$SHELL_USER"
  at "$name" "$BIN/octo-keys" new | thumbprint >"$HERE/$name.thumbprint"
  at "$name" "$BIN/octo-keys" trust -o "$options" "$THUMBPRINT" bench >/dev/null
}

# like_tentacle OLD NAME: the same identity and trust, another STATE
like_tentacle() {
  mkdir -p "$HERE/$2"
  cp -a "$HERE/$1/config" "$HERE/$2/config"
  cp "$HERE/$1.thumbprint" "$HERE/$2.thumbprint"
}

# listen NAME ADDRESS COMMAND…: starts what prints where it listens; sets LISTENER[NAME],
# the process. Whoever starts many waits for them later.
listen() {
  local name=$1
  : >"$HERE/$name.out"
  # A function in the background would be a shell of its own around it.
  env OCTO_CONFIG="$HERE/$name/config" OCTO_STATE="$HERE/$name/state" "${@:3}" \
    "$BIN/octo-listen" -l "$2" >"$HERE/$name.out" 2>"$HERE/$name.err" &
  LISTENER[$name]=$!
}

# listening NAME [TAG…]: waits until it does; sets ADDRESS[NAME], and the octopus knows it
listening() {
  wait_for_line "$1" 'listening ' "${LISTENER[$1]}"
  ADDRESS[$1]=$(<"$HERE/$1.out")
  ADDRESS[$1]=${ADDRESS[$1]#listening }
  know "$1" "${ADDRESS[$1]}" "$(<"$HERE/$1.thumbprint")" "${@:2}"
}

know() {
  printf '%s\n' "$*" >>"$OCTOPUS/config/targets"
}

# wait_for_line NAME BEGINNING PROCESS: in what that process prints
wait_for_line() {
  until [[ $(<"$HERE/$1.out") == "$2"* ]]; do
    if ! kill -0 "$3" 2>/dev/null; then
      cat "$HERE/$1.err" >&2
      return 69
    fi
    sleep 0.02
  done
}

# serve NAME COMMAND…: a listener of one user, and a first question to it
serve() {
  listen "$1" 127.0.0.1:0 "${@:2}"
  listening "$1"
  push -t "$1" status >/dev/null
}

# serve_two_users NAME: octo-exec serve as root, sets SERVE, and a listener without privileges
serve_two_users() {
  local name=$1
  chmod 755 "$HERE/$name" "$HERE/$name/config"
  : >"$HERE/$name.out"
  env OCTO_CONFIG="$HERE/$name/config" OCTO_STATE="$HERE/$name/state" \
    "$BIN/octo-exec" serve >"$HERE/$name.out" 2>"$HERE/$name.err" &
  SERVE=$!
  wait_for_line "$name" serving "$SERVE"
  : >"$HERE/$name.out"
  env OCTO_CONFIG="$HERE/$name/config" OCTO_STATE="$HERE/$name/state" \
    "$BIN/octo-listen" -u nobody -l 127.0.0.1:0 >"$HERE/$name.out" 2>"$HERE/$name.err" &
  LISTENER[$name]=$!
  echo "$!" >>"$HERE/listeners"
  listening "$name"
  push -t "$name" status >/dev/null
}

# stop NAME: its listener
stop() {
  kill "${LISTENER[$1]}"
  wait "${LISTENER[$1]}" 2>/dev/null || true
}

# one_tentacle: what most sections need: an octopus, and a tentacle named bench
one_tentacle() {
  make_octopus
  make_tentacle bench
  serve bench
}
