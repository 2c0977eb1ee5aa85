#!/usr/bin/env bash
# Restarts hello-web on what `current` points to, and waits until it listens.
set -euo pipefail

main() {
  local app listen
  app=$(cd "$(dirname "$0")/../.." && pwd)
  listen=${HELLO_LISTEN:-127.0.0.1:8080}
  mkdir -p "$app/shared"
  stop "$app/shared/hello-web.pid"
  if [[ -x $app/current/bin/hello-web ]]; then
    start "$app" "$listen"
  fi
}

# The number in a pid file may be another process's by now: what runs there counts.
stop() {
  local pid tries
  [[ -s $1 ]] || return 0
  pid=$(<"$1")
  is_hello_web "$pid" || return 0
  kill "$pid"
  for ((tries = 0; tries < 100; tries++)); do
    ! is_over "$pid" || return 0
    sleep 0.05
  done
  echo "hello-web: process $pid doesn't end" >&2
  return 1
}

is_hello_web() {
  [[ $(readlink "/proc/$1/exe" 2>/dev/null) == */bin/hello-web* ]]
}

# One that ends loses its exe before its sockets: until then the port is taken.
is_over() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || :
  [[ -z $state || $state == [ZX] ]]
}

# Its own session and no pipe of ours, or the deployment would wait for it.
start() {
  local app=$1 out=$1/shared/hello-web.out pid tries
  : >"$out"
  setsid "$app/current/bin/hello-web" "$2" "$app/current" </dev/null >>"$out" 2>&1 &
  pid=$!
  echo "$pid" >"$app/shared/hello-web.pid"
  for ((tries = 0; tries < 200; tries++)); do
    if grep -q '^listening' "$out"; then
      echo "hello-web: $(<"$out")"
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  cat "$out" >&2
  return 1
}

main "$@"
