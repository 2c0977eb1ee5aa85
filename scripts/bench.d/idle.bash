# shellcheck shell=bash
# What daemons cost that nobody talks to, and followers of a job that says nothing.

FOLLOWERS=500
# octo/1 says something at least so often, in seconds.
TICK=15

measure_idle() {
  one_tentacle
  push -t bench run -c true
  local who=("octo-listen, of one user:${LISTENER[bench]}") one before after
  if ((EUID == 0)); then
    like_tentacle bench two
    serve_two_users two
    push -t two run -c true
    who+=("octo-listen, of two users:${LISTENER[two]}" "octo-exec serve:$SERVE")
  fi
  note "idle: watching for $WATCHED s"
  # Until what was asked is written down, once, and the thread of that has ended with its count.
  sleep 62
  before=$(for one in "${who[@]}"; do switches "${one##*:}"; done)
  sleep "$WATCHED"
  after=$(for one in "${who[@]}"; do switches "${one##*:}"; done)
  cat <<REPORT

## Idle

Daemons that served a run and are then left alone, for $WATCHED s: voluntary and involuntary
switches of all threads (/proc/PID/task/*/status).
REPORT
  facts
  for one in "${who[@]}"; do
    fact number "${one%:*}: context switches" $((${after%%$'\n'*} - ${before%%$'\n'*})) 0
    fact number "${one%:*}: threads" \
      "$(find "/proc/${one##*:}/task" -mindepth 1 -maxdepth 1 | wc -l)"
    fact KiB "${one%:*}: memory (VmRSS)" "$(of_status "${one##*:}" VmRSS)"
    before=${before#*$'\n'} after=${after#*$'\n'}
  done
}

measure_followers() {
  printf '\n## Followers\n'
  one_tentacle
  local listener=${LISTENER[bench]} job number memory switches cpu pusher ticks
  push -t bench run -c true
  memory=$(private "$listener")
  # So many names of one tentacle: one job, and a connection for each.
  for ((number = 1; number <= FOLLOWERS; number++)); do
    know "f$number" "${ADDRESS[bench]}" "$(<"$HERE/bench.thumbprint")" follower
  done
  : >"$HERE/go-on"
  job=$(octopus "$BIN/octo-push" -t bench run -D -c "while [ -e $HERE/go-on ]; do sleep 1; done")
  job=${job##* }
  push -t follower -f "$FOLLOWERS" follow "$job" >/dev/null 2>"$HERE/follow" &
  pusher=$!
  until (($(connections "$listener") >= FOLLOWERS)); do
    kill -0 "$pusher"
    sleep 0.2
  done
  note "followers: watching for $WATCHED s"
  sleep 5
  memory=$((($(private "$listener") - memory) * 1024 / FOLLOWERS / 1024))
  switches=$(switches "$listener")
  cpu=$(cpu_of "$listener")
  sleep "$WATCHED"
  switches=$(($(switches "$listener") - switches))
  cpu=$(($(cpu_of "$listener") - cpu))
  rm -f "$HERE/go-on"
  wait "$pusher"
  ticks=$((FOLLOWERS * WATCHED / TICK))
  cat <<REPORT

$FOLLOWERS connections of one octo-push follow a job that prints nothing, for $WATCHED s. Each is
due a tick every $TICK s, $ticks in all: for one a thread wakes up, and may wait for another.
REPORT
  facts
  fact number 'context switches of octo-listen' "$switches" $((2 * ticks))
  fact us 'its processor time' "$cpu"
  fact KiB 'its memory for each follower (RssAnon)' "$memory" 56
}

# private PROCESS: memory that is its own, in KiB
private() {
  of_status "$1" RssAnon
}

# connections PROCESS: threads that serve one
connections() {
  find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l
}
