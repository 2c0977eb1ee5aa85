# shellcheck shell=bash
# Clocks, series of what they show, and rows of tables. A series is a file of numbers, one a
# round: microseconds, or bytes.

# now: sets NOW, in microseconds
now() {
  if [[ -n ${EPOCHREALTIME:-} ]]; then
    NOW=${EPOCHREALTIME/./}
  else
    NOW=$(($(date +%s%N) / 1000))
  fi
}

# add SERIES NUMBER
add() {
  printf '%s\n' "$2" >>"$HERE/series/$1"
}

# timed SERIES COMMAND…: adds how long the command took, its start included
timed() {
  local series=$1 start
  shift
  now
  start=$NOW
  "$@" </dev/null >/dev/null
  now
  add "$series" $((NOW - start))
}

# timed_both SERIES COMMAND…: adds to SERIES, and to SERIES.cpu the processor time of all that
# the section runs meanwhile: of the command, and of the daemon at the other side
timed_both() {
  local before
  before=$(used "$ACCOUNT")
  timed "$@"
  if [[ -n $ACCOUNT ]]; then
    sleep 0.3 # what follows the answer
    add "$1.cpu" $(($(used "$ACCOUNT") - before))
  fi
}

# account: puts this section into a cgroup whose processor time is counted, and sets ACCOUNT, or
# leaves it empty where there is none. Sums of children that were waited for would miss those of
# sshd.
account() {
  local place
  ACCOUNT=''
  for place in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
    if [[ -e $place/cpuacct.usage || -e $place/cgroup.controllers ]] &&
      mkdir "$place/$NETWORK" 2>/dev/null; then
      if { echo "$BASHPID" >"$place/$NETWORK/cgroup.procs"; } 2>/dev/null; then
        ACCOUNT=$place/$NETWORK
        return 0
      fi
      rmdir "$place/$NETWORK"
    fi
  done
}

# used CGROUP: microseconds of all in it until now
used() {
  local place=$1
  if [[ -e $place/cpuacct.usage ]]; then
    printf '%s' $(($(<"$place/cpuacct.usage") / 1000))
  elif [[ -n $place ]]; then
    awk '$1 == "usage_usec" { print $2 }' "$place/cpu.stat"
  fi
}

# cpu_of PROCESS: of itself and of its children that were waited for, in microseconds
cpu_of() {
  awk '{ sub(/^.*\) /, ""); print ($12 + $13 + $14 + $15) }' "/proc/$1/stat" | to_us
}

to_us() {
  awk -v hertz="$(getconf CLK_TCK)" '{ printf "%d\n", $1 * 1000000 / hertz }'
}

# of_status PROCESS KEY
of_status() {
  awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"
}

# switches PROCESS: of all its threads
switches() {
  cat "/proc/$1/task/"*/status | awk '/ctxt_switches/ { n += $2 } END { print n }'
}

# middle: of the numbers of standard input
middle() {
  sort -g | awk '{ v[NR] = $1 }
    END { print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

median() {
  middle <"$HERE/series/$1"
}

# ratio A B: median of A/B, round by round
ratio() {
  paste "$HERE/series/$1" "$HERE/series/$2" | awk '{ print $1 / ($2 > 0 ? $2 : 1) }' | middle
}

# difference A B: median of A-B, round by round
difference() {
  paste "$HERE/series/$1" "$HERE/series/$2" | awk '{ print $1 - $2 }' | middle
}

# shown UNIT NUMBER
shown() {
  awk -v unit="$1" -v n="$2" 'BEGIN {
    if (unit == "us" && n < 1000 && n > -1000) printf "%.2f ms", n / 1000
    else if (unit == "us") printf (n < 100000 && n > -100000 ? "%.1f ms" : "%.0f ms"), n / 1000
    else if (unit == "bytes" && n >= 1000000) printf "%.2f MB", n / 1000000
    else if (unit == "bytes") printf "%.1f KB", n / 1000
    else if (unit == "ratio") printf (n < 0.2 ? "%.3f" : "%.2f"), n
    else if (unit == "number") printf "%.0f", n
    else printf "%.0f %s", n, unit
  }'
}

# series UNIT SERIES: median (least–most)
series() {
  local least most
  least=$(shown "$1" "$(sort -g "$HERE/series/$2" | head -n 1)")
  most=$(shown "$1" "$(sort -g "$HERE/series/$2" | tail -n 1)")
  printf '%s (%s–%s)' "$(shown "$1" "$(median "$2")")" "${least% ms}" "${most% ms}"
}

# verdict UNIT NUMBER GOAL: at most the goal?
verdict() {
  if awk -v n="$2" -v goal="$3" 'BEGIN { exit !(n <= goal) }'; then
    printf met
  else
    printf '**missed** by %s' \
      "$(shown "$1" "$(awk -v n="$2" -v goal="$3" 'BEGIN { print n - goal }')")"
  fi
}

# comparisons: the head of a table of `compare`
comparisons() {
  local figure='median (least–most)'
  printf '\n| octo | %s | beside | %s | ratio | goal | verdict |\n' "$figure" "$figure"
  printf '| --- | --- | --- | --- | --- | --- | --- |\n'
}

# compare UNIT SERIES TEXT SERIES TEXT [GOAL]: the median of the rounds' ratios
compare() {
  local ratio
  ratio=$(ratio "$2" "$4")
  printf '| %s | %s | %s | %s | %s | ' "$3" "$(series "$1" "$2")" "$5" "$(series "$1" "$4")" \
    "$(shown ratio "$ratio")"
  if [[ -n ${6:-} ]]; then
    printf '≤ %s | %s |\n' "$6" "$(verdict ratio "$ratio" "$6")"
  else
    printf '– | – |\n'
  fi
}

# compare_cpu SERIES TEXT SERIES TEXT: of both sides, where it is counted
compare_cpu() {
  if [[ -n $ACCOUNT ]]; then
    compare us "$1.cpu" "$2" "$3.cpu" "$4"
  fi
}

# compare_more SERIES TEXT SERIES TEXT GOAL: how many microseconds more than the other
compare_more() {
  local more
  more=$(difference "$1" "$3")
  printf '| %s | %s | %s | %s | %s | ≤ +%s | %s |\n' "$2" "$(series us "$1")" "$4" \
    "$(series us "$3")" "$(shown us "$more")" "$(shown us "$5")" "$(verdict us "$more" "$5")"
}

# facts: the head of a table of `fact`
facts() {
  printf '\n| | measured | goal | verdict |\n| --- | --- | --- | --- |\n'
}

# fact UNIT TEXT NUMBER [GOAL]
fact() {
  printf '| %s | %s | ' "$2" "$(shown "$1" "$3")"
  if [[ -n ${4:-} ]]; then
    printf '≤ %s | %s |\n' "$(shown "$1" "$4")" "$(verdict "$1" "$3" "$4")"
  else
    printf '– | – |\n'
  fi
}
