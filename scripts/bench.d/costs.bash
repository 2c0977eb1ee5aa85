# shellcheck shell=bash
# What one command costs on both sides, and what is left of it: of fleet.bash, which made them.

ADDRESSES=10000
FAN_OUTS=(16 64 512)
FAR_FAN_OUTS=(8 32 128)
# Milliseconds of a long line, each way, and how many names are behind it.
FAR=50
FAR_NAMES=200

# begin_round NUMBER: in round 0, which isn't timed, bytes are counted with all headers
begin_round() {
  if [[ -n $COUNTERS ]]; then
    segments $(($1 > 0 ? 65535 : 1))
  fi
  TIMED=$1
}

# cost TARGETS SERIES COMMAND…: adds what a target took: of wall time to SERIES, of processor time
# to SERIES.pusher and SERIES.targets, and the most KiB to SERIES.peak; in round 0, of bytes to
# SERIES.bytes
cost() {
  local targets=$1 series=$2 used='' bytes='' wall processor peak
  [[ -z $TARGETS_ACCOUNT ]] || used=$(used "$TARGETS_ACCOUNT")
  [[ -z $COUNTERS ]] || bytes=$(wire)
  octopus python3 "$TOP/scripts/bench.d/cost.py" "${@:3}" </dev/null >"$HERE/cost"
  read -r wall processor peak <"$HERE/cost"
  sleep 0.3 # the last acknowledgement, and what follows the answer
  if ((TIMED == 0)); then
    [[ -z $bytes ]] || add_share "$series.bytes" $(($(wire) - bytes)) "$targets"
    return 0
  fi
  add_share "$series" "$wall" "$targets"
  add_share "$series.pusher" "$processor" "$targets"
  add "$series.peak" "$peak"
  [[ -z $used ]] ||
    add_share "$series.targets" $(($(used "$TARGETS_ACCOUNT") - used)) "$targets"
}

# add_share SERIES NUMBER PARTS
add_share() {
  add "$1" "$(awk -v n="$2" -v parts="$3" 'BEGIN { print n / parts }')"
}

cost_table() {
  printf '\n| | targets | in all | each | its pusher | its target | on the wire | most memory |\n'
  printf '| --- | --- | --- | --- | --- | --- | --- | --- |\n'
}

# cost_row TEXT TARGETS SERIES
cost_row() {
  local all
  all=$(awk -v each="$(median "$3")" -v targets="$2" 'BEGIN { print each * targets }')
  printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$2" \
    "$(shown us "$all")" "$(shown us "$(median "$3")")" "$(share us "$3.pusher")" \
    "$(share us "$3.targets")" "$(share bytes "$3.bytes")" "$(share KiB "$3.peak")"
}

# share UNIT SERIES: its median, if it was counted here
share() {
  if [[ -e $HERE/series/$2 ]]; then
    shown "$1" "$(median "$2")"
  else
    printf 'not counted'
  fi
}

# grown TEXT SERIES OTHER: how many times as much the one is as the other
grown() {
  fact ratio "$1" "$(awk -v one="$(median "$2")" -v other="$(median "$3")" \
    'BEGIN { print one / other }')"
}

# many_addresses: names of one tentacle, which answers under each of them, makes one job of a run,
# and is sent a file by those who ask before it is there. So it is the pusher that is measured.
# shellcheck disable=SC2153 # octo.bash has ADDRESS
many_addresses() {
  local number round fanout one=$OCTOPUS file=$HERE/small OCTOPUS=$HERE/many
  mkdir -p "$OCTOPUS"
  cp -a "$one/config" "$OCTOPUS/config"
  head -c 4096 /dev/urandom >"$file"
  for ((number = 1; number <= ADDRESSES; number++)); do
    printf 'n%s %s %s\n' "$number" "${ADDRESS[t1]}" "$(<"$HERE/t1.thumbprint")"
  done >"$OCTOPUS/config/targets"
  note "fleet: $ADDRESSES names of one listener"
  for ((round = 0; round <= ROUNDS; round++)); do
    begin_round "$round"
    for fanout in "${FAN_OUTS[@]}"; do
      cost "$ADDRESSES" "many-run$fanout" "${PUSH[@]}" -a -f "$fanout" run -c 'echo hello'
    done
    cost "$ADDRESSES" many-gather "${PUSH[@]}" -a -f 64 run --gather -c 'echo hello'
    rm -f "$HERE"/t1/state/packages/[0-9a-f]*
    cost "$ADDRESSES" many-put "${PUSH[@]}" -a -f 64 put "$file"
  done
  cat <<REPORT

$ADDRESSES names of one tentacle, which answers each of them and makes one job of all, so that
little is left but what the pusher does; $ROUNDS rounds, medians, divided by targets as above.
REPORT
  cost_table
  for fanout in "${FAN_OUTS[@]}"; do
    cost_row "run that prints a line, -f $fanout" "$ADDRESSES" "many-run$fanout"
  done
  cost_row 'the same, --gather, -f 64' "$ADDRESSES" many-gather
  cost_row 'put 4 KiB, mostly there already, -f 64' "$ADDRESSES" many-put
}

# in_flight: what pusher and listener hold while all targets run at once
in_flight() {
  local size=${FLEETS[-1]} pusher gate=$HERE/gate
  # shellcheck disable=SC2153 # octo.bash has LISTENER
  local listener=${LISTENER[t1]} before
  mkfifo "$gate"
  chmod 644 "$gate"
  note "fleet: $size at once"
  before=$(of_status "$listener" RssAnon)
  env OCTO_CONFIG="$OCTOPUS/config" OCTO_STATE="$OCTOPUS/state" "${PUSH[@]}" \
    -t "fleet$size" -f "$size" run -c "cat $gate" >/dev/null &
  pusher=$!
  until (($(running "cat $gate") >= size)); do
    kill -0 "$pusher"
    sleep 0.1
  done
  cat <<REPORT

All $size at once, while their jobs run (-f $size):
REPORT
  facts
  fact number 'octo-push: descriptors' "$(descriptors "$pusher")"
  fact number 'its threads' "$(of_status "$pusher" Threads)"
  fact KiB 'its memory (VmRSS)' "$(of_status "$pusher" VmRSS)"
  fact KiB 'of it its own, a target (RssAnon)' \
    $(($(of_status "$pusher" RssAnon) / size))
  fact number 'octo-listen with one connection: descriptors' "$(descriptors "$listener")"
  fact KiB 'its memory more than idle (RssAnon)' \
    $(($(of_status "$listener" RssAnon) - before))
  fact KiB 'octo-exec of a job: memory (VmRSS)' "$(of_status "$(pgrep -n -x octo-exec)" VmRSS)"
  : >"$gate"
  wait "$pusher"
}

# running COMMAND: how many processes have exactly these words
running() {
  { pgrep -fx -- "$1" || true; } | wc -l
}

# descriptors PROCESS
descriptors() {
  find "/proc/$1/fd" -mindepth 1 -maxdepth 1 | wc -l
}

# what_a_job_leaves: on the disks of one target and of the octopus
what_a_job_leaves() {
  local jobs=100 number before after state=$HERE/t1/state paths path
  paths=("$state/audit.log" "$state/listen/audit.log" "$OCTOPUS/state/journal")
  note "fleet: what $jobs jobs leave"
  before=$(stat -c %s "${paths[@]}"; blocks "$state/jobs")
  for ((number = 0; number < jobs; number++)); do
    push -t t1 run -c true
  done
  sleep 0.3 # what follows the answer
  after=$(stat -c %s "${paths[@]}"; blocks "$state/jobs")
  paste <(printf '%s\n' "$before") <(printf '%s\n' "$after") |
    awk -v jobs="$jobs" '{ print ($2 - $1) / jobs }' >"$HERE/left"
  cat <<REPORT

What each of $jobs jobs that print nothing left on the disk:
REPORT
  facts
  number=0
  for path in "audit.log of octo-exec" "listen/audit.log" "octo-push's journal" \
    "jobs, in blocks of the file system"; do
    number=$((number + 1))
    fact number "$path: bytes" "$(sed -n "${number}p" "$HERE/left")"
  done
}

# blocks DIR: bytes of the disk
blocks() {
  du -s -B1 "$1" | cut -f 1
}

# far_away: how often a command waits for the other side, by a line that is longer each way
far_away() {
  local relay port name round number fanout
  note "fleet: behind a line of $((2 * FAR)) ms"
  : >"$HERE/far.out"
  python3 "$TOP/scripts/bench.d/far.py" "${ADDRESS[t1]%:*}" "${ADDRESS[t1]##*:}" "$FAR" \
    >"$HERE/far.out" 2>"$HERE/far.err" &
  relay=$!
  wait_for_line far 'listening ' "$relay"
  port=$(<"$HERE/far.out")
  know far "127.0.0.1:${port##* }" "$(<"$HERE/t1.thumbprint")"
  for ((number = 1; number <= FAR_NAMES; number++)); do
    know "far$number" "127.0.0.1:${port##* }" "$(<"$HERE/t1.thumbprint")" behind
  done
  for ((round = 0; round < ROUNDS; round++)); do
    for name in t1 far; do
      timed "$name-status" push -t "$name" status
      timed "$name-run" push -t "$name" run -c true
      timed "$name-there" push -t "$name" put "$HERE/small"
      rm -f "$HERE"/t1/state/packages/[0-9a-f]*
      timed "$name-put" push -t "$name" put "$HERE/small"
    done
    for fanout in "${FAR_FAN_OUTS[@]}"; do
      timed "behind$fanout" push -t behind -f "$fanout" run -c true
    done
  done
  kill "$relay"
  cat <<REPORT

Round trips that a command waits for, by how much longer it takes behind a line with one of
$((2 * FAR)) ms; the connection itself is one more, which isn't longer here.
REPORT
  facts
  for name in status run put there; do
    fact ratio "$(far_text "$name")" \
      "$(awk -v more="$(difference "far-$name" "t1-$name")" -v trip=$((2 * FAR * 1000)) \
        'BEGIN { print more / trip }')"
  done
  for fanout in "${FAR_FAN_OUTS[@]}"; do
    fact us "run true, $FAR_NAMES names behind that line, -f $fanout: in all" \
      "$(median "behind$fanout")"
  done
}

far_text() {
  case $1 in
    put) printf 'put 4 KiB, new' ;;
    there) printf 'put 4 KiB, there already' ;;
    run) printf 'run true' ;;
    *) printf '%s' "$1" ;;
  esac
}
