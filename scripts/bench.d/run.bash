# shellcheck shell=bash
# `run true`: a durable job against a command over ssh, and what it starts and syncs.

measure_run() {
  local round text
  printf '\n## Run\n'
  can ssh sshd || return 0
  one_tentacle
  start_sshd
  start_master
  if ((EUID == 0)); then
    like_tentacle bench two
    serve_two_users two
  fi
  # More rounds than for files: each is short.
  for ((round = 0; round < ROUNDS * 10; round++)); do
    timed one push -t bench run -c true
    timed ssh ssh "${SSH[@]}" "$HOST" true
    timed curve ssh "${SSH[@]}" "${CURVE[@]}" "$HOST" true
    timed warm ssh "${SSH[@]}" -S "$KEYS/master" "$HOST" true
    if ((EUID == 0)); then
      timed two push -t two run -c true
    fi
  done
  cat <<REPORT

\`octo-push run -c true\`, a durable job with its record whose statement was verified, beside
\`ssh HOST true\` as a user whose shell starts nothing: with the exchange of keys that ssh prefers
($(exchange)), with curve25519-sha256, and through a ControlMaster that is there already.
$((ROUNDS * 10)) rounds, wall time of the whole command.
REPORT
  comparisons
  compare_run one 'run true, one user'
  if ((EUID == 0)); then
    compare_run two 'run true, listener and octo-exec two users'
  fi
  can strace || return 0
  count_runs
}

# compare_run SERIES TEXT
compare_run() {
  compare us "$1" "$2" ssh 'ssh, new connection' 0.05
  compare us "$1" "$2" curve 'ssh, curve25519' 0.10
  compare us "$1" "$2" warm 'ssh, warm ControlMaster' 0.9
}

# count_runs: what a run starts and syncs, on both sides, by strace
count_runs() {
  cat <<REPORT

What one run starts and syncs, counted by strace (execve; fsync, fdatasync, syncfs), octo-push
included.
REPORT
  facts
  count_run bench 'one user' "${LISTENER[bench]}"
  if ((EUID == 0)); then
    count_run two 'two users' "${LISTENER[two]}" "$SERVE"
  fi
}

# count_run TARGET TEXT PROCESS...
count_run() {
  local target=$1 text=$2 trace=$HERE/trace process tracers=()
  shift 2
  rm -f "$trace".*
  local strace=(strace -f -qq -e 'trace=execve,fsync,fdatasync,syncfs' -e signal=none)
  for process; do
    "${strace[@]}" -o "$trace.$process" -p "$process" 2>/dev/null &
    tracers+=("$!")
    until grep -q '^TracerPid:.*[1-9]' "/proc/$process/status"; do
      sleep 0.02
    done
  done
  OCTO_CONFIG=$OCTOPUS/config OCTO_STATE=$OCTOPUS/state "${strace[@]}" -o "$trace.own" \
    "$BIN/octo-push" -q -t "$target" run -c true
  sleep 1 # what follows the end of a job
  kill "${tracers[@]}"
  wait "${tracers[@]}" 2>/dev/null || true
  fact number "programs, $text" \
    "$(cat "$trace".* | grep -c 'execve(.*) = 0\|execve resumed.*= 0')"
  fact number "syncs, $text" "$(cat "$trace".* | grep -c 'sync(\|syncfs(')" 12
  fact number "of these octo-push's" "$(grep -c 'sync(\|syncfs(' "$trace.own" || true)"
}
